"""What is wrong with a detector stands on the overview, large and with its channel, and as long as it is so."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, faults, open_page, until_fits

pytestmark = [pytest.mark.servers, pytest.mark.browser]
FIRST, LAST = 40, 49
TOF = '#tiles a[href^="/detector/tof"]'


@pytest.mark.timeout(300)  # hundreds of spills of all detectors, on a machine that may be busy
def test_a_dead_photomultiplier_is_told_with_its_channel_and_its_spill_and_is_over_when_it_is(
    site: Site, page: Page, axe: str
) -> None:
    run = site.new_run(mean_triggers=60, detectors=("tof", "kl")).with_faults([f"dead_pmt:tof1/0/3/1@{FIRST}-{LAST}"])
    spills = [run.spill(number).raw for number in range(LAST + 12)]
    site.send(spills[:10])
    open_page(page)
    tile = page.locator(TOF)
    expect(tile).to_have_class(re.compile("idle"))
    expect(tile).to_contain_text("Settling: 10/21 spills")
    site.send(spills[10:FIRST])
    expect(tile).to_contain_text("No change")
    expect(tile).to_have_class(re.compile("good"))
    expect(page).to_have_title(re.compile("^[^✕]"))
    quiet = page.locator("link[rel=icon]").get_attribute("href")
    line = tile.get_by_role("img")
    expect(line).to_have_accessible_name(re.compile("Hits a particle trigger: .* is usual"))
    # It is there at each moment, though each second its tile is made anew: nothing has to be drawn afterwards.
    assert line.evaluate("each => each.querySelector('path').getTotalLength()") > 100
    site.send(spills[FIRST : LAST + 1])
    expect(tile).to_contain_text(f"TOF1 horizontal slab 3, PMT 1 silent since spill {FIRST}")
    expect(tile).to_have_class(re.compile("bad"))
    expect(page.locator("#tiles .bad")).to_have_count(1)
    expect(page).to_have_title(re.compile("^✕ "))
    assert page.locator("link[rel=icon]").get_attribute("href") != quiet
    expect(line).to_have_accessible_name(re.compile(f"Hits a particle trigger: .* before spill {FIRST}"))
    expect(line).to_have_class("line marked")
    # Large, and before all others; its words can be read on any screen.
    expect(page.locator("#tiles .tile").first).to_have_attribute("href", re.compile("^/detector/tof"))
    for width, height in ((1920, 1080), (375, 812)):
        until_fits(page, width, height)
    page.evaluate(axe)
    assert not faults(page, "/", "light")
    # Who has seen it is not shown it loud any more.
    page.keyboard.press("a")
    expect(tile).to_have_class(re.compile("seen"))
    expect(page).to_have_title(re.compile("^[^✕]"))
    assert page.locator("link[rel=icon]").get_attribute("href") == quiet
    # Every page tells it.
    page.click("#navigation a[href='/detector/kl']")
    expect(page.locator(TOF)).to_contain_text("silent since")
    page.locator(TOF).click()
    expect(page.locator("#tiles .one")).to_contain_text([f"silent since spill {FIRST}: 0 hits, where"])
    site.send(spills[LAST + 1 :])
    expect(page.locator("#tiles .one")).to_have_class(re.compile("idle"))
    expect(page.locator("#tiles .one")).to_contain_text(f"since spill {FIRST} until")
    page.click("#navigation a[href='/']")
    expect(page.locator(TOF)).to_contain_text("No change; 1 fault before")


def test_who_has_seen_a_plane_die_is_not_told_anew_of_each_of_its_channels(site: Site, page: Page) -> None:
    run = site.new_run(mean_triggers=60, detectors=("tof", "emr"))
    run = run.with_faults([f"dead_pmt:emr/20@{FIRST}-79", "hot_channel:emr/45/2@60-79"])
    site.play(run, 0, FIRST + 12)
    open_page(page)
    tile = page.locator('#tiles a[href^="/detector/emr"]')
    expect(tile).to_contain_text(re.compile(r"EMR plane 20: \d+ of \d+ channels silent"))
    before = tile.text_content() or ""
    page.keyboard.press("a")
    expect(tile).to_have_class(re.compile("seen"))
    site.play(run, FIRST + 12, 60)
    expect(tile).not_to_contain_text(before)
    expect(tile).to_have_class(re.compile("seen"))
    # Another fault is new.
    site.play(run, 60, 70)
    expect(tile).to_contain_text("; 1 more")
    expect(tile).not_to_have_class(re.compile("seen"))


def test_who_has_seen_two_faults_is_not_told_anew_of_the_one_that_stays(site: Site, page: Page) -> None:
    run = site.new_run(mean_triggers=60, detectors=("tof", "kl"))
    run = run.with_faults([f"dead_pmt:tof1/0/3/1@{FIRST}-{LAST}", f"dead_pmt:tof1/1/2/0@{FIRST}-99"])
    site.play(run, 0, LAST + 1)
    open_page(page)
    tile = page.locator(TOF)
    expect(tile).to_contain_text("; 1 more")
    page.keyboard.press("a")
    expect(tile).to_have_class(re.compile("seen"))
    site.play(run, LAST + 1, 90)
    expect(tile).to_contain_text("TOF1 vertical slab 2, PMT 0 silent")
    expect(tile).not_to_contain_text("; 1 more")
    expect(tile).to_have_class(re.compile("seen"))
    # Nor where each has a line of its own.
    tile.click()
    expect(page.locator("#tiles .bad")).to_have_count(1)
    expect(page.locator("#tiles .bad.seen")).to_have_count(1)


def test_13_15_21_what_was_never_there_is_told_by_the_reference_in_tile_and_title_with_a_frame(
    site: Site, page: Page
) -> None:
    both = {"mean_triggers": 60, "detectors": ("tof", "kl")}
    site.send(site.new_run(spills=100, **both).records())
    run = site.new_run(**both).with_faults(["dead_pmt:tof1/0/3/1@0-79"])
    site.play(run, 0, 15)
    open_page(page, "/plot/hslabhits10")
    title = page.locator(".figure .gtitle").first
    expect(title).to_contain_text("– settling (15/21 spills)")
    expect(page.locator("#tiles .one")).to_contain_text("Settling: 15/21 spills.")
    assert not page.locator("#tiles .bad").count()
    site.play(run, 15, 60)
    expect(title).to_contain_text(re.compile(r"✕ \d+ % off \(limit 5 %\)"))
    frame = page.evaluate("(({x0, x1}) => [x0, x1])(document.querySelector('.figure').layout.shapes[0])")
    assert frame == pytest.approx([2.5, 3.5])
    expect(page.locator("#tiles .one")).to_contain_text("Most of all: Slab 3 has 0 % where")
    page.click("#navigation a[href='/']")
    expect(page.locator(TOF)).to_contain_text("TOF1 horizontal slab 3, PMT 1 silent from the begin on")
    expect(page.locator("#tiles .bad")).to_have_count(1)
    expect(page.locator('#tiles a[href^="/detector/kl"]')).to_contain_text("No change; plots as in run")


def test_22_23_what_too_many_spills_lack_is_told_in_the_tile_of_the_run(site: Site, page: Page) -> None:
    run = site.new_run(detectors=("tof",))
    open_page(page)
    site.send(run.spill(number).raw for number in range(40) if number % 5)
    expect(page.locator("#tiles .tile").first).to_contain_text("8 of 40 spills (20 %) missing")
    expect(page.locator("#tiles .tile").first).to_have_class(re.compile("bad"))
