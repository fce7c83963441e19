"""What a shifter can choose, in a real browser; the numbers are those of the requirements in the shifter's list."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

import boost_histogram as bh
import numpy as np
import pytest
from boost_histogram.serialization import from_uhi
from playwright.sync_api import Page, expect

from dashboards.data.automatic import ENOUGH_SPILLS
from schemas.records import RawSpill, RunControl
from streams.books.spill_numbers import of_plot
from streams.experiments.mice.simulator import SimulatedRun
from tests.browser.conftest import (
    COUNTS,
    Site,
    drawn,
    held,
    open_page,
    until_drawn,
    until_equal,
    until_pointed_at,
    until_taken,
)
from tests.catalogue import PLOTS

pytestmark = [pytest.mark.servers, pytest.mark.browser]

SPILLS = 8
EARLIER_SPILLS = 5
TITLE = "plot.layout.title.text"


@dataclass(frozen=True, slots=True)
class Played:
    earlier: SimulatedRun
    """It has ended."""
    run: SimulatedRun
    """Of several minutes."""


@pytest.fixture(scope="module")
def played(site: Site) -> Played:
    earlier, run = site.new_run(spills=EARLIER_SPILLS), site.new_run(period_s=40.0)
    # Of a type of their own: else they would be compared by themselves with what other tests have sent before.
    site.send(typed(earlier.records(), "choices"))
    site.send(typed(islice(run.records(), 1 + SPILLS), "choices"))
    return Played(earlier, run)


def typed(records: Iterable[RawSpill | RunControl], run_type: str) -> Iterator[RawSpill | RunControl]:
    """Yield the records of a run of this type."""
    for each in records:
        yield replace(each, run_type=run_type) if isinstance(each, RunControl) else each


def counts(site: Site, run: SimulatedRun, name: str = "ht01") -> np.ndarray:
    return site.book(run).book[name].view()


def test_11_the_last_minute_is_one_switch_away_and_stands_in_the_address(
    site: Site, page: Page, played: Played
) -> None:
    open_page(page, f"/plot/ht01?run={played.run.run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    with site.reader() as reader:
        windows = list(reader.windows(played.run.run))
        recent = reader.window(played.run.run, windows[-1], {})
        if windows[-2].end == windows[-1].start:
            recent += reader.window(played.run.run, windows[-2], {})
    page.keyboard.press("w")
    until_equal(page, "ht01", COUNTS, recent["ht01"].view().tolist())
    assert re.search(rf"Run {played.run.run} · spills [4-7]–7 \(last \d+ s\)", drawn(page, "ht01", TITLE))
    assert "window=last" in page.url
    page.reload()
    until_equal(page, "ht01", COUNTS, recent["ht01"].view().tolist())
    page.locator("#controls").get_by_text("Whole run").click()
    until_equal(page, "ht01", COUNTS, counts(site, played.run).tolist())
    assert "window" not in page.url
    # 20: a bar with a place for each window.
    expect(page.locator(".scrub a")).to_have_count(len(windows))
    # 15: what is known of the plot in each of them, beside it; the newest one may go on.
    for each in page.locator(".scrub a").all()[:-1]:
        expect(each).to_have_attribute("title", re.compile(r"UTC: (Not enough data: \d+/\d+ spills|No reference)"))
    page.locator(".scrub a").first.click()
    with site.reader() as reader:
        until_equal(page, "ht01", COUNTS, reader.window(played.run.run, windows[0], {})["ht01"].view().tolist())
    assert f"window={windows[0].start}" in page.url


def test_16_18_axes_error_bars_ranges_and_what_one_points_at(site: Site, page: Page, played: Played) -> None:
    open_page(page, f"/plot/ht01?run={played.run.run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    page.keyboard.press("l")
    until_equal(page, "ht01", "plot.layout.yaxis.type", "log")
    page.keyboard.press("l")
    until_equal(page, "ht01", "plot.layout.yaxis.type || 'linear'", "linear")
    page.get_by_text("Error bars").click()
    found = counts(site, played.run)
    until_equal(page, "ht01", "plot.data[1]?.error_y.array.map(e => Math.round(e * e))", found.tolist())
    page.get_by_text("Error bars").click()
    until_equal(page, "ht01", "plot.data.length", 1)
    until_taken(page, "ht01")
    page.evaluate("Plotly.relayout(document.querySelector('.figure .graph'), {'xaxis.range': [27, 29]})")
    page.get_by_text("Reset ranges").click()
    until_equal(page, "ht01", "plot.layout.xaxis.range.map(Math.round)", [20, 40])
    highest = int(found.argmax())
    top = f"[xaxis.d2p(plot.data[0].x[{highest}]), yaxis.d2p(plot.data[0].y[{highest}])]"
    until_pointed_at(page, "ht01", top, rf"to [\d.]+ ns: {found.max()} entries")


def test_13_14_a_run_is_compared_with_an_earlier_one(site: Site, page: Page, played: Played) -> None:
    open_page(page, f"/plot/ht01?run={played.run.run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    ours, theirs = counts(site, played.run), counts(site, played.earlier)
    page.keyboard.press("b")
    until_equal(page, "ht01", "plot.data[1]?.y.slice(0, -1).reduce((a, b) => a + b).toFixed(3)", f"{ours.sum():.3f}")
    assert f"reference={played.earlier.run}" in page.url
    page.get_by_text("Absolute", exact=True).click()
    until_equal(page, "ht01", "plot.data[1]?.y.slice(0, -1)", theirs.tolist())
    assert drawn(page, "ht01", COUNTS) == ours.tolist()
    page.get_by_text("Ratio", exact=True).click()
    both = (ours > 0) & (theirs > 0)
    ratio = ours[both] / (theirs[both] * ours.sum() / theirs.sum())
    until_equal(page, "ht01", "plot.data[1]?.y.map(y => y.toFixed(6))", [f"{y:.6f}" for y in ratio])
    page.keyboard.press("b")
    until_equal(page, "ht01", "plot.data.length", 1)


def test_13_a_run_is_compared_by_itself_with_the_newest_of_its_type(site: Site, page: Page) -> None:
    earlier = site.new_run(spills=ENOUGH_SPILLS, mean_triggers=12, detectors=("tof",))
    run = site.new_run(detectors=("tof",))
    site.send(typed(earlier.records(), "PHYSICS"))
    site.send(typed(islice(run.records(), 1 + SPILLS), "PHYSICS"))
    open_page(page, f"/plot/ht01?run={run.run}")
    until_drawn(page, "ht01", run, SPILLS - 1)
    expect(page.locator("#controls")).to_contain_text(
        re.compile(rf"Run {earlier.run}, .* earlier.*newest good one of its type")
    )
    expect(page.locator("#strip")).to_contain_text("Rate / expected")
    until_equal(page, "ht01", "plot.data.length", 2)  # which run it is is known before its books are
    assert "reference" not in page.url
    page.keyboard.press("b")
    until_equal(page, "ht01", "plot.data.length", 1)
    page.reload()
    until_equal(page, "ht01", "plot.data.length", 1)
    expect(page.locator('[data-key="b"]')).to_be_visible()
    page.keyboard.press("b")
    until_equal(page, "ht01", "plot.data.length", 2)


def test_29_40_an_old_run_stays_on_the_screen_and_the_live_one_is_offered(
    site: Site, page: Page, played: Played
) -> None:
    open_page(page, f"/plot/ht01?run={played.run.run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    for key, run, spills in (("[", played.earlier, EARLIER_SPILLS), ("]", played.run, SPILLS)) * 2:
        page.keyboard.press(key)
        until_drawn(page, "ht01", run, spills - 1)
    page.keyboard.press("[")
    until_drawn(page, "ht01", played.earlier, EARLIER_SPILLS - 1)
    expect(page.locator("#strip")).to_contain_text("Stateended")
    new = site.new_run()
    site.play(new, 0, 2)
    expect(page.locator(".banner")).to_contain_text(f"Run {new.run} is live, you look at run {played.earlier.run}")
    assert drawn(page, "ht01", COUNTS) == counts(site, played.earlier).tolist()
    page.locator("#controls").get_by_text(str(played.earlier.run)).click()
    page.locator("#run-words").fill(str(played.run.run))
    expect(page.locator("#runs .row:visible")).to_have_count(1)
    newer = site.new_run()
    site.play(newer, 0, 2)
    expect(page.locator(".banner")).to_contain_text(f"Run {newer.run} is live")
    # The list has one run more, and still shows what was looked for.
    expect(page.locator("#runs .row", has_text=str(newer.run))).to_have_count(1)
    expect(page.locator("#runs .row:visible")).to_have_count(1)
    page.keyboard.press("Enter")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    page.locator(".banner").get_by_text("Show it").click()
    until_drawn(page, "ht01", newer, 1)
    assert "run=" not in page.url
    open_page(page, "/plot/ht01?run=5")
    expect(page.locator("#strip")).to_contain_text("Statenot stored here")
    expect(page.locator(".figure").first).to_contain_text("run 5 is not stored here")


def test_30_32_a_plot_is_found_by_its_words_and_the_keys_lead_on(site: Site, page: Page, played: Played) -> None:
    open_page(page, f"/?run={played.run.run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    page.keyboard.press("?")
    expect(page.locator("#help")).to_contain_text("Full screen")
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("/")
    page.keyboard.type("cherenkov charge pmt1", delay=5)
    page.keyboard.press("Enter")
    until_drawn(page, "hPMT1", played.run, SPILLS - 1)
    until_equal(page, "hPMT1", "plot.layout.yaxis.type", "log")
    logarithmic = page.locator("#controls .on[title='Logarithmic y axis']")
    expect(logarithmic).to_be_visible()
    page.keyboard.press("l")
    until_equal(page, "hPMT1", "plot.layout.yaxis.type || 'linear'", "linear")
    expect(logarithmic).to_be_hidden()
    page.keyboard.press("l")
    until_equal(page, "hPMT1", "plot.layout.yaxis.type", "log")
    page.keyboard.press("n")
    until_drawn(page, "hPMT2", played.run, SPILLS - 1)
    page.keyboard.press("p")
    until_drawn(page, "hPMT1", played.run, SPILLS - 1)
    assert page.url.endswith(f"/plot/hPMT1?run={played.run.run}&log=yz")
    page.keyboard.press("f")
    page.wait_for_function("() => document.fullscreenElement !== null")


def test_31_frozen_plots_stay_while_the_strip_goes_on_and_a_link_opens_them_so(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 3)
    open_page(page, "/plot/ht01")
    until_drawn(page, "ht01", run, 2)
    page.keyboard.press(" ")
    expect(page.locator(".banner")).to_contain_text("Frozen")
    site.play(run, 3, 5)
    expect(page.locator("#strip")).to_contain_text("Last spill4")
    assert "spills 0–2 " in drawn(page, "ht01", TITLE)
    page.get_by_role("button", name="Link").click()
    frozen = page.locator("#link-frozen").input_value()
    assert re.fullmatch(re.escape(f"{site.address}/plot/ht01?frozen=") + rf"[0-9]{{13}}&run={run.run}", frozen)
    assert page.locator("#link-live").input_value() == f"{site.address}/plot/ht01"
    page.keyboard.press("Escape")
    expect(page.locator("#link")).to_be_hidden()
    # Whatever else is chosen, and after it is loaded again, and on another page.
    page.locator("#controls").get_by_text("Error bars").click()
    until_equal(page, "ht01", "plot.data.length > 1", True)
    page.reload()
    until_drawn(page, "ht01", run, 2)
    page.keyboard.press("n")
    until_drawn(page, "ht12", run, 2)
    page.keyboard.press(" ")
    until_drawn(page, "ht12", run, 4)
    expect(page.locator(".banner")).to_have_count(0)
    page.goto(frozen)
    until_drawn(page, "ht01", run, 2)
    expect(page.locator(".banner")).to_contain_text("Frozen")
    # A link that nobody has opened before is of the time at which it was made, and one that goes on keeps its run.
    page.goto(f"{site.address}/plot/ht01?run={run.run}")
    until_drawn(page, "ht01", run, 4)
    with page.expect_response("**/live?path=*frozen*"):
        page.get_by_role("button", name="Link").click()
    frozen = page.locator("#link-frozen").input_value()
    assert page.locator("#link-live").input_value() == f"{site.address}/plot/ht01?run={run.run}"
    site.play(run, 5, 7)
    expect(page.locator("#strip")).to_contain_text("Last spill6")
    page.goto(frozen)
    until_drawn(page, "ht01", run, 4)
    # What is not kept is not said to be frozen.
    page.goto(re.sub(r"frozen=\d+", "frozen=1000", frozen))
    until_drawn(page, "ht01", run, 6)
    expect(page.locator(".banner")).to_contain_text("no longer kept")


def test_32_a_key_right_after_something_was_closed_is_for_the_page(site: Site, page: Page, played: Played) -> None:
    open_page(page, f"/plot/ht01?run={played.run.run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    page.get_by_role("button", name="Link").click()
    page.evaluate("""() => {
        document.getElementById("link").close();
        const key = new KeyboardEvent("keydown", {key: " ", bubbles: true, cancelable: true});
        document.activeElement.dispatchEvent(key);
    }""")
    expect(page.locator(".banner").filter(has_text="Frozen")).to_be_visible()


def test_32_a_key_that_is_pressed_before_its_button_is_there_takes_effect_then(
    site: Site, page: Page, played: Played
) -> None:
    open_page(page)
    # The last that is asked for before the buttons stand: a key waits for them no longer than a few seconds.
    with held(page, "**/_dash-update-component*") as pass_on:
        page.goto(f"/plot/ht01?run={played.run.run}")
        expect(page.locator("#controls")).to_be_attached()
        expect(page.locator("#controls .group")).to_have_count(0)
        page.keyboard.press("]")
        page.keyboard.press("[")  # the last one counts
        pass_on()
    page.wait_for_url(f"**/plot/ht01?run={played.earlier.run}")
    until_drawn(page, "ht01", played.earlier, EARLIER_SPILLS - 1)
    # The second is for the page to which the first one leads.
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.wait_for_url("**/plot/ht02?*")
    # One for which no button comes is not kept for a later page.
    page.keyboard.press("Escape")
    open_page(page, f"/?run={played.run.run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    page.keyboard.press("n")
    page.locator('.more[href="/plot/ht01"]').click()
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    page.wait_for_timeout(300)
    assert "/plot/ht01" in page.url


def test_32_what_was_closed_gives_the_focus_back(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    open_page(page, "/plot/ht01")
    until_drawn(page, "ht01", run, 1)
    for number, (opener, name) in enumerate(
        (
            ("[data-do=find]", "find"),
            ("[data-do=help]", "help"),
            (".counters", "counters"),
            ("#controls [data-do=runs]", "runs"),
            ("[data-do=link]", "link"),
        ),
        start=2,
    ):
        page.locator(opener).first.focus()
        page.keyboard.press("Enter")
        expect(page.locator(f"#{name}")).to_be_visible()
        # What the buttons stand in is written anew meanwhile.
        site.play(run, number, number + 1)
        expect(page.locator("#strip")).to_contain_text(f"Last spill{number}")
        page.keyboard.press("Escape")
        expect(page.locator(f"#{name}")).to_be_hidden()
        expect(page.locator(opener).first).to_be_focused()
    # And a choice keeps it, to be taken back.
    bars = page.locator("#controls").get_by_text("Error bars")
    bars.focus()
    page.keyboard.press("Enter")
    expect(bars).to_have_class("choice on")
    expect(bars).to_be_focused()


def test_33_what_is_saved_is_named_after_run_plot_and_spills(site: Site, page: Page, played: Played) -> None:
    open_page(page, f"/plot/ht01?run={played.run.run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    name, stored = f"run{played.run.run}_ht01_spills0-7", site.book(played.run).book["ht01"]
    saved = {}
    for kind in ("PNG", "SVG", "CSV", "JSON"):
        with page.expect_download() as download:
            page.locator(".save").get_by_text(kind).click()
        assert download.value.suggested_filename == f"{name}.{kind.lower()}"
        saved[kind] = download.value.path().read_bytes()
    assert saved["PNG"].startswith(b"\x89PNG")
    assert b"<svg" in saved["SVG"]
    rows = saved["CSV"].decode().splitlines()
    assert rows[0] == "Time (ns) from,Time (ns) to,entries"
    assert [int(row.split(",")[2]) for row in rows[1:]] == stored.view(flow=True).tolist()
    assert bh.Histogram(from_uhi(json.loads(saved["JSON"]))) == stored


def test_4_a_click_on_the_counters_lists_what_they_counted(site: Site, page: Page) -> None:
    run = site.new_run()
    site.send(run.spill(number).raw for number in (0, 1, 4, 6, 1))
    site.book(run)
    open_page(page, f"/?run={run.run}")
    expect(page.locator("#strip")).to_contain_text("Missing3Duplicate1")
    page.locator(".counters").click()
    expect(page.locator("#counters")).to_contain_text("Spills 2–3, 5.")
    expect(page.locator("#counters")).to_contain_text("1 came again with the same bytes, each counted once: spills 1")
    site.play(run, 2, 3)
    expect(page.locator("#counters")).to_contain_text(
        "1 came after a spill with a higher number, and are counted: spills 2"
    )


def test_19_the_key_number_of_a_plot_is_followed_beside_it_over_windows_and_runs(
    site: Site, page: Page, played: Played
) -> None:
    open_page(page, f"/plot/ht01?run={played.run.run}")
    until_drawn(page, "ht01", played.run, SPILLS - 1)
    with site.reader() as reader:
        windows = reader.windows(played.run.run)
        books = {window: reader.window(played.run.run, window, {})["ht01"] for window in windows}
    means = [
        round(float(np.average(each.axes[0].centers, weights=each.view())), 6)
        for each in (*books.values(), site.book(played.run).book["ht01"])
    ]
    rounded = "plot.data[0].y.map(y => y === null ? null : Number(y.toFixed(6)))"  # null: a run of other detectors
    until_equal(page, "ht01:windows", rounded, means[:-1])
    until_equal(page, "ht01:runs", f"{rounded}.at(-1)", means[-1])
    followed = "plot.data[0].customdata.map(([name]) => name)"
    until_equal(page, "ht01:runs", f"{followed}.includes('{played.earlier.run}')", True)
    assert drawn(page, "ht01:runs", f"{followed}.at(-1)") == str(played.run.run)


def test_19_each_spill_has_its_point_as_soon_as_it_is_in_the_plot(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 5)
    site.book(run)
    open_page(page, f"/plot/ht01?run={run.run}")
    until_drawn(page, "ht01", run, 4)
    until_equal(page, "ht01:spills", "plot.data[0].x", [*range(5)])
    site.play(run, 5, 8)
    until_equal(page, "ht01:spills", "plot.data[0].x", [*range(8)])
    numbers = of_plot(site.book(run).key_numbers, PLOTS["ht01"])
    assert drawn(page, "ht01:spills", "plot.data[0].y") == [each.value for each in numbers]
    value, entries = f"{numbers[6].value:.5g}", numbers[6].entries
    point = "[xaxis.d2p(plot.data[0].x[6]), yaxis.d2p(plot.data[0].y[6])]"
    until_pointed_at(page, "ht01:spills", point, rf"spill 6: {re.escape(value)}, {entries} entries")
