"""What is current, missing and stale: one definition for the page, the commands, and whatever measures them.

Pure functions of where the runs are and of what was counted. Which run is being taken follows from the order in which
the runs came to Kafka, never from what the spills' clock says. Levels and sentences stand in `streams.freshness`.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from schemas.columns import I8
from schemas.records import NO_RUN
from streams.books.layout import Place
from streams.books.totals import Totals
from streams.freshness import DAQ_SILENT_S, REFUSED_OF_LAST, Observed

RATE_SPILLS = 20
"""Spills that the rate is measured over."""


class Refused(NamedTuple):
    """How it stands with the spills that come and do not count."""

    since_counted: int
    """Those that came after the last one in the book."""
    of_last: int
    """Of the last `REFUSED_OF_LAST` that came."""
    why: str
    """Of the one with the highest number."""


def current(places: Mapping[int, Place], came_ms: Mapping[int, int]) -> int | None:
    """Return the run that is being taken.

    It is the one that began to come last; if that has ended, the one of which something came after its last message,
    and which has not ended. `came_ms` says when each came, see `BookReader`.
    """
    runs = places.keys() - {NO_RUN}
    if not runs:
        return None
    newest = max(runs, key=lambda run: arrival(run, places[run], came_ms))
    if not places[newest].ended:
        return newest
    goes_on = [run for run in runs if not places[run].ended and _came_after(places[run], places[newest])]
    return max(goes_on, key=lambda run: places[run].produced_ms, default=newest)


def arrival(run: int, place: Place, came_ms: Mapping[int, int]) -> tuple[int, int]:
    """Return what orders the runs: when they came. Of what was made from a file nobody knows it."""
    return came_ms.get(run, 0) or place.began_us // 1000, run


def _came_after(one: Place, other: Place) -> bool:
    """Say whether something of one run came after all of another."""
    if (one.log, one.partitions) == (other.log, other.partitions):
        return one.last > other.last and one.produced_ms > other.produced_ms
    return one.produced_ms > other.produced_ms


def missing(totals: Totals, on_the_way: int = 0) -> int:
    """Return how many numbers below that of the last spill in the book neither count nor were rejected.

    Nor are they among the messages that are on their way: partitions run ahead of one another.
    """
    refused = sum(spill < totals.last_spill for spill in totals.refused)
    return max(totals.last_spill + 1 - totals.filled - refused - on_the_way, 0)


def refused(totals: Totals) -> Refused:
    """Return how it stands with the spills that come and do not count."""
    newest = totals.last_came - REFUSED_OF_LAST
    why = ""
    if totals.reasons:
        step, reason = totals.reasons[max(totals.reasons)]
        why = f"rejected by {step}, {reason.partition(': ')[0]}"
    return Refused(
        since_counted=sum(spill > totals.last_spill for spill in totals.refused),
        of_last=sum(spill > newest for spill in totals.refused),
        why=why,
    )


def observed(totals: Totals, place: Place | None, **servers: Any) -> Observed:
    """Return what is seen of the run that is being taken, and of the servers: what the badges follow from.

    Parameters
    ----------
    totals, place
        Of that run; of none, nothing and None.
    servers
        Fields of `Observed`.
    """
    its = refused(totals)
    return Observed(
        refused=its.since_counted,
        refused_of_last=its.of_last,
        refused_why=its.why,
        own_clock_s=own_clock_s(totals),
        run_waits=place is not None and not place.received,
        run_ended=place is not None and place.ended,
        **servers,
    )


def own_clock_s(totals: Totals) -> float:
    """Return the own time of the newest spill in the book less that at which it was produced; 0 if one is unknown."""
    if not totals.counted_ms or not totals.counted_us:
        return 0.0
    return totals.counted_us / 1e6 - totals.counted_ms / 1e3


def out_of_order(spill: I8, produced_ms: I8) -> I8:
    """Return the numbers of the spills that came after one with a higher number, wherever in Kafka that is.

    Parameters
    ----------
    spill, produced_ms
        (n,) the numbers of spills, in their order, and when each was produced.
    """
    if len(spill) < 2:
        return spill[:0]
    earliest_above = np.minimum.accumulate(produced_ms[::-1])[::-1][1:]
    return spill[:-1][produced_ms[:-1] > earliest_above]


def rate(time_us: I8, *, newest: int | None = None, waited_s: float = 0.0) -> float | None:
    """Return the spills a second of all or of the newest ones, by their own times; None if they do not tell.

    Parameters
    ----------
    time_us
        Of the spills, in any order.
    waited_s
        Since the last one came: a spill that is overdue lowers the rate, and of a silent DAQ it is 0.
    """
    if waited_s > DAQ_SILENT_S:
        return 0.0
    times = np.sort(time_us)[-newest if newest else None :]
    spills, seconds = len(times) - 1, (times[-1] - times[0]) / 1e6 if len(times) else 0.0
    if spills < 1 or not seconds:
        return None
    is_overdue = waited_s > seconds / spills
    return float((spills + 1) / (seconds + waited_s) if is_overdue else spills / seconds)


def not_read_out(totals: Totals) -> set[str]:
    """Return the detectors that are not in the run: no spill in the book has them."""
    return {detector for detector, spills in totals.absent.items() if spills == totals.filled}


def mixed(totals: Totals) -> tuple[str, str]:
    """Return of which versions of the code the spills of a run were made, and of which tables; empty where of one."""
    of = (("versions of the code", totals.code), ("sets of tables", totals.conditions))
    code, tables = (f"{what}: {', '.join(sorted(each or 'none' for each in its))}" * (len(its) > 1) for what, its in of)
    return code, tables


def lapses(totals: Totals) -> dict[str, int]:
    """Return the detectors that are in the run, but were not read out in some of its spills: in how many."""
    return {name: spills for name, spills in sorted(totals.absent.items()) if spills < totals.filled}
