"""Who one is and what one says of a run, in real browsers."""

import re
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboards.access.accounts import Accounts
from dashboards.access.private import make_private, write_private
from dashboards.access.roles import Role
from schemas.records import ActionKind
from streams.books.actions import new_action
from streams.books.connect import connect
from streams.books.decided import decide
from streams.books.flags import Verdict
from streams.books.proposals import CHECKS, Proposal, Proposed
from streams.experiments.mice.simulator import SimulatedRun
from tests.browser.conftest import WAIT_S, Seen, Site, faults, go_to, held, open_page

pytestmark = [pytest.mark.servers, pytest.mark.browser]

PASSWORD = "correct horse battery"
SPILLS = 20


@pytest.fixture(scope="module")
def played(site: Site) -> SimulatedRun:
    run = site.new_run(spills=SPILLS)
    site.play(run, 0, SPILLS)
    site.book(run)
    return run


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the file of two shifters and a viewer: their passwords take long to be stored."""
    accounts = Accounts(tmp_path_factory.mktemp("users"))
    for name, role in (("Anna", Role.SHIFTER), ("Bob", Role.SHIFTER), ("Eve", Role.VIEWER)):
        accounts.add_user(name, role, PASSWORD)
    return accounts.path.read_bytes()


@pytest.fixture
def users(site: Site, listed: bytes) -> Iterator[Accounts]:
    """Have two shifters and a viewer, for a while."""
    accounts = Accounts(site.settings.access.directory)
    make_private(accounts.path.parent)
    write_private(accounts.path, listed)
    yield accounts
    for name in accounts.users():
        accounts.remove_user(name)


@pytest.fixture
def other(chromium: Browser, site: Site) -> Iterator[Page]:
    """Return another browser."""
    context = chromium.new_context(base_url=site.address)
    context.set_default_timeout(WAIT_S * 1000)
    yield context.new_page()
    context.close()


def log_in(page: Page, name: str) -> None:
    """Log in from the page that is open, by the keyboard alone."""
    page.get_by_role("link", name="Log in").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    expect(page.get_by_role("button", name="Log in")).to_be_enabled()  # what is sent before would reach nobody
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#who button")).to_be_visible()


def test_26_a_shifter_flags_a_run_and_another_browser_sees_it_within_a_second(
    site: Site, page: Page, other: Page, users: Accounts, played: SimulatedRun
) -> None:
    address = f"/?run={played.run}"
    open_page(other, address)
    open_page(page, address)
    expect(other.locator("button.flag")).to_contain_text("– not looked at")
    log_in(page, "Anna")
    expect(page.locator("#who")).to_contain_text("shifter Anna")
    assert page.url == site.address + address
    page.locator("button.flag").focus()
    page.keyboard.press("Enter")
    form = page.locator("#flag-form")
    form.get_by_label("✕ bad").focus()
    page.keyboard.press("Space")
    form.get_by_label("Spills from").fill("5")
    form.get_by_label("to", exact=True).fill("9")
    form.get_by_label("Reason").fill("<b>the station tripped</b>")
    with page.expect_response("**/act/flag") as answered:
        page.keyboard.press("Enter")
    assert answered.value.status == 200
    begun = time.monotonic()
    # As often as a picture is drawn: what expects something asks ever less often.
    is_bad = "() => document.querySelector('button.flag')?.innerText.includes('✕ bad 25 %')"
    other.wait_for_function(is_bad)
    assert time.monotonic() - begun < 1.0
    expect(page.locator("#flag-status")).to_have_text(f"Noted: run {played.run} is bad.")
    expect(page.locator("table.flags")).to_contain_text("<b>the station tripped</b>")
    expect(page.locator("#flags-shares")).to_contain_text("25 % bad, 75 % not looked at; 1 not verified")

    log_in(other, "Bob")
    other.locator("button.flag").click()
    withdraw = other.locator("[data-act=withdraw]")
    withdraw.focus()
    other.locator("[data-act=verify]").evaluate("button => button.click()")
    expect(page.locator("table.flags")).to_contain_text("verified by Bob")
    # What is written anew takes the focus from nobody.
    expect(other.locator("table.flags")).to_contain_text("verified by Bob")
    expect(withdraw).to_be_focused()
    other.once("dialog", lambda dialog: dialog.accept("of another run"))
    withdraw.click()
    expect(page.locator("table.flags")).to_contain_text("withdrawn by Bob: of another run")
    page.get_by_label("✓ good").check()
    page.get_by_role("button", name=f"Set flag of run {played.run}").click()
    expect(page.locator("#flag-status")).to_have_text(f"Noted: run {played.run} is good.")
    other.keyboard.press("Escape")
    other.locator("[data-do=runs]").first.click()
    expect(other.locator("#runs-list .row", has_text=str(played.run))).to_contain_text("✓ good")

    page.keyboard.press("Escape")
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in")).to_be_visible()
    expect(other.locator("#who")).to_contain_text("Bob")


def test_who_may_only_look_sees_the_flags_and_why_none_can_be_set(
    page: Page, seen: Seen, users: Accounts, played: SimulatedRun
) -> None:
    open_page(page, f"/?run={played.run}")
    page.locator("button.flag").click()
    expect(page.locator("#flags .acting")).to_have_text("Log in to act.")
    expect(page.locator("#flag-form")).to_be_hidden()
    page.keyboard.press("Escape")
    link = page.get_by_role("link", name="Log in")
    link.focus()
    page.locator("#navigation a", has_text="Time of flight").evaluate("link => link.click()")
    # Who is about to log in is not disturbed by where the page goes, and comes back to there.
    expect(link).to_have_attribute("href", re.compile("next=%2Fdetector%2Ftof"))
    expect(link).to_be_focused()
    log_in(page, "Eve")
    page.locator("button.flag").click()
    expect(page.locator("#flags .acting")).to_have_text("Eve may look, and not act.")
    expect(page.locator("#flag-form")).to_be_hidden()
    page.keyboard.press("Escape")
    page.keyboard.press("e")
    page.keyboard.press("/")  # pressed later, and answered
    expect(page.locator("#find")).to_be_visible()
    expect(page.locator("dialog[open]")).to_have_count(1)


def test_what_is_opened_before_it_can_be_acted_on_is_of_the_run_that_is_shown(
    fresh_page: Page, played: SimulatedRun
) -> None:
    page = fresh_page
    with held(page, "**/*-acting") as pass_on:
        go_to(page, f"/?run={played.run}")
        page.locator("button.flag").click()
        expect(page.locator("#flags")).to_be_visible()
        pass_on()
    expect(page.get_by_role("button", name=f"Set flag of run {played.run}")).to_be_visible()


def test_nobody_can_log_in_before_it_can_be_sent(fresh_page: Page, users: Accounts) -> None:
    page = fresh_page
    with held(page, "**/*-log_in") as pass_on:
        page.goto("/log-in", wait_until="commit")
        expect(page.get_by_role("button", name="Log in")).to_be_disabled()
        pass_on()
    expect(page.get_by_role("button", name="Log in")).to_be_enabled()


def test_without_users_the_page_says_who_may_act(page: Page, played: SimulatedRun) -> None:
    open_page(page, f"/?run={played.run}")
    page.locator("button.flag").click()
    expect(page.locator("#flags .acting")).to_have_text("No users are configured: whoever is on this machine may act.")
    expect(page.locator("#flag-form")).to_be_visible()
    expect(page.locator("#who")).to_be_empty()


def test_a_wrong_password_is_said_and_nobody_is_led_elsewhere(
    site: Site, page: Page, seen: Seen, users: Accounts
) -> None:
    seen.server_may_be_away = True  # a browser logs each 401 as an error
    page.goto("/log-in")
    page.get_by_label("Name").fill("Anna")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("status")).to_have_text("No user has this name and password.")
    # Of an address of ours the path alone may be that of another server.
    ours = ("/.//attacker.example/x", f"{site.address}//attacker.example/x")
    for elsewhere in ("https://attacker.example/x", "//attacker.example/x", "javascript:alert(1)", *ours):
        page.goto(f"/log-in?next={elsewhere}")
        page.get_by_label("Name").fill("Anna")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: urlsplit(url).path != "/log-in")
        assert urlsplit(page.url)[:3] == urlsplit(f"{site.address}/")[:3]


def test_axe_finds_no_serious_fault_where_one_logs_in_and_flags_and_all_fits_into_a_hand(
    page: Page, axe: str, users: Accounts, played: SimulatedRun
) -> None:
    page.set_viewport_size({"width": 375, "height": 812})
    open_page(page, f"/?run={played.run}")
    log_in(page, "Anna")
    found = []
    for theme in ("light", "dark"):
        page.evaluate(f"() => localStorage.setItem('spilldeck-theme', '{theme}')")
        for path in ("/log-in", f"/?run={played.run}"):
            if path == "/log-in":
                page.goto(path)
            else:
                open_page(page, path)  # waits until it listens
            expect(page.locator("html")).to_have_attribute("data-theme", theme)
            if path != "/log-in":
                page.locator("button.flag").click()
                expect(page.locator("#flag-form")).to_be_visible()
            page.evaluate(axe)
            found += faults(page, path, theme)
            assert page.evaluate("() => document.documentElement.scrollWidth") <= 375
            dialog = "() => document.getElementById('flags')"
            assert not page.evaluate(
                f"() => {{ const it = ({dialog})(); return it && it.scrollWidth > it.clientWidth; }}"
            )
    assert not found


def test_what_the_checks_propose_is_set_by_who_takes_it_over(site: Site, page: Page, played: SimulatedRun) -> None:
    dead = Proposed(Verdict.BAD, "PMT 0 of slab 3 silent since spill 7", "tof", 7)
    proposal = Proposal(session="live", produced_ms=1, reference=5, flags=(Proposed(Verdict.GOOD, "nothing"), dead))
    propose = new_action(
        ActionKind.PROPOSE_FLAGS, played.run, after=proposal.to_json(), origin="the keeper", who=CHECKS
    )
    with connect(site.settings) as redis:
        decide(site.settings, redis, propose)
    open_page(page, f"/?run={played.run}")
    page.locator("button.flag").click()
    expect(page.locator("#flags-list")).to_contain_text("The checks propose, against run 5:")
    its = page.locator("#flags-list li", has_text=dead.reason)
    expect(its).to_contain_text("✕ bad: Time of flight, spills 7 and later")
    its.get_by_role("button", name="Take over").click()
    form = page.locator("#flag-form")
    expect(form.get_by_label("Spills from")).to_have_value("7")
    expect(form.get_by_label("Reason")).to_have_value(dead.reason)
    expect(form.get_by_label("Of")).to_have_value("tof")
    page.keyboard.press("Enter")
    expect(page.locator("#flag-status")).to_have_text(f"Noted: run {played.run} is bad.")
    expect(page.locator("table.flags tbody tr").first).to_contain_text("local@")
