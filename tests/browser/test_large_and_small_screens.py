"""The page on screens of all sizes: it fits, it can be read by everybody, and it goes on by itself."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import STANDS, Site, faults, open_page, until_drawn, until_theme
from tests.lanes import first
from tests.servers import hung

pytestmark = [pytest.mark.servers, pytest.mark.browser]


@pytest.mark.timeout(300)  # twenty pages and dialogs, each looked through whole, on a machine that may be busy
def test_axe_finds_no_serious_fault_on_any_page(site: Site, page: Page, axe: str) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    open_page(page)
    until_drawn(page, "ht01", run, 1)
    page.evaluate(axe)
    found, themes = [], ["light", "dark"]
    links = [link.get_attribute("href") for link in page.locator("#navigation a").all()]
    for path in [*links, "/detector/tof/expert", "/plot/ht01"]:
        page.evaluate(
            "path => { history.pushState({}, '', path); dispatchEvent(new PopStateEvent('popstate')); }", path
        )
        page.wait_for_function(
            f"""path => {STANDS}
            && [...document.querySelectorAll(`[data-path="${{path}}"] :is(.figure, .table p, .table table)`)]
            .some(each => each.painted || !each.matches(".figure"))""",
            arg=path,
        )
        for theme in themes:
            until_theme(page, theme)
            found += faults(page, path, theme)
        themes.reverse()
    for theme in themes:
        until_theme(page, theme)
        for name in ("find", "runs", "counters", "help", "link"):
            page.evaluate("name => document.getElementById(name).showModal()", name)
            found += faults(page, name, theme)
            page.keyboard.press("Escape")
    assert not found, "\n".join(found)


def test_the_head_has_room_for_alarms_and_its_buttons(site: Site, page: Page) -> None:
    open_page(page)
    cut = """() => {
        const links = [...document.querySelectorAll("#navigation a")];
        for (const link of links) link.classList.toggle("here", link.pathname === "/alarms");
        links.find(link => link.pathname === "/alarms").textContent = "Alarms 12 ✕";
        const parts = [...document.querySelectorAll(".top *")];
        return parts.filter(part => part.getBoundingClientRect().right > innerWidth).length;
    }"""
    for width in (2560, 2251, 2250, 1920, 1901, 1900, 1366, 820):
        page.set_viewport_size({"width": width, "height": 1080})
        assert (width, page.evaluate(cut)) == (width, 0)


def test_32_what_is_bad_is_acknowledged_with_a_key_until_something_else_is_and_axe_finds_no_serious_fault(
    site: Site, page: Page, axe: str
) -> None:
    run, started = site.new_run(), site.new_run()
    site.play(run, 0, 2)
    site.send([next(started.records())])
    open_page(page, f"/?run={run.run}")
    until_drawn(page, "ht01", run, 1)
    page.evaluate(axe)
    found = []

    def look(where: str, theme: str) -> None:
        until_theme(page, theme)
        found.extend(faults(page, where, theme))

    page.evaluate(f"history.pushState({{}}, '', '/?run={started.run}'); dispatchEvent(new PopStateEvent('popstate'))")
    expect(page.locator(".card").first).to_contain_text("no spills yet")
    look("started", "light")
    look("started", "dark")
    acknowledge = page.get_by_role("button", name="Seen")
    expect(acknowledge).to_be_hidden()
    with site.redis.hung(*site.redis.holding), hung(site.kafka):
        expect(page.locator(".banner.bad")).to_have_count(2)
        banner = page.locator(".banner.bad", has_text="The store (Redis)")
        expect(banner).to_contain_text("does not answer")
        expect(acknowledge).to_be_visible()
        expect(page).to_have_title(re.compile("^✕ "))
        look("all away", "dark")
        look("all away", "light")
        page.keyboard.press("a")
        expect(page.locator(".banner.bad.seen")).to_have_count(2)
        expect(acknowledge).to_be_hidden()
        expect(page).to_have_title(re.compile("^[^✕]"))
        look("seen", "light")
        said = banner.text_content() or ""
        expect(banner).not_to_have_text(said)  # the time goes on, and it stays acknowledged
        assert "seen" in (banner.get_attribute("class") or "")
        # Something else is bad: it is as loud as ever.
        page.evaluate("document.getElementById('browser').className = 'badge bad'")
        expect(acknowledge).to_be_visible()
        acknowledge.click()
        expect(page.locator("#browser")).to_have_class("badge bad seen")
    assert not found, "\n".join(found)
    expect(page.locator(".banner")).to_have_count(0)


def test_all_rows_fit_on_the_screen_with_banners_or_without(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    for banners, frozen in enumerate(("", "&frozen=1")):  # frozen when both spills are there
        open_page(page, f"/?run={run.run}{frozen}")
        until_drawn(page, "ht01", run, 1)
        expect(page.locator(".banner")).to_have_count(banners)
        page.wait_for_function(
            "() => [...document.querySelectorAll('.card')].at(-1).getBoundingClientRect().bottom <= innerHeight"
        )


def test_on_a_laptop_all_that_stands_above_the_plots_is_there_and_leaves_them_room(site: Site, page: Page) -> None:
    earlier, run = site.new_run(), site.new_run()
    site.play(earlier, 0, 1)
    site.play(run, 0, 2)
    page.set_viewport_size({"width": 1366, "height": 768})
    open_page(page, f"/?run={run.run}&reference={earlier.run}")
    until_drawn(page, "ht01", run, 1)
    expect(page.locator("#tiles .tile")).to_have_count(5)
    page.wait_for_function("() => document.querySelector('.card').getBoundingClientRect().top < 240")
    there = "#strip .numbers > *, .counter, .badge, .tile, #navigation a, .tools > *, #controls .group"
    looks_wrong = """there => [...document.querySelectorAll(there)].filter(each => {
        const { left, right, top, bottom } = each.getBoundingClientRect();
        return !each.checkVisibility() || left < 0 || right > innerWidth || bottom > 240 || bottom - top < 15
            || parseFloat(getComputedStyle(each).fontSize) < 13;
    }).map(each => each.outerHTML.slice(0, 200))"""
    assert page.evaluate(looks_wrong, there) == []


def test_8_three_faults_leave_the_plots_room_and_each_title_fits_its_plot(site: Site, page: Page) -> None:
    earlier, run = site.new_run(mean_triggers=40), site.new_run(mean_triggers=40)
    run = run.with_faults(["dead_pmt:tof1/0/3/0@30-79", "hot_channel:kl/10/0@30-79", "dead_pmt:emr/20@30-79"])
    site.play(earlier, 0, 80)
    site.play(run, 0, 80)
    site.book(run)
    for width, height, top in ((1920, 1080, 400), (820, 1180, 560)):
        page.set_viewport_size({"width": width, "height": height})
        open_page(page, f"/?run={run.run}&reference={earlier.run}")
        until_drawn(page, "ht01", run, 79)
        expect(page.locator("#tiles .tile.bad")).to_have_count(3)
        expect(page.locator(".gtitle", has_text="(limit 5 %)").first).to_be_visible()
        page.wait_for_function(f"() => document.querySelector('.card').getBoundingClientRect().top < {top}")
        tiles = page.locator("#tiles .bad .words").all()
        assert all(tile.evaluate("each => parseFloat(getComputedStyle(each).fontSize)") >= 16 for tile in tiles)
        too_long = """() => [...document.querySelectorAll('.figure')].filter(plot => {
            const { left, right } = plot.querySelector('.gtitle').getBoundingClientRect();
            return left < plot.getBoundingClientRect().left || right > plot.getBoundingClientRect().right;
        }).map(plot => plot.querySelector('.gtitle').textContent)"""
        assert page.evaluate(too_long) == []


def test_in_a_hand_nothing_lies_beside_the_screen_and_tiles_come_first(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    page.set_viewport_size({"width": 375, "height": 812})
    for address in ("/", "/detector/tof", "/plot/ht01"):
        open_page(page, f"{address}?run={run.run}")
        until_drawn(page, "ht01", run, 1)
        # As when something is bad: then one more button stands there.
        page.evaluate("document.getElementById('browser').className = 'badge bad'")
        beside = page.evaluate("""() => [...document.querySelectorAll("header *, #controls *, .card")]
            .filter(each => each.checkVisibility() && each.getBoundingClientRect().right > innerWidth)
            .map(each => each.outerHTML.slice(0, 200))""")
        assert beside == []
        above = page.evaluate("""() => {
            const tops = what => [...document.querySelectorAll(what)].filter(each => each.checkVisibility())
                .map(each => each.getBoundingClientRect().top);
            return Math.max(...tops("#tiles .tile")) < Math.min(...tops("#strip, .badge, .tools, #navigation, .card"));
        }""")
        assert above or address != "/"
        assert page.evaluate("document.documentElement.scrollWidth") <= 375


def test_9_a_finger_on_a_plot_scrolls_and_hits_what_it_is_meant_for(site: Site, chromium: Browser) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    size = {"width": 820, "height": 1180}
    with chromium.new_context(viewport=size, base_url=site.address, has_touch=True, is_mobile=True) as tablet:
        page = tablet.new_page()
        open_page(page, "/")
        until_drawn(page, "ht01", run, 1)
        box = page.locator(".figure").first.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        drawn = "[...document.querySelectorAll('.figure')].filter(plot => plot.painted)"
        ranges = f"Object.fromEntries({drawn}.map(plot => [plot.id, plot.layout.xaxis.range]))"
        before = page.evaluate(ranges)
        moves = "event => { if (event.target.closest('.nsewdrag')) window.pointed = true; }"
        page.evaluate(f"document.addEventListener('mousemove', {moves})")
        page.touchscreen.tap(x, y)
        page.wait_for_function("() => window.pointed")
        finger = tablet.new_cdp_session(page)
        for kind, moved in (
            ("touchStart", 0),
            *(("touchMove", 20 * step) for step in range(1, 11)),
            ("touchEnd", None),
        ):
            points = [] if moved is None else [{"x": x, "y": y - moved}]
            finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        page.wait_for_function("() => window.scrollY > 100")
        assert before
        assert page.evaluate(ranges) | before == page.evaluate(ranges)
        small = page.evaluate("""() => [...document.querySelectorAll("a, button, .choice")]
            .filter(each => each.checkVisibility() && !each.closest(".figure"))
            .filter(each => each.getBoundingClientRect().height < 44).map(each => each.outerHTML)""")
        assert small == []
        over = page.evaluate("""() => [...document.querySelectorAll(".figure[data-taken]")].map(plot => [
            plot.querySelector(".modebar").getBoundingClientRect().top,
            plot.querySelector(".gtitle").getBoundingClientRect().bottom]).filter(([bar, title]) => bar < title)""")
        assert over == []


def test_find_looks_through_the_texts_too_and_says_when_there_is_nothing(site: Site, page: Page) -> None:
    open_page(page, "/replays")
    page.keyboard.press("/")
    rows, nothing = page.locator("#find .row:visible"), page.locator("#find .nothing")
    expect(nothing).to_be_hidden()
    page.keyboard.type("silent trigger station")
    expect(rows.filter(has_text="TOF0 beam spot")).to_have_count(1)
    page.keyboard.type(" nowhere")
    expect(rows).to_have_count(0)
    expect(nothing).to_have_text("Nothing has all these words.")


def test_9_a_large_screen_goes_on_to_the_next_page_and_stays_while_something_is_bad(
    site: Site, fresh_page: Page
) -> None:
    run, page = site.new_run(), fresh_page  # whose clock is no other page's
    site.play(run, 0, 2)
    page.clock.install()
    open_page(page, f"/?run={run.run}&rotate=600")
    until_drawn(page, "ht01", run, 1)
    page.clock.fast_forward(480_000)  # and what it took to be drawn
    assert page.url.endswith(f"/?run={run.run}&rotate=600")
    page.clock.fast_forward(122_000)
    page.wait_for_url(f"**/changed?run={run.run}&rotate=600")
    page.clock.fast_forward(1_000)  # when it came here it looks up each second
    page.clock.fast_forward(602_000)
    page.wait_for_url(f"**/detector/daq?run={run.run}&rotate=600")
    # Beside the parts that the page writes: it would write them anew.
    banner = """'<div class="banner bad"></div>'"""
    page.evaluate(f"document.querySelector('header').insertAdjacentHTML('beforeend', {banner})")
    page.clock.fast_forward(1_200_000)
    assert "/detector/daq" in page.url
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()


@pytest.mark.parametrize("size", first([(1920, 1080), (3840, 2160)], 1))
def test_9_a_large_screen_is_read_from_three_metres_and_has_no_controls_until_esc(
    site: Site, page: Page, axe: str, size: tuple[int, int]
) -> None:
    run, (width, height) = site.new_run(), size
    site.play(run, 0, 2)
    page.set_viewport_size({"width": width, "height": height})
    open_page(page, f"/?run={run.run}&rotate=600")
    until_drawn(page, "ht01", run, 1)
    expect(page.locator("html")).to_have_class("kiosk")
    expect(page.locator("#tiles .tile")).to_have_count(5)
    assert page.locator("button:visible, header .choice:visible, .more:visible").count() == 0

    def share(what: str, first: str = "") -> float:
        size = "parseFloat(getComputedStyle(each).fontSize) * each.currentCSSZoom"
        found = page.evaluate(f"what => {{ {first}; const each = document.querySelector(what); return {size}; }}", what)
        return float(found) / height

    page.wait_for_function("""() => {
        const box = each => each.getBoundingClientRect(), plots = [...document.querySelectorAll(".card .figure")];
        const high = (plot, { box: { top, bottom } }) => (bottom - top) * box(plot).width / plot.clientWidth;
        const ticks = plots.flatMap(plot => plot.placed?.across.ticks.map(tick => high(plot, tick)) ?? []);
        return ticks.length && ticks.every(each => each > innerHeight / 70)
            && box([...document.querySelectorAll(".card")].at(-1)).bottom <= innerHeight;
    }""")
    assert share("#tiles .words") > 0.015
    assert share("#strip .value") > 0.025
    assert share("#tiles .bad .words", "document.querySelector('#tiles .tile').className = 'tile bad'") > 0.025
    # How long a page stays is chosen in a corner that is empty otherwise.
    expect(page.locator("#controls")).to_have_css("opacity", "0")
    page.mouse.move(width - 5, height - 5)
    expect(page.locator("#controls")).to_have_css("opacity", "1")
    page.evaluate(axe)
    assert not faults(page, "a large screen", "light")
    page.keyboard.press("Escape")
    page.wait_for_url(f"**/?run={run.run}")
    expect(page.locator("#controls").get_by_text("Whole run")).to_be_visible()


@pytest.mark.parametrize("size", first([(1920, 1080), (3840, 2160)], 1))
def test_9_a_large_screen_shows_all_plots_however_much_is_wrong_as_nobody_scrolls_it(
    site: Site, page: Page, size: tuple[int, int]
) -> None:
    run, (width, height) = site.new_run(), size
    site.play(run, 0, 2)
    site.play(run, 20, 22)  # those between are missing: a counter, and a tile of the run
    page.set_viewport_size({"width": width, "height": height})
    open_page(page, f"/?run={run.run}&rotate=600")
    until_drawn(page, "ht01", run, 21)
    expect(page.locator("#tiles .tile.bad")).to_contain_text("missing")
    strip, tops = page.locator("#strip"), "[...each.children].map(its => Math.round(its.getBoundingClientRect().top))"
    assert len(set(strip.evaluate(f"each => {tops}"))) == 1, "the counters stand beside the numbers"
    # As long as one of Kafka's; beside the parts that the page writes: it would write them anew.
    banner = f"""'<div id="banners"><div class="banner bad">{"Kafka lets nobody in from here: " * 9}</div></div>'"""
    page.evaluate(f"document.querySelector('header').insertAdjacentHTML('beforeend', {banner})")
    page.evaluate("document.querySelector('#tiles .tile:not(.bad)').className = 'tile bad'")
    page.wait_for_function("""() => document.documentElement.scrollHeight <= innerHeight
        && [...document.querySelectorAll(".card")].every(each => each.getBoundingClientRect().bottom <= innerHeight)""")


def test_32_keyboard_alone_reaches_everything(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    open_page(page, f"/plot/ht01?run={run.run}")
    until_drawn(page, "ht01", run, 1)
    passed_over = page.evaluate("""() => [...document.querySelectorAll("a, button, [data-do], [data-set], [data-key]")]
        .filter(each => each.checkVisibility() && !each.closest(".scrub, .figure"))
        .filter(each => { each.focus(); return document.activeElement !== each || each.tabIndex < 0; })
        .map(each => each.outerHTML)""")
    assert not passed_over
    page.locator("#controls").get_by_text("Last minute").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**window=last")


def test_32_the_help_lists_exactly_the_keys_that_work(site: Site, page: Page) -> None:
    earlier, run = site.new_run(), site.new_run()
    site.play(earlier, 0, 1)
    site.play(run, 0, 2)
    open_page(page, f"/plot/ht01?run={run.run}")
    until_drawn(page, "ht01", run, 1)
    page.keyboard.press("?")
    told = page.locator("#help kbd").all_inner_texts()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    listed = {" " if key == "space" else key for keys in told for key in keys.split()} - {"Esc"}
    page.wait_for_function("() => document.querySelector('[data-key=\"[\"]')")
    found = page.evaluate("[...document.querySelectorAll('[data-key]')].map(each => each.dataset.key)")
    assert len(found) == len(set(found))
    open_page(page, "/alarms")
    heard = page.locator("#page [data-key]")
    expect(heard).to_have_count(1)
    assert heard.get_attribute("data-key") not in found
    # There is no later run to go to, and only where alarms are they are switched on to be heard.
    assert {*found, "]", heard.get_attribute("data-key")} == listed
