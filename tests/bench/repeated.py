"""A long run for a benchmark: some spills are simulated, and their bytes come again under other numbers."""

from dataclasses import replace

from schemas.records import RawSpill, RunControl
from streams.experiments.mice.simulator import SimulatedRun


class RepeatedRun:
    """As many spills as are asked for, of the bytes of a short run's, which takes less time than to simulate them.

    Attributes
    ----------
    start, end
        The run's.
    """

    def __init__(self, run: SimulatedRun) -> None:
        start, *spills, end = run.records()
        assert isinstance(start, RunControl)
        assert isinstance(end, RunControl)
        self.start, self.end = start, end
        self._run = run
        self._spills = [one for one in spills if isinstance(one, RawSpill)]

    def spill(self, number: int) -> RawSpill:
        """Return a spill with a number and a time of its own."""
        time_us = self._run.start_us + round((number + 1) * self._run.period_s * 1e6)
        return replace(self._spills[number % len(self._spills)], spill=number, time_us=time_us)
