"""What the painter makes of figures: it knows all that they have, and paints them as plotly draws them."""

import json
from collections.abc import Collection
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.figures import HOW, figures, followed, page_with_painter, unknown
from tests.catalogue import PLOTS, TRENDS
from tests.dashboards.views import EMPTY, RUN, run_book
from tests.lanes import again

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
OF_EACH = ("ht01", "hspxy_1", "tof_shares")
"""Of one axis, of two and bars: painted in every way each time, the others as they stand and compared."""
SIZES = ((460, 226), (300, 226), (1000, 420))
"""Of a plot among twelve on a large screen, among twelve on a small one, and alone."""
WITHIN_PX = 1.5
"""What stands where: plotly's own numbers differ by less, the widths of words by half as much again."""
OFF_SHARE = 0.03
"""Of the pixels that may have clearly another colour: those at the edges of steep lines and of letters."""


def compared(all_ways: Collection[str]) -> list[Any]:
    """Return the figures: of these plots in every way, of the others in the plain one, with a reference and without."""
    book, others = run_book(40), (run_book(60, run=RUN - 1), run_book(60, run=RUN - 2))
    rest = [name for name in KINDS if name not in all_ways]
    return [*figures(all_ways, book, others, HOW), *figures(rest, book, others, ["", "pull"]), *followed("ht01", book)]


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
@pytest.mark.parametrize(
    ("size", "all_ways"), [(SIZES[0], OF_EACH), *(pytest.param(size, KINDS, marks=again) for size in SIZES)]
)
def test_figures_are_painted_as_plotly_draws_them(
    chromium: Browser, size: tuple[int, int], all_ways: tuple[str, ...]
) -> None:
    page = page_with_painter(chromium)
    told = []
    its_kinds = compared(all_ways)
    assert not unknown(page, its_kinds)
    for its in its_kinds:
        found = page.evaluate("its => window.compare(...its)", [its, *size, WITHIN_PX])
        if found["told"] or found["share"] > OFF_SHARE:
            told.append(f"{its['layout']['title']['text'][:60]}: {found['share']:.3f}, {found['told']}")
    page.close()
    assert not told, json.dumps(told, indent=1)
