"""The triangular bars of a detector, each where it lies in its plane: coloured by its count."""

from typing import Any

import numpy as np

from dashboards.figures.colours import CountScale, colour_at, stops
from dashboards.figures.theme import Theme
from schemas.columns import F8, I8
from streams.books.cells import Histogram

LEVELS = 12
"""Colours that tell counts apart: shapes of one colour are filled at once."""
LARGE = 0.94
"""Of a bar's size on the picture, so that each is told from the next: half the depth of one, and half the width of its
base, in planes and bars. It is as deep as its own plane and, nearly, the crossed ones beside it."""


def bar_traces(planes: range, histogram: Histogram, scale: CountScale, theme: Theme) -> list[dict[str, Any]]:
    """Return the triangles of the bars of some planes, and what is said when one points at them.

    Parameters
    ----------
    planes
        Bins of the first axis; the second has the bars. Neighbours in a plane stand point to base, so each base is two
        bars wide.
    """
    counts: I8 = histogram.view(flow=False)[planes.start : planes.stop : planes.step]
    corners = triangles(planes, counts.shape[1])
    share = scale.place(counts.ravel()) / scale.end
    level = np.where(np.isnan(share), -1, np.minimum(np.nan_to_num(share) * LEVELS, LEVELS - 1)).astype(np.int64)
    shapes: list[dict[str, Any]] = []
    for each in np.unique(level).tolist():
        x, y = outline(corners[level == each])
        colour = theme.grid if each < 0 else colour_at((each + 0.5) / LEVELS, theme)
        shapes.append(
            {
                "type": "scatter",
                "mode": "none",
                "x": x.tolist(),
                "y": y.tolist(),
                "fill": "toself",
                "fillcolor": colour,
                "hoverinfo": "skip",
            }
        )
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


def triangles(planes: range, bars: int) -> F8:
    """Return (n, 3, 2) x and y of each bar's corners, plane by plane."""
    number, bar = (each.ravel() for each in np.meshgrid(planes, range(bars), indexing="ij"))
    depth = np.where(bar % 2 == 0, LARGE, -LARGE)
    x = np.stack([number - depth, number + depth, number - depth], axis=1)
    y = np.stack([bar - LARGE, bar + 0.0, bar + LARGE], axis=1)
    corners: F8 = np.stack([x, y], axis=2)
    return corners


def outline(corners: F8) -> tuple[F8, F8]:
    """Return x and y of one line around polygons, (n, corners, 2), that encloses nothing else.

    It goes from each to the next and back along the same way. Polygons with gaps between them would take plotly a path
    each, and ten times as long.
    """
    first = corners[:, 0]
    around = np.concatenate([corners, corners[:, :1]], axis=1).reshape(-1, 2)
    x, y = np.concatenate([around, first[::-1]]).T
    return x, y
