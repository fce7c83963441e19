"""From a plot that is off to a spill that filled it, by links: its numbers, rows of a trigger, the board's words."""

import re
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from schemas.records import RunControl
from tests.browser.conftest import Site, faults, open_page, until_fits

pytestmark = [pytest.mark.servers, pytest.mark.browser]
PLOT = "hslabhits10"


def test_a_plot_that_is_off_leads_to_the_spills_that_filled_it(site: Site, page: Page, axe: str) -> None:
    tof = {"detectors": ("tof",), "mean_triggers": 20}
    without = site.new_run(spills=110, **tof).with_faults(["dead_pmt:tof1/0/3/1@0-109"])
    whole = site.new_run(spills=40, **tof)
    # Of a type of their own: other runs must not be compared with one in which something is dead.
    records = (record for its in (without, whole) for record in its.records())
    site.send(replace(each, run_type="spills") if isinstance(each, RunControl) else each for each in records)
    site.book(whole)
    open_page(page, f"/plot/{PLOT}?run={whole.run}")
    line = page.locator("#tiles .filling")
    expect(line).to_contain_text(re.compile(r"^Spills that filled it \(3 of \d+\): \d+ \(triggers \d+"))
    link = line.locator("a").first
    spill, trigger = re.match(r"(\d+) \(triggers (\d+)", link.text_content() or "").groups()  # type: ignore[union-attr]
    link.click()
    shown = page.locator("#spill")
    expect(shown.locator("h2")).to_have_text(f"Run {whole.run}, spill {spill}")
    assert f"/spill/{whole.run}/{spill}/{trigger}?run={whole.run}" in page.url
    raw = whole.spill(int(spill)).raw
    expect(shown).to_contain_text(f"{len(raw.payload):,}")
    head = shown.locator("h3", has_text="tof hits")
    expect(head).to_contain_text(re.compile(rf"rows, [1-9]\d* of trigger {trigger}$"))
    rows = (shown.locator("h3", has_text="tof hits").locator("+ pre").text_content() or "").splitlines()
    assert rows[0].split()[0] == "trigger"
    assert rows[1].split()[0] == trigger
    words = shown.locator("details pre")
    expect(words).not_to_be_visible()
    shown.locator("summary").click()
    expect(words).to_contain_text("what it is")
    # It stays as somebody has unfolded it.
    page.wait_for_timeout(1500)
    expect(words).to_be_visible()
    page.evaluate(axe)
    assert not faults(page, "/spill", "light")
    until_fits(page, 375, 812)
    open_page(page, f"/spill/{whole.run}/4000")
    expect(shown).to_contain_text(f"There is no spill 4000 in run {whole.run}: it has 40 spills")
    # The strip is of the spill's run, whatever is chosen; to choose another leads to that.
    open_page(page, f"/spill/{without.run}/3/9999?run={whole.run}")
    expect(shown).to_contain_text(re.compile(r"It has no trigger 9999: it has \d+ particle triggers, counted from 0"))
    expect(page.locator("#strip .value").first).to_have_text(str(without.run))
    page.locator("#banners").get_by_role("link", name="Show it").click()
    expect(page.locator("#strip .value").first).to_have_text(str(whole.run))
    assert page.evaluate("location.pathname") == "/"
    open_page(page, "/spill/12/4000")
    expect(shown).to_contain_text("There is no run 12 in the books")
    expect(page.locator("#strip .value").first).to_have_text("12")
