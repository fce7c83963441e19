"""What the painter makes of figures: it knows all that they have, and paints them as plotly draws them."""

import json
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.figures import HOW, figures, followed, page_with_painter, unknown
from tests.catalogue import PLOTS, TRENDS
from tests.dashboards.views import EMPTY, RUN, run_book
from tests.lanes import first

pytestmark = [pytest.mark.browser]

KINDS = (
    "ht01",
    "hslabhits10",  # each bin has its number
    "hspxy_1",  # as wide as high
    "tof_A",
    "emr_occupancy_xz",  # triangles
    "kl_charge_kind",  # bins that have names
    "tof_shares",
    "hPMT1",  # logarithmic by itself
    "hnsp_vs_spill_tof0",
    "daq_triggers",
)
"""A plot of each kind that figures are of."""
SIZES = ((460, 226), (300, 226), (1000, 420))
"""Of a plot among twelve on a large screen, among twelve on a small one, and alone."""
WITHIN_PX = 1.5
"""What stands where: plotly's own numbers differ by less, the widths of words by half as much again."""
OFF_SHARE = 0.03
"""Of the pixels that may have clearly another colour: those at the edges of steep lines and of letters."""


def compared() -> list[Any]:
    book, others = run_book(40), (run_book(60, run=RUN - 1), run_book(60, run=RUN - 2))
    return [*figures(KINDS, book, others, HOW), *followed("ht01", book)]


@pytest.mark.timeout(120)  # four hundred figures, on a machine that may be busy
def test_the_painter_knows_all_that_any_figure_has(chromium: Browser) -> None:
    page, book, other = page_with_painter(chromium), run_book(8), run_book(8, run=RUN - 1)
    assert not unknown(page, figures((*PLOTS, *TRENDS), book, [other], ["pull"]))
    assert not unknown(page, figures(PLOTS, EMPTY, [other], []))
    strange = next(figures(["ht01"], book, [other], [""]))
    strange["data"][0] |= {"stackgroup": "a", "mode": "text"}
    strange["layout"] |= {"barmode": "stack"}
    assert unknown(page, [strange]) == {"data[0].stackgroup", "data[0].mode", "layout.barmode"}
    page.close()


@pytest.mark.timeout(300)  # each figure is drawn by plotly, too
@pytest.mark.parametrize("size", first(SIZES, 1))
def test_figures_are_painted_as_plotly_draws_them(chromium: Browser, size: tuple[int, int]) -> None:
    page = page_with_painter(chromium)
    told = []
    its_kinds = compared()
    assert not unknown(page, its_kinds)
    for its in its_kinds:
        found = page.evaluate("its => window.compare(...its)", [its, *size, WITHIN_PX])
        if found["told"] or found["share"] > OFF_SHARE:
            told.append(f"{its['layout']['title']['text'][:60]}: {found['share']:.3f}, {found['told']}")
    page.close()
    assert not told, json.dumps(told, indent=1)
