"""Spills in Kafka: the messages of runs in one partition of a topic, with where they lay; those of one run."""

import math
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass, field

from confluent_kafka import Consumer, Message

from schemas.known import OtherTablesError, WireError
from schemas.records import RawSpill, ReconstructedSpill, RunControl
from schemas.wire import decode
from streams.books.totals import Totals
from streams.errors import SpilldeckError
from streams.experiment import experiment
from streams.kafka import Spans, asking, messages, span, topic_spans
from streams.kept_schemas import KeptSchemas
from streams.settings import Settings
from streams.topics import Topics, partition_of
from streams.transform import raw_offset_of

AT_ONCE = 32
"""Offsets of a partition that are read together where the newest come first."""
NEAR = 64
"""Offsets before and behind where a spill would be if no other were lost or repeated: it is looked for there first."""
LOOK_S = 10.0
"""The longest that one spill is looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message of a run."""

    offset: int
    produced_ms: int
    raw_offset: int | None = None
    """Offset in ``spills.raw`` of what a message of ``spills.reco`` was made of."""
    record: RawSpill | RunControl | ReconstructedSpill = field(repr=False)
    value: bytes = field(repr=False)


def of_topic(
    settings: Settings,
    topic: str,
    partition: int,
    start: int,
    stop: int,
    runs: tuple[int, ...],
    on_read: Callable[[int], None] = lambda _offset: None,
) -> Generator[Taken, None, None]:
    """Yield the messages of some runs in [start, stop) of a partition of a topic of spills."""
    with closing(messages_of(settings, topic, partition, start, stop, runs, on_read)) as found:
        for message, record in found:
            yield Taken(
                offset=message.offset() or 0,
                produced_ms=message.timestamp()[1],
                raw_offset=raw_offset_of(dict(message.headers() or ())),
                record=record,
                value=message.value() or b"",
            )


def messages_of(
    settings: Settings,
    topic: str,
    partition: int,
    start: int,
    stop: int,
    runs: tuple[int, ...],
    on_read: Callable[[int], None] = lambda _offset: None,
) -> Generator[tuple[Message, RawSpill | RunControl | ReconstructedSpill], None, None]:
    """Yield the messages of some runs in [start, stop) of a partition as Kafka has them, with their records.

    Raises
    ------
    SpilldeckError
        When Kafka has dropped some, or one was written with columns that cannot be read as those of today.
    """
    kept = KeptSchemas(settings)
    with asking(settings) as ours:
        expected = start
        for message in messages(ours, topic, partition, start, stop):
            offset = message.offset() or 0
            if offset > expected:
                _refuse_a_gap(ours, topic, partition, expected, offset)
            expected = offset + 1
            on_read(offset)
            try:
                record = decode(message.value() or b"", experiment().tables, kept.find)
            except OtherTablesError as error:
                if _is_of(message, runs):
                    raise _written_otherwise(topic, partition, offset, error) from error
                continue
            except WireError:
                continue  # it belongs to no run
            if isinstance(record, RawSpill | RunControl | ReconstructedSpill) and record.run in runs:
                yield message, record
        if expected < stop:
            _refuse_a_gap(ours, topic, partition, expected, stop)


def _is_of(message: Message, runs: tuple[int, ...]) -> bool:
    return (message.key() or b"") in {str(run).encode() for run in runs}


def _written_otherwise(topic: str, partition: int, offset: int, why: OtherTablesError) -> SpilldeckError:
    return SpilldeckError(
        f"message {offset} of {topic}[{partition}] was written by another version or with other detectors: {why}; what "
        f"the DAQ sent is in Kafka as it was, so make it again from there (spilldeck replay)"
    )


def _refuse_a_gap(ours: Consumer, topic: str, partition: int, expected: int, offset: int) -> None:
    """Refuse to go on in silence when retention took what was to be read next."""
    low, _ = span(ours, topic, partition)
    if low > expected:
        raise SpilldeckError(
            f"Kafka dropped messages {expected} to {min(low, offset) - 1} of {topic}[{partition}] before they were "
            f"replayed: its retention has come to them"
        )


def run_spans(settings: Settings, totals: Totals) -> Spans:
    """Return where a run lies in ``spills.raw`` by its totals, as far as Kafka still has it.

    Raises
    ------
    ServerError
        When Kafka does not answer.
    """
    return tuple(
        (max(low, totals.first_raw.get(partition, stop)), min(stop, totals.last_raw.get(partition, -1) + 1))
        for partition, (low, stop) in enumerate(topic_spans(settings, Topics.of(settings).raw))
    )


def newest_first(settings: Settings, run: int, spans: Spans, at_once: int = AT_ONCE) -> Generator[RawSpill, None, None]:
    """Yield the raw spills of a run, so many messages of a partition together, the newest of these first.

    Raises
    ------
    SpilldeckError
        When Kafka drops some meanwhile, or does not answer.
    """
    topic, stops = Topics.of(settings).raw, [stop for _, stop in spans]
    while any(low < stop for (low, _), stop in zip(spans, stops, strict=True)):
        for partition, (low, _) in enumerate(spans):
            stop = stops[partition]
            if low < stop:
                stops[partition] = max(low, stop - at_once)
                yield from _raw_of_topic(settings, topic, partition, stops[partition], stop, run)


def find_raw(settings: Settings, run: int, spill: int, totals: Totals) -> RawSpill | None:
    """Return a raw spill of a run, the first of its number; None if Kafka has none.

    Raises
    ------
    SpilldeckError
        When it is not found within `LOOK_S`, or Kafka does not answer.
    """
    spans = run_spans(settings, totals)
    found = find_spill(settings, Topics.of(settings).raw, run, spill, spans, longest_s=LOOK_S)
    return found if isinstance(found, RawSpill) else None


def find_spill(
    settings: Settings, topic: str, run: int, spill: int, spans: Spans, *, longest_s: float = math.inf
) -> RawSpill | ReconstructedSpill | None:
    """Return a spill, the first of its number, as it is in these spans of a topic; None if it is not there.

    Raises
    ------
    SpilldeckError
        When it takes longer, or Kafka does not answer.
    """
    until_s = time.monotonic() + longest_s
    likely = partition_of(spill, len(spans))
    low, stop = spans[likely]
    near = low + spill // len(spans)
    places = [(likely, max(low, near - NEAR), min(stop, near + NEAR))]
    # Those that were sent when the topic had fewer partitions lie in another one.
    places += [(at, *spans[at]) for at in sorted(range(len(spans)), key=lambda at: at != likely)]
    for partition, start, end in places:
        if start >= end:
            continue
        with closing(of_topic(settings, topic, partition, start, end, (run,))) as found:
            for record in (each.record for each in found):
                if isinstance(record, RawSpill | ReconstructedSpill) and record.spill == spill:
                    return record
                if time.monotonic() > until_s:
                    raise SpilldeckError(
                        f"spill {spill} of run {run} was not found within {longest_s:.0f} s: "
                        f"spilldeck spills get --run {run} --spill {spill} looks longer"
                    )
    return None


def _raw_of_topic(
    settings: Settings, topic: str, partition: int, start: int, stop: int, run: int
) -> Generator[RawSpill, None, None]:
    with closing(of_topic(settings, topic, partition, start, stop, (run,))) as found:
        for one in found:
            if isinstance(one.record, RawSpill):
                yield one.record
