"""What is an alarm and no verdict: what lasts on the way of the spills, the first of it, and nothing that flaps."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from schemas.records import NO_RUN
from streams.books.advice import advice
from streams.books.alarming import Seen, due
from streams.books.alarms import Alarms, Priority
from streams.books.data_flow import CLEARS_S, HOLDS_S, DataFlow, Flow, unread
from streams.books.judgement import Judgement
from streams.books.plain_limits import TooMany
from streams.freshness import DAQ_SILENT_S, PIPELINE_STUCK_S, REFUSED_ALL, Observed
from tests.books.test_alarming import seen as seen_verdicts
from tests.books.test_alarms import cleared, raised, shelved
from tests.books.test_decisions import fold
from tests.dashboards.test_tiles import verdict

RUN = 6008
T = 1_700_000_000.0
BAD: dict[str, dict[str, Any]] = {
    "Redis": {"store_lost_s": T},
    "DAQ": {"silent_s": DAQ_SILENT_S + 1},
    "workers": {"behind": 7, "waits_s": PIPELINE_STUCK_S + 1},
    "spills rejected": {"refused": REFUSED_ALL, "refused_why": "rejected by framing, no magic"},
}
MISSING = TooMany(detector="", count=40, of=400, what="missing")
NO_TOF = TooMany(detector="tof", count=40, of=400, what="without tof")


def at(second: float, *, silent_s: float = 1.0, waits_s: float = 0.0, **what: Any) -> Flow:
    """Return what is seen some seconds after `T`; what is none of `Observed` is of the flow."""
    now = T + second
    of_flow = {name: what.pop(name) for name in ("run", "is_over", "too_many", "over") if name in what}
    seen = Observed(now_s=now, produced_s=now - silent_s, behind_since_s=now - waits_s, **what)
    return Flow(**{"session": "live", "observed": seen, "run": RUN, "last": 99} | of_flow)


def play(*looks: Flow) -> Alarms:
    """Return the alarms when this was seen, by two watchers; each knows what both have written before."""
    flows, decisions = (DataFlow(), DataFlow()), fold()
    for look in looks:
        for flow in flows:
            found = flow.due(look, decisions.alarms)
            at_us = round(look.observed.now_s * 1e6)
            written = [cleared(alarm.new, why) for alarm, why in found.cleared]
            decisions = fold(*written, *(raised(new, at_us) for new in found.raised), known=decisions)
    return decisions.alarms


def seconds(first: float, stop: float, **what: Any) -> list[Flow]:
    return [at(second, **what) for second in range(round(first), round(stop), 5)]


def told(its: Alarms) -> list[tuple[str, str | None]]:
    return [(each.new.of.removeprefix("data flow: "), each.cleared and each.cleared.reason) for each in its]


@pytest.mark.parametrize("name", BAD)
def test_what_lasts_is_an_alarm_once_and_is_cleared_when_it_has_been_over_for_longer(name: str) -> None:
    lasts = seconds(0, HOLDS_S + 60, **BAD[name])
    assert play(*seconds(0, HOLDS_S, **BAD[name])) == ()
    (alarm,) = play(*lasts)
    assert (told((alarm,)), alarm.new.run) == ([(name, None)], RUN if name in ("DAQ", "spills rejected") else NO_RUN)
    assert (alarm.new.priority, alarm.is_active) == (Priority.HIGH, True)
    assert all(advice(alarm.new))
    over = HOLDS_S + 60
    assert [each.is_active for each in play(*lasts, *seconds(over, over + CLEARS_S))] == [True]
    ((_, why),) = told(play(*lasts, *seconds(over, over + CLEARS_S + 10)))
    assert why is not None
    assert "again" in why


@pytest.mark.parametrize("name", BAD)
@hypothesis_settings(max_examples=25, deadline=None)
@given(turns=st.lists(st.tuples(st.booleans(), st.integers(1, 29)), max_size=12))
def test_nothing_that_comes_and_goes_within_its_times_flaps(name: str, turns: list[tuple[bool, int]]) -> None:
    second, looks = 0, seconds(0, HOLDS_S + 10, **BAD[name])
    for is_bad, lasts in turns:
        looks += [at(HOLDS_S + 10 + second + each, **(BAD[name] if is_bad else {})) for each in range(0, lasts, 5)]
        second += lasts
    its = play(*looks)
    # Only what was over for `CLEARS_S` in one is cleared, and only what is wrong for `HOLDS_S` after it is another one.
    assert len(its) <= 1 + second // (HOLDS_S + CLEARS_S)


def test_a_spill_every_other_minute_does_not_end_a_silence() -> None:
    every = [at(second, silent_s=second % 100) for second in range(0, 1800, 5)]
    assert told(play(*every)) == [("DAQ", None)]


def test_what_comes_first_on_the_way_masks_what_follows() -> None:
    both = {**BAD["DAQ"], **BAD["workers"], "too_many": [MISSING]}
    assert [name for name, _ in told(play(*seconds(0, 60, **both)))] == ["DAQ"]
    assert [name for name, _ in told(play(*seconds(0, 60, **both | BAD["Redis"])))] == ["Redis"]
    # When spills come again, what is left is told.
    later = {**BAD["workers"], "too_many": [MISSING]}
    names = [name for name, _ in told(play(*seconds(0, 60, **both), *seconds(60, 120, **later)))]
    assert names == ["DAQ", "workers"]
    many = {"too_many": [MISSING, NO_TOF]}
    assert {name for name, _ in told(play(*seconds(0, 60, **many)))} == {"spills missing", "spills without tof"}


def test_what_nobody_knows_raises_and_clears_nothing() -> None:
    lasts = seconds(0, 60, **BAD["workers"])
    for unknown in ({"store_lost_s": T}, {"kafka_lost_s": T}, {}):
        its = play(*lasts, *seconds(60, 60 + HOLDS_S - 5, **BAD["workers"] | unknown))
        assert told(its) == [("workers", None)]
    # It is over as soon as somebody knows that it is.
    assert told(play(*lasts, *seconds(60, 600, kafka_lost_s=T + 60)))[0] == ("workers", None)
    missing = seconds(0, 60, too_many=[MISSING])
    assert told(play(*missing, *seconds(60, 600, too_many=None))) == [("spills missing", None)]
    within = "within the limits again"
    assert told(play(*missing, *seconds(60, 600))) == [("spills missing", within)]


def test_what_was_not_known_in_between_does_not_last() -> None:
    bad, unknown = BAD["workers"], {"kafka_lost_s": T + 20}
    looks = [*seconds(0, 20, **bad), *seconds(20, 40, **unknown), *seconds(40, 40 + HOLDS_S, **bad)]
    assert play(*looks) == ()
    assert told(play(*looks, at(40 + HOLDS_S, **bad))) == [("workers", None)]
    over = [
        *seconds(0, 60, **bad),
        *seconds(60, 120),
        *seconds(120, 140, kafka_lost_s=T + 120),
        *seconds(140, 140 + CLEARS_S),
    ]
    assert told(play(*over)) == [("workers", None)]


def test_what_another_watcher_has_raised_and_cleared_is_not_raised_again_by_who_sees_it_later() -> None:
    late = DataFlow()
    late.due(at(0, **BAD["DAQ"]), ())
    its = play(*seconds(0, 60, **BAD["DAQ"]), *seconds(60, 200))
    assert told(its) == [("DAQ", "spills come again")]
    assert late.due(at(200, **BAD["DAQ"]), its).raised == ()
    # When it begins anew it is another one.
    assert late.due(at(210), its).raised == ()
    assert late.due(at(215, **BAD["DAQ"]), its).raised == ()
    (new,) = late.due(at(215 + HOLDS_S, **BAD["DAQ"]), its).raised
    assert (new.again, new.id != its[0].id) == (1, True)


def test_a_kafka_that_was_away_is_told_when_it_is_back_and_what_is_short_is_not() -> None:
    away = seconds(0, 45, kafka_lost_s=T)
    assert play(*away) == ()
    (alarm,) = play(*away, *seconds(45, 60))
    assert alarm.new.words == "Kafka did not answer for 45 s, until 14 Nov 22:14:05 UTC"
    assert told(play(*away, *seconds(45, 300))) == [("Kafka", "Kafka answers again")]
    assert play(*seconds(0, HOLDS_S - 5, kafka_lost_s=T), *seconds(HOLDS_S - 5, 60)) == ()


def test_of_a_run_that_is_over_nothing_stays_an_alarm() -> None:
    silent = seconds(0, 60, **BAD["DAQ"])
    for over in (at(61, is_over=True, **BAD["DAQ"]), at(61, run=RUN + 1, over={RUN})):
        assert told(play(*silent, over)) == [("DAQ", f"run {RUN} is over")]
    assert play(*seconds(0, 600, is_over=True, **BAD["DAQ"])) == ()
    assert play(*seconds(0, 600, run=None, **BAD["DAQ"])) == ()


def test_what_is_shelved_is_not_raised() -> None:
    (alarm,) = play(*seconds(0, 60, **BAD["DAQ"]))
    its, flow = fold(raised(alarm.new), cleared(alarm.new), shelved(alarm.new, for_us=3600 * 10**6)), DataFlow()
    at_s = 1000.0 - T  # when `shelved` did it
    names = {second: bool(flow.due(at(at_s + second, **BAD["DAQ"]), its.alarms).raised) for second in (1, 41, 3601)}
    assert names == {1: False, 41: False, 3601: True}


def test_errors_of_the_raw_plots_are_told_of_once_with_their_detector() -> None:
    raw = TooMany(detector="", count=40, of=400, what="with errors of raw")
    board = TooMany(detector="tof", count=40, of=400, what="with errors of tof")
    assert [name for name, _ in told(play(*seconds(0, 60, too_many=[raw, board])))] == ["spills with errors of tof"]
    assert [name for name, _ in told(play(*seconds(0, 60, too_many=[raw])))] == ["spills with errors of raw"]


def test_a_detector_that_cannot_be_read_masks_its_channels_and_clears_their_alarms() -> None:
    silent = seen_verdicts(verdict())
    (new,) = due(silent, (), 10**9).raised
    masked = Seen(session="live", run=silent.run, is_over=False, judgement=silent.judgement, unread=unread([NO_TOF]))
    assert due(masked, (), 10**9).raised == ()
    ((_, why),) = due(masked, fold(raised(new)).alarms, 10**9).cleared
    assert why == "may follow from spills in which tof cannot be read"
    assert isinstance(masked.judgement, Judgement)
    # The checks do not clear what is no verdict, which they do not know.
    (alarm,) = play(*seconds(0, 60, **BAD["DAQ"]))
    assert due(Seen(session="live", run=RUN, is_over=True, judgement=silent.judgement), (alarm,), 10**9).cleared == ()
