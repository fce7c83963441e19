"""The state of a run: one pure function of its totals, those of the other runs, and the clock."""

from collections.abc import Mapping, Sequence

from schemas.records import NO_RUN, ControlKind, RunRecord, RunState
from streams.books.totals import Totals
from streams.freshness import DAQ_SILENT_S


def state(totals: Totals, others: Mapping[int, Totals], now_s: float) -> RunState:
    """Return the state of a run.

    Parameters
    ----------
    totals
        Of the run.
    others
        Of all runs; the run itself may be among them.
    now_s
        Seconds since 1970 UTC.
    """
    silent = now_s - totals.produced_ms / 1000 > DAQ_SILENT_S
    if totals.ended:
        return RunState.REOPENED if totals.has_late_spills and not silent else RunState.ENDED
    if silent or any(_began_after(other, totals) for other in others.values()):
        return RunState.ENDED_WITHOUT_ITS_END
    return RunState.RUNNING if totals.received else RunState.ANNOUNCED


def _began_after(other: Totals, totals: Totals) -> bool:
    """Say whether a run began when this one had its last message, by their own times and by those of Kafka."""
    return begin_us(other) > end_us(totals) and other.produced_ms > totals.produced_ms


def begin_us(totals: Totals) -> int:
    """Return when a run began, microseconds: as the DAQ said, else its first spill; 0 if unknown."""
    said = totals.control.get(ControlKind.START.value)
    return said.time_us if said is not None else totals.first_us


def end_us(totals: Totals) -> int:
    """Return when a run ended so far, microseconds: as the DAQ said, else its last spill or its beginning."""
    said = totals.control.get(ControlKind.END.value)
    return said.time_us if said is not None else totals.last_us or begin_us(totals)


def record(run: int, totals: Totals, run_state: RunState, products: Sequence[str] = ()) -> RunRecord:
    """Return what is known of a run."""
    return RunRecord(
        run=run,
        run_type=totals.run_type,
        state=run_state,
        began_us=begin_us(totals),
        ended_us=end_us(totals),
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
    )


def records(known: Mapping[int, Totals], products: Mapping[int, Sequence[str]], now_s: float) -> list[RunRecord]:
    """Return what is known of all runs, by number; `products` are the files of those that have some."""
    return [
        record(run, its, state(its, known, now_s), products.get(run, ())) for run, its in known.items() if run != NO_RUN
    ]
