"""Checklists: when they are due, and what is known of those that were sent, whatever was sent how often."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Action, ActionKind
from streams.books.checklists import KEPT, Answer, Line
from streams.books.decisions import Decisions
from streams.books.duties import MOST_TIMES, Agenda, Duty, Taken, agenda, duties, is_done
from streams.books.layout import Place
from streams.books.noting import checklist_action
from tests.books.test_decisions import action, fold

H = 3_600_000_000
BEGIN = 1_700_000_000_000_000
LINES = (
    Line("spills", "Spills come", Answer.YES, "Last spill 1 s ago"),
    Line("tof", "TOF is as it should be", Answer.NO, "PMT 1 silent since spill 4", Answer.YES, "it is <b>known</b>"),
    Line("plots", "Plots are as in the reference", Answer.UNKNOWN, "No run to compare with"),
)


def sent(number: int = 1, *, run: object = 6008, at_us: int = BEGIN, lines: Any = LINES, **changes: Any) -> Action:
    duty = Duty(6008, changes.pop("due_us", at_us), is_end=changes.pop("is_end", False))
    its = checklist_action(duty, 412, lines, act_id=f"check-{number:05}", origin="a test", who="anna@here")
    return replace(its, at_us=at_us, subject=str(run), **changes)


def run_from(hours: float, newest: float, end: float | None = None, run: int = 6008) -> Taken:
    at = (BEGIN + round(each * H) if each is not None else None for each in (hours, newest, end))
    return Taken(run, *at)  # type: ignore[arg-type]


TABLE: dict[str, tuple[list[Taken], float, float, list[tuple[int, float, bool]], float | None]] = {
    # name: runs, every, now in hours, what is due of which run since when, the next time
    "no run": ([], 2, 9, [], None),
    "a run begins": ([run_from(0, 1)], 2, 1, [], 2),
    "a moment before": ([run_from(0, 1.99)], 2, 1.99, [], 2),
    "at the time": ([run_from(0, 2)], 2, 2, [(6008, 2, False)], 4),
    "what was missed is not due any more": ([run_from(0, 5)], 2, 5, [(6008, 4, False)], 6),
    "nothing falls due while no spill comes": ([run_from(0, 1.5)], 2, 9, [], 2),
    "nor after the spills stopped, but for what was due": ([run_from(0, 2.5)], 2, 9, [(6008, 2, False)], 4),
    "a clock of the DAQ that is ahead": ([run_from(0, 30)], 2, 3, [(6008, 2, False)], 4),
    "a run ends: its set times are past": ([run_from(0, 5, 5)], 2, 5, [(6008, 5, True)], None),
    "it ended at a set time": ([run_from(0, 4, 4)], 2, 4, [(6008, 4, True)], None),
    "it stays due when no run is being taken": ([run_from(0, 5, 5)], 2, 500, [(6008, 5, True)], None),
    "another run is being taken": (
        [run_from(0, 5, 5), run_from(5, 8, run=6009)],
        2,
        8,
        [(6008, 5, True), (6009, 7, False)],
        9,
    ),
    "at no set times": ([run_from(0, 5)], 0, 5, [], None),
    "at no set times, but at the end": ([run_from(0, 5, 5)], 0, 5, [(6008, 5, True)], None),
    "nobody knows when it began": ([Taken(6008, 0, BEGIN, None)], 2, 9, [], None),
    "an end that is to come": ([run_from(0, 1, 3)], 2, 2, [], None),
}


@pytest.mark.parametrize("name", TABLE)
def test_27_what_is_due_follows_from_when_runs_were_taken(name: str) -> None:
    runs, every_h, now_h, due, next_h = TABLE[name]
    found = agenda(runs, every_h, (), BEGIN + round(now_h * H))
    assert [(each.run, (each.at_us - BEGIN) / H, each.is_end) for each in found.due] == due
    assert (None if found.next_us is None else (found.next_us - BEGIN) / H) == next_h


def test_27_what_was_sent_is_not_due_and_what_was_missed_is_known() -> None:
    its = run_from(0, 7)
    now = BEGIN + 7 * H
    done = fold(sent(1, at_us=BEGIN + 2 * H), sent(2, at_us=BEGIN + 6 * H)).checklists
    assert agenda([its], 2, done, now) == Agenda((), BEGIN + 8 * H)
    assert [each.at_us for each in duties(its, 2, now) if not is_done(each, 2, done)] == [BEGIN + 4 * H]
    # Somebody changed how often it is: what was sent counts for the time that it lies in.
    assert [(each.at_us - BEGIN) / H for each in duties(its, 1, now) if not is_done(each, 1, done)] == [1, 3, 4, 5, 7]
    # A run has one end, whenever it was: late spills move it.
    ended, later = run_from(0, 7, 7), run_from(0, 7.5, 7.5)
    end = fold(sent(3, due_us=BEGIN + 7 * H, is_end=True)).checklists
    assert agenda([ended], 2, end, now).due == agenda([later], 2, end, now + H).due == ()
    assert agenda([ended], 2, done, now).due[0].is_end


@given(begin=st.integers(0, 2**60), newest=st.integers(0, 2**60), now=st.integers(0, 2**60), every=st.floats(0, 72))
def test_27_whatever_the_clocks_say_it_is_bounded_in_order_and_never_of_the_future(
    begin: int, newest: int, now: int, every: float
) -> None:
    found = duties(Taken(6008, begin, newest, None), every, now)
    assert len(found) <= MOST_TIMES
    assert [each.at_us for each in found] == sorted({each.at_us for each in found})
    assert all(begin < each.at_us <= min(newest, now) for each in found)


def test_27_a_run_ends_when_its_daq_says_so_or_with_its_last_message_when_another_began() -> None:
    place = Place(
        log="",
        first=0,
        last=0,
        began_us=1,
        last_us=2,
        ended_us=0,
        first_ms=1000,
        produced_ms=9000,
        ended_ms=0,
        received=5,
        filled=5,
        triggers=5,
        run_type="physics",
    )
    assert Taken.of(1, place, 0, is_current=True) == Taken(1, 1_000_000, 9_000_000, None)
    assert Taken.of(1, place, 500, is_current=False) == Taken(1, 500_000, 9_000_000, 9_000_000)
    ended = replace(place, ended_ms=8000)
    assert Taken.of(1, ended, 500, is_current=True).end_us == 8_000_000


def test_27_what_is_sent_is_kept_once_with_all_that_is_no_plain_yes_and_stored() -> None:
    known = fold(sent(), sent(2, at_us=BEGIN + 2 * H), sent(), sent(4))
    assert [each.id for each in known.checklists] == ["check-00001", "check-00002"]
    its = known.checklists[0]
    assert (its.of, its.spill, its.counts) == (3, 412, "2 yes, 1 not known")
    assert [each.name for each in its.lines] == ["tof", "plots"]
    assert its.lines[0].words == (
        "TOF is as it should be: yes (the checks said no: PMT 1 silent since spill 4); it is <b>known</b>"
    )
    own = Line("own: Magnets", "Magnets", Answer.UNKNOWN, "", Answer.NO, "D2 is off")
    assert own.words == "Magnets: no; D2 is off"
    assert known.has_said(sent())
    # What the checks say may be another a moment later: it is the same that a person sent.
    assert known.has_said(sent(lines=(LINES[0]._replace(checks=Answer.NO), *LINES[1:])))
    assert not known.has_said(sent(lines=(LINES[0]._replace(person=Answer.NO), *LINES[1:])))
    assert not known.has_said(sent(who="bob@here"))
    assert known.runs_of(sent()) == (6008,)
    assert not known.is_empty
    assert Decisions.from_json(known.to_json().encode()) == known
    assert fold(action(ActionKind.TAKE_OVER, 0, after=known.state_json())).checklists == known.checklists
    many = fold(*(sent(number, at_us=BEGIN + number * H) for number in range(KEPT + 2)))
    assert len(many.checklists) == KEPT
    older = json.loads(known.state_json())
    del older["checklists"]
    assert fold(action(ActionKind.TAKE_OVER, 0, after=json.dumps(older))).checklists == ()


def altered(**changes: Any) -> Action:
    said = json.loads(sent().after)
    return replace(sent(), after=json.dumps(said | changes))


@pytest.mark.parametrize(
    ("before", "wrong", "why"),
    [
        ([sent()], sent(2, who="bob@here"), "anna@here did it already, 14 Nov 22:13:20 UTC"),
        (
            [sent(1, is_end=True)],
            sent(2, is_end=True, due_us=BEGIN + 1, who="bob@here"),
            "anna@here did it already",
        ),
        ([sent()], sent(1, at_us=BEGIN + H), "it was noted already"),
        ([], sent(run="x"), "its subject is no run"),
        ([], sent(lines=()), "1 to 100 lines"),
        ([], sent(lines=LINES * 2), "the same line twice"),
        ([], sent(lines=(LINES[0]._replace(asks=""),)), "no words, or too many"),
        ([], sent(lines=(LINES[0]._replace(why="x" * 301),)), "no words, or too many"),
        ([], sent(lines=(LINES[0]._replace(remark="x" * 301),)), "at most 300 characters: Spills come"),
        ([], altered(id="x"), "its id has other than"),
        ([], altered(lines=[["a", "b", "fine", ""]]), "cannot be read"),
        ([], altered(lines=5), "cannot be read"),
        ([], altered(spill="5"), "cannot be read"),
        ([], altered(spill=-2), "cannot be read"),
        ([], altered(due_us=-1), "cannot be read"),
        ([], altered(end=1), "cannot be read"),
        ([], replace(sent(), after="{}"), "cannot be read"),
        ([], replace(sent(), after="[" * 100_000), "cannot be read"),
    ],
)
def test_27_what_cannot_be_sent_is_none(before: list[Action], wrong: Action, why: str) -> None:
    known = fold(*before)
    assert why in known.refusal(known.next, wrong)
    assert fold(wrong, known=known).checklists == known.checklists
