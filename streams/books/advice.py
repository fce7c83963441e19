"""What stands beside an alarm for whoever is told: what to do, whom to call, why it matters."""

from streams.books import data_flow
from streams.books.alarms import New
from streams.books.data_flow import Advice
from streams.experiment import experiment


def advice(new: New) -> Advice:
    """Return what to do about an alarm, and whom to call; nothing of what another version knows."""
    if not new.is_verdict:
        return data_flow.advice(new)
    plot = experiment().plots.get(new.plot)
    return Advice("", "") if plot is None else Advice(plot.words.action, plot.words.call, plot.words.normal)
