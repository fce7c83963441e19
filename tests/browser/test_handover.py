"""What is known, and what a shift hands over, in real browsers and on paper."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from dashboards.pages.handover import sections
from schemas.records import ActionKind
from streams.books.actions import new_action
from streams.books.alarm_actions import due_actions
from streams.books.alarming import Due
from streams.books.alarms import New, Priority, remark_text
from streams.books.changed import Changed, Moved
from streams.books.checklists import LONGEST_LINE, Answer, Checklist, Line
from streams.books.connect import connect
from streams.books.decided import decide
from streams.books.duties import Duty
from streams.books.flags import END, Flag, Shares, Verdict
from streams.books.handover import (
    LONGEST,
    MOST_ALARMS,
    MOST_CHANNELS,
    MOST_CHECKLISTS,
    MOST_DECIDED,
    MOST_ISSUES,
    MOST_LIMITS,
    MOST_NOTES,
    MOST_PLOTS,
    MOST_RUNS,
    MOST_UNDONE,
    MOST_UNREAD,
    Compared,
    LimitsThen,
    Shift,
    report,
)
from streams.books.notes import Note
from streams.books.shapes import PlotVerdict, State
from streams.checks.shapes import Block, Shape
from streams.experiments.mice.simulator import SimulatedRun
from tests.books.test_handover import CODE, NOW_US, alarm, issue, run, shift
from tests.browser.conftest import Site, faults, go_to, open_page, until_fits, until_handed_over
from tests.browser.test_flags import other, played

__all__ = ["other", "played"]
pytestmark = [pytest.mark.servers, pytest.mark.browser]

OF = "TOF1/horizontal slab 3, PMT 1"
TEXT = "it is <b>dead</b> until the winter"
WORDS = "as many words as anybody ever writes of it, "


def test_25_what_is_known_masks_its_alarm_in_all_browsers_is_counted_and_withdrawn(
    site: Site, page: Page, other: Page, played: SimulatedRun
) -> None:
    its = New("live", played.run, f"{OF}/fewer", 10, 4, "PMT 1 silent", "tof", "hslabhits10", Priority.MEDIUM)
    (action,) = due_actions(Due(cleared=(), raised=(its,)))
    with connect(site.settings) as redis:
        decide(site.settings, redis, action)
        open_page(other, "/alarms")
        open_page(page, "/alarms")
        page.get_by_role("button", name="Known issue").click()
        form = page.locator("#issue-form")
        expect(form.get_by_label("Of")).to_have_value(OF)
        expect(form.get_by_label("What is known")).to_be_focused()
        page.keyboard.type(TEXT)
        form.get_by_label("Who sees to it").fill("Anna")
        form.get_by_label("to", exact=True).fill(str(played.run))
        page.keyboard.press("Enter")
        expect(page.locator("#issue-status")).to_have_text(f"Noted: {TEXT}")
        page.keyboard.press("Escape")
        # Nobody has to do anything about it any more.
        row = other.locator("table.alarms tbody tr").filter(has_text="PMT 1 silent")
        expect(row).to_contain_text("▨ known issue")
        expect(row).to_contain_text(f"Known: {TEXT} (Anna)")
        expect(other.locator("#navigation")).not_to_contain_text("Alarms 1")

        decide(site.settings, redis, new_action(ActionKind.CLEAR_ALARM, its.id, origin="a test", reason="it is over"))
        again = its._replace(spill=15)
        (action,) = due_actions(Due(cleared=(), raised=(again,)))
        decide(site.settings, redis, action)
        other.get_by_role("link", name="Known issues").click()
        row = other.locator("table.alarms tbody tr").filter(has_text="Anna sees to it")
        expect(row).to_contain_text("▨ known here")
        expect(row).to_contain_text(f"1 hit, the last in run {played.run} after spill 15")
        other.once("dialog", lambda dialog: dialog.accept("it was repaired"))
        row.get_by_role("button", name="Withdraw").click()
        expect(row).to_contain_text("it was repaired")
        # It waits again, until it is over.
        expect(page.locator("#navigation")).to_contain_text("Alarms 1")
        decide(site.settings, redis, new_action(ActionKind.CLEAR_ALARM, again.id, origin="a test", reason="it is over"))
        for number, each in enumerate((its, again)):
            text = remark_text(f"after-the-test-{number}")
            decide(site.settings, redis, new_action(ActionKind.ACKNOWLEDGE_ALARM, each.id, after=text, origin="a test"))
    expect(page.locator("#navigation")).not_to_contain_text("Alarms 1")
    # What was withdrawn is folded away, and stays unfolded where somebody wants to see it.
    folded = other.get_by_text("Withdrawn: the last")
    folded.evaluate("each => { each.click(); document.dispatchEvent(new Event('written')); }")
    other.keyboard.press("?")
    other.keyboard.press("Escape")
    expect(other.locator("details", has=folded)).to_have_attribute("open", "")


def test_28_what_is_logged_of_a_plot_stands_in_the_hand_over_and_in_the_clipboard(
    page: Page, played: SimulatedRun
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page, f"/plot/hslabhits10?run={played.run}")
    page.get_by_role("button", name="Log it").click()
    note = page.get_by_label("Note")
    expect(note).to_have_value(re.compile("^As of spill"))  # focused a moment before that is written into it
    expect(note).to_be_focused()
    page.keyboard.type("slab 3 <i>came back</i>")
    page.get_by_role("button", name=f"Log it of run {played.run}").click()
    expect(page.locator("#note-status")).to_have_text("Noted, and in the clipboard.")
    said = page.evaluate("() => navigator.clipboard.readText()")
    assert said.startswith(f"Run {played.run}: slab 3 <i>came back</i>\nhttp")
    assert said.endswith(f"/plot/hslabhits10?run={played.run}")
    page.goto("/handover")
    until_handed_over(page, lambda said: "slab 3 <i>came back</i>" in said)
    notes = page.locator("section", has=page.get_by_role("heading", name="Notes"))
    expect(notes).to_contain_text(f"run {played.run}, TOF1 slab hits, horizontal plane: slab 3 <i>came back</i>")


def test_28_the_hand_over_is_a_page_markdown_and_two_sheets_of_paper(
    page: Page, played: SimulatedRun, axe: str
) -> None:
    open_page(page, "/alarms")
    page.get_by_role("link", name="Hand-over").click()
    expect(page.locator("h1")).to_contain_text("hand-over of the last 8 hours")
    until_handed_over(page, lambda said: str(played.run) in said)
    expect(page.locator("table").first).to_contain_text(str(played.run))
    with page.expect_download() as download:
        page.get_by_role("link", name="Markdown").click()
    text = download.value.path().read_text()
    assert text.startswith("# ")
    assert f"| {played.run} |" in text
    for title in page.locator("h2").all_inner_texts():
        assert f"## {title}" in text
    page.evaluate(axe)
    assert not faults(page, "/handover", "light")
    until_fits(page, 375, 812)
    assert page.request.get("/handover?hours=73").status == 400
    assert page.request.get("/handover.md?hours=x").status == 400


def full() -> Shift:
    """Return a shift with as much in it as is ever listed, in as many words."""
    words = (WORDS * 10)[: 3 * LONGEST]
    flag = Flag("flag-0001", "tof", Verdict.BAD, 0, END, "anna@here", 1, "a test", words)
    many = run(spills=11_250, shares=Shares(5000, 3000, 2000, 1250), flags=(flag,))
    moved = Moved(detector="tof", group="TOF1", channel="slab 3, " * 3, hits=1e4, expected=2e5, of=4e5, evidence=80.0)
    shape = Shape(
        entries=100,
        reference=200,
        elsewhere=0.2,
        evidence=90.0,
        worst=Block(first=(3,), last=(4,), share=0.2, expected=0.1, evidence=90.0),
    )
    off = PlotVerdict(plot="hslabhits10", state=State.BAD, shape=shape)
    lines = tuple(Line(f"line {at}", words[:LONGEST_LINE], Answer.NO, words) for at in range(20))
    checklist = Checklist("check-0001", 6008, NOW_US, False, 100, 40, lines, "anna@here", NOW_US - 1)
    alarms = [alarm(number) for number in range(MOST_ALARMS + 9)]
    return shift(
        runs=[replace(many, run=6000 + at) for at in range(MOST_RUNS + 9)],
        alarms=tuple(each._replace(new=each.new._replace(words=words)) for each in alarms),
        issues=(issue(text=words, owner=WORDS),) * (MOST_ISSUES + 9),
        notes=(Note("note-0001", 6008, words, "hslabhits10", "anna@here", NOW_US - 1),) * (MOST_NOTES + 9),
        checklists=(checklist,) * (MOST_CHECKLISTS + 9),
        undone=[Duty(6000 + at, NOW_US, is_end=True) for at in range(MOST_UNDONE + 9)],
        decided=[words] * (MOST_DECIDED + 9),
        unreadable=[words] * (MOST_UNREAD + 9),
        limits=[LimitsThen(words[:20], 6001, (words,) * 9)] * (MOST_LIMITS + 9),
        files={"The file of limits": 1, "The file of rules for good spills": 1},
        compared=Compared(
            run=6008,
            other=6001,
            tables=("tof_t0", "scifi_calibration"),
            code=(CODE, CODE),
            changed=Changed(channels=(moved,) * (MOST_CHANNELS + 20), plots=(off,) * (MOST_PLOTS + 20)),
        ),
    )


def test_28_a_full_hand_over_prints_on_two_sheets(site: Site, page: Page) -> None:
    go_to(page, f"{site.address}/handover")
    page.evaluate(
        "parts => { for (const each of document.querySelectorAll('section')) each.remove(); "
        "document.querySelector('h1').insertAdjacentHTML('afterend', parts); }",
        sections(report(full())),
    )
    sheets = page.pdf(prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", sheets)) == 2
