"""What follows from the actions in their order, whatever order that is."""

import hashlib
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Action, ActionKind
from streams.books.checklists import Answer, Line
from streams.books.decisions import FORMAT, TAIL, Decisions, Pin
from streams.books.duties import Duty
from streams.books.noting import checklist_action, note_action
from streams.books.plan import Origin, Plan
from streams.errors import ServerError
from tests.records import raw_spill
from tests.wire import encode

RUNS = (6008, 6009)


def plan(name: str, began_s: float = 1.5) -> Plan:
    return Plan(session=f"replay-{name}", runs=RUNS, origin=Origin.RAW, spans=((0, 9), (3, 7)), began_s=began_s)


def action(kind: str, subject: object, before: str = "", after: str = "") -> Action:
    return Action(
        who="shifter@host",
        at_us=1,
        origin="a test",
        kind=kind,
        subject=str(subject),
        before=before,
        after=after,
        reason="",
    )


def planned(name: str) -> Action:
    return action(ActionKind.PLAN_REPLAY, f"replay-{name}", after=plan(name).to_json())


def dropped(name: str) -> Action:
    return action(ActionKind.DROP_REPLAY, f"replay-{name}")


def promoted(name: str, *runs: int) -> Action:
    after = dict.fromkeys(runs or RUNS, f"replay-{name}")
    return action(ActionKind.PROMOTE, f"replay-{name}", after=json.dumps(after))


def restored(run: int) -> Action:
    return action(ActionKind.RESTORE, run, after=json.dumps({run: None}))


def fold(*actions: Action | bytes, known: Decisions = Decisions()) -> Decisions:  # noqa: B008 - frozen
    for each in actions:
        known = known.after(known.next, each if isinstance(each, bytes) else encode(each))
    return known


def test_a_replay_is_promoted_taken_back_and_dropped() -> None:
    known = fold(planned("a"), promoted("a"))
    assert (known.next, known.plans, known.promoted) == (2, {"replay-a": plan("a")}, dict.fromkeys(RUNS, "replay-a"))
    known = fold(restored(6008), known=known)
    assert known.promoted == {6009: "replay-a"}
    known = fold(restored(6009), dropped("a"), known=known)
    assert known.is_empty
    assert known.next == 5


def test_of_two_promotions_the_later_one_counts_for_the_runs_that_it_names() -> None:
    known = fold(planned("a"), planned("b"), promoted("a"), promoted("b", 6009))
    assert known.promoted == {6008: "replay-a", 6009: "replay-b"}


@pytest.mark.parametrize(
    ("before", "late", "why"),
    [
        ([], promoted("a"), "there is no replay a: see spilldeck replays list"),
        ([planned("a"), dropped("a")], promoted("a"), "there is no replay a"),
        ([planned("a")], promoted("a", 6008, 6010), "the replay a is not of the runs 6008, 6010"),
        ([planned("a"), promoted("a")], dropped("a"), "the book of run 6008 is that of this replay: spilldeck replays"),
        ([], dropped("a"), "there is no replay a"),
        ([planned("a")], planned("a"), "there is a replay a: --resume it"),
        ([planned("a")], restored(6008), "the book of run 6008 is that of live: no replay of it was promoted"),
        ([planned("a")], replace(promoted("a"), after='{"6008": "replay-b"}'), "the replay a is not of the runs"),
        ([planned("a"), promoted("a")], replace(restored(6008), after='{"6008": "replay-a"}'), "is live's"),
        ([], replace(planned("a"), subject="replay-b"), "replay-b is no replay"),
        ([], replace(planned("a"), after=""), "what it says cannot be read"),
        ([], replace(planned("a"), after=plan("a").to_json().replace("6008", '"x"')), "cannot be read"),
        ([], replace(planned("a"), after="[" * 100_000), "cannot be read"),
        ([planned("a")], replace(promoted("a"), after='{"6008": 7}'), "cannot be read"),
        ([planned("a")], replace(promoted("a"), after='{"many": "replay-a"}'), "cannot be read"),
        ([], action(ActionKind.TAKE_OVER, 0, after="{}"), "cannot be read"),
    ],
)
def test_what_is_impossible_where_it_lies_does_not_count(before: list[Action], late: Action, why: str) -> None:
    known = fold(*before)
    assert why in known.refusal(known.next, late)
    after = fold(late, known=known)
    assert (after.promoted, after.plans, after.next) == (known.promoted, known.plans, known.next + 1)


def test_what_is_not_understood_is_passed_over() -> None:
    known = fold(planned("a"), promoted("a"))
    after = fold(b"", b"rubbish", encode(raw_spill()), action("raise flag", 6008, after="bad"), known=known)
    assert (after.promoted, after.plans, after.next) == (known.promoted, known.plans, known.next + 4)


def test_what_redis_knew_is_taken_over_at_its_own_offset_alone() -> None:
    known = fold(planned("a"), promoted("a"))
    text = known.state_json()
    first, second = (action(ActionKind.TAKE_OVER, 0, after=text) for _ in range(2))
    back = fold(first)
    assert (back.promoted, back.plans, back.since) == (known.promoted, known.plans, 0)
    # Another that took the same over comes late, and must not bring back what was taken back meanwhile.
    late = fold(restored(6008), second, known=back)
    assert late.promoted == {6009: "replay-a"}
    assert fold(action(ActionKind.TAKE_OVER, 2, after=text), known=fold(planned("b"), promoted("b"))).since == 2


def noted(number: int) -> Action:
    return note_action(6008, "the beam came back", "", act_id=f"note-{number:05}", origin="a test", who="anna@here")


def checked(number: int, run: int, answer: Answer, is_end: bool) -> Action:
    its = (Line("spills", "Spills come", Answer.YES, ""), Line("tof", "TOF is as it should be", answer, "so", answer))
    duty = Duty(run, number, is_end=is_end)
    return checklist_action(duty, number, its, act_id=f"check-{number:05}", origin="a test", who="anna@here")


ACTIONS = st.lists(
    st.one_of(
        st.builds(planned, st.sampled_from("abc")),
        st.builds(dropped, st.sampled_from("abc")),
        st.builds(promoted, st.sampled_from("abc"), st.sampled_from(RUNS)),
        st.builds(restored, st.sampled_from(RUNS)),
        st.builds(noted, st.integers(1, 5)),
        st.builds(checked, st.integers(1, 5), st.sampled_from(RUNS), st.sampled_from(Answer), st.booleans()),
        st.just(b"rubbish"),
    ),
    max_size=2 * TAIL,
)


@given(actions=ACTIONS, stored=st.integers(0, 2 * TAIL))
def test_a_copy_that_was_stored_on_the_way_goes_on_as_if_it_had_not_been(
    actions: list[Action | bytes], stored: int
) -> None:
    whole = fold(*actions)
    copy = Decisions.from_json(fold(*actions[:stored]).to_json().encode())
    assert copy is not None
    assert fold(*actions[stored:], known=copy) == whole
    assert fold(*actions[stored:], known=copy).to_json() == whole.to_json()
    # Whoever is promoted has a plan, whatever was tried.
    assert {*whole.promoted.values()} <= whole.plans.keys()
    messages = [each if isinstance(each, bytes) else encode(each) for each in actions]
    for offset, message in enumerate(messages):
        assert whole.has_counted(offset, message) == (offset >= len(messages) - TAIL)
        assert not whole.has_counted(offset, message + b"x")


def test_a_copy_of_another_version_or_a_damaged_one_is_none_and_a_newer_one_is_refused() -> None:
    text = fold(planned("a"), promoted("a")).to_json()
    for damaged in ("", "null", "[]", "{}", "7", text[:-5], text.replace('"next": 2', '"next": "x"')):
        assert Decisions.from_json(damaged.encode()) is None
    assert Decisions.from_json(text.replace(f'"format": {FORMAT}', '"format": 0').encode()) is None
    with pytest.raises(ServerError, match="written by a newer version"):
        Decisions.from_json(text.replace(f'"format": {FORMAT}', f'"format": {FORMAT + 1}').encode())


def pin(run: int | None, at_us: int, run_type: str = "physics") -> Action:
    return replace(action(ActionKind.PIN_REFERENCE, run_type, after=json.dumps({"run": run})), at_us=at_us)


def test_a_reference_is_pinned_for_the_runs_of_a_type_that_came_later() -> None:
    now = fold(pin(5, 100), pin(7, 200), pin(None, 300), pin(9, 100, "cosmics"))
    held = [now.pinned("physics", at) for at in (99, 100, 199, 200, 299, 300)]
    assert [its.run if its is not None else None for its in held] == [None, 5, 5, 7, 7, None]
    assert now.pinned("cosmics", 400) == Pin(at_us=100, run=9)
    assert now.pinned("other", 400) is None
    assert Decisions.from_json(now.to_json().encode()) == now
    assert not now.is_empty


def test_what_is_not_pinned_is_not_taken_back_and_what_is_no_run_pins_nothing() -> None:
    assert fold(pin(None, 1)).is_empty
    assert fold(pin(5, 1), pin(None, 2), pin(None, 3)).pins["physics"][-1].at_us == 2
    for after in ("", "{}", '{"run": "5"}', '{"run": true}', '{"run": 1.5}', "[]"):
        assert fold(replace(pin(5, 1), after=after)).is_empty


def pin_book(run: int, at_us: int, text: str = "{}", /, **more: object) -> Action:
    said = {"run": run, "called": "replay a", "sha256": hashlib.sha256(text.encode()).hexdigest(), "book": "", **more}
    return replace(action(ActionKind.PIN_BOOK, "physics", after=json.dumps(said)), at_us=at_us)


def test_a_book_is_pinned_in_place_of_a_run_and_one_that_is_written_again_says_nothing_new() -> None:
    book = pin_book(5, 100)
    now = fold(book, pin(7, 200), book)
    assert now.pinned("physics", 199) == Pin(100, 5, hashlib.sha256(b"{}").hexdigest(), "replay a")
    assert now.pinned("physics", 300) == Pin(200, 7)
    assert now.pinned_books == (hashlib.sha256(b"{}").hexdigest(),)
    assert Decisions.from_json(now.to_json().encode()) == now
    assert now.refusal(3, book) == "it was pinned already"
    assert now.runs_of(book) == (5,)
    assert fold(book, pin(None, 200)).pinned("physics", 200) is None
    over = replace(pin(5, 1), kind=ActionKind.TAKE_OVER, subject="0", after=now.state_json())
    assert fold(over, book).pins == now.pins


def test_what_is_no_book_pins_nothing() -> None:
    for more in ({"run": None}, {"run": "5"}, {"sha256": "../x"}, {"sha256": 5}, {"called": None, "sha256": "A" * 64}):
        assert fold(pin_book(5, 1, **more)).is_empty, more
    for after in ("", "{}", '{"run": 5}', "[]"):
        assert fold(replace(pin_book(5, 1), after=after)).is_empty


def test_pins_are_taken_over_and_what_an_older_version_took_over_has_none() -> None:
    known = fold(pin(5, 100))
    over = replace(pin(5, 1), kind=ActionKind.TAKE_OVER, subject="0", after=known.state_json())
    assert fold(over).pins == known.pins
    older = json.loads(known.state_json())
    del older["pins"]
    assert fold(replace(over, after=json.dumps(older))).pins == {}
