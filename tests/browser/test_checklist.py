"""The checklist, filled in in real browsers: what somebody began outlives all but being sent, and is sent once."""

import json
import re

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from dashboards.access.accounts import Accounts
from schemas.records import Action, ActionKind
from streams.books.actions import ActionLog
from streams.experiments.mice.simulator import SimulatedRun
from tests.browser.conftest import Seen, Site, faults, go_to, open_page, until_fits, until_handed_over
from tests.browser.test_flags import listed, log_in, other, users
from tests.wire import decode

__all__ = ["listed", "other", "users"]
pytestmark = [pytest.mark.servers, pytest.mark.browser]

OWN = "Magnets as in the <b>run plan</b>"
SIZES = [(1920, 1080), (1366, 768), (820, 1180), (375, 812)]


def ended(site: Site) -> SimulatedRun:
    """Return a run that has ended, and is the last one: the checklist of its end is due."""
    for run in (site.new_run(spills=8), site.new_run(spills=8)):
        site.send(run.records())
    site.book(run)
    return run


def sent(site: Site, run: SimulatedRun) -> list[Action]:
    with ActionLog(site.settings) as log:
        found = [decode(message) for _, message in log.read(*log.span())]
    return [
        each for each in found if isinstance(each, Action) and (each.kind, each.subject) == ("checklist", str(run.run))
    ]


def open_checklist(page: Page, run: SimulatedRun) -> None:
    """Open the page; send what is due of the run before, if it is, so that this one is."""
    go_to(page, "/checklist")
    while True:
        expect(page.locator("#checklist-form")).to_be_visible()
        if f"run {run.run}" in (what := page.locator("h1").inner_text()):
            return until_judged(page)
        page.get_by_role("button", name="Send it as").click()
        expect(page.locator("h1")).not_to_have_text(what)


def until_judged(page: Page) -> None:
    """Wait until the checks say what they stay with: what is sent while they change their mind is refused."""
    expect(page.locator("#checklist-form")).to_be_attached()
    expect(page.locator("#checklist-form")).not_to_contain_text("Not all is judged yet")


def line(page: Page, words: str = OWN) -> Locator:
    return page.locator("li[data-line]", has_text=words)


def test_27_a_checklist_is_filled_in_by_keys_and_the_hand_over_has_it_in_all_browsers(
    site: Site, page: Page, other: Page
) -> None:
    run = ended(site)
    open_checklist(other, run)
    expect(other.locator("h1")).to_have_text(re.compile(rf"The end of run {run.run}, due since .* UTC"))
    open_page(page)
    due = page.locator("a.due")
    expect(due).to_contain_text(re.compile(r"! \d\d:\d\d"))
    expect(due).to_have_attribute("title", re.compile(f"the end of run {run.run}, due since"))
    page.keyboard.press("c")
    page.wait_for_url("**/checklist")
    expect(page.locator(".as-of")).to_contain_text(f"Run {run.run} as of spill 7")
    own = line(page)
    expect(own).to_contain_text("Only a person can tell.")
    expect(own.get_by_label("? not known")).to_be_checked()
    expect(line(page, "Spills came").get_by_label("✓ yes")).to_be_checked()
    expect(line(page, "The run is flagged").get_by_label("✕ no")).to_be_checked()
    expect(line(page, "The run is flagged")).to_contain_text("100 % not looked at")
    expect(page.get_by_role("button", name="Send it as local@")).to_be_enabled()
    until_judged(page)
    # By the keyboard: from line to line, an answer, a remark.
    line(page, "The run is flagged").get_by_label("Remark").focus()
    page.keyboard.press("Enter")
    expect(own.get_by_label("? not known")).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(own.get_by_label("✕ no")).to_be_checked()
    page.keyboard.press("Tab")
    page.keyboard.type("D2 is <i>off</i>")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Send it as")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#checklist-status")).to_contain_text("Sent as local@")
    expect(page.locator("h1")).to_contain_text("No checklist is due.")
    # Who fills it in, too, sees that it is done, by whom, and what was no.
    expect(other.locator("h1")).to_contain_text("No checklist is due.")
    expect(other.locator("#page")).to_contain_text("D2 is <i>off</i>")
    (action,) = sent(site, run)
    assert json.loads(action.after)["spill"] == 7
    open_page(page)
    expect(page.locator("#strip .flag")).to_be_visible()
    expect(due).to_have_count(0)
    page.goto("/handover")
    until_handed_over(page, lambda said: f"{OWN}: no; D2 is <i>off</i>" in said)
    said = page.locator("section", has=page.get_by_role("heading", name="Checklists"))
    expect(said).to_contain_text(f"the end of run {run.run}, due since")
    expect(said).to_contain_text(f"{OWN}: no; D2 is <i>off</i>")


def test_27_a_draft_outlives_the_tab_the_server_and_redis_goes_on_with_the_checks_and_is_sent_once(
    site: Site, page: Page, seen: Seen
) -> None:
    seen.server_may_be_away = True
    run = ended(site)
    open_checklist(page, run)
    page.get_by_role("group", name=OWN).get_by_label("✕ no").check()
    line(page).get_by_label("Remark").fill("D2 is off")
    line(page, "All alarms").get_by_label("✓ yes").check()
    context = page.context
    page.close()
    page = context.new_page()
    page.goto("/checklist")
    expect(line(page).get_by_label("Remark")).to_have_value("D2 is off")
    expect(line(page).get_by_label("✕ no")).to_be_checked()
    # Both stand: what the checks say, and what the person said.
    expect(line(page, "All alarms")).to_contain_text("? not known Nobody watches")
    expect(line(page, "All alarms").get_by_label("✓ yes")).to_be_checked()
    expect(line(page, "All alarms")).to_have_class("other")

    remark = line(page, "All alarms").get_by_label("Remark")
    remark.focus()
    with site.redis.hung(*site.redis.holding):
        expect(page.locator(".trouble")).to_contain_text("The store (Redis)")
        expect(line(page, "Spills came")).to_contain_text("? not known The store (Redis)")
        # What one types meanwhile stays, and where one types.
        page.keyboard.type("I looked")
        expect(remark).to_be_focused()
        page.get_by_role("button", name="Send it as").click()
        expect(page.locator("#checklist-status")).to_contain_text("Ask again: the same is noted once.")
        assert site.page.process is not None
        site.page.process.kill()
        site.page.process.wait()
        expect(page.locator("#lost")).to_contain_text("Server lost")
        site.page.start()
        expect(page.locator("#lost")).to_be_hidden()
        # The server has read nothing yet: nobody knows what is due, and what was filled in stays.
        expect(page.locator(".trouble")).to_contain_text("The store (Redis)")
        expect(line(page).get_by_label("Remark")).to_have_value("D2 is off")
        page.reload()
        expect(page.locator("h1")).to_have_text("Nobody knows whether a checklist is due.")
    expect(line(page).get_by_label("Remark")).to_have_value("D2 is off")
    expect(line(page, "All alarms").get_by_label("Remark")).to_have_value("I looked")
    expect(line(page, "Spills came")).to_contain_text("✓ yes 8 spills")
    expect(page.locator(".trouble")).to_be_empty()
    # The answer is lost, not what was sent: asked for again it is the same.
    page.route("**/act/checklist", lambda route: (route.fetch(), route.abort()), times=1)
    page.get_by_role("button", name="Send it as").click()
    expect(page.locator("h1")).to_contain_text("No checklist is due.")
    expect(page.locator("#checklist-status")).to_contain_text("Sent as local@")
    assert page.evaluate("() => Object.keys(localStorage).filter(key => key.includes('checklist'))") == []
    assert len(sent(site, run)) == 1


def test_27_what_one_began_another_does_not_send_unawares(
    site: Site, page: Page, chromium: Browser, users: Accounts, seen: Seen
) -> None:
    run = ended(site)
    page.goto("/checklist")
    expect(page.locator(".acting")).to_have_text("Log in to act.")
    expect(page.locator("fieldset").first).to_be_hidden()
    log_in(page, "Anna")
    open_checklist(page, run)
    page.get_by_role("group", name=OWN).get_by_label("✓ yes").check()
    page.get_by_role("button", name="Log out").click()
    log_in(page, "Bob")
    expect(page.locator("#whose")).to_contain_text("Anna began this, and you are Bob.")
    expect(page.get_by_role("button", name="Send it as Bob")).to_be_disabled()
    page.get_by_role("button", name="Go on as Bob").click()
    expect(page.locator("#whose")).to_be_hidden()
    expect(line(page).get_by_label("✓ yes")).to_be_checked()
    page.get_by_role("button", name="Begin anew").click()
    expect(line(page).get_by_label("? not known")).to_be_checked()
    page.get_by_role("button", name="Send it as Bob").click()
    expect(page.locator("#checklist-status")).to_have_text("Sent as Bob.")
    (action,) = sent(site, run)
    assert (action.who, action.kind) == ("Bob", ActionKind.CHECKLIST)


def test_27_axe_finds_no_serious_fault_and_it_is_read_on_screens_of_all_sizes(site: Site, page: Page, axe: str) -> None:
    run = ended(site)
    open_checklist(page, run)
    found = []
    for theme in ("light", "dark"):
        page.evaluate(f"() => localStorage.setItem('spilldeck-theme', '{theme}')")
        page.goto("/checklist")
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        expect(page.get_by_role("button", name="Send it as")).to_be_enabled()
        for width, height in SIZES:
            until_fits(page, width, height)
            small = """() => [...document.querySelectorAll('.lines :is(.asks, .said, label, .remark)')]
                .filter(each => parseFloat(getComputedStyle(each).fontSize) < 14).length"""
            assert page.evaluate(small) == 0
        page.evaluate(axe)
        found += faults(page, "/checklist", theme)
    assert not found
