"""What a replay must know before it begins: whether its runs can be replayed, and where they lie in Kafka."""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from redis import Redis

from ops.replay.checksum import check_archive
from ops.replay.origins import Span, archive_spans, topic_of
from schemas.records import RawSpill, ReconstructedSpill, RunState
from streams.books.compare import few
from streams.books.layout import Place
from streams.books.reader import BookReader
from streams.books.registry import state
from streams.books.replays import Origin, Plan
from streams.books.topic_spills import of_topic
from streams.books.totals import Totals
from streams.errors import SpilldeckError, UsageError
from streams.freshness import DAQ_SILENT_S, span
from streams.kafka import Spans, topic_partitions, topic_spans
from streams.settings import Settings


def make_plan(
    settings: Settings,
    redis: Redis,
    session: str,
    runs: Sequence[int],
    origin: Origin,
    archive: Path | None,
    conditions: Path | None = None,
) -> Plan:
    """Return what a replay of these runs is to do.

    Parameters
    ----------
    settings, redis
        Where live is.
    session
        Of the replay.
    runs
        Their numbers.
    origin, archive
        Where the spills come from.
    conditions
        Index of tables that go before those of the settings.

    Raises
    ------
    SpilldeckError
        When a run is still running, or Kafka no longer holds it whole, or the conditions cannot be read.
    """
    plan = Plan(
        session=session,
        runs=tuple(runs),
        origin=origin,
        archive=str(archive.resolve()) if archive is not None else "",
        spans=(),
        began_s=time.time(),
        conditions=str(conditions.resolve()) if conditions is not None else "",
    )
    digests = conditions_now(settings, plan)
    live = BookReader.of(redis, settings)
    if origin is Origin.ARCHIVE and archive is not None:
        known = live.places()
        for run in runs:
            if run in known:
                refuse_a_running_run(run, known, plan.began_s)
        check_archive(archive)
        spans = archive_spans(archive, plan.runs, topic_partitions(settings, topic_of(settings, Origin.RAW)))
    elif origin is Origin.RECO:
        spans = _where_they_were(live, plan)
    else:
        spans = where_they_lie(settings, live, plan.runs)
    return replace(plan, spans=spans, digests=digests)


def _where_they_were(live: BookReader, plan: Plan) -> Spans:
    """Return where in ``spills.raw`` was what is taken from ``spills.reco``, though it may be gone from there."""
    known, progress = live.places(), live.progress()
    for run in plan.runs:
        if run not in known:
            raise UsageError(f"run {run} is not in the books: spills.reco has nothing of it")
        refuse_a_running_run(run, known, plan.began_s)
    totals = live.runs(plan.runs).values()
    found = []
    for partition in range(max(progress, default=-1) + 1):
        firsts = [its.first_raw[partition] for its in totals if partition in its.first_raw]
        lasts = [its.last_raw[partition] for its in totals if partition in its.last_raw]
        found.append((min(firsts), max(lasts) + 1) if firsts else (0, 0))
    return tuple(found)


def conditions_now(settings: Settings, plan: Plan) -> dict[str, str]:
    """Return the hash of the conditions that each run of a plan would have now.

    Raises
    ------
    UsageError
        When they cannot be read, or the plan's own tables are not for one of its runs.
    """
    store = plan.store(settings)
    found = {}
    for run in plan.runs:
        if plan.conditions and not store.has_preferred(run):
            raise UsageError(f"{plan.conditions} has no table for run {run}")
        conditions = store.for_run(run)
        found[str(run)] = conditions.digest if conditions is not None else ""
    return found


def check_same_conditions(settings: Settings, plan: Plan) -> None:
    """Refuse to go on with a replay whose conditions are no longer those that it began with.

    Raises
    ------
    SpilldeckError
        Says of which run.
    """
    now = conditions_now(settings, plan)
    for run, digest in plan.digests.items():
        if now[run] != digest:
            raise SpilldeckError(
                f"the conditions of run {run} have changed since the replay {plan.name} began ({digest or 'none'}, now "
                f"{now[run] or 'none'}): drop it and begin again, or put the tables back"
            )


def refuse_a_running_run(run: int, known: Mapping[int, Place], now_s: float) -> None:
    """Refuse a run that may get more spills."""
    its = state(known[run], known.values(), now_s)
    if not its.is_over:
        ago = span(now_s - known[run].produced_ms / 1000)
        raise SpilldeckError(
            f"run {run} is {'still ' if its is RunState.RUNNING else ''}{its}, its newest message came {ago} ago: try "
            f"again when it has ended, or after {DAQ_SILENT_S:.0f} s of silence (spilldeck runs end ends one)"
        )


def where_they_lie(settings: Settings, live: BookReader, runs: Sequence[int]) -> Spans:
    """Return, by partition of ``spills.raw``, from where to where runs are to be read that have ended.

    Raises
    ------
    SpilldeckError
        When one of them is still running, or Kafka no longer holds it whole.
    """
    # In this order: what is counted of the topic's ends is in the totals then.
    spans = topic_spans(settings, topic_of(settings, Origin.RAW))
    counted = {partition: its.next for partition, its in live.progress().items()}
    known = live.places()
    totals = live.runs([run for run in runs if run in known])
    now_s = time.time()
    found = []
    for run in runs:
        if run not in totals:
            found.append(spans)
            continue
        refuse_a_running_run(run, known, now_s)
        its = tuple(
            _where_it_lies(totals[run], partition, there, counted.get(partition, 0))
            for partition, there in enumerate(spans)
        )
        _refuse_what_is_gone(settings, live, run, totals[run], spans, its)
        found.append(its)
    return tuple(map(_around, zip(*found, strict=True)))


def _where_it_lies(totals: Totals, partition: int, there: Span, counted: int) -> Span:
    """Return the part of what Kafka has of a partition in which messages of a run may be.

    Parameters
    ----------
    totals
        Of the run, those of all partitions.
    partition, there
        The partition, and what Kafka has of it.
    counted
        The first offset that is not in the books: from there on may be anything.
    """
    low, stop = there
    if not totals.first_raw:  # a book of an older version does not know where its run lies
        return there
    first, last = (known.get(partition) for known in (totals.first_raw, totals.last_raw))
    if counted < stop:
        start, end = counted if first is None else min(first, counted), stop
    elif first is None:
        start, end = low, low
    else:
        start, end = first, stop if last is None else last + 1
    return max(low, min(start, stop)), max(low, min(end, stop))


def _around(spans: Sequence[Span]) -> Span:
    """Return the least span that has these in it."""
    there = [(first, stop) for first, stop in spans if first < stop] or spans[:1]
    return min(first for first, _ in there), max(stop for _, stop in there)


def _refuse_what_is_gone(
    settings: Settings, live: BookReader, run: int, totals: Totals, spans: Spans, its: Spans
) -> None:
    """Refuse a run of which the live books have what Kafka no longer has.

    `spans` are what it has of the topic, and `its` where in them the run lies.
    """
    lacks = any(
        totals.first_raw.get(partition, low) < low or totals.last_raw.get(partition, -1) >= stop
        for partition, (low, stop) in enumerate(spans)
    )
    # A book of an older version does not know where its run begins: then what Kafka lacks may be older than the run.
    if not lacks and (totals.first_raw or not any(low for low, _ in spans)):
        return
    ledger = live.run(run, {}).ledger.keys()
    gone = ledger - set(_spills_there(settings, run, its))
    if gone or lacks:
        raise not_whole(run, ledger, gone)


def not_whole(run: int, ledger: Collection[int], gone: Collection[int]) -> SpilldeckError:
    """Return the words for a run of which Kafka no longer has all that is in its book.

    Parameters
    ----------
    run
        Its number.
    ledger, gone
        Its spills, and those of them that Kafka has not.
    """
    what = "all its spills are there, and other messages of it are gone (its start, duplicates, rejected spills)"
    if gone:
        what = f"{len(gone)} of its {len(ledger)} spills are gone: {few(gone)}"
    return SpilldeckError(
        f"Kafka no longer holds run {run} whole: {what}; replay it from its archive if there is one (--archive FILE, "
        f"as spilldeck runs archive wrote it)"
    )


def _spills_there(settings: Settings, run: int, spans: Spans) -> Iterable[int]:
    topic = topic_of(settings, Origin.RAW)
    for partition, (low, stop) in enumerate(spans):
        for message in of_topic(settings, topic, partition, low, stop, (run,)):
            if isinstance(message.record, RawSpill | ReconstructedSpill):
                yield message.record.spill
