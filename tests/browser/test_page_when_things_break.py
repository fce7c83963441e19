"""The page when a server is away: the last figures stay, it says what is wrong, and recovers by itself."""

import re
import signal
import time
from contextlib import suppress

import pytest
from playwright.sync_api import Page, expect

from ops.demo import Running
from ops.stack import free_port
from streams.books import layout
from streams.books.connect import connect
from streams.kafka import writer
from streams.process import process
from streams.settings import DashboardSettings, load_settings
from streams.topics import Topics
from tests.browser.conftest import (
    COUNTS,
    Seen,
    Site,
    drawn,
    environment,
    faults,
    open_page,
    text,
    until_drawn,
    until_equal,
)
from tests.servers import hung
from tests.wire import encode

pytestmark = [pytest.mark.servers, pytest.mark.browser]
TRIES = 10


def test_35_a_redis_that_hangs_leaves_the_last_figures_and_a_banner(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 4)
    open_page(page)
    until_drawn(page, "ht01", run, 3)
    counts = site.book(run).book["ht01"].view().tolist()
    until_equal(page, "ht01", COUNTS, counts)
    with site.redis.hung(*site.redis.holding):
        expect(page.locator(".banner")).to_contain_text(
            re.compile(r"The store \(Redis\) does not answer, for \d+ s: all numbers are old")
        )
        expect(page.locator("#badges")).to_contain_text("Redis does not answer: lag unknown")
        # The server itself answers all the while, also for a page that is opened now.
        expect(page.locator("#browser")).to_contain_text("Connected")
        assert drawn(page, "ht01", COUNTS) == counts
        open_page(page)
        until_equal(page, "ht01", COUNTS, counts)
        expect(page.locator("#strip")).to_contain_text("Spills4")
    expect(page.locator(".banner")).to_have_count(0)
    site.play(run, 4, 6)
    until_drawn(page, "ht01", run, 5)
    assert "Traceback" not in text(site.page.log)


def test_36_a_killed_worker_lets_the_lag_grow_and_afterwards_nothing_is_lost(site: Site, page: Page) -> None:
    run = site.new_run(spills=12)
    records = list(run.records())
    site.send(records[:6])
    open_page(page)
    until_drawn(page, "ht01", run, 4)
    worker = next(part for part in site.running.parts if part.name == "worker")
    assert worker.process is not None
    worker.process.kill()
    worker.process.wait()
    site.send(records[6:])
    badges = page.locator("#badges")
    expect(badges).to_contain_text(re.compile(r"Processing \d+ s behind \(\d+ spills\): workers"))
    expect(badges.locator(".badge").last).to_have_class("badge warning")
    worker.start()
    until_drawn(page, "ht01", run, 11)
    expect(badges).to_contain_text("All spills processed")
    uninterrupted = process(records, lambda _: run.conditions)[run.run].book["ht01"].view().tolist()
    until_equal(page, "ht01", COUNTS, uninterrupted)


def test_a_run_that_cannot_be_read_is_told_harms_no_other_and_is_made_again(site: Site, page: Page) -> None:
    damaged, other = site.new_run(spills=6), site.new_run(spills=6)
    for run in (damaged, other):
        site.send(run.records())
    counts = {run: site.book(run).book["ht01"].view().tolist() for run in (damaged, other)}
    worker = next(part for part in site.running.parts if part.name == "worker")
    assert worker.process is not None
    worker.process.send_signal(signal.SIGSTOP)
    try:
        with connect(site.settings) as redis:
            for partition in range(site.settings.kafka.partitions):
                keys = layout.Keys(site.settings.redis.key_prefix, site.settings.session, partition)
                redis.hset(keys.book(damaged.run), "ht01", "rubbish")
        open_page(page, f"/?run={damaged.run}")
        expect(page.locator(".banner.bad")).to_contain_text(f"Run {damaged.run} in partition")
        expect(page.locator("#strip")).to_contain_text("Statecannot be read")
        expect(page.locator(".card").first).to_contain_text(f"run {damaged.run} cannot be read")
        page.locator("#controls").get_by_title("Later run").click()
        until_drawn(page, "ht01", other, 5)
        until_equal(page, "ht01", COUNTS, counts[other])
        expect(page.locator(".banner.bad")).to_have_count(0)
        page.go_back()
        expect(page.locator(".banner.bad")).to_have_count(1)
    finally:
        worker.process.send_signal(signal.SIGCONT)
    until_drawn(page, "ht01", damaged, 5)
    until_equal(page, "ht01", COUNTS, counts[damaged])
    expect(page.locator(".banner.bad")).to_have_count(0)


def test_37_a_broker_that_is_away_and_a_silent_daq_are_different_words(site: Site, page: Page) -> None:
    run = site.new_run()
    site.play(run, 0, 2)
    open_page(page)
    until_drawn(page, "ht01", run, 1)
    badges = page.locator("#badges")
    site.play(run, 2, 3)  # however long it took until the page was there
    expect(badges).to_contain_text(re.compile(r"Last spill \d+ s ago"))
    expect(page.locator("#strip")).to_contain_text("Spills3")
    with hung(site.kafka):
        expect(badges).to_contain_text("Kafka does not answer")
        expect(badges).not_to_contain_text("DAQ or beam")
        expect(page.locator("#strip")).to_contain_text("Spills3")
    expect(badges).to_contain_text(re.compile(r"No spills for \d+ s: DAQ or beam"))
    expect(badges).to_contain_text("All spills processed")
    site.play(run, 3, 4)
    expect(badges).to_contain_text(re.compile(r"Last spill \d+ s ago"))  # whenever it is counted
    until_drawn(page, "ht01", run, 3)


def test_a_page_that_lost_its_server_says_so_and_finds_it_again(site: Site, page: Page, seen: Seen, axe: str) -> None:
    run = site.new_run()
    site.play(run, 0, 3)
    open_page(page)
    until_drawn(page, "ht01", run, 2)
    page.evaluate(axe)
    seen.server_may_be_away = True
    assert site.page.process is not None
    site.page.process.kill()
    site.page.process.wait()
    browser = page.locator("#browser")
    expect(browser).to_contain_text(re.compile(r"Server lost \d+ s ago: all numbers are old"))
    expect(browser).to_have_class("badge bad")
    expect(page.locator("html")).to_have_class(re.compile("lost"))
    # Nothing is green that nobody knows.
    expect(page.locator("#badges .badge.good").first).to_have_css("filter", "grayscale(1)")
    assert len(drawn(page, "ht01", COUNTS)) == 200
    # Old numbers are read all the same.
    for theme in ("light", "dark"):
        expect(page.locator("html")).to_have_attribute("data-theme", theme)
        assert not faults(page, "lost", theme)
        page.click("#switch-theme")
    site.page.start()
    expect(browser).to_contain_text("Connected")
    expect(page.locator("html")).not_to_have_class(re.compile("lost"))
    site.play(run, 3, 5)
    until_drawn(page, "ht01", run, 4)


def test_41_a_clock_that_is_ahead_is_told_and_never_green(site: Site, page: Page) -> None:
    run = site.new_run()
    open_page(page)
    badge, producer = page.locator("#badges .badge").first, writer(site.settings)
    ahead = page.locator("#badges .badge.warning", has_text=re.compile(r"Clock ahead by [1-6] s"))
    # Again, where the page sees one only after its clock was right again.
    for number in range(TRIES):
        raw, ahead_ms = run.spill(number).raw, time.time_ns() // 1_000_000 + 6000
        producer.produce(Topics.of(site.settings).raw, encode(raw), key=str(raw.run), partition=0, timestamp=ahead_ms)
        producer.flush()
        with suppress(AssertionError):
            expect(ahead).to_be_visible(timeout=6000)
            break
    else:
        pytest.fail("it is not told")
    expect(badge).to_contain_text(re.compile(r"Last spill \d+ s ago"))


def test_a_page_that_is_older_than_its_topics_waits_in_words(site: Site, page: Page) -> None:
    fresh = load_settings(
        kafka=site.settings.kafka.model_copy(update={"topic_prefix": "fresh."}),
        redis=site.settings.redis,
        session="fresh",
        dashboard=DashboardSettings(port=free_port()),
    )
    variables = environment(fresh) | {"SPILLDECK_SESSION": fresh.session}
    with Running(fresh, site.running.directory, variables) as running:
        started = running.start("fresh page", "dashboard")
        page.set_viewport_size({"width": 1024, "height": 768})
        address = f"http://127.0.0.1:{fresh.dashboard.port}"
        open_page(page, address + "/")
        expect(page.locator("#strip")).to_contain_text("Run–Stateno run yet")
        expect(page.locator("#badges")).to_contain_text("No spill yet: waiting for the DAQ")
        expect(page.locator(".banner")).to_contain_text("Kafka has no topic fresh.spills.raw")
        expect(page.locator(".card").first).to_contain_text("no spills yet")
        page.goto("about:blank")
    assert "Traceback" not in text(started.log)
