"""Files to spills.raw, with a journal of what is acknowledged, so that a producer that died goes on behind it."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from math import inf
from pathlib import Path

from confluent_kafka import Consumer

from ops.console import complain
from ops.inputs import Inputs, paced
from schemas.known import WireError
from schemas.records import RawSpill, RunControl
from schemas.wire import decode
from streams import metrics
from streams.daq.archive_file import begins_archive
from streams.daq.journal import FollowedName, Journal, Position, StoredFirsts, behind
from streams.daq.producer import SpillProducer
from streams.daq.source import Source
from streams.daq.sources import follow, read_opened
from streams.errors import UsageError
from streams.freshness import PIPELINE_LATE_S
from streams.health.state import Health
from streams.kafka import Spans, asking, messages, spans
from streams.metrics import Part, Value
from streams.settings import Settings
from streams.topics import Topics
from streams.words import several

WRITE_S = 0.5
"""Time between two writes of the journal."""

Record = RawSpill | RunControl


class Production:
    """Sends sources, one after the other.

    Parameters
    ----------
    settings
        Brokers, topics, where the journals are.
    on_acknowledged
        Called with each record that is acknowledged.
    on_waiting
        See `SpillProducer`.
    run_type
        What the runs are for, if whoever sends them says so: the DAQ's files do not.

    Attributes
    ----------
    spills
        How many are acknowledged.
    """

    def __init__(
        self,
        settings: Settings,
        on_acknowledged: Callable[[Record], None],
        on_waiting: Callable[[float, int], None],
        run_type: str = "",
    ) -> None:
        self.spills = 0
        self._run_type = run_type
        self._settings = settings
        self._topic = Topics.of(settings).raw
        self._on_acknowledged = on_acknowledged
        self._producer = SpillProducer(settings, self._acknowledged, on_waiting)
        self.health = Health(
            Part.PRODUCER,
            settings,
            faults=self._faults,
            does=lambda: f"{several(self.spills, 'spill')} acknowledged",
            figures=self._figures,
            live_s=inf,  # it waits for its source
        )
        self._journal: Journal | None = None
        self._firsts = StoredFirsts(settings.producer.journals)
        self._written_s = 0.0

    def _faults(self) -> Iterator[str]:
        if (seconds := self._producer.stands_s) > PIPELINE_LATE_S:
            yield f"Kafka has acknowledged nothing for {seconds:.0f} s"

    def _figures(self) -> Iterator[Value]:
        messages, size = self._producer.waiting
        yield Value(metrics.PRODUCER_WAITING, messages)
        yield Value(metrics.PRODUCER_WAITING_BYTES, size)

    def play(self, inputs: Inputs, *, resume: bool, rate: float | None, as_recorded: bool) -> None:
        """Send what sources hold."""
        inputs.firsts = self._firsts.known

        def records() -> Iterator[Record]:
            for source in inputs.opened():
                yield from self._journalled(source, inputs.records_of(source), resume=resume)

        for record in paced(records(), rate, as_recorded=as_recorded):
            self._send(record)
        self._finish()

    def follow(self, file: Path, *, resume: bool) -> None:
        """Send what a file holds and will hold, until somebody interrupts.

        When another file has its name, the former is sent to its end, and then the new one: from its first byte, or,
        if it begins as one that was followed, behind what was sent of that. So it is when a link has moved before
        somebody resumes.
        """
        name, followed = FollowedName(self._settings.producer.journals, file), set[Path]()
        with suppress(KeyboardInterrupt):
            if resume and (former := name.former()) is not None and not former.samefile(file):
                complain(f"{file} is another file now: what is left of the former one, {former}, is sent first")
                with Source(former) as source:
                    for record in self._journalled(source, read_opened(source, self._firsts.known), resume=True):
                        self._send(record)
            while True:
                with Source(file) as source:
                    known = resume or source.place in followed
                    followed.add(source.place)
                    name.keep(source.place)
                    for record in self._journalled(
                        source, follow(source, self._firsts.known, self._hear), resume=known
                    ):
                        self._send(record)
                complain(f"{file} is another file now: the former one was read to its end, byte {source.at}")
        self._finish()

    def _journalled(self, source: Source, records: Iterator[Record], *, resume: bool) -> Iterator[Record]:
        """Yield the records that are still to be sent, with their journal in place.

        An archive has none: its records lay in sources of their own, not one behind the other in this file. Nor has a
        pipe, which is there once.
        """
        self._finish()
        if begins_archive(source.head) or not source.is_file:
            if resume:
                what = "the archive of a run" if source.is_file else "a pipe"
                raise UsageError(f"{source.path} is {what}: it is produced from its begin, without --resume")
            self._journal = None
            return records
        journal = Journal(self._settings.producer.journals, source, self._topic)
        there: list[Record] = []
        with asking(self._settings) as consumer:
            now = spans(consumer, self._topic)
            if resume and journal.load():
                there = list(self._sent_before(consumer, source.name, journal.position, now))
            else:
                journal.position.offsets = {partition: end for partition, (_, end) in enumerate(now)}
        if journal.former is not None:
            complain(
                f"{source.path} is another file than the one that was sent up to byte {journal.former}: this one is "
                f"sent from its first byte, and of the former what was not sent is to be produced under its new name"
            )
        began = (record for record in there if isinstance(record, RunControl) and record.partitions)
        journal.position.partitions |= {record.run: record.partitions for record in began}
        self._producer.partitions |= journal.position.partitions
        self._journal = journal
        self._write()
        return behind(journal.position, records, there)

    def _sent_before(self, consumer: Consumer, source: str, position: Position, there: Spans) -> Iterator[Record]:
        """Yield the records of a source that are in Kafka behind a position: acknowledged, and not yet written down."""
        for partition, (low, end) in enumerate(there):
            # A partition that the journal does not know was added since: all that it has is behind the position.
            start = position.offsets.get(partition, low)
            for message in messages(consumer, self._topic, partition, start, end):
                with suppress(WireError):
                    record = decode(message.value() or b"")
                    if isinstance(record, RawSpill | RunControl) and record.source == source:
                        yield record

    def _send(self, record: Record) -> None:
        if isinstance(record, RunControl) and self._run_type:
            record = replace(record, run_type=self._run_type)
        self._firsts.keep(record.run)
        if self._journal is not None:
            self._journal.send(record)
        self._producer.send(record)
        if self._journal is not None:
            self._journal.position.partitions[record.run] = self._producer.partitions[record.run]
        if time.monotonic() - self._written_s > WRITE_S:
            self._write()

    def _acknowledged(self, record: Record, offsets: dict[int, int]) -> None:
        if isinstance(record, RawSpill):
            self.spills += 1
            metrics.PRODUCER_SPILLS.inc()
            metrics.PRODUCER_BYTES.inc(len(record.payload))
        if self._journal is not None:
            self._journal.acknowledge(record, offsets)
        self._on_acknowledged(record)

    def _hear(self) -> None:
        """Take what is acknowledged while nothing is sent."""
        acknowledged = self.spills
        self._producer.hear()
        if self.spills > acknowledged:
            self._write()

    def _finish(self) -> None:
        """Wait until all is acknowledged, and write that down."""
        self._producer.flush()
        self._write()

    def _write(self) -> None:
        self._written_s = time.monotonic()
        if self._journal is not None:
            self._journal.write()
