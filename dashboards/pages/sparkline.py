"""The yield of a detector over the run as a small line: SVG, which Dash does not know, and React does."""

from itertools import pairwise
from statistics import median
from typing import Any

from dash import html

from streams.checks.yields import Yield

SHOWN = 0.2
"""Of the usual yield, above and below it: on a line 20 px high, 5 % are 2.5 px. From 0 they would be 1 px."""
SCATTERS = 6
"""So many usual steps from point to point are shown at least, so that scatter does not fill the picture."""


def sparkline(its: Yield, since: int | None) -> Any:
    """Return the line of a yield, on its edge where it leaves the picture; None of fewer than two points.

    Parameters
    ----------
    since
        First spill of what is wrong, which is marked; None if nothing is.
    """
    points = [(spill, hits) for spill, hits in zip(its.spills, its.hits, strict=True) if hits is not None]
    if len(points) < 2:
        return None
    first, last = its.spills[0], its.spills[-1]
    before = [hits for spill, hits in points if since is None or spill < since] or [points[0][1]]
    usual = median(before)
    steps = [abs(after - at) for at, after in pairwise(before)]
    shown = max(SHOWN * usual, SCATTERS * median(steps or [0.0])) or 1.0

    def along(spill: int) -> float:
        return 100 * min(1.0, max(0.0, (spill - first) / (last - first)))

    drawn, pen = "", "M"
    for spill, hits in zip(its.spills, its.hits, strict=True):
        if hits is None:
            pen = "M"
            continue
        high = min(1.0, max(-1.0, (hits - usual) / shown))
        drawn += f"{pen}{along(spill):.1f} {50 - 50 * high:.0f}"
        pen = "L"
    rule = f"{usual:.3g} is usual" if since is None else f"{usual:.3g} before spill {since}"
    said = f"Hits a particle trigger: {points[-1][1]:.3g} now, {rule}"
    mark = {} if since is None else {"--since": f"{along(since):.1f}%"}
    path = {"type": "path", "props": {"d": drawn}}
    picture = {"viewBox": "0 -4 100 108", "preserveAspectRatio": "none", "aria-hidden": "true", "children": [path]}
    return html.Span(
        {"type": "svg", "props": picture},
        className="line" if since is None else "line marked",
        role="img",
        title=said,
        style=mark,
        **{"aria-label": said},
    )
