"""The spills of a run as they reconstruct today, from Kafka or from an archive."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ops.replay.checksum import check_archive
from ops.replay.origins import archive_spans, taken
from schemas.records import ReconstructedSpill
from streams.books.plan import Origin, Plan
from streams.conditions.store import ConditionsStore
from streams.settings import Settings
from streams.transform import Message, transform


def archived(run: int, archive: Path) -> Plan:
    """Return the plan to read a run from an archive, or from a file of the DAQ; it needs no server.

    Raises
    ------
    UsageError
        When it is of another run, or not what its checksum says.
    """
    check_archive(archive)
    plan = Plan(session="", runs=(run,), origin=Origin.ARCHIVE, archive=str(archive), spans=(), began_s=0.0)
    return replace(plan, spans=archive_spans(archive, plan.runs, 1))


def spills_again(settings: Settings, plan: Plan, run: int) -> Iterator[ReconstructedSpill]:
    """Yield each spill of a run that is not rejected as it is made today, the first of a number alone.

    Raises
    ------
    SpilldeckError
        When Kafka does not answer, or the archive has changed.
    """
    conditions = ConditionsStore.from_settings(settings)
    seen: set[int] = set()
    for partition, (first, _) in enumerate(plan.spans):
        for message in taken(settings, plan, partition, first, lambda _offset: None):
            if message.record.run != run:
                continue
            place = Message(
                partition=partition,
                offset=message.offset,
                start=message.offset,
                produced_ms=message.produced_ms,
                value=message.value,
            )
            record = transform(place, conditions.for_run).record
            if isinstance(record, ReconstructedSpill) and record.rejection is None and record.spill not in seen:
                seen.add(record.spill)
                yield record
