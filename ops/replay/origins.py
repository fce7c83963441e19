"""The messages of one partition that a replay takes: those of its runs, in their order, with where they lay."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from confluent_kafka import Consumer, Message

from schemas.known import OtherTablesError, WireError
from schemas.records import RawSpill, ReconstructedSpill, RunControl
from schemas.wire import decode, encode
from streams.books.replays import Origin, Plan
from streams.daq.archive_file import contents_of, is_archive, read_messages
from streams.daq.archive_source import record_of
from streams.daq.producer import partition_of
from streams.daq.sources import read_source
from streams.errors import ServerError, SpilldeckError, UsageError
from streams.experiment import experiment
from streams.kafka import Spans, asking, messages, span, topic_spans
from streams.kept_schemas import KeptSchemas
from streams.settings import Settings
from streams.topics import Topics
from streams.transform import raw_offset_of

Span = tuple[int, int]
"""Of a partition: the first offset that is read, and the first that is not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A message of a run that is replayed."""

    offset: int
    produced_ms: int
    raw_offset: int | None = None
    """Offset in ``spills.raw`` of what a message of ``spills.reco`` was made of."""
    record: RawSpill | RunControl | ReconstructedSpill = field(repr=False)
    value: bytes = field(repr=False)


def topic_of(settings: Settings, origin: Origin) -> str:
    """Return the topic that the spills come from."""
    topics = Topics.of(settings)
    return topics.reco if origin is Origin.RECO else topics.raw


def archive_spans(archive: Path, runs: tuple[int, ...], partitions: int) -> Spans:
    """Return what an archive has of each partition; a file of the DAQ is spread over so many.

    Raises
    ------
    UsageError
        When it is of another run.
    """
    if not is_archive(archive):
        return _daq_file_spans(archive, partitions)
    contents = contents_of(archive)
    for run in runs:
        if run != contents.run:
            raise UsageError(f"run {run} is not in {archive}: it is the archive of run {contents.run}")
    parts = (contents.parts.get(partition) for partition in range(max(contents.parts, default=-1) + 1))
    return tuple((part.first, part.last + 1) if part is not None else (0, 0) for part in parts)


def _daq_file_spans(archive: Path, partitions: int) -> Spans:
    """Return how many messages each partition would have of a file of the DAQ; reads it once."""
    counts = [0] * partitions
    for record in read_source(archive):
        for partition in _partitions_of(record, partitions):
            counts[partition] += 1
    return tuple((0, count) for count in counts)


def taken(
    settings: Settings, plan: Plan, partition: int, start: int, on_read: Callable[[int], None]
) -> Generator[Taken, None, None]:
    """Yield the messages of a plan's runs in one partition, from an offset on; `on_read` hears of every offset read.

    Raises
    ------
    SpilldeckError
        When Kafka no longer has what it had when the replay began, or does not answer.
    """
    stop = plan.spans[partition][1]
    if plan.origin is Origin.ARCHIVE:
        archive = Path(plan.archive)
        of_archive = _of_archive if is_archive(archive) else _of_daq_file
        yield from of_archive(archive, plan, partition, start, on_read)
        return
    if plan.origin is Origin.RECO:
        yield from _as_in_raw(settings, plan, partition, start, on_read)
        return
    yield from of_topic(settings, topic_of(settings, plan.origin), partition, start, stop, plan.runs, on_read)


def _as_in_raw(
    settings: Settings, plan: Plan, partition: int, start: int, on_read: Callable[[int], None]
) -> Iterator[Taken]:
    """Yield what was reconstructed at the offsets in ``spills.raw`` that it was made of, each once."""
    topic, at = topic_of(settings, Origin.RECO), start
    for one in of_topic(settings, topic, partition, *topic_spans(settings, topic)[partition], plan.runs):
        # What was reconstructed again after a restart comes again.
        if one.raw_offset is not None and at <= one.raw_offset < plan.spans[partition][1]:
            on_read(one.raw_offset)
            at = one.raw_offset + 1
            yield replace(one, offset=one.raw_offset)


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


def _of_archive(
    archive: Path, plan: Plan, partition: int, start: int, on_read: Callable[[int], None]
) -> Iterator[Taken]:
    if archive_spans(archive, plan.runs, len(plan.spans)) != plan.spans:
        raise _changed(archive)
    for message in read_messages(archive, partition):
        if message.offset >= start:
            on_read(message.offset)
            record = record_of(message, archive.name)
            if record.run in plan.runs:
                yield Taken(offset=message.offset, produced_ms=message.time_ms, record=record, value=message.value)


def _of_daq_file(
    archive: Path, plan: Plan, partition: int, start: int, on_read: Callable[[int], None]
) -> Iterator[Taken]:
    offset = 0
    for record in read_source(archive):
        if partition not in _partitions_of(record, len(plan.spans)):
            continue
        if offset >= start:
            on_read(offset)
            if record.run in plan.runs:
                yield Taken(offset=offset, produced_ms=0, record=record, value=encode(record))
        offset += 1
    if offset != plan.spans[partition][1]:
        raise _changed(archive)


def _changed(archive: Path) -> ServerError:
    return ServerError(f"{archive} has changed since the replay began: drop the replay and begin again")


def _partitions_of(record: RawSpill | RunControl, partitions: int) -> range | list[int]:
    """Return where the producer would send a record."""
    return range(partitions) if isinstance(record, RunControl) else [partition_of(record.spill, partitions)]
