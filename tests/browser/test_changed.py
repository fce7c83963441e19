"""What changed in a run stands on a page of its own, the largest first, with a way to the plot."""

import re

import pytest
from playwright.sync_api import Page, expect

from schemas.records import RawSpill
from tests.browser.conftest import Seen, Site, faults, held, open_page, until_drawn, until_fits, until_theme

pytestmark = [pytest.mark.servers, pytest.mark.browser]
SPILLS, FROM = 60, 30


def test_a_dead_channel_is_first_on_the_page_of_what_changed_and_leads_to_its_plots(
    site: Site, page: Page, axe: str
) -> None:
    run = site.new_run(spills=SPILLS, period_s=4.0, mean_triggers=40, detectors=("tof", "kl"))
    run = run.with_faults([f"dead_pmt:tof1/0/3/1@{FROM}-{SPILLS - 1}"])
    spills = [record for record in run.records() if isinstance(record, RawSpill)]
    site.send(spills[:1])
    open_page(page, "/changed")
    said = page.locator(".card.table")
    expect(said).to_contain_text("Not enough data: 0 of 20 spills to compare with")
    site.send(spills[1:])
    expect(said).to_contain_text(f"–{SPILLS - 1} (of late")
    first = page.locator(".changed tbody tr").first
    expect(first).to_contain_text("TOF1 horizontal slab 3, PMT 1")
    expect(first).to_contain_text("were expected by the others in TOF1")
    expect(said).to_contain_text("1 channel and")
    expect(said).to_contain_text("Nothing else moved by more than chance")
    for width, height in ((1920, 1080), (1366, 768), (375, 812)):
        until_fits(page, width, height)
        assert page.locator(".card.table").evaluate("each => each.scrollWidth <= each.clientWidth")
    page.evaluate(axe)
    found = faults(page, "/changed", "light")
    until_theme(page, "dark")
    assert not found + faults(page, "/changed", "dark")
    # A window of before it happened has nothing that moved but towards what came later; the last minute has it.
    page.set_viewport_size({"width": 1920, "height": 1080})
    page.keyboard.press("w")
    expect(said).to_contain_text("(last minute")
    expect(first).to_contain_text("silent: 0 hits, where")
    page.keyboard.press("w")
    expect(said).to_contain_text("of late")
    page.locator(".changed a", has_text="TOF1 space points per particle trigger").click()
    until_drawn(page, "hnsp_1", run, SPILLS - 1)
    page.go_back()
    first.locator("a").click()
    until_drawn(page, "hnsp_1", run, SPILLS - 1)
    assert page.evaluate("location.pathname") == "/detector/tof"
    page.click("#navigation a[href='/changed']")
    expect(said).to_contain_text("the rest of the run, spills")
    page.get_by_role("link", name="Reference", exact=True).click()
    expect(said).not_to_contain_text("the rest of the run, spills")


def test_an_expert_tries_limits_from_the_page_of_what_changed(site: Site, page: Page, axe: str, seen: Seen) -> None:
    seen.server_may_be_away = True  # an answer that says what is wrong is an error in the browser's eyes
    site.play(site.new_run(), 0, 2)
    open_page(page, "/changed")
    page.get_by_role("link", name="What would other limits have told?").click()
    limits, told = page.get_by_label("Limits by run type"), page.locator("#tried")
    limits.fill("[physics]\nmatter = 0.1")
    page.get_by_label("Of the last runs").fill("1")
    page.get_by_role("button", name="Try").click()
    expect(told).to_contain_text("What was typed is wrong: physics.matter (line 2) is not known")
    limits.fill("[physics]\nmatters = 0.1")
    with held(page, "**/try?*") as pass_on:
        page.get_by_role("button", name="Try").click()
        # What comes is of what stands there.
        expect(page.get_by_role("button", name="Try")).to_be_disabled()
        expect(limits).not_to_be_editable()
        pass_on()
    expect(page.get_by_role("button", name="Try")).to_be_enabled()
    expect(limits).to_be_editable()
    expect(told).to_contain_text(re.compile(r"Run \d+ .*: \d+ spills?.*faults: \d+ in force, \d+ tried", re.DOTALL))
    page.evaluate(axe)
    assert not faults(page, "/try", "light")
    until_fits(page, 375, 812)
