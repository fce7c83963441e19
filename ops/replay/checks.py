"""What a replay must know before it begins: whether its runs can be replayed, and where they lie in Kafka."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from redis import Redis

from ops.replay.checksum import check_archive
from ops.replay.origins import archive_spans, kafka_spans, of_topic, topic_of
from schemas.records import RawSpill, ReconstructedSpill, RunState
from streams.books.compare import few
from streams.books.layout import Place
from streams.books.reader import BookReader
from streams.books.registry import state
from streams.books.replays import Origin, Plan
from streams.books.totals import Totals
from streams.errors import SpilldeckError, UsageError
from streams.freshness import DAQ_SILENT_S, span
from streams.kafka import Spans
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
    known = live.places()
    totals = live.runs([run for run in runs if run in known])
    for run in totals:
        _refuse_a_running_run(run, known, plan.began_s)
    if archive is not None:
        check_archive(archive)
        spans = archive_spans(settings, archive)
    else:
        spans = kafka_spans(settings, topic_of(settings, origin))
        if origin is Origin.RAW:
            for run, its in totals.items():
                _refuse_what_is_gone(settings, live, run, its, spans)
            spans = _from_the_first(spans, totals, all_known=len(totals) == len(runs))
    return replace(plan, spans=spans, digests=digests)


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


def _refuse_a_running_run(run: int, known: Mapping[int, Place], now_s: float) -> None:
    """Refuse a run that may get more spills."""
    its = state(known[run], known.values(), now_s)
    if not its.is_over:
        ago = span(now_s - known[run].produced_ms / 1000)
        raise SpilldeckError(
            f"run {run} is {'still ' if its is RunState.RUNNING else ''}{its}, its newest message came {ago} ago: try "
            f"again when it has ended, or after {DAQ_SILENT_S:.0f} s of silence (spilldeck runs end ends one)"
        )


def check_can_be_replayed(settings: Settings, live: BookReader, run: int, spans: Spans) -> None:
    """Refuse a run that is still running, or that these spans of ``spills.raw`` do not hold whole.

    Raises
    ------
    SpilldeckError
        Says what is wrong.
    """
    known = live.places()
    if run in known:
        _refuse_a_running_run(run, known, time.time())
        _refuse_what_is_gone(settings, live, run, live.totals(run), spans)


def _from_the_first(spans: Spans, totals: Mapping[int, Totals], *, all_known: bool) -> Spans:
    """Return the spans without what lies before the first message of the runs, as far as that is known."""
    if not all_known:
        return spans
    firsts = [its.first_raw for its in totals.values()]
    return tuple(
        (max(low, min((its.get(partition, low) for its in firsts), default=low)), stop)
        for partition, (low, stop) in enumerate(spans)
    )


def _refuse_what_is_gone(settings: Settings, live: BookReader, run: int, totals: Totals, spans: Spans) -> None:
    """Refuse a run of which the live books have spills that Kafka no longer has."""
    if all(totals.first_raw.get(partition, 0) >= low for partition, (low, _) in enumerate(spans)):
        return
    ledger = live.run(run, {}).ledger.keys()
    gone = ledger - set(_spills_there(settings, run, spans))
    # A book of an older version does not know where its run begins: then what Kafka lacks may be older than the run.
    if not gone and not any(first < spans[partition][0] for partition, first in totals.first_raw.items()):
        return
    what = "all its spills are there, and other messages of it are gone (its start, duplicates, rejected spills)"
    if gone:
        what = f"{len(gone)} of its {len(ledger)} spills are gone: {few(gone)}"
    raise SpilldeckError(
        f"Kafka no longer holds run {run} whole: {what}; replay it from its archive if there is one (--archive FILE, "
        f"as spilldeck runs archive wrote it)"
    )


def _spills_there(settings: Settings, run: int, spans: Spans) -> Iterable[int]:
    topic = topic_of(settings, Origin.RAW)
    for partition, (low, stop) in enumerate(spans):
        for message in of_topic(settings, topic, partition, low, stop, (run,)):
            if isinstance(message.record, RawSpill | ReconstructedSpill):
                yield message.record.spill
