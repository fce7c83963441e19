"""Whether a run that was made again equals live; and if not, the first spill that explains it."""

import hashlib
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from redis import Redis

from ops.replay.again import spills_again
from ops.replay.checks import make_plan
from ops.replay.origins import topic_of
from schemas.records import ReconstructedSpill
from streams import __version__
from streams.books.compare import Difference, compare
from streams.books.lag import behind
from streams.books.reader import BookReader
from streams.books.replays import Origin, Plan
from streams.books.topic_spills import of_topic
from streams.conditions.store import ConditionsStore
from streams.errors import SpilldeckError, UsageError
from streams.kafka import topic_spans
from streams.process import ranges_of
from streams.settings import Settings

CATCH_UP_S = 10.0
"""Live has taken what was in Kafka when the replay began within it, or is not at work."""

Digests = dict[str, bytes]
"""Detector → digest of its tables; of one that failed, of why."""


def plan_for(settings: Settings, redis: Redis, session: str, runs: Sequence[int], archive: Path | None) -> Plan:
    """Return the plan to make runs again that are compared with live.

    Raises
    ------
    SpilldeckError
        See `make_plan`; and when live does not know a run.
    """
    known = BookReader.of(redis, settings).places()
    for run in runs:
        if run not in known:
            raise UsageError(f"run {run} is not in the books of {settings.session}: there is nothing to compare with")
    origin = Origin.RAW if archive is None else Origin.ARCHIVE
    return make_plan(settings, redis, session, runs, origin, archive)


def other_origin(settings: Settings, redis: Redis, run: int) -> Iterator[str]:
    """Yield, a sentence each, what the book of a run stands on that is not of today."""
    totals = BookReader.of(redis, settings).totals(run)
    conditions = ConditionsStore.from_settings(settings).for_run(run)
    for what, then, now in (
        ("the code", totals.code, __version__),
        ("the conditions", totals.conditions, conditions.digest if conditions is not None else ""),
    ):
        if then and then != {now}:
            yield f"{what} of today ({now or 'none'}) is not what the book stands on: {', '.join(sorted(then))}"


def wait_for_live(settings: Settings, redis: Redis, plan: Plan) -> None:
    """Wait until live has taken all that the replay was made of.

    Raises
    ------
    SpilldeckError
        When it does not.
    """
    if plan.origin is Origin.ARCHIVE:
        return
    live = BookReader.of(redis, settings)
    deadline = time.monotonic() + CATCH_UP_S
    while (left := behind(plan.spans, live.progress())) or any(map(live.being_made_again, plan.runs)):
        if time.monotonic() > deadline:
            what = f"{left} messages behind" if left else "making them again"
            raise SpilldeckError(f"live is {what}: verify when it has caught up")
        time.sleep(0.2)


def compare_with_live(settings: Settings, redis: Redis, plan: Plan, run: int) -> list[Difference]:
    """Return in what the live book of a run and the one that was made again differ."""
    ranges = ranges_of(ConditionsStore.from_settings(settings).for_run(run))
    live, again = BookReader.of(redis, settings), BookReader.of(redis, settings, plan.session)
    return compare(live.run(run, ranges), again.run(run, ranges))


def first_explanation(settings: Settings, plan: Plan, run: int) -> str:
    """Say which spill of a run, the first by number, reconstructs to something else than it did live.

    Raises
    ------
    SpilldeckError
        When Kafka does not answer.
    """
    live = _reconstructed_live(settings, run)
    first: tuple[int, list[str]] | None = None
    compared = 0
    for record in spills_again(settings, plan, run):
        spill = record.spill
        if spill not in live or (first is not None and spill >= first[0]):
            continue
        compared += 1
        then, now = live[spill], digests(record)
        others = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
        if others:
            first = spill, others
    if first is not None:
        return f"the first spill that reconstructs to something else: {first[0]}, in {', '.join(first[1])}"
    if not compared:
        return f"which spill explains it is not known: {topic_of(settings, Origin.RECO)} no longer has any of the run"
    return (
        f"all {compared} spills reconstruct to what they did live: the spills are the same, and the stored book was "
        f"altered, or its plots are not those of today"
    )


def _reconstructed_live(settings: Settings, run: int) -> dict[int, Digests]:
    """Return what live made of each spill: of the message that counted, the first one."""
    topic = topic_of(settings, Origin.RECO)
    found: dict[int, Digests] = {}
    for partition, (low, stop) in enumerate(topic_spans(settings, topic)):
        for message in of_topic(settings, topic, partition, low, stop, (run,)):
            if isinstance(message.record, ReconstructedSpill) and message.record.rejection is None:
                found.setdefault(message.record.spill, digests(message.record))
    return found


def digests(spill: ReconstructedSpill) -> Digests:
    """Return what is the same for spills that were reconstructed to the same, by detector."""
    found = {name: _digest(why.encode()) for name, why in spill.errors.items()}
    for name, detector in spill.detectors.items():
        digest = hashlib.blake2b(digest_size=8)
        for table, columns in sorted(detector.tables().items()):
            digest.update(f"{table} {len(columns)}\n".encode())
            for column in columns.columns():
                digest.update(column.tobytes())
        found[name] = digest.digest()
    return found


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=8).digest()
