"""What somebody noted, whatever was sent how often."""

from dataclasses import replace

import pytest

from schemas.records import Action, ActionKind
from streams.books.decisions import Decisions
from streams.books.notes import KEPT
from streams.books.noting import note_action, tell_note_action
from tests.books.test_decisions import action, fold


def noted(number: int = 1, text: str = "the beam came back", run: object = 6008) -> Action:
    its = note_action(6008, text, "hslabhits10", act_id=f"note-{number:05}", origin="a test", who="anna@here")
    return replace(its, at_us=number, subject=str(run))


def test_what_is_noted_is_kept_once_in_its_order_and_stored() -> None:
    known = fold(noted(), noted(2), noted())
    assert [each.id for each in known.notes] == ["note-00001", "note-00002"]
    assert known.has_said(noted())
    assert not known.has_said(noted(text="another"))
    assert known.runs_of(noted()) == (6008,)
    assert Decisions.from_json(known.to_json().encode()) == known
    assert fold(action(ActionKind.TAKE_OVER, 0, after=known.state_json())).notes == known.notes
    assert len(fold(*(noted(number) for number in range(KEPT + 2))).notes) == KEPT


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (noted(text=" "), "say what is to be noted"),
        (noted(text="x" * 1001), "say what is to be noted"),
        (noted(run="x"), "its subject is no run"),
        (replace(noted(), after="{}"), "cannot be read"),
        (replace(noted(), after='{"id": "12345678", "text": 5, "plot": ""}'), "cannot be read"),
    ],
)
def test_what_cannot_be_noted_is_none(wrong: Action, why: str) -> None:
    assert why in Decisions().refusal(0, wrong)
    assert fold(wrong).notes == ()


def test_28_a_note_for_the_logbook_waits_until_that_has_it_and_an_older_one_waits_for_nothing() -> None:
    for_log = note_action(6008, "x", "", act_id="note-00001", path="/?run=6008", to_log=True, origin="a test")
    known = fold(for_log, noted(2))
    assert [each.waits for each in known.notes] == [True, False]
    told = replace(tell_note_action(known.notes[0]), at_us=77)
    after = fold(told, known=known)
    assert [(each.waits, each.logged_us) for each in after.notes] == [(False, 77), (False, 0)]
    assert after.runs_of(told) == (6008,)
    assert after.has_said(for_log)
    assert Decisions.from_json(after.to_json().encode()) == after
    assert "the logbook has it already" in after.refusal(after.next, told)
    assert "there is no such note" in Decisions().refusal(0, told)
    older = replace(noted(), after='{"id": "note-00009", "text": "x", "plot": ""}')
    assert fold(older).notes[0][-3:] == ("", False, 0)
    assert "cannot be read" in Decisions().refusal(0, replace(for_log, after=for_log.after.replace("true", "5")))
