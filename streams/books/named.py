"""What something that is wrong is called: the same in alarms, known issues and on tiles, whatever words say."""

from streams.checks.judge import Verdict
from streams.checks.means import Moved

PLOT = "plot: "
"""Begins the name of a plot that is off."""


def name_of(verdict: Verdict) -> str:
    """Return the name of a change: ``GROUP/CHANNEL/SIDE``, of a whole group without a channel."""
    finding = verdict.finding
    side = "moved" if isinstance(finding, Moved) else "fewer" if finding.factor < 1 else "more"
    return f"{verdict.group}/{verdict.channel}/{side}"


def name_of_plot(plot: str) -> str:
    """Return the name of a plot that is off."""
    return f"{PLOT}{plot}"
