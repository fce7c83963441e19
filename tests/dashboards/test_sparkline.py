"""The small line of a yield: a drop of 5 % is seen, scatter does not fill it, and words say what it shows."""

import re
from typing import Any

import numpy as np
import pytest

from dashboards.pages.sparkline import sparkline
from streams.checks.yields import Yield

PX = 20 / 100
"""Of a line 20 px high."""


def heights(hits: list[float | None], since: int | None = None) -> list[float]:
    """Return how high each point is drawn, from 0 at the bottom to 100."""
    line = sparkline(Yield(spills=tuple(range(len(hits))), hits=tuple(hits)), since)
    return [100 - float(y) for y in re.findall(r" (\d+)", drawn(line))]


def drawn(line: Any) -> str:
    """Return how the line goes, as SVG has it."""
    (path,) = line.children["props"]["children"]
    return path["props"]["d"]


def test_a_drop_of_five_percent_is_two_pixels_and_the_usual_yield_is_in_the_middle() -> None:
    found = heights([4.0] * 40 + [3.8] * 20, since=40)
    assert found[0] == 50
    assert (found[0] - found[-1]) * PX >= 2


@pytest.mark.parametrize("scatter", [0.01, 0.1, 0.4])
def test_scatter_does_not_fill_the_picture(scatter: float) -> None:
    found = heights(list(np.random.default_rng(1).normal(4.0, 4.0 * scatter, 60)))
    assert np.std(found) < 12
    assert min(found) > 0


def test_what_leaves_the_picture_lies_on_its_edge_and_a_dead_detector_does_not_become_the_rule() -> None:
    assert heights([4.0] * 10 + [0.0] * 40, since=10)[-1] == 0
    assert heights([4.0] * 10 + [40.0] * 40, since=10)[-1] == 100
    assert heights([0.0] * 10) == [50] * 10


def test_the_line_says_what_it_shows_and_marks_the_first_spill_of_what_is_wrong() -> None:
    its = Yield(spills=(0, 2, 4, 6, 8), hits=(4.0, None, 4.0, 3.0, 2.0))
    line, quiet = sparkline(its, 6), sparkline(its, None)
    assert getattr(line, "aria-label") == "Hits a particle trigger: 2 now, 4 before spill 6"
    assert getattr(quiet, "aria-label") == "Hits a particle trigger: 2 now, 3.5 is usual"
    assert line.style == {"--since": "75.0%"}
    assert quiet.style == {}
    assert drawn(line).count("M") == 2  # what is not known is a gap
    # Wrong from a spill on of which there is no point yet.
    assert sparkline(its, 9).style["--since"] == "100.0%"
    assert getattr(sparkline(its, 0), "aria-label") == "Hits a particle trigger: 2 now, 4 before spill 0"


@pytest.mark.parametrize("hits", [(), (4.0,), (None, 4.0), (None, None)])
def test_of_fewer_than_two_points_there_is_no_line(hits: tuple[float | None, ...]) -> None:
    assert sparkline(Yield(spills=tuple(range(len(hits))), hits=hits), None) is None
