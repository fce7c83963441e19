"""The page in a real browser: it shows the current run, by itself, and is of one piece with the books."""

import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from dashboards.figures.theme import DARK
from dashboards.pages.plots import of_detector, on_the_overview
from tests.browser.conftest import (
    COUNTS,
    Seen,
    Site,
    drawn,
    open_page,
    until,
    until_drawn,
    until_equal,
    until_pointed_at,
    until_taken,
)
from tests.catalogue import DETECTORS, PLOTS
from tests.unreadable import no_board_can_be_read

pytestmark = [pytest.mark.servers, pytest.mark.browser]


def test_the_plots_of_the_current_run_appear_and_update_by_themselves(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 6)
    open_page(page)
    for stop in (6, 10):
        site.play(run, 6, stop)
        for name in on_the_overview():
            until_drawn(page, name, run, stop - 1)
        counts = site.book(run).book["ht01"].view().tolist()
        until_equal(page, "ht01", COUNTS, counts)


def test_the_strip_shows_what_the_books_hold(site: Site, page: Page) -> None:
    run = site.new_run(spills=14)
    spills = [run.spill(number).raw for number in (0, 1, 9, 2, 3, 7, 13)]
    damaged = replace(spills[4], payload=spills[4].payload[:3000])
    site.send([*spills[:4], spills[0], damaged, *spills[5:]])
    totals = site.book(run).totals
    assert (totals.filled, totals.duplicates, totals.all_rejected, totals.out_of_order) == (6, 1, 1, 0)
    open_page(page)
    strip = page.locator("#strip")
    expect(strip).to_contain_text(f"Run{run.run}")
    expect(strip).to_contain_text("Staterunning")
    expect(strip).to_contain_text("Spills6")
    expect(strip).to_contain_text("Last spill13")
    expect(strip).to_contain_text(f"Triggers{totals.triggers}")
    # Spills 2 and 7 came late, unless they were sent in the same millisecond as 9: they are in three partitions.
    expect(strip).to_contain_text(re.compile("Missing7Duplicate1Out of order[0-2]Rejected1Errors0"))
    expect(page.locator("#badges")).to_contain_text("All spills processed")
    expect(page.locator("#browser")).to_contain_text("Connected")
    expect(page.locator("#clock")).to_contain_text(re.compile(r"\d\d:\d\d:\d\d UTC · \d\d:\d\d:\d\d local"))
    expect(page.locator(".banner")).to_have_count(0)
    *_, end = run.records()
    site.send([end])
    expect(strip).to_contain_text("Stateended")
    expect(page.locator("#badges")).to_contain_text("Run ended")


def test_4_spills_that_come_and_do_not_count_are_told_with_their_reasons(site: Site, page: Page) -> None:
    run = site.new_run(detectors=("tof", "kl")).with_faults(no_board_can_be_read("3-99", "tof", "kl"))
    site.play(run, 0, 14)
    open_page(page)
    pipeline = page.locator("#badges .badge.bad")
    unknown = "the particle triggers cannot be known"
    expect(pipeline).to_contain_text(f"No spill counted for 11: rejected by unpack, {unknown}")
    expect(page.locator("#strip")).to_contain_text("Last spill / came2 / 13")
    page.locator("button.counters").click()
    expect(page.locator("#counted")).to_contain_text(f"Spills 3–13: unpack: {unknown}: V1")
    expect(page.locator("#counted")).to_contain_text("Missingnone")
    title = "plot.layout.title.text"
    page.wait_for_function("document.querySelector(`[id*='\"ht01\"']`).textContent.includes('stands since ')")
    assert "spills 0–2 (stands since" in drawn(page, "ht01", title)


def test_the_table_of_the_scalers_follows_the_spills(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 3)
    open_page(page, "/detector/scalers")
    for stop in (3, 5):
        site.play(run, 3, stop)
        expect(page.locator(".table")).to_contain_text(f"Triggers{len(run.spill(stop - 1).particles)}")


def test_a_new_run_takes_over(site: Site, page: Page) -> None:
    old, new = site.new_run(), site.new_run()
    site.play(old, 0, 4)
    open_page(page)
    until_drawn(page, "ht01", old, 3)
    start = next(new.records())
    site.send([replace(start, time_us=new.spill(0).raw.time_us)])
    expect(page.locator("#strip")).to_contain_text(f"Run{new.run}Statestarted")
    expect(page.locator("#badges")).to_contain_text("waiting for its first spill")
    expect(page.locator(".card").first).to_contain_text("no spills yet")
    site.play(new, 0, 3)
    until_drawn(page, "ht01", new, 2)
    expect(page.locator("#strip")).to_contain_text(f"Run{new.run}Staterunning")


def test_16_zoom_outlives_an_update(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 4)
    open_page(page, "/plot/ht01")
    until_drawn(page, "ht01", run, 3)
    site.play(run, 4, 6)
    until_drawn(page, "ht01", run, 5)
    area = page.locator(".figure").first.bounding_box()
    assert area is not None
    page.mouse.move(area["x"] + area["width"] * 0.3, area["y"] + area["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(area["x"] + area["width"] * 0.6, area["y"] + area["height"] * 0.5, steps=5)
    page.mouse.up()
    page.wait_for_function("() => document.querySelector('.figure').layout.xaxis.range[0] > 22")
    zoomed = drawn(page, "ht01", "plot.layout.xaxis.range")
    assert zoomed[1] < 38
    page.wait_for_timeout(1000)  # for what should not come: the figure that the page began with
    until_equal(page, "ht01", COUNTS, site.book(run).book["ht01"].view().tolist())
    site.play(run, 6, 8)
    until_drawn(page, "ht01", run, 7)
    assert drawn(page, "ht01", "plot.layout.xaxis.range") == zoomed


def test_a_detectors_pages_for_shifter_and_expert_update(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 4)
    open_page(page)
    page.get_by_role("link", name="Time of flight", exact=True).click()
    watched, others = of_detector("tof", expert=False), of_detector("tof", expert=True)
    expect(page.locator(".card")).to_have_count(len(watched))
    until_drawn(page, watched[-1], run, 3)
    page.get_by_role("link", name="For the expert").click()
    expect(page.locator(".card")).to_have_count(len(others))
    site.play(run, 4, 6)
    for name in (others[0], others[-1]):
        until_drawn(page, name, run, 5)
    page.go_back()
    until_drawn(page, watched[0], run, 5)


def test_12_a_plot_leads_to_its_page_with_its_four_texts(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    open_page(page, "/detector/ckov")
    until_drawn(page, "hPMT1", run, 1)
    page.locator('.more[href="/plot/hPMT1"]').click()
    until_drawn(page, "hPMT1", run, 1)
    words = PLOTS["hPMT1"].words
    for title, said in zip(
        ("What it shows", "What is normal", "What to do", "Whom to call"),
        (words.shows, words.normal, words.action, words.call),
        strict=True,
    ):
        expect(page.get_by_role("heading", name=title)).to_be_visible()
        expect(page.locator(".texts")).to_contain_text(said)
    expect(page.locator("#navigation .here")).to_have_text("Cherenkov")
    page.get_by_role("link", name="← Cherenkov").click()
    expect(page.locator(".card")).to_have_count(len(of_detector("ckov", expert=False)))


def test_the_bars_of_the_ranger_are_triangles_that_one_can_point_at(site: Site, page: Page) -> None:
    run = site.new_run(detectors=("emr",))
    site.play(run, 0, 2)
    open_page(page, "/detector/emr")
    until_drawn(page, "emr_occupancy_xz", run, 1)
    page.locator('.more[href="/plot/emr_occupancy_xz"]').click()
    counts = site.book(run).book["emr_occupancy_xz"].view()
    plane, bar = max(zip(*counts.nonzero(), strict=True), key=lambda at: (counts[at], at))
    entries = "plot.data.at(-1).customdata.flat().reduce((a, b) => a + b, 0)"
    until_equal(page, "emr_occupancy_xz", entries, int(counts.sum()))
    middle = f"[xaxis.d2p({plane}), yaxis.d2p({bar})]"
    words = f"plane {plane}, bar {bar}: {counts[plane, bar]} entries"
    until_pointed_at(page, "emr_occupancy_xz", middle, words)


def test_an_address_that_leads_nowhere_says_so_and_the_strip_goes_on(site: Site, page: Page, seen: Seen) -> None:
    seen.server_may_be_away = True  # the browser logs the status, 404
    open_page(page, "/plot/<b>ht99")
    expect(page.locator("main")).to_contain_text("There is no page /plot/")
    clock = page.locator("#clock").text_content()
    expect(page.locator("#clock")).not_to_have_text(clock or "")


def test_34_light_and_dark_switch_and_stick(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    open_page(page)
    until_drawn(page, "ht01", run, 1)
    html = page.locator("html")
    expect(html).to_have_attribute("data-theme", "light")
    page.click("#switch-theme")
    expect(html).to_have_attribute("data-theme", "dark")
    dark = "document.querySelector('.figure')?.layout?.font.color === ink"
    page.wait_for_function(f"ink => {dark}", arg=DARK.ink)
    page.reload()
    expect(html).to_have_attribute("data-theme", "dark")
    page.wait_for_function(f"ink => {dark}", arg=DARK.ink)
    page.click("#switch-theme")
    expect(html).to_have_attribute("data-theme", "light")


def test_42_nothing_comes_from_outside(site: Site, page: Page, seen: Seen) -> None:
    for path in ("/", *(f"/detector/{name}" for name in DETECTORS), "/plot/ht01"):
        open_page(page, path)
        page.wait_for_function("() => document.querySelector('.figure')?.painted")
    assert seen.hosts == {"127.0.0.1"}
    assert seen.errors == []


def test_the_page_takes_what_it_needs_of_a_polyfill_alone(site: Site, page: Page) -> None:
    open_page(page)
    scripts = page.evaluate("[...document.scripts].map(script => script.src)")
    assert not any("polyfill" in script for script in scripts)


def test_39_two_browsers_show_the_same_after_each_update_and_a_reload_changes_nothing(
    site: Site, page: Page, chromium: Browser
) -> None:
    run = site.new_run()
    site.play(run, 0, 3)
    other = chromium.new_page(viewport={"width": 1366, "height": 768})
    figures = "[...document.querySelectorAll('.figure')].map(plot => [plot.layout.title.text, plot.data])"
    for each in (page, other):
        open_page(each, f"{site.address}/")
    for stop in (3, 5, 6):
        site.play(run, 3, stop)
        for each in (page, other):
            for name in on_the_overview():
                until_drawn(each, name, run, stop - 1)
        # Spills before the last one may have come after it; a page shows all plots of the same spills.
        counts = site.book(run).book["ht01"].view().tolist()
        for each in (page, other):
            until_equal(each, "ht01", COUNTS, counts)
        until(page, lambda: page.evaluate(figures) == other.evaluate(figures))
    page.reload()
    until_drawn(page, "ht01", run, 5)
    page.wait_for_function("() => document.querySelector('.figure')?.painted")
    for name in on_the_overview():
        until_drawn(page, name, run, 5)
    until(page, lambda: page.evaluate(figures) == other.evaluate(figures))
    other.close()


def test_a_plot_is_painted_until_somebody_is_at_it_and_again_when_he_has_left(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 40)
    open_page(page, f"/plot/ht01?run={run.run}&errors=1")
    until_drawn(page, "ht01", run, 39)
    asked = "performance.getEntriesByType('resource').some(each => each.name.includes('plotly'))"
    figure = page.locator(".figure").first
    page.wait_for_function("() => document.querySelector('.figure').painted")
    assert not page.evaluate(asked)
    before = figure.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    until_taken(page, "ht01")
    assert page.evaluate(asked)
    expect(figure.locator("canvas")).to_be_hidden()
    # It is told what is new as before, and nothing of it stays.
    site.play(run, 40, 41)
    until_drawn(page, "ht01", run, 40)
    entries = site.book(run).book["ht01"].view().tolist()
    until_equal(page, "ht01", "plot.querySelector('.graph').data[0].y.slice(0, -1)", entries)
    page.mouse.move(0, 0)
    expect(page.locator(".graph")).to_have_count(0)
    expect(figure.locator("canvas")).to_be_visible()
    assert figure.locator("canvas").evaluate("canvas => canvas.toDataURL()") != before
    # By the keyboard, too.
    figure.focus()
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    expect(figure.locator(".main-svg").first).to_be_visible()
    expect(figure).to_have_attribute("data-taken", "")  # drawn a moment before its buttons are there
    page.keyboard.press("Tab")
    expect(figure.locator(".modebar-btn").first).to_be_focused()


def test_38_an_answer_slower_than_the_clock_is_waited_for(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    open_page(page)
    until_drawn(page, "ht01", run, 1)
    # One that was given up, and is asked for again, is not waited for any more.
    page.evaluate("""() => {
        const ask = window.fetch, waits = new Set();
        window.most = 0;
        window.fetch = async (asked, how) => {
            if (!String(asked).includes("/live?")) return ask(asked, how);
            waits.add(how.signal);
            window.most = Math.max(window.most, [...waits].filter(each => !each.aborted).length);
            try { return await ask(asked, how); } finally { waits.delete(how.signal); }
        };
    }""")
    # The page would ask several times in the time that each answer takes.
    network = page.context.new_cdp_session(page)
    slow = {"offline": False, "latency": 900, "downloadThroughput": -1, "uploadThroughput": -1}
    network.send("Network.enable")
    network.send("Network.emulateNetworkConditions", slow)
    site.play(run, 2, 4)
    until_drawn(page, "ht01", run, 3)
    site.play(run, 4, 5)
    until_drawn(page, "ht01", run, 4)
    assert page.evaluate("window.most") == 1


def test_what_is_written_anew_stays_the_same_element_only_while_it_does_the_same(site: Site, page: Page) -> None:
    open_page(page)
    found = page.evaluate("""() => {
        const place = document.body.appendChild(document.createElement("div")), found = [];
        const write = (...children) => window.dash_clientside.spilldeck.write(place, children);
        const button = (alarm, words) => ({ type: "Button", props: { "data-alarm": alarm, children: words } });
        const row = (key, words = key) => ({ type: "P", props: { key, children: [button(key, words)] } });
        const here = alarm => place.querySelector(`[data-alarm="${alarm}"]`);
        write(row("a"), row("b"));
        const [a, b] = ["a", "b"].map(here);
        b.focus();
        write(row("new"), row("a", "longer"), row("b"));
        found.push(here("a") === a && a.textContent, here("b") === b && document.activeElement === b);
        write(row("b"));
        found.push(document.activeElement === b, place.children.length);
        write(button("verify", "Verify"), button("withdraw", "Withdraw"));
        const withdraw = here("withdraw");
        write(button("withdraw", "Withdraw it"));
        found.push(here("withdraw") === withdraw && withdraw.textContent);
        write(button("another", "Withdraw it"));
        found.push(here("another") === withdraw);
        place.remove();
        return found;
    }""")
    assert found == ["longer", True, True, 1, "Withdraw it", False]


def test_a_page_that_one_goes_to_is_not_empty_until_something_changes(site: Site, page: Page) -> None:
    open_page(page)
    site.play(site.new_run(), 0, 2)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/live?" in request.url else None)
    page.locator("#navigation a", has_text="Replays").click()
    expect(page.locator("#replays-table :is(p, table)")).to_have_count(1)

    def here() -> list[str]:
        said = [parse_qs(urlsplit(url).query, keep_blank_values=True) for url in asked if "path=%2Freplays" in url]
        return [each["after"][0] for each in said]

    # Whoever says up to where he was told waits until there is more: the first time nothing was told of this page.
    assert here()[0] == ""
    until(page, lambda: here()[-1] != "")
