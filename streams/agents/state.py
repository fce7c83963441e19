"""What a worker is at, as it was last seen: for its metrics, for who asks whether it is ready, and for its log."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import faust
import structlog
from faust.types import TP

from schemas.records import NO_RUN, ControlKind, RunControl
from streams import metrics
from streams.agents.faust_private import fetched_end
from streams.books.partition import Partitions
from streams.freshness import PIPELINE_STUCK_S
from streams.health.state import Health, Known
from streams.metrics import Part, Value
from streams.settings import Settings
from streams.transform import Outcome
from streams.words import several

TURN_S = 1.0
"""How often the loop says that it turns."""
SAY_S = 10.0
"""While spills come, a line says so often what became of them."""
LATE_S = 20.0
"""Partitions are looked after every second; what is older than that is not known any more."""
RUNS_KNOWN = 16
"""Runs whose begin is logged once, the last ones: late spills of others come between."""
ENDS_KEPT = 1000
"""Ends of a partition that are remembered while the books are behind them."""

_SAID = (
    "spilldeck_worker_spills_counted_total",
    "spilldeck_worker_spills_duplicate_total",
    "spilldeck_worker_reconstruct_seconds_count",
    "spilldeck_worker_reconstruct_seconds_sum",
    "spilldeck_worker_checkpoint_seconds_count",
)
_REJECTED = "spilldeck_worker_spills_rejected_total"

Span = Callable[[int], Awaitable[tuple[int, int]]]

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Lag:
    """What a partition was seen to have and the books have not."""

    end: int = 0
    """Where it was seen to end last."""
    seen: deque[tuple[float, int]] = field(default_factory=deque)
    """When it was seen to end where behind the books, monotonic, the oldest first."""

    def look(self, now_s: float, end: int, next_: int) -> None:
        self.end = end
        while self.seen and not next_ < self.seen[0][1] <= end:
            self.seen.popleft()
        if end > next_ and len(self.seen) < ENDS_KEPT and (not self.seen or self.seen[-1][1] != end):
            self.seen.append((now_s, end))

    def messages(self, next_: int) -> int:
        return max(self.end - next_, 0)

    def seconds(self, next_: int, now_s: float) -> float:
        # Under a steady stream something is always under way: what counts is how long one message waits.
        return next((now_s - at_s for at_s, end in tuple(self.seen) if end > next_), 0.0)


class WorkerState:
    """What a worker is at. Its loop says so; whoever asks does so from another thread, and waits for nothing.

    Parameters
    ----------
    partitions
        Of the worker.
    """

    def __init__(self, partitions: Partitions, clock: Callable[[], float] = time.monotonic) -> None:
        self._partitions, self._clock = partitions, clock
        self._looked = Known("partitions", LATE_S, clock)
        self._assigned: tuple[int, ...] | None = None
        self._lags: dict[int, _Lag] = {}
        self._runs: deque[int] = deque(maxlen=RUNS_KNOWN)
        self._run: int | None = None
        self._said = [0.0] * (len(_SAID) + 1)

    def noting(self, span: Span) -> Span:
        """Return what asks Kafka what a partition has, and takes note of its end."""

        async def noted(partition: int) -> tuple[int, int]:
            low, end = await span(partition)
            self.ends_at(partition, end)
            return low, end

        return noted

    def joined(self, partitions: Iterable[int]) -> None:
        """Take note of the partitions that are the worker's now."""
        self._assigned = tuple(sorted(partitions))
        self._lags = {number: lag for number, lag in self._lags.items() if number in self._assigned}
        words = ", ".join(map(str, self._assigned))
        _log.info("partitions are shared anew", partitions=words or "none: others have all")

    def ends_at(self, number: int, end: int, *, at_least: bool = False) -> None:
        """Take note of the offset that a partition's next message will get, or that it gets no lower one."""
        # A look that began before partitions moved may take over one that is another's now.
        if number in (self._assigned or ()) and (known := self._partitions.get(number)) is not None:
            lag = self._lags.setdefault(number, _Lag())
            lag.look(self._clock(), max(end, lag.end) if at_least else end, known.state.next)

    def looked(self, why: str) -> None:
        """Take note that the partitions were looked after, or why one could not be; empty if all were."""
        self._looked.say(why)

    def counted(self, outcomes: Sequence[Outcome]) -> None:
        """Take note of what is in the books now."""
        for outcome in outcomes:
            run = self._run = outcome.run
            if run != NO_RUN and run not in self._runs:
                self._runs.append(run)
                _log.info("a run comes", run=run)
            if isinstance(outcome.record, RunControl) and outcome.record.kind is ControlKind.END:
                _log.info("a run ends", run=run, partition=outcome.message.partition)

    def say(self) -> None:
        """Log what became of spills since this was last asked, if some came."""
        now = [metrics.total(Part.WORKER, name) for name in _SAID]
        steps = (*metrics.STEPS, metrics.OTHER)
        now.append(sum(metrics.total(Part.WORKER, _REJECTED, step=step) for step in steps))
        counted, again, made, seconds, checkpoints, refused = (a - b for a, b in zip(now, self._said, strict=True))
        self._said = now
        if made:
            _log.info(
                "spills",
                messages=round(made),
                counted=round(counted),
                rejected=round(refused),
                duplicates=round(again),
                checkpoints=round(checkpoints),
                ms_each=round(1000 * seconds / made, 1),
                run=self._run,
            )

    def faults(self) -> Iterable[str]:
        """Yield why the worker does not do its work."""
        if self._assigned is None:
            yield "it has not joined the others yet: Kafka has given it no partitions"
            return
        if self._assigned:
            yield from self._looked.faults
        for number, messages, seconds in self._behind():
            if seconds > PIPELINE_STUCK_S:
                yield f"partition {number}: {several(messages, 'message')} not in the books, for {seconds:.0f} s"

    def does(self) -> str:
        """Say what it does."""
        if not self._assigned:
            return "a spare: others have all partitions"
        behind = sum(messages for _, messages, _ in self._behind())
        run = f"run {self._run}, " if self._run not in (None, NO_RUN) else ""
        return f"{run}{several(len(self._assigned), 'partition')}, {several(behind, 'message')} behind"

    def figures(self) -> Iterable[Value]:
        """Yield its figures."""
        if self._assigned is None:
            return
        yield Value(metrics.WORKER_PARTITIONS, len(self._assigned))
        yield Value(metrics.WORKER_RUN, self._run if self._run != NO_RUN else None)
        there = {number: known for number, known in self._partitions.copy().items() if number in self._assigned}
        yield Value(metrics.WORKER_REPAIRS, sum(len(known.state.repairs) for known in there.values()))
        for number, messages, seconds in self._behind():
            yield Value(metrics.PARTITION_LAG, messages, (str(number),))
            yield Value(metrics.PARTITION_BEHIND, seconds, (str(number),))
        for number, known in there.items():
            if known.state.produced_ms:
                age_s = max(time.time() - known.state.produced_ms / 1000, 0.0)
                yield Value(metrics.PARTITION_FRESHNESS, age_s, (str(number),))

    def _behind(self) -> list[tuple[int, int, float]]:
        """Return each partition of which it is known, with its messages and seconds behind."""
        now_s, there = self._clock(), self._partitions.copy()
        found = []
        for number, lag in sorted(self._lags.copy().items()):
            if (known := there.get(number)) is not None:
                next_ = known.state.next
                found.append((number, lag.messages(next_), lag.seconds(next_, now_s)))
        return found


def add_state(app: faust.App, raw: Any, settings: Settings, state: WorkerState) -> Health:
    """Give the application the timers that say what it is at; return what answers who asks."""
    health = Health(Part.WORKER, settings, faults=state.faults, does=state.does, figures=state.figures)
    topic = raw.get_topic_name()

    @app.on_partitions_assigned.connect
    async def joined(_app: Any, assigned: set[TP], **__: Any) -> None:
        state.joined(tp.partition for tp in assigned if tp.topic == topic)

    @app.timer(TURN_S)
    async def turn() -> None:
        health.turn()
        for tp in app.consumer.assignment():
            # While messages come, nobody asks Kafka: the client knows, as of its last fetch.
            if tp.topic == topic and (end := fetched_end(app, tp)) is not None:
                state.ends_at(tp.partition, end, at_least=True)

    @app.timer(SAY_S)
    async def say() -> None:
        state.say()

    return health
