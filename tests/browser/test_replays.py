"""Replays on the page, in a real browser: how far they are, and their plots beside live's and over them."""

import os
import re
import signal
from dataclasses import dataclass

import pytest
from playwright.sync_api import Dialog, Page, expect

from ops.demo import Part
from streams.books.connect import connect
from streams.books.decided import newest
from streams.books.pinning import unpin
from streams.books.sessions import Sessions
from streams.experiments.mice.simulator import SimulatedRun
from tests.browser.conftest import (
    COUNTS,
    WAIT_S,
    Site,
    drawn,
    faults,
    open_page,
    until_drawn,
    until_equal,
    until_theme,
)

# The first one has a replay's process begin after all those of the site, on a machine that may be busy.
pytestmark = [pytest.mark.servers, pytest.mark.browser, pytest.mark.timeout(300)]

REPLAYED, SPILLS = 6, 9
SESSION = "replay-Again"
TITLE = "plot.layout.title.text"


@dataclass(frozen=True, slots=True)
class Played:
    run: SimulatedRun
    first: list[int]
    """Counts of the spills that the replay has."""
    all: list[int]


def replay(site: Site, run: SimulatedRun, name: str) -> Part:
    return site.running.start(f"replay {name}", "replay", str(run.run), "--name", name)


@pytest.fixture(scope="module")
def played(site: Site) -> Played:
    """Return a run of which live has more spills than its replay."""
    run = site.new_run(spills=REPLAYED)
    site.send(run.records())
    first = site.book(run).book["ht01"].view().tolist()
    replaying = replay(site, run, "Again")
    assert replaying.process is not None
    assert replaying.process.wait(3 * WAIT_S) == 0, replaying.last_words()
    site.play(run, REPLAYED, SPILLS)
    return Played(run, first, site.book(run).book["ht01"].view().tolist())


def test_a_replays_plots_stand_over_lives_and_beside_them_and_say_whose_they_are(
    site: Site, page: Page, played: Played
) -> None:
    run = played.run.run
    open_page(page, f"/plot/ht01?run={run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    page.keyboard.press("Tab")
    over = page.locator("#controls").get_by_text("Over", exact=True)
    over.focus()
    page.keyboard.press("Enter")
    page.get_by_text("Absolute", exact=True).click()
    until_equal(page, "ht01", "plot.data[1]?.y.slice(0, -1)", played.first)
    assert drawn(page, "ht01", COUNTS) == played.all
    assert f"– – run {run}, replay Again" in drawn(page, "ht01", TITLE)
    page.get_by_text("Ratio", exact=True).click()
    until_equal(page, "ht01", f"{TITLE}.includes('over run {run}, replay Again')", True)
    with page.context.expect_page() as opened:
        page.locator("#controls").get_by_text("Beside").click()
    beside = opened.value
    expect(beside.locator(".banner.replay")).to_contain_text(f"run {run}, replay Again: not at the run’s own book")
    expect(beside.locator("#strip")).to_contain_text(f"Run{run}Bookreplay AgainState")
    expect(beside.locator("#strip")).to_contain_text(f"Spills{REPLAYED}")
    assert f"run={run}.{SESSION}" in beside.url
    beside.get_by_text("Absolute", exact=True).click()
    until_equal(beside, "ht01", COUNTS, played.first)
    assert f"Run {run}, replay Again · spills 0–{REPLAYED - 1} " in drawn(beside, "ht01", TITLE)
    # The first page is as it was, and nobody takes one for the other.
    assert f"Run {run} · spills" in drawn(page, "ht01", TITLE)
    expect(page.locator(".banner.replay")).to_have_count(0)
    beside.get_by_text("Show the run’s own").click()
    until_equal(beside, "ht01", COUNTS, played.all)
    expect(beside.locator(".banner.replay")).to_have_count(0)


def test_axe_finds_no_serious_fault_in_the_list_of_replays(page: Page, played: Played, axe: str) -> None:
    open_page(page, "/replays")
    expect(page.locator(".table tr", has_text=str(played.run.run))).to_be_visible()
    page.evaluate(axe)
    found = faults(page, "/replays", "light")
    until_theme(page, "dark")
    assert not found + faults(page, "/replays", "dark")
    open_page(page, f"/plot/ht01?run={played.run.run}.{SESSION}")
    expect(page.locator(".banner.replay")).to_be_visible()
    page.evaluate(axe)
    assert not faults(page, "replay", "dark")
    until_theme(page, "light")
    assert not faults(page, "replay", "light")


def test_replays_are_listed_with_their_progress_as_it_changes(site: Site, page: Page, played: Played) -> None:
    open_page(page, "/")
    page.get_by_role("link", name="Replays", exact=True).focus()
    page.keyboard.press("Enter")
    row = page.locator(".table tr", has_text="Again")
    expect(row).to_contain_text(
        re.compile(rf"donefrom raw spills100 %, (\d+) of \1 messages{REPLAYED}{played.run.run}Show")
    )
    # A replay waits while live is behind, and it is seen when it was killed.
    other = site.new_run(spills=SPILLS)
    site.send(other.records())
    site.book(other)
    worker = next(part for part in site.running.parts if part.name == "worker")
    assert worker.process is not None
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        site.play(site.new_run(), 0, 8)
        waiting = replay(site, other, "Slow")
        row = page.locator(".table tr", has_text="Slow")
        expect(row).to_contain_text(re.compile(r"waiting for livefrom raw spills0 %, 0 of [\d,]+ messages0"))
        assert waiting.process is not None
        waiting.process.kill()
        waiting.process.wait()
        expect(row).to_contain_text("stopped")
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)
    row.get_by_role("link", name="Show", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".banner.replay")).to_contain_text(
        f"You look at run {other.run}, replay Slow: not at the run’s own book. The replay is stopped, 0 % done"
    )
    page.wait_for_url(f"**/?run={other.run}.replay-Slow")
    page.go_back()
    page.locator(".table tr", has_text="Again").get_by_text("Over live’s").click()
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    page.wait_for_url(f"**/?run={played.run.run}&reference={played.run.run}.{SESSION}")


def test_a_promotion_is_seen_at_once_and_live_can_still_be_looked_at(site: Site, page: Page, played: Played) -> None:
    run = played.run.run
    open_page(page, f"/plot/ht01?run={run}")
    until_equal(page, "ht01", COUNTS, played.all)
    with connect(site.settings) as redis:
        sessions = Sessions.now(site.settings, redis, origin="a test")
        plan = sessions.get(SESSION)
        assert plan is not None
        sessions.promote(plan)
        try:
            until_equal(page, "ht01", COUNTS, played.first)
            expect(page.locator(".banner")).to_contain_text([f"The plots of run {run} are those of {SESSION}"])
            page.locator("#controls").get_by_text("live", exact=True).click()
            until_equal(page, "ht01", COUNTS, played.all)
        finally:
            sessions.restore(run)


def test_an_expert_promotes_a_replay_and_takes_it_back_by_pointer(site: Site, page: Page, played: Played) -> None:
    run, asked = played.run.run, list[str]()

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept("tables of today")

    page.on("dialog", answer)
    open_page(page, "/replays")
    expect(page.locator("#page .acting")).to_have_text("No users are configured: whoever is on this machine may act.")
    row, status = page.locator(".table tr", has_text="Again"), page.locator("#replay-status")
    row.get_by_role("button", name="Promote").click()
    expect(status).to_have_text("Done, and noted.")
    expect(row.locator(".promoted")).to_have_text("promoted")
    expect(row.get_by_role("button", name="Remove")).to_have_count(0)
    row.get_by_role("button", name="Restore live’s").click()
    expect(row.locator(".promoted")).to_have_count(0)
    expect(row.get_by_role("button", name="Remove")).to_be_visible()
    expect(status).to_have_text("Done, and noted.")  # its list may hear first, and the next would take this for its own
    assert [words.partition(". Why?")[1] for words in asked] == [". Why?"] * 2
    assert all("Again" in words or f"run {run}" in words for words in asked)
    row.get_by_role("button", name="Pin").click()
    expect(status).to_have_text("Done, and noted.")
    with connect(site.settings) as redis:
        pin = newest(site.settings, redis)().pins[""][-1]
    assert (pin.run, pin.called, len(pin.book)) == (run, "replay Again", 64)
    page.locator("[data-do=runs]").first.click()
    runs = page.locator("#runs-list .row", has=page.get_by_role("link", name=f"Run {run}", exact=True))
    runs.get_by_role("button", name="Pin").click()
    expect(page.locator("#runs-status")).to_have_text("Done, and noted.")
    with connect(site.settings) as redis:
        known = newest(site.settings, redis)()
        unpin(site.settings, redis, "", origin="a test")
    assert known.pins[""][-1].run == run
    assert not known.promoted
