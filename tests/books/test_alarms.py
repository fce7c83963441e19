"""What becomes of alarms, whatever the checks and people do in which order."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Action, ActionKind
from streams.books import alarms
from streams.books.alarms import KEPT, REPEATS, Alarm, Alarms, Figures, New, Priority
from streams.books.decisions import Decisions
from tests.books.test_decisions import action, fold

RUN = 6008
S, DAY = 1_000_000, 86_400 * 1_000_000
RAISED_US = 1000 * S


def new(number: int = 1, **changes: Any) -> New:
    usual = New("live", RUN, f"near/PMT {number}/fewer", 40, 36, f"PMT {number} silent", "near", "", Priority.MEDIUM)
    return usual._replace(**changes)


def raised(its: New, at_us: int = RAISED_US) -> Action:
    return replace(action(ActionKind.RAISE_ALARM, its.id, after=its.to_json()), at_us=at_us, who="checks")


def cleared(its: New, reason: str = "over since spill 90") -> Action:
    return replace(action(ActionKind.CLEAR_ALARM, its.id), reason=reason, who="checks", at_us=RAISED_US + S)


def acknowledged(its: New, number: int = 1, who: str = "anna@here") -> Action:
    text = alarms.remark_text(f"remark-{number:04}")
    return replace(action(ActionKind.ACKNOWLEDGE_ALARM, its.id, after=text), who=who, at_us=RAISED_US + S)


def shelved(its: New, number: int = 1, for_us: int = 3600 * S, reason: str = "a known fault") -> Action:
    text = alarms.shelf_text(f"shelve-{number:04}", RAISED_US + for_us)
    done = action(ActionKind.SHELVE_ALARM, its.id, after=text)
    return replace(done, reason=reason, at_us=RAISED_US, who="anna@here")


def told(*its: Alarm, at_us: int = RAISED_US + S) -> Action:
    text = alarms.told_text(its)
    return replace(action(ActionKind.TELL_ALARM, alarms.telling_id(its), after=text), at_us=at_us)


def known(*actions: Action) -> Alarms:
    return fold(*actions).alarms


def test_two_who_decide_the_same_raise_one_alarm() -> None:
    assert new().id == new(words="as another version says it").id
    (one,) = known(raised(new()), raised(new()))
    assert one.new == new()
    # Nor does one who was told of it a spill later, as spills came late.
    assert len(known(raised(new()), raised(new(spill=41)))) == 1
    assert len(known(raised(new()), raised(new(2)), raised(new(run=RUN + 1)), raised(new(session="replay-a")))) == 4


def test_an_alarm_that_came_back_is_another_one() -> None:
    first, second = known(raised(new()), cleared(new()), raised(new()), raised(new(spill=95)))
    assert (first.is_active, second.is_active) == (False, True)


def test_an_alarm_is_over_when_it_is_acknowledged_and_no_more_so() -> None:
    its = new()
    for actions, is_active, is_over, waits in (
        ([], True, False, True),
        ([acknowledged(its)], True, False, False),
        ([cleared(its)], False, False, False),
        ([cleared(its), acknowledged(its)], False, True, False),
        ([acknowledged(its), cleared(its)], False, True, False),
    ):
        (one,) = known(raised(its), *actions)
        assert (one.is_active, one.is_over, one.waits(RAISED_US)) == (is_active, is_over, waits)


@given(
    actions=st.permutations([cleared(new()), acknowledged(new())]),
    repeated=st.lists(st.sampled_from([cleared(new()), acknowledged(new())]), max_size=6),
    places=st.lists(st.integers(0, 8), min_size=6, max_size=6),
)
def test_acknowledging_and_clearing_commute_however_often_each_comes(
    actions: list[Action], repeated: list[Action], places: list[int]
) -> None:
    order = list(actions)
    for each, place in zip(repeated, places, strict=False):
        order.insert(place % (len(order) + 1), each)
    (one,) = known(raised(new()), *order)
    (plain,) = known(raised(new()), cleared(new()), acknowledged(new()))
    assert one == plain
    assert one.is_over


ACTIONS = st.lists(
    st.one_of(
        st.builds(lambda number, spill: raised(new(number, spill=spill)), st.integers(0, 3), st.integers(40, 42)),
        st.builds(lambda number, spill: cleared(new(number, spill=spill)), st.integers(0, 3), st.integers(40, 42)),
        st.builds(
            lambda number, spill, by: acknowledged(new(number, spill=spill), by, f"shifter{by}@here"),
            st.integers(0, 3),
            st.integers(40, 42),
            st.integers(1, 3),
        ),
        st.builds(lambda number, spill: shelved(new(number, spill=spill)), st.integers(0, 3), st.integers(40, 42)),
    ),
    max_size=40,
)


@given(actions=ACTIONS)
def test_whatever_comes_an_alarm_is_there_once_and_keeps_who_acknowledged_it_first(actions: list[Action]) -> None:
    now, first = Decisions(), dict[str, str]()
    for each in actions:
        if each.kind == ActionKind.ACKNOWLEDGE_ALARM and alarms.find(now.alarms, each.subject):
            first.setdefault(each.subject, each.who)
        now = fold(each, known=now)
    ids = [each.id for each in now.alarms]
    assert len(ids) == len({*ids})
    assert {each.id: each.acknowledged.who for each in now.alarms if each.acknowledged} == first
    active = [each.new.of for each in now.alarms if each.is_active]
    assert len(active) == len({*active})
    assert Decisions.from_json(now.to_json().encode()) == now
    assert fold(action(ActionKind.TAKE_OVER, 0, after=now.state_json())).alarms == now.alarms


def test_what_an_older_version_took_over_has_no_alarms() -> None:
    text = json.loads(fold(raised(new())).state_json())
    del text["alarms"]
    assert fold(action(ActionKind.TAKE_OVER, 0, after=json.dumps(text))).alarms == ()


@pytest.mark.parametrize(
    ("before", "late", "why"),
    [
        ([], cleared(new()), "there is no alarm"),
        ([], acknowledged(new()), f"there is no alarm {new().id}: see spilldeck alarms list --all"),
        ([], replace(raised(new()), subject="another"), "its id does not follow"),
        ([], replace(raised(new()), after="{}"), "cannot be read"),
        ([], replace(raised(new()), after="[" * 100_000), "cannot be read"),
        ([], replace(raised(new()), after=new()._replace(run=True).to_json()), "cannot be read"),
        ([], replace(raised(new()), after=new().to_json().replace("medium", "dire")), "cannot be read"),
        ([raised(new())], raised(new()), "it was raised already"),
        ([raised(new())], raised(new(spill=41)), "it is an alarm already"),
        ([raised(new()), cleared(new())], cleared(new()), "it was cleared already"),
        ([raised(new()), acknowledged(new())], acknowledged(new(), 2, "bob@here"), "anna@here acknowledged it already"),
        ([raised(new())], replace(acknowledged(new()), after="{}"), "cannot be read"),
        ([raised(new())], replace(acknowledged(new()), after='{"id": "x"}'), "its id has other than"),
        ([raised(new())], shelved(new(), reason=" "), "say why it is shelved"),
        ([raised(new())], shelved(new(), for_us=7 * DAY + 1), "an alarm is shelved for at most 7 days"),
        ([raised(new())], shelved(new(), for_us=0), "for at most 7 days"),
        ([raised(new())], replace(shelved(new()), after='{"id": "shelve-0001", "until_us": "now"}'), "cannot be read"),
        ([raised(new())], replace(told(), after='{"times": 7}'), "cannot be read"),
    ],
)
def test_what_is_impossible_where_it_lies_changes_nothing(before: list[Action], late: Action, why: str) -> None:
    there = fold(*before)
    assert why in there.refusal(there.next, late)
    assert fold(late, known=there).alarms == there.alarms


def test_a_shelved_one_is_not_raised_in_any_run_until_that_has_expired() -> None:
    there = fold(raised(new()), shelved(new(), for_us=7 * DAY))
    assert not there.alarms[0].waits(RAISED_US + 7 * DAY - 1)
    assert there.alarms[0].waits(RAISED_US + 7 * DAY)
    its = new(run=RUN + 1)
    assert fold(raised(its, RAISED_US + 7 * DAY - 1), known=there).alarms == there.alarms
    assert len(fold(raised(its, RAISED_US + 7 * DAY), known=there).alarms) == 2
    assert len(fold(raised(new(2)), known=there).alarms) == 2


def test_what_the_same_person_sent_twice_counted() -> None:
    there = known(raised(new()), acknowledged(new()), shelved(new()))
    assert alarms.has_counted(there, acknowledged(new()))
    assert alarms.has_counted(there, shelved(new()))
    assert not alarms.has_counted(there, acknowledged(new(), who="bob@here"))
    assert not alarms.has_counted(there, shelved(new(), reason="another"))
    assert not alarms.has_counted((), acknowledged(new()))


def test_what_nobody_acknowledges_is_told_again_three_times_and_nothing_twice() -> None:
    there, at_us, times = fold(raised(new())), RAISED_US, 0
    while due := alarms.to_tell(there.alarms, at_us, 600 * S):
        assert alarms.telling_id(due) == f"{new().id}-{times}"
        times += 1
        there = fold(told(*due, at_us=at_us), told(*due, at_us=at_us), known=there)  # by two
        assert len(there.alarms[0].told_us) == times
        assert not alarms.to_tell(there.alarms, at_us + 600 * S - 1, 600 * S)
        at_us += 600 * S
    assert times == 1 + REPEATS
    for quiet in (acknowledged, cleared, shelved):
        assert not alarms.to_tell(known(raised(new()), quiet(new())), RAISED_US, 600 * S)


def test_what_comes_at_once_is_told_in_one_the_most_important_first() -> None:
    plot = new(9, of="plot: light", words="light 9 % off", priority=Priority.LOW)
    its = [plot, *map(new, range(3)), new(8, words="near silent", priority=Priority.HIGH)]
    due = alarms.to_tell(known(*map(raised, its)), RAISED_US, S)
    assert alarms.bundle(due) == "near silent; PMT 0 silent; PMT 1 silent; and 2 more"
    assert alarms.bundle(due[:3]) == "near silent; PMT 0 silent; PMT 1 silent"
    assert alarms.telling_id(due) != alarms.telling_id(due[:4])


def test_the_newest_alarms_are_remembered() -> None:
    there = known(*(raised(new(number)) for number in range(KEPT + 2)))
    assert [each.new.of for each in there] == [new(number).of for number in range(2, KEPT + 2)]


def test_the_figures_count_the_last_ten_minutes_the_worst_ones_and_what_stands() -> None:
    minute = 60 * S
    at = [0, 61, 62, 65, 70.9, 480, 485]  # in minutes
    actions = [raised(new(number), round(at_minute * minute)) for number, at_minute in enumerate(at)]
    there = known(*actions, cleared(new(1)), acknowledged(new(2)))
    assert alarms.figures(there, 486 * minute) == Figures(lately=2, worst=4, standing=6)
    assert alarms.figures((), RAISED_US) == Figures(0, 0, 0)


def test_of_which_runs_an_action_on_an_alarm_is_stands_in_the_record() -> None:
    there = fold(raised(new()))
    for each in (raised(new()), cleared(new()), acknowledged(new()), shelved(new()), told(*there.alarms)):
        assert there.runs_of(each) == (RUN,)
