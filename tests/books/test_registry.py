"""The state of a run: of its totals, the other runs and the clock alone."""

import pytest

from schemas.records import ControlKind, ReconstructedSpill, RunControl, RunState
from streams.books.layout import Place
from streams.books.registry import record, state
from streams.books.run import RunPart
from streams.books.totals import Totals
from streams.freshness import DAQ_SILENT_S
from tests.records import outcome_of, reconstructed_spill

NOW_S = 1_800_000_000.0


def control(kind: ControlKind, time_us: int) -> RunControl:
    return RunControl(run=1, kind=kind, time_us=time_us, source="f", byte=0, events=2, run_type="physics")


def totals(what: str, ago_s: float, begin_us: int = 1_700_000_000_000_000) -> Totals:
    """Return the totals of a run: S its start, a spill for each dot, E its end, as they came."""
    found = RunPart()
    newest_ms = int((NOW_S - ago_s) * 1000)
    for number, one in enumerate(what):
        produced_ms = newest_ms - len(what) + 1 + number
        if one == ".":
            record: RunControl | ReconstructedSpill = reconstructed_spill(number, time_us=begin_us + number)
        else:
            record = control(ControlKind.START if one == "S" else ControlKind.END, begin_us + number)
        found.count([outcome_of(record, produced_ms=produced_ms)], {}, lambda _us: 0)
    return found.totals


def place(what: str, ago_s: float, begin_us: int = 1_700_000_000_000_000) -> Place:
    return Place.of(totals(what, ago_s, begin_us), 0, "a log")


@pytest.mark.parametrize(
    ("what", "ago_s", "expected"),
    [
        ("S", 1, RunState.ANNOUNCED),
        ("S", DAQ_SILENT_S + 1, RunState.ENDED_WITHOUT_ITS_END),
        ("S..", 1, RunState.RUNNING),
        ("..", DAQ_SILENT_S - 1, RunState.RUNNING),
        ("..", DAQ_SILENT_S + 1, RunState.ENDED_WITHOUT_ITS_END),
        ("S..E", 1, RunState.ENDED),
        ("S..E.", 1, RunState.REOPENED),
        ("S..E.", DAQ_SILENT_S + 1, RunState.ENDED),
        ("S..ES..E", 1, RunState.ENDED),
    ],
)
def test_the_state_of_a_run_by_what_came_and_how_long_ago(what: str, ago_s: float, expected: RunState) -> None:
    assert state(place(what, ago_s), [], NOW_S) is expected


def test_a_run_that_never_said_so_ends_when_another_begins() -> None:
    first, second = place("S..", 5), place("S.", 1, begin_us=1_700_000_000_000_100)
    both = [first, second]
    assert state(first, both, NOW_S) is RunState.ENDED_WITHOUT_ITS_END
    assert state(second, both, NOW_S) is RunState.RUNNING


def test_that_there_were_late_spills_is_in_the_record_for_ever() -> None:
    found = record(1, totals("S..E..", 1_000), place("S..E..", 1_000), RunState.ENDED)
    assert (found.late_spills, found.spills, found.run_type, found.state) == (True, 4, "physics", "ended")
