"""The page over slow and broken links, and in many tabs: each hears in time, and what cannot be loaded is said."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from playwright.sync_api import Page, Route, expect

from tests.bench.page import FIRST_LOAD_KB, SLOW_S, TABS, UPDATE_KB, Tabs, Wire
from tests.browser.conftest import Seen, Site, open_page, until_drawn
from tests.lanes import again

pytestmark = [pytest.mark.servers, pytest.mark.browser]

HEARS_S = 3.0
"""Twice what `tests.bench.page` asks for, since others are at work here: tabs that wait for each other need ten."""


@pytest.fixture
def page(fresh_page: Page) -> Page:
    """Return a page that has all still to load."""
    return fresh_page


@pytest.mark.nightly
def test_twelve_tabs_of_a_page_hear_in_time_with_and_without_beam(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    open_page(page, "/replays")
    tabs = Tabs(page, "/replays", TABS)
    page.wait_for_timeout(1000)
    assert tabs.silence_s(4) <= HEARS_S
    with ThreadPoolExecutor() as pool:
        beam = pool.submit(lambda: [(site.play(run, spill, spill + 1), time.sleep(0.7)) for spill in range(2, 6)])
        assert tabs.silence_s(4) <= HEARS_S
        beam.result()
    expect(page.locator("#strip")).to_contain_text("Spills6")


def test_a_page_over_a_slow_link_is_small_and_drawn_in_time(site: Site, page: Page) -> None:
    run = site.new_run(mean_triggers=100)
    site.play(run, 0, 5)
    site.book(run)
    wire = Wire(page, slow=True)
    page.goto("/", wait_until="commit")
    wire.until_usable()
    assert wire.seconds <= SLOW_S
    assert wire.kilobytes <= FIRST_LOAD_KB
    assert not any("plotly.min" in address for address in wire.addresses)
    wire = Wire(page, slow=True)
    site.play(run, 5, 6)
    until_drawn(page, "ht01", run, 5)
    assert 0 < wire.largest_kilobytes <= UPDATE_KB


@contextmanager
def failing(page: Page, what: str, status: int | None = None) -> Iterator[None]:
    """Have requests fail meanwhile, by their connection or with a status: what is said of one goes with the next."""
    is_over = False

    def answer(route: Route) -> None:
        if is_over:
            route.continue_()
        elif status is None:
            route.abort("connectionreset")
        else:
            route.fulfill(status=status)

    page.route(what, answer)
    yield
    is_over = True


@pytest.mark.parametrize(
    ("what", "status", "said"),
    [
        ("**/*plotly.js", None, "Cannot load the plots’ program did not come: asking again"),
        ("**/_dash-dependencies", 503, "what belongs together (the server answers 503)"),
        ("**/style.css*", None, "/assets/style.css did not come"),
        pytest.param("**/_dash-layout", None, "its parts (the server does not answer)", marks=again),
        pytest.param("**/_dash-update-component*", 429, "this page (the server answers 429)", marks=again),
        pytest.param("**/react-dom*.js", None, "did not come", marks=again),
    ],
)
def test_a_step_of_loading_that_fails_is_said_and_made_again(
    site: Site, page: Page, seen: Seen, what: str, status: int | None, said: str
) -> None:
    seen.server_may_be_away = True
    with failing(page, what, status):
        page.goto("/plot/ht01", wait_until="commit")
        if "plotly" in what:  # asked for only when somebody points at a plot
            page.wait_for_function("() => document.querySelector('.figure')?.painted")
            page.locator(".figure").first.hover()
        expect(page.locator("#loading")).to_contain_text(said)
    stands = "plot?.querySelector('.main-svg')" if "plotly" in what else "plot?.painted"
    page.wait_for_function(f"() => {{ const plot = document.querySelector('.figure'); return {stands}; }}")
    expect(page.locator("#loading")).to_be_hidden()


def test_a_page_that_is_refused_says_why_and_is_not_waited_for(site: Site, page: Page, seen: Seen) -> None:
    seen.server_may_be_away = True
    open_page(page)
    page.route("**/_dash-update-component*", lambda route: route.fulfill(status=400, body="it is too long"))
    page.goto("/", wait_until="commit")
    expect(page.locator("#loading")).to_have_text("Cannot load this page (the server refuses it: it is too long)")
    page.unroute_all()
    page.goto(f"/?{'x' * 6000}")
    expect(page.locator("body")).to_contain_text("This address is too long: it has 6,001 characters")


def test_a_change_of_page_while_the_server_is_away_is_made_when_it_is_back(site: Site, page: Page, seen: Seen) -> None:
    seen.server_may_be_away = True
    open_page(page)
    tof, emr = page.locator('#navigation a[href="/detector/tof"]'), page.locator('#navigation a[href="/detector/emr"]')
    page.context.set_offline(True)
    tof.click()
    expect(page.locator("#loading")).to_contain_text("Cannot load this page (the server does not answer)")
    page.context.set_offline(False)
    expect(tof).to_have_class("here")
    expect(page.locator("#page [data-path='/detector/tof'], #page > [data-path='/detector/tof']")).to_have_count(1)
    # Of several, the last one that was asked for.
    page.context.set_offline(True)
    page.locator('#navigation a[href="/"]').click()
    time.sleep(1.5)
    emr.click()
    time.sleep(1.5)
    page.context.set_offline(False)
    expect(emr).to_have_class("here")
    expect(page.locator("#loading")).to_be_hidden()
    time.sleep(1.5)
    expect(emr).to_have_class("here")


def test_a_server_that_cannot_make_an_update_is_not_taken_for_one_that_is_away(
    site: Site, page: Page, seen: Seen
) -> None:
    seen.server_may_be_away = True
    open_page(page)
    expect(page.locator("#browser")).to_contain_text("Connected")
    page.route("**/live?*", lambda route: route.fulfill(status=500))
    expect(page.locator("#browser")).to_contain_text("The server cannot make this page: its log says why")
    page.unroute_all()
    expect(page.locator("#browser")).to_contain_text("Connected")
