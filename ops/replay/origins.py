"""The messages of one partition that a replay takes: those of its runs, in their order, with where they lay."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path

from schemas.records import RawSpill, RunControl
from schemas.wire import encode
from streams.books.replays import Origin, Plan
from streams.books.topic_spills import Taken, of_topic
from streams.daq.archive_file import contents_of, is_archive, read_messages
from streams.daq.archive_source import record_of
from streams.daq.sources import read_source
from streams.errors import ServerError, UsageError
from streams.kafka import Spans, topic_spans
from streams.settings import Settings
from streams.topics import Topics, partition_of

Span = tuple[int, int]
"""Of a partition: the first offset that is read, and the first that is not."""


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
