"""What holds of a run, whatever people said of it in which order."""

import json
import time
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Action, ActionKind
from streams.books import flags
from streams.books.decisions import Decisions
from streams.books.flags import ALL, END, Flags, Interval, NewFlag, Shares, Verdict
from tests.books.test_decisions import action, fold

RUN = 6008
GOOD, BAD, UNKNOWN = Verdict.GOOD, Verdict.BAD, Verdict.UNKNOWN
DETECTORS = (ALL, "near", "far")
SPILLS = range(40)


def flagged(number: int, verdict: Verdict, detector: str = ALL, first: int = 0, last: int = END) -> Action:
    text = flags.flag_text(NewFlag(f"flag-{number:04}", verdict, "", detector, first, last))
    return replace(action(ActionKind.FLAG, RUN, after=text), reason="it is so", who="anna@here")


def remarked(kind: ActionKind, number: int, flag: int, who: str = "bob@here") -> Action:
    text = flags.remark_text(f"remark-{number:04}", f"flag-{flag:04}")
    return replace(action(kind, RUN, after=text), who=who)


def withdrawn(number: int, flag: int) -> Action:
    return remarked(ActionKind.WITHDRAW_FLAG, number, flag)


def verified(number: int, flag: int, who: str = "bob@here") -> Action:
    return remarked(ActionKind.VERIFY_FLAG, number, flag, who)


def known(*actions: Action) -> Flags:
    return fold(*actions).flags.get(RUN, ())


def ranges(found: list[Interval]) -> list[tuple[int, int, str]]:
    return [(each.first, each.last, each.verdict.value) for each in found]


def test_a_newer_flag_cuts_older_ones_of_its_detector_and_what_it_cut_holds_again_when_it_is_withdrawn() -> None:
    its = known(flagged(1, GOOD, "near"), flagged(2, BAD, "near", 10, 19), flagged(3, BAD, "far", 5, 5))
    assert ranges(flags.intervals(its, "near")) == [(0, 9, "good"), (10, 19, "bad"), (20, END, "good")]
    its = known(*map(flagged_as, its), withdrawn(1, 2))
    assert ranges(flags.intervals(its, "near")) == [(0, END, "good")]
    assert [flag.id for flag in its] == ["flag-0001", "flag-0002", "flag-0003"]
    assert its[1].withdrawn is not None
    assert its[1].withdrawn.who == "bob@here"


def flagged_as(flag: flags.Flag) -> Action:
    """Return the action that set a flag."""
    return flagged(int(flag.id[-4:]), flag.verdict, flag.detector, flag.first, flag.last)


def test_what_nobody_flagged_was_not_looked_at_and_a_run_is_good_only_if_that_was_said_of_all() -> None:
    assert flags.shares(flags.of_run(()), SPILLS) == Shares(0, 0, 0, 40)
    near = known(flagged(1, GOOD, "near"))
    assert flags.shares(flags.intervals(near, "near"), SPILLS) == Shares(40, 0, 0, 0)
    assert flags.shares(flags.of_run(near), SPILLS) == Shares(0, 0, 0, 40)
    its = known(flagged(1, GOOD, last=29), flagged(2, BAD, "near", 10, 19), flagged(3, UNKNOWN, "far", 15, 24))
    assert flags.shares(flags.of_run(its), SPILLS) == Shares(15, 10, 5, 10)
    # A detector without a flag of its own has what was said of all.
    assert flags.shares(flags.intervals(its, "other"), SPILLS) == Shares(30, 0, 0, 10)
    # What is missing from the run is in no share.
    assert flags.shares(flags.of_run(its), [0, 12, 39]) == Shares(1, 1, 0, 1)


def test_what_thousands_of_flags_of_a_run_hold_is_known_at_once() -> None:
    many = tuple(
        flags.Flag(f"flag-{at:05}", "near", BAD, 2 * at, 2 * at + 30, "a script", 1, "the page", "it is so")
        for at in range(5000)
    )
    begun_s = time.monotonic()
    assert len(flags.intervals(many, "near")) == len(flags.of_run(many)) == 5000
    assert time.monotonic() - begun_s < 5.0  # a minute, if each were held against all before it


def test_a_flag_is_verified_once_by_somebody_else() -> None:
    its = known(flagged(1, BAD), verified(1, 1, "Anna@elsewhere"), verified(2, 1), verified(3, 1, "eve@here"))
    (flag,) = its
    assert flag.verified is not None
    assert flag.verified.id == "remark-0002"


def test_what_is_sent_twice_is_one_action() -> None:
    twice = known(flagged(1, BAD), flagged(1, BAD), flagged(1, GOOD), withdrawn(1, 1), withdrawn(1, 1))
    assert len(twice) == 1
    assert twice[0].verdict is BAD
    assert flags.has(twice, "flag-0001")
    assert flags.has(twice, "remark-0001")
    assert not flags.has(twice, "remark-0002")


@pytest.mark.parametrize(
    ("before", "late", "why"),
    [
        ([], replace(flagged(1, BAD), reason=" "), "say why it is bad"),
        ([], replace(flagged(1, BAD), subject="-5"), "cannot be read"),
        ([], replace(flagged(1, BAD), subject="x"), "cannot be read"),
        ([], replace(flagged(1, BAD), subject=str(2**40)), "its subject is no run"),
        ([], replace(flagged(1, BAD), after="[" * 100_000), "cannot be read"),
        ([], replace(flagged(1, BAD), after=""), "cannot be read"),
        ([], flagged(1, BAD, first=5, last=4), "there are no spills 5 to 4"),
        ([], flagged(1, BAD, first=-1), "there are no spills -1"),
        ([], flagged(1, BAD, "x" * 101), "there is no such detector"),
        ([], withdrawn(1, 1), "run 6008 has no flag flag-0001: see spilldeck flags list 6008"),
        ([flagged(1, BAD), withdrawn(1, 1)], withdrawn(2, 1), "this flag was withdrawn by bob@here"),
        ([flagged(1, BAD), withdrawn(1, 1)], verified(2, 1), "this flag was withdrawn by bob@here"),
        ([flagged(1, BAD), verified(1, 1)], verified(2, 1, "eve"), "this flag was verified by bob@here"),
        ([flagged(1, BAD)], verified(1, 1, "anna@there"), "anna@here set this flag: somebody else is to verify it"),
        ([flagged(1, BAD)], flagged(1, BAD), "it was noted already"),
    ],
)
def test_what_is_impossible_where_it_lies_changes_nothing(before: list[Action], late: Action, why: str) -> None:
    there = fold(*before)
    refused = there.refusal(there.next, late)
    assert why in refused or (why == "cannot be read" and refused == "its subject is no run")
    assert fold(late, known=there).flags == there.flags


@pytest.mark.parametrize("wrong", [{"id": 7}, {"id": "short"}, {"first": "0"}, {"last": True}, {"verdict": "fine"}])
def test_what_a_flag_cannot_say_is_refused(wrong: dict[str, Any]) -> None:
    said = flagged(1, BAD)
    late = replace(said, after=json.dumps(json.loads(said.after) | wrong))
    assert Decisions().refusal(0, late)
    assert fold(late).is_empty


ACTIONS = st.lists(
    st.one_of(
        st.builds(
            lambda number, verdict, detector, ends: flagged(number, verdict, detector, min(ends), max(ends)),
            st.integers(0, 9),
            st.sampled_from(Verdict),
            st.sampled_from(DETECTORS),
            st.tuples(st.sampled_from(SPILLS), st.sampled_from((*SPILLS, END))),
        ),
        st.builds(withdrawn, st.integers(0, 9), st.integers(0, 9)),
        st.builds(verified, st.integers(10, 19), st.integers(0, 9)),
    ),
    max_size=25,
)


def painted(its: Flags, detector: str, spill: int) -> Verdict | None:
    """Return what holds of a detector at a spill: the plain way."""
    for lane in dict.fromkeys((detector, ALL)):
        for flag in reversed(its):
            if flag.detector == lane and flag.withdrawn is None and flag.first <= spill <= flag.last:
                return flag.verdict
    return None


@given(actions=ACTIONS)
def test_cut_intervals_equal_painting_spill_by_spill(actions: list[Action]) -> None:
    its = known(*actions)
    for detector in DETECTORS:
        found = flags.intervals(its, detector)
        assert all(one.first <= one.last < other.first for one, other in pairwise(found))
        at = {spill: each.verdict for each in found for spill in SPILLS if each.first <= spill <= each.last}
        assert [at.get(spill) for spill in SPILLS] == [painted(its, detector, spill) for spill in SPILLS]
    of_run = flags.of_run(its)
    worst = []
    for spill in SPILLS:
        said = {painted(its, detector, spill) for detector in DETECTORS}
        usual = GOOD if painted(its, ALL, spill) is not None else None
        worst.append(next((verdict for verdict in (BAD, UNKNOWN) if verdict in said), usual))
    at = {spill: each.verdict for each in of_run for spill in SPILLS if each.first <= spill <= each.last}
    assert [at.get(spill) for spill in SPILLS] == worst
    counted = flags.shares(of_run, SPILLS)
    assert counted == Shares(*(worst.count(verdict) for verdict in (GOOD, BAD, UNKNOWN, None)))


@given(actions=ACTIONS)
def test_flags_come_back_as_they_were_stored_and_are_taken_over(actions: list[Action]) -> None:
    now = fold(*actions)
    stored = Decisions.from_json(now.to_json().encode())
    assert stored == now
    over = action(ActionKind.TAKE_OVER, 0, after=now.state_json())
    assert fold(over).flags == now.flags


def test_a_flag_says_what_it_cuts() -> None:
    its = known(flagged(1, GOOD), flagged(2, BAD, "near", 10, 19))
    assert json.loads(flags.cut_text(its, NewFlag("", BAD, "", "near", 15, 25))) == [[15, 19, "bad"], [20, 25, "good"]]
    assert flags.cut_text((), NewFlag("", BAD, "")) == ""
