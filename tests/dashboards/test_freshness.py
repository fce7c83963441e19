"""Every sentence and every threshold of freshness."""

from typing import Any

import pytest

from streams.freshness import (
    CLOCK_AHEAD_S,
    CLOCK_BEHIND_S,
    DAQ_LATE_S,
    DAQ_SILENT_S,
    PIPELINE_LATE_S,
    PIPELINE_STUCK_S,
    Freshness,
    Level,
    Observed,
    alarms,
    daq,
    pipeline,
    span,
)

NOW = 1_700_000_000.0


def seen(**changes: Any) -> Observed:
    return Observed(now_s=NOW, **changes)


def fresh(level: Level, text: str) -> Freshness:
    return Freshness(level=level, text=text)


@pytest.mark.parametrize(
    ("age_s", "expected"),
    [
        (0, fresh(Level.GOOD, "Last spill 0 s ago")),
        (DAQ_LATE_S, fresh(Level.GOOD, "Last spill 10 s ago")),
        (DAQ_LATE_S + 4, fresh(Level.WARNING, "No spills for 14 s: DAQ or beam")),
        (DAQ_SILENT_S, fresh(Level.WARNING, "No spills for 60 s: DAQ or beam")),
        (DAQ_SILENT_S + 1, fresh(Level.BAD, "No spills for 61 s: DAQ or beam")),
    ],
)
def test_the_daq_is_late_then_silent(age_s: float, expected: Freshness) -> None:
    assert daq(seen(produced_s=NOW - age_s)) == expected
    # A spill that is in Kafka and in no book yet came from the DAQ all the same.
    assert daq(seen(produced_s=NOW - 500, raw_moved_s=NOW - age_s)) == expected


def test_before_the_first_spill_the_daq_is_waited_for() -> None:
    assert daq(seen()) == fresh(Level.IDLE, "No spill yet: waiting for the DAQ")
    assert daq(seen(behind=3)).level is Level.UNKNOWN
    assert "came before this page looked" in daq(seen(behind=3)).text


def test_a_run_that_has_only_begun_waits_for_its_first_spill() -> None:
    said = fresh(Level.IDLE, "Run started 20 s ago: waiting for its first spill")
    assert daq(seen(produced_s=NOW - 20, run_waits=True)) == said
    assert daq(seen(produced_s=NOW - DAQ_SILENT_S - 1, run_waits=True)).level is Level.WARNING


def test_silence_after_the_end_of_a_run_is_no_fault() -> None:
    assert daq(seen(produced_s=NOW - 7200, run_ended=True)) == fresh(
        Level.IDLE, "Run ended, nothing more for 2 h 0 min"
    )
    # What came since, and waits, may be of the next run: that nothing more came is not known.
    assert daq(seen(produced_s=NOW - 9, run_ended=True, behind=68)) == fresh(
        Level.UNKNOWN, "Run ended; what came 9 s ago is not processed yet"
    )


def test_a_broker_that_is_away_is_worded_differently_from_a_silent_daq() -> None:
    lost = seen(produced_s=NOW - 100, kafka_lost_s=NOW - 8)
    assert daq(lost) == fresh(Level.UNKNOWN, "Kafka does not answer: spills unknown")
    assert pipeline(lost) == fresh(Level.UNKNOWN, "Kafka does not answer: lag unknown")


def test_a_clock_that_is_ahead_is_told_and_never_green() -> None:
    said = fresh(Level.WARNING, "Clock ahead by 3 s: times of spills are not ours")
    assert daq(seen(produced_s=NOW + 3)) == said
    assert daq(seen(produced_s=NOW + 3, raw_moved_s=NOW - 1)) == said
    assert daq(seen(produced_s=NOW + CLOCK_AHEAD_S)).level is Level.GOOD


def test_a_clock_that_is_behind_is_told_once_the_books_have_what_came() -> None:
    said = fresh(Level.WARNING, "Clock behind by 90 s or more: times of spills are not ours")
    assert daq(seen(produced_s=NOW - 91, raw_moved_s=NOW - 1, caught_up=True)) == said
    # What came is on its way still, comes at last after a long silence, or is too little to tell.
    assert daq(seen(produced_s=NOW - 91, raw_moved_s=NOW - 1)).level is Level.GOOD
    assert daq(seen(produced_s=NOW - 1 - CLOCK_BEHIND_S, raw_moved_s=NOW - 1, caught_up=True)).level is Level.GOOD
    assert daq(seen(produced_s=NOW - 500, raw_moved_s=NOW - 90, caught_up=True)).level is Level.BAD


def test_a_clock_that_is_ahead_does_not_hide_that_the_daq_is_silent() -> None:
    silent = seen(produced_s=NOW + 3600, raw_moved_s=NOW - 90)
    assert daq(silent) == fresh(Level.BAD, "No spills for 90 s: DAQ or beam")


def test_a_store_that_is_away_leaves_nobody_knowing_what_is_processed() -> None:
    lost = seen(produced_s=NOW - 100, raw_moved_s=NOW - 2, store_lost_s=NOW - 8)
    assert pipeline(lost) == fresh(Level.UNKNOWN, "Redis does not answer: lag unknown")
    # Kafka tells still that spills come.
    assert daq(lost) == fresh(Level.GOOD, "Last spill 2 s ago")


@pytest.mark.parametrize(
    ("behind", "for_s", "expected"),
    [
        (0, 0, fresh(Level.GOOD, "All spills processed")),
        (1, 1, fresh(Level.GOOD, "Processing 1 spill")),
        (1200, PIPELINE_LATE_S, fresh(Level.GOOD, "Processing 1,200 spills")),
        (3, PIPELINE_LATE_S + 1, fresh(Level.WARNING, "Processing 6 s behind (3 spills): workers")),
        (3, PIPELINE_STUCK_S, fresh(Level.WARNING, "Processing 30 s behind (3 spills): workers")),
        (1, PIPELINE_STUCK_S + 1, fresh(Level.BAD, "Processing 31 s behind (1 spill): workers")),
    ],
)
def test_the_workers_are_late_then_stuck(behind: int, for_s: float, expected: Freshness) -> None:
    assert pipeline(seen(produced_s=NOW, behind=behind, behind_since_s=NOW - for_s)) == expected


def test_41_before_the_first_spill_the_workers_are_not_said_to_be_well() -> None:
    assert pipeline(seen()) == fresh(Level.IDLE, "Nothing to process yet")


def test_that_nothing_is_an_alarm_says_something_only_while_somebody_watches() -> None:
    assert alarms(seen()) == fresh(Level.WARNING, "Nobody watches: no alarm is raised")
    assert alarms(seen(watchers=1, watched_s=NOW)) == fresh(Level.GOOD, "Watched")
    assert alarms(seen(watchers=2, watched_s=NOW)) == fresh(Level.GOOD, "Watched by 2")
    silent = "Watcher silent since 14 Nov 22:12:20 UTC: no alarm is raised"
    assert alarms(seen(watched_s=NOW - 60)) == fresh(Level.BAD, silent)


def test_whoever_watches_raises_nothing_while_a_server_is_away() -> None:
    unknown = fresh(Level.UNKNOWN, "Redis does not answer: nobody knows who watches for alarms")
    assert alarms(seen(watchers=1, watched_s=NOW, store_lost_s=NOW - 8, kafka_lost_s=NOW - 8)) == unknown
    away = fresh(Level.WARNING, "Kafka does not answer: no alarm can be raised until it does")
    assert alarms(seen(watchers=1, watched_s=NOW, kafka_lost_s=NOW - 8)) == away


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0 s"),
        (0.9, "0 s"),
        (119.9, "119 s"),
        (120, "2 min"),
        (7199, "119 min"),
        (7200, "2 h 0 min"),
        (9000, "2 h 30 min"),
        (172_799, "47 h 59 min"),
        (172_800, "2 days"),
    ],
)
def test_a_length_of_time_is_said_as_a_person_says_it(seconds: float, said: str) -> None:
    assert span(seconds) == said


def test_that_runs_are_being_made_again_is_said_where_all_else_is_processed() -> None:
    said = "Making {} again from Kafka"
    assert pipeline(seen(produced_s=NOW, made_again=1)) == fresh(Level.WARNING, said.format("1 run"))
    assert pipeline(seen(produced_s=NOW, made_again=1980)) == fresh(Level.WARNING, said.format("1,980 runs"))
    assert pipeline(seen(produced_s=NOW, made_again=2, behind=1, behind_since_s=NOW)).text == "Processing 1 spill"
