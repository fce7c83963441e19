"""The triangular bars of a detector, each where it lies in its plane: coloured by its count."""

from typing import Any

import numpy as np

from dashboards.figures.colours import CountScale, colour_at, stops
from dashboards.figures.theme import Theme
from schemas.columns import F8, I8
from streams.books.book import Histogram

LEVELS = 12
"""Colours that tell counts apart: plotly fills shapes of one colour at once."""
DEEP = 0.94
"""Half the depth of a bar on the picture, in planes: its own plane and, nearly, the crossed ones beside it."""


def bar_traces(planes: range, histogram: Histogram, scale: CountScale, theme: Theme) -> list[dict[str, Any]]:
    """Return the triangles of the bars of some planes, and what is said when one points at them.

    Parameters
    ----------
    planes
        Bins of the first axis; the second has the bars. Neighbours in a plane stand point to base, so each base is two
        bars wide.
    """
    counts: I8 = histogram.view(flow=False)[planes.start : planes.stop : planes.step]
    x, y = triangles(planes, counts.shape[1])
    share = scale.place(counts.ravel()) / scale.end
    level = np.where(np.isnan(share), -1, np.minimum(np.nan_to_num(share) * LEVELS, LEVELS - 1)).astype(np.int64)
    shapes = [
        {
            "type": "scatter",
            "mode": "lines",
            "x": _with_gaps(x[level == each]),
            "y": _with_gaps(y[level == each]),
            "fill": "none" if each < 0 else "toself",
            "fillcolor": colour_at((each + 0.5) / LEVELS, theme),
            "line": {"color": theme.grid, "width": 0.6 if each < 0 else 0.3},
            "hoverinfo": "skip",
        }
        for each in np.unique(level).tolist()
    ]
    # Unseen, for what is said when one points at a bar: one picture, where a marker a bar took 0.1 s to draw.
    cells = {
        "type": "heatmap",
        "x": list(planes),
        "y": list(range(counts.shape[1])),
        "z": [[None if np.isnan(place) else place for place in row] for row in scale.place(counts.T).tolist()],
        "customdata": counts.T.tolist(),
        "opacity": 0,
        "zmin": 0,
        "zmax": scale.end,
        "colorscale": stops(theme.scale),
        "colorbar": scale.bar(),
        "hovertemplate": "plane %{x}, bar %{y}: %{customdata:,} entries<extra></extra>",
    }
    return [*shapes, cells]


def triangles(planes: range, bars: int) -> tuple[F8, F8]:
    """Return (n, 5) x and y of each bar's corners, the first again after the last, and a gap, plane by plane."""
    number, bar = (each.ravel() for each in np.meshgrid(planes, range(bars), indexing="ij"))
    points_back = np.where(bar % 2 == 0, 1.0, -1.0)
    base, tip = number - DEEP * points_back, number + DEEP * points_back
    gap = np.full(len(number), np.nan)
    x: F8 = np.stack([base, tip, base, base, gap], axis=1)
    y: F8 = np.stack([bar - 1.0, bar + 0.0, bar + 1.0, bar - 1.0, gap], axis=1)
    return x, y


def _with_gaps(points: F8) -> list[float | None]:
    return [None if np.isnan(point) else point for point in points.ravel().tolist()]
