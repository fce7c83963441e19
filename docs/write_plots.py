#!/usr/bin/env python3
"""Write docs/plots.md, the list of all plots, from the catalogue: .venv/bin/python docs/write_plots.py."""

from collections.abc import Iterator
from pathlib import Path

from streams.experiment import experiment
from streams.plots.model import Axis, Plot, Trend

PLOTS_MD = Path(__file__).resolve().parent / "plots.md"
_HEAD = """# The plots

Every plot by its detector, made by `docs/write_plots.py` from the catalogue in `streams/plots`: change it there. The
conditions of a run may give the first axis of a plot another range.
"""


_OTHERS = """## Where they differ from the old system's

A book of before has other axes, and is made again from Kafka. What Kafka no longer has is carried over by `upgrade`
without these plots, which are named.
"""
_DIFFERENT = (
    ("plots", "the old system's", "here", "why"),
    ("---",) * 4,
    (
        "`hpmthits…`",
        "slab of every slab hit, which has both photomultipliers",
        "slab of every digit of the one",
        "Twelve plots showed the slab hits again, and a silent photomultiplier in none.",
    ),
    ("`hPMT1` to `hPMT8`", "500 bins from -50 to 500", "550", "In bins of 1.1, whole numbers make a comb."),
    ("`Ch_SumU`, `Ch_SumD`", "670 bins from -5 to 642", "647, one a sum", "Some bins no sum could fill."),
    ("`SP_Tk…`, `Tr…pStSp…`", "7 bins from 0 to 6", "5, one a station", "Two bins no station could fill."),
)


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
    for detector in experiment().detectors.values():
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
    yield _OTHERS
    yield from (_row(*cells) for cells in _DIFFERENT)


def text() -> str:
    """Return the whole list."""
    return "\n".join(lines()).rstrip() + "\n"


if __name__ == "__main__":
    PLOTS_MD.write_text(text())
