"""What waits for somebody, and who takes it, in real browsers."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest
from playwright.sync_api import Browser, Dialog, Page, expect

from schemas.records import ActionKind
from streams.books.actions import new_action
from streams.books.alarm_actions import acknowledge_action, due_actions
from streams.books.alarming import Due
from streams.books.alarms import New, Priority, find
from streams.books.connect import connect
from streams.books.decided import decide, newest
from streams.experiments.mice.simulator import SimulatedRun
from tests.browser.conftest import Site, faults, open_page, until
from tests.browser.test_flags import other, played
from tests.watching import watched

__all__ = ["other", "played"]
pytestmark = [pytest.mark.servers, pytest.mark.browser]

WORDS = "TOF1 horizontal slab 3, PMT 1 <b>silent</b> since spill 4"


@contextmanager
def raised(site: Site, run: SimulatedRun, priority: Priority = Priority.MEDIUM) -> Iterator[New]:
    """Have an alarm, for a while."""
    of = f"TOF1/slab 3/{time.time_ns()}"
    its = New("live", run.run, of, 10, 4, WORDS, "tof", "hslabhits10", priority)
    (action,) = due_actions(Due(cleared=(), raised=(its,)))
    with connect(site.settings) as redis:
        decide(site.settings, redis, action)
        try:
            yield its
        finally:
            over = new_action(ActionKind.CLEAR_ALARM, its.id, origin="a test", reason="it is over")
            decide(site.settings, redis, over)
            there = newest(site.settings, redis)().alarms
            found = find(there, its.id)
            if found is not None and not found.is_over:
                seen = acknowledge_action(there, its.id, act_id="after-the-test", origin="a test")
                decide(site.settings, redis, seen)


@pytest.fixture
def alarm(site: Site, played: SimulatedRun) -> Iterator[New]:
    with raised(site, played) as its:
        yield its


def test_two_browsers_see_each_others_acknowledgement_within_a_second(page: Page, other: Page, alarm: New) -> None:
    open_page(other, "/alarms")
    open_page(page, "/")
    link = page.locator("#navigation a", has_text="Alarms")
    expect(link).to_have_text("Alarms 1 !")
    expect(link).to_have_attribute("title", "Nobody watches: no alarm is raised")
    # Nobody logs in: `test_flags` does, and the server bears only so many.
    expect(other.locator("#page .acting")).to_have_text("No users are configured: whoever is on this machine may act.")
    link.click()
    expect(page.locator(".watching")).to_have_text("! Nobody watches: no alarm is raised")
    row = page.locator("table.alarms tbody tr", has_text=WORDS)
    expect(row).to_contain_text("Call: TOF expert")
    page.get_by_role("button", name="Acknowledge").focus()
    with page.expect_response("**/act/acknowledge-alarm"):
        page.keyboard.press("Enter")
    begun = time.monotonic()
    # As often as a picture is drawn: what expects something asks ever less often.
    is_seen = """() => [...document.querySelectorAll('table.alarms tr')]
        .some(row => row.innerText.includes('slab 3') && row.innerText.includes('local@'))"""
    page.wait_for_function(is_seen)
    ours = time.monotonic() - begun
    other.wait_for_function(is_seen)
    # A busy machine takes longer for both; the other's must not wait for anything more.
    assert time.monotonic() - begun - ours < 1.0
    expect(page.locator("#alarm-status")).to_have_text("Acknowledged.")
    expect(page.locator("#navigation")).not_to_contain_text("Alarms 1")

    asked, answers = [], iter(["300", "a known fault", "3", ""])

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.default_value)
        dialog.accept(next(answers) or dialog.default_value)

    other.on("dialog", answer)
    other.get_by_role("button", name="Shelve").click()
    expect(other.locator("#alarm-status")).to_contain_text("168")
    other.get_by_role("button", name="Shelve").click()
    assert asked == ["2", "", "300", "a known fault"]  # what was refused is not to be typed again
    expect(row).to_contain_text(": a known fault")
    expect(row).to_contain_text("– shelved")
    row.get_by_role("link", name="TOF1 slab hits").click()
    page.wait_for_url(f"**/plot/{alarm.plot}?run={alarm.run}")


def test_axe_finds_no_serious_fault_on_the_page_of_alarms_and_it_is_read_in_a_hand(
    page: Page, axe: str, alarm: New
) -> None:
    page.set_viewport_size({"width": 375, "height": 812})
    open_page(page, "/alarms")
    found = []
    for theme in ("light", "dark"):
        page.evaluate(f"() => localStorage.setItem('spilldeck-theme', '{theme}')")
        page.goto("/alarms")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
        page.evaluate(axe)
        found += faults(page, "/alarms", theme)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= 375
        row = page.locator("table.alarms tbody tr").first.bounding_box()
        assert row is not None
        assert row["x"] + row["width"] <= 375
    assert not found


def test_an_answer_that_comes_late_takes_the_place_of_no_newer_one(page: Page, alarm: New) -> None:
    while page.request.get(f"/alarm/{alarm.id}").status != HTTPStatus.OK:
        page.wait_for_timeout(100)  # the page's process has not heard of it yet
    page.goto(f"/alarm/{alarm.id}")
    shown = page.evaluate("""async () => {
        const answers = [], made = words => new Response(`<div id="page">${words}</div>`);
        window.fetch = () => new Promise(resolve => answers.push(words => resolve(made(words))));
        const [first, second] = [window.again.ask(), window.again.ask()];
        answers[1]("newer");
        await second;
        answers[0]("older");
        await first;
        return document.getElementById("page").textContent;
    }""")
    assert shown == "newer"


COUNT_TONES = """() => {
    window.tones = 0;
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (...when) { window.tones += 1; return start.apply(this, when); };
}"""
# Each look of the driver's is a gesture of the user's, for which Chromium allows sound.
FORBIDDEN = """() => {
    const { get } = Object.getOwnPropertyDescriptor(BaseAudioContext.prototype, "state");
    let isThere = false;
    addEventListener("keydown", () => { isThere = true; }, true);
    const state = { get() { return isThere ? get.call(this) : "suspended"; } };
    Object.defineProperty(BaseAudioContext.prototype, "state", state);
}"""
STILL = """() => {
    const every = window.setInterval;
    window.setInterval = (does, ms, ...how) => every(() => ms >= 1000 || does(), ms, ...how);
}"""
HIGH_TONES, ALL_TONES = 4, 7
TELEPHONE_BYTES = 150_000


def test_who_watches_is_seen_what_is_new_is_heard_once_and_a_telephone_has_it_at_once(
    site: Site, page: Page, chromium: Browser, axe: str, played: SimulatedRun, alarm: New
) -> None:
    # Whether somebody watches is seen on the page, and beside the link to it.
    link, watching = page.locator("#navigation a[href='/alarms']"), page.locator(".watching")
    page.add_init_script(f"({COUNT_TONES})()")
    open_page(page, "/alarms")
    with connect(site.settings) as redis, watched(redis, site.settings):
        expect(watching).to_have_text("✓ Watched")
        expect(link).to_have_text("Alarms 1")
    expect(watching).to_have_text("! Nobody watches: no alarm is raised")
    expect(link).to_have_text("Alarms 1 !")

    # What was there before it was switched on is not heard; what is new is, in one of two tabs.
    tab = page.context.new_page()
    tab.add_init_script(f"({COUNT_TONES})()")
    open_page(tab, "/alarms")
    switch = tab.get_by_role("switch")
    expect(switch).to_be_enabled()
    expect(switch).to_have_text("Sound: off")
    tab.keyboard.press("s")
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(switch).to_have_text("Sound: on")
    page.bring_to_front()
    page.locator("#alarm-status").dispatch_event("click")
    page.keyboard.press("Shift")
    expect(page.get_by_role("switch")).to_have_text("Sound: on")

    def tones() -> int:
        return sum(each.evaluate("() => window.tones") for each in (page, tab))

    page.wait_for_timeout(2500)
    assert tones() == 0
    with raised(site, played, Priority.HIGH) as high:
        page.wait_for_function("id => document.querySelector('#navigation').innerHTML.includes(id)", arg=high.id)
        until(page, lambda: tones() >= HIGH_TONES)
        page.wait_for_timeout(2500)
        assert tones() == HIGH_TONES
        page.get_by_role("button", name="Test").click()
        expect(page.locator("#alarm-status")).to_have_text("You hear three patterns: high, medium, low.")
        assert tones() == HIGH_TONES + ALL_TONES
    tab.close()
    page.get_by_role("switch").press("Enter")
    expect(page.get_by_role("switch")).to_have_attribute("aria-checked", "false")

    # A page that was loaded anew says on each page that it is silent, until somebody is there.
    page.evaluate("() => localStorage.setItem('spilldeck-sound', 'true')")
    page.add_init_script(f"({STILL})()")
    page.add_init_script(f"({FORBIDDEN})()")
    open_page(page, "/")
    silent = "() => getComputedStyle(document.body, '::after').content"
    page.wait_for_function(f"() => ({silent})().includes('silent until you click or press a key')")
    page.keyboard.press("Shift")
    page.wait_for_function(f"() => ({silent})() === 'none'")
    # What comes is heard though the page is hidden, and its clock does not strike.
    with raised(site, played, Priority.HIGH):
        page.wait_for_function(f"() => window.tones === {HIGH_TONES}")
    page.evaluate("() => localStorage.setItem('spilldeck-sound', 'false')")

    # A telephone that was never here.
    size = {"width": 375, "height": 812}
    with chromium.new_context(viewport=size, base_url=site.address, has_touch=True, is_mobile=True) as telephone:
        phone, loaded = telephone.new_page(), []
        network = telephone.new_cdp_session(phone)
        network.send("Network.enable")
        network.on("Network.loadingFinished", lambda its: loaded.append(its["encodedDataLength"]))
        phone.goto(f"/alarm/{alarm.id}")
        expect(phone.get_by_role("heading", level=1)).to_have_text(WORDS)
        expect(phone.get_by_role("img")).to_be_visible()
        expect(phone.get_by_text("TOF expert on call")).to_be_visible()
        acknowledge = phone.get_by_role("button", name="Acknowledge")
        expect(acknowledge).to_be_visible()
        assert 0 < sum(loaded) < TELEPHONE_BYTES
        found = []
        for theme in ("light", "dark"):
            phone.evaluate(f"() => localStorage.setItem('spilldeck-theme', '{theme}')")
            phone.reload()
            expect(phone.locator("html")).to_have_attribute("data-theme", theme)
            expect(acknowledge).to_be_visible()
            phone.evaluate(axe)
            found += faults(phone, "/alarm", theme)
            assert phone.evaluate("() => document.documentElement.scrollWidth") <= 375
        assert not found
        acknowledge.tap()
        expect(phone.locator("#page")).to_contain_text("✕ acknowledged")
        expect(acknowledge).to_be_hidden()
        expect(phone.locator("#alarm-status")).to_have_text("Acknowledged.")
        assert phone.goto("/alarm/nosuch").status == 404  # type: ignore[union-attr]
        expect(phone.get_by_text("There is no such alarm")).to_be_visible()
