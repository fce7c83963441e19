"""What Prometheus is told of a replay."""

from collections.abc import Iterator

from ops.replay.run import Progress
from streams import metrics
from streams.health.state import Health
from streams.metrics import Part, Value
from streams.settings import Settings


class ReplayFigures:
    """How far a replay is, as it was last said."""

    def __init__(self, settings: Settings) -> None:
        self._progress: Progress | None = None
        self.health = Health(Part.REPLAY, settings, faults=self._faults, does=self._does, figures=self._figures)

    def look(self, now: Progress) -> None:
        """Take note of how far it is."""
        self._progress = now
        self.health.turn()

    def _faults(self) -> Iterator[str]:
        if self._progress is None:
            yield "it has not begun yet"

    def _does(self) -> str:
        now = self._progress
        return "" if now is None else f"{now.read:,} of {now.of:,} messages"

    def _figures(self) -> Iterator[Value]:
        if (now := self._progress) is not None:
            yield Value(metrics.REPLAY_READ, now.read)
            yield Value(metrics.REPLAY_OF, now.of)
            yield Value(metrics.REPLAY_TAKEN, now.taken)
            yield Value(metrics.REPLAY_WAITS, now.behind)
