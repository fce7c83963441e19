"""The state of a run: one pure function of where it is and what the DAQ said, of the other runs, and of the clock."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate

from schemas.records import NO_RUN, RunRecord, RunState
from streams.books.layout import Place
from streams.books.reader import BookReader
from streams.books.totals import Totals
from streams.freshness import DAQ_SILENT_S


def state(place: Place, others: Iterable[Place], now_s: float) -> RunState:
    """Return the state of a run.

    Parameters
    ----------
    place
        Of the run, summed over the partitions.
    others
        Of all runs; the run itself may be among them.
    now_s
        Seconds since 1970 UTC.
    """
    return _state(place, lambda its: _Begins(others).one_after(its), now_s)


class _Begins:
    """When runs began and had their newest message: whether one of them came after another is asked of many."""

    def __init__(self, places: Iterable[Place]) -> None:
        ordered = sorted((place.began_us, place.produced_ms) for place in places)
        self._began_us = [began_us for began_us, _ in ordered]
        newest_first = accumulate((produced_ms for _, produced_ms in reversed(ordered)), max, initial=0)
        self._newest_ms = [*newest_first][::-1]
        """Of all runs that began then or later; 0 at the end, where none did."""

    def one_after(self, place: Place) -> bool:
        """Say whether a run began when this one had its last message, by their own times and by those of Kafka."""
        later = bisect_right(self._began_us, end_us(place))
        return end_us(place) > 0 and self._newest_ms[later] > place.produced_ms


def _state(place: Place, one_began_after: Callable[[Place], bool], now_s: float) -> RunState:
    silent = now_s - place.produced_ms / 1000 > DAQ_SILENT_S
    if place.ended:
        is_late = place.produced_ms > place.ended_ms
        return RunState.REOPENED if is_late and not silent else RunState.ENDED
    if silent or one_began_after(place):
        return RunState.ENDED_WITHOUT_ITS_END
    return RunState.RUNNING if place.received else RunState.ANNOUNCED


def end_us(place: Place) -> int:
    """Return when a run ended so far, microseconds: as the DAQ said, else its last spill or its beginning."""
    return place.ended_us or place.last_us or place.began_us


def record(run: int, totals: Totals, place: Place, run_state: RunState, products: Sequence[str] = ()) -> RunRecord:
    """Return what is known of a run."""
    return RunRecord(
        run=run,
        run_type=totals.run_type,
        state=run_state,
        began_us=place.began_us,
        ended_us=end_us(place),
        first_spill_us=totals.first_us,
        last_spill_us=totals.last_us,
        last_spill=totals.last_spill,
        spills=totals.filled,
        particle_triggers=totals.triggers,
        received=totals.received,
        duplicates=totals.duplicates,
        out_of_order=totals.out_of_order,
        rejected=dict(totals.rejected),
        errors=dict(totals.errors),
        late_spills=totals.has_late_spills,
        code=sorted(totals.code),
        conditions=sorted(totals.conditions),
        products=[*products],
        log=place.log,
        firsts=_by_partition(totals.first_raw),
        lasts=_by_partition(totals.last_raw),
    )


def states(places: Mapping[int, Place], now_s: float) -> dict[int, RunState]:
    """Return the state of every run, by its number."""
    one_began_after = _Begins(places.values()).one_after
    return {run: _state(place, one_began_after, now_s) for run, place in places.items()}


def records(books: BookReader, products: Mapping[int, Sequence[str]], now_s: float) -> list[RunRecord]:
    """Return what is known of all runs, by number; `products` are the files of those that have some."""
    places = books.places()
    its, totals = states(places, now_s), books.runs()
    return [
        record(run, totals[run], places[run], its[run], products.get(run, ()))
        for run in places
        if run in totals and run != NO_RUN
    ]


def _by_partition(offsets: Mapping[int, int]) -> dict[str, int]:
    return {str(partition): offset for partition, offset in sorted(offsets.items())}
