#!/usr/bin/env python3
"""Write docs/plots.md, the list of all plots, from the catalogue: .venv/bin/python docs/write_plots.py."""

from collections.abc import Iterator
from pathlib import Path

from streams.plots.catalogue import DETECTORS
from streams.plots.model import Axis, Plot, Trend

PLOTS_MD = Path(__file__).resolve().parent / "plots.md"
_HEAD = """# The plots

Every plot by its detector, made by `docs/write_plots.py` from the catalogue in `streams/plots`: change it there. The
conditions of a run may give the first axis of a plot another range.
"""


def _axis(axis: Axis) -> str:
    return f"{axis.title}: {axis.bins} [{axis.low:g}, {axis.high:g}]"


def _words(entry: Plot | Trend) -> str:
    words = entry.words
    return f"{words.shows} *Normal:* {words.normal} *Else:* {words.action} *Call:* {words.call}."


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def lines() -> Iterator[str]:
    """Yield the lines of the list."""
    yield _HEAD
    for detector in DETECTORS.values():
        yield f"## {detector.title}\n"
        yield _row("name", "title", "axes: bins [low, high]", "for", "keywords", "words for the shifter")
        yield _row(*["---"] * 6)
        for plot in detector.plots:
            axes = " × ".join(map(_axis, plot.axes))
            who = "expert" if plot.expert else "shifter"
            yield _row(f"`{plot.name}`", plot.title, axes, who, ", ".join(plot.keywords), _words(plot))
        for trend in detector.trends:
            spills = f"last {trend.last} spills" if trend.last is not None else "spills"
            who = "expert" if trend.expert else "shifter"
            title = f"`{trend.name}`", trend.title, f"{trend.quantity} against {spills}"
            yield _row(*title, who, ", ".join(trend.keywords), _words(trend))
        yield ""


def text() -> str:
    """Return the whole list."""
    return "\n".join(lines()).rstrip() + "\n"


if __name__ == "__main__":
    PLOTS_MD.write_text(text())
