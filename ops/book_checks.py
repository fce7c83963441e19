"""How far the books of a session are, and whether all of them is what was written and agrees with itself."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from redis import Redis
from redis.client import Pipeline

from schemas.records import NO_RUN
from streams.books import invariants, layout
from streams.books.connect import is_other_type
from streams.books.part_reader import UnreadableRunError
from streams.books.progress import Progress
from streams.books.reader import BookReader
from streams.books.stored import is_retired, unpack_state
from streams.kafka import Spans, topic_spans
from streams.settings import Settings
from streams.topics import Topics

ON_ITS_WAY_S = 1.0
"""What Kafka had when it was asked is in the books within it, or somebody is behind."""
LOOK_S = 0.05
"""Before looking again."""
READINGS = 20
"""So often a run is read that is written meanwhile, before that is said in place of what was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionStatus:
    """How far one partition is."""

    partition: int
    next: int | None
    """The first offset of ``spills.raw`` that is not in the books; None where nobody knows."""
    end: int
    """The offset that Kafka gives its next message."""
    behind: int
    """Messages that Kafka has and the books have not."""
    made_again: Mapping[int, int]
    """Run that is being made again → its first offset that is not in the books."""
    lost: tuple[layout.Loss, ...]
    """What Kafka no longer had when it was needed."""

    @property
    def is_well(self) -> bool:
        """Whether all is counted, and nothing was lost."""
        return self.next == self.end and not self.made_again and not self.lost


def how_far(settings: Settings, redis: Redis) -> list[PartitionStatus]:
    """Return how far each partition of a session is, in the books and in Kafka.

    Raises
    ------
    ServerError
        When Kafka does not answer, or has no such topic.
    """
    topic, deadline_s = Topics.of(settings).raw, time.monotonic() + ON_ITS_WAY_S
    spans = topic_spans(settings, topic)
    while _is_behind(spans, progress := _progress(settings, redis, len(spans))) and time.monotonic() < deadline_s:
        time.sleep(LOOK_S)
    if any(_is_ahead(end, progress.get(p)) for p, (_, end) in enumerate(spans)):
        # More was produced and counted meanwhile, or they have what Kafka has not.
        later = dict(enumerate(topic_spans(settings, topic)))
        spans = tuple(
            (low, min(progress[p].next, later.get(p, (0, 0))[1]) if _is_ahead(end, progress.get(p)) else end)
            for p, (low, end) in enumerate(spans)
        )
    return [_status(partition, span, progress.get(partition)) for partition, span in enumerate(spans)]


def _is_ahead(end: int, progress: Progress | None) -> bool:
    return progress is not None and progress.next > end


def _progress(settings: Settings, redis: Redis, partitions: int) -> dict[int, Progress]:
    found: dict[int, Progress] = {}
    for partition in range(partitions):
        found |= _reader(settings, redis, partition).progress()
    return found


def _reader(settings: Settings, redis: Redis, partition: int) -> BookReader:
    """Return what reads the books of one partition, of this session and no other in its place."""
    return BookReader(redis, settings.redis.key_prefix, settings.session, partition=partition)


def _is_behind(spans: Spans, progress: Mapping[int, Progress]) -> bool:
    return any(p in progress and progress[p].next < end for p, (_, end) in enumerate(spans))


def _status(partition: int, span: tuple[int, int], progress: Progress | None) -> PartitionStatus:
    low, end = span
    upto = progress.next if progress is not None else 0
    return PartitionStatus(
        partition=partition,
        next=progress.next if progress is not None else None,
        end=end,
        behind=max(end - max(low, upto), 0),
        made_again=dict(progress.repairs) if progress is not None else {},
        lost=progress.lost if progress is not None else (),
    )


def findings(settings: Settings, redis: Redis, partitions: int) -> Iterator[str]:
    """Read all books of a session, and yield what in them is wrong, a sentence each.

    A run that is being made again is left out: nobody takes it for whole. Of one that cannot be read a worker hears, as
    from every reader.
    """
    for partition in range(partitions):
        yield from _PartitionCheck(settings, redis, partition).findings()


def _has_left(unit: bytes | None) -> bool:
    """Say whether a part says of itself that it has left Redis; one that cannot be read is read, and says why."""
    with suppress(*layout.UNREADABLE):
        return unit is not None and is_retired({b"unit": unit})
    return False


class _PartitionCheck:
    """Checks one partition; what is written meanwhile is read again before it is called wrong.

    Parameters
    ----------
    settings, redis
        Where the books are.
    partition
        Its number.
    """

    def __init__(self, settings: Settings, redis: Redis, partition: int) -> None:
        self._redis = redis
        self._keys = layout.Keys(settings.redis.key_prefix, settings.session, partition)
        self._reader = _reader(settings, redis, partition)
        self._where = f"partition {partition}"

    def findings(self) -> Iterator[str]:
        """Yield what is wrong."""
        state, index = self._ask(lambda pipe: (pipe.hgetall(self._keys.state), pipe.hgetall(self._keys.index)))
        listed: set[int] = set()
        if is_other_type(index):
            yield f"the list of runs of {self._where} cannot be read: {self._keys.index} has another type"
        else:
            listed = layout.runs_among(index)
            yield from self._of_list(state, index)
        for run in sorted(listed | self._stored_runs()):
            yield from self._of_run(run)

    def _of_list(self, state: Any, index: Mapping[bytes, bytes]) -> Iterator[str]:
        """Yield what is wrong with how far the partition is, and with the stamp of its list of runs."""
        try:
            if is_other_type(state):
                raise ValueError("it has another type")
            wanted = unpack_state(state).index
        except layout.UNREADABLE as error:
            yield f"how far {self._where} is cannot be read: {self._keys.state} ({error})"
            return
        if index.get(layout.STAMP.encode(), b"").decode(errors="replace") != wanted:
            yield f"the list of runs of {self._where} is not the one that was written last"
        if len(layout.runs_among(index)) < len(index.keys() - {layout.STAMP.encode()}):
            yield f"the list of runs of {self._where} has fields that are no runs"

    def _stored_runs(self) -> set[int]:
        """Return the runs that have totals, whatever the list of them says."""
        found = self._redis.scan_iter(match=self._keys.run("*"), count=1000)
        return layout.runs_among(cast("bytes", key).rpartition(b":")[2] for key in found)

    def _of_run(self, run: int) -> list[str]:
        """Return what is wrong with a part of a run that nobody wrote while it was read."""
        name = f"run {run}" if run != NO_RUN else "what belongs to no run,"
        for _ in range(READINGS):
            unit, place = before = self._written(run)
            progress = self._reader.progress().get(self._keys.partition)
            if progress is not None and run in progress.repairs:
                return []
            try:
                found = [f"{name} in {self._where}: {what}" for what in self._look(run, unit, place)]
            except UnreadableRunError as error:
                found = [str(error)]
            if not found or self._written(run) == before:
                return found
            time.sleep(LOOK_S)
        return [f"{name} in {self._where}: it was written whenever it was read: look again when it is quieter"]

    def _written(self, run: int) -> list[Any]:
        """Return what is another after each checkpoint of a run: how far it is, and its place in the list of runs."""
        answers = self._ask(
            lambda pipe: (pipe.hget(self._keys.run(run), "unit"), pipe.hget(self._keys.index, str(run)))
        )
        return [b"" if is_other_type(answer) else answer for answer in answers]

    def _look(self, run: int, unit: bytes | None, place: bytes | None) -> Iterator[str]:
        if _has_left(unit):
            totals = self._reader.totals(run)
            yield from invariants.of_totals(totals)
        else:
            part = self._reader.run(run, {})
            totals = part.totals
            yield from invariants.of_part(part)
            there = self._reader.windows(run)
            windows = {window: (spills, self._reader.window(run, window, {})) for window, spills in there.items()}
            yield from invariants.of_windows(part, windows)
        if place is None:
            yield "the list of runs lacks it"
        elif unit is None:
            yield "it is in the list of runs, and all of it is gone"
        else:
            try:
                listed = layout.unpack_place(place)
            except layout.UNREADABLE as error:
                yield f"what the list of runs says of it cannot be read: {error}"
            else:
                yield from invariants.of_place(listed, totals, self._keys.partition)

    def _ask(self, commands: Callable[[Pipeline], object]) -> list[Any]:
        """Return what Redis answers to several commands at one moment: for a key of another type, what says so."""
        pipe = self._redis.pipeline(transaction=True)
        commands(pipe)
        answers = pipe.execute(raise_on_error=False)
        for answer in answers:
            if isinstance(answer, Exception) and not is_other_type(answer):
                raise answer
        return answers
