"""What becomes of known issues, and of the alarms that are known by them."""

import json
from dataclasses import replace
from typing import Any

import pytest

from schemas.records import Action, ActionKind
from streams.books import issues
from streams.books.alarms import Alarms, remark_text
from streams.books.decisions import Decisions
from streams.books.flags import END
from streams.books.issues import Issue, NewIssue, end_text, issue_values
from streams.books.noting import place
from streams.errors import UsageError
from tests.books.test_alarms import DAY, RAISED_US, RUN, cleared, new, raised
from tests.books.test_decisions import action, fold

OF = "near/PMT 1"
NOTED_US = RAISED_US - 1_000_000


def added(number: int = 1, **changes: Any) -> Action:
    usual = NewIssue(f"issue-{number:04}", OF, "PMT 1 is dead until the winter", "anna", RUN, RUN + 10)
    its = usual._replace(**changes)
    return replace(action(ActionKind.ADD_ISSUE, its.id, after=json.dumps(issue_values(its))), at_us=NOTED_US)


def extended(last: int, until_us: int | None = None, number: int = 1) -> Action:
    text = end_text(f"extend-{number:04}", last, until_us)
    return replace(action(ActionKind.EXTEND_ISSUE, "issue-0001", after=text), at_us=NOTED_US)


def withdrawn(number: int = 1) -> Action:
    return action(ActionKind.WITHDRAW_ISSUE, "issue-0001", after=remark_text(f"remark-{number:04}"))


def waiting(its: Alarms, now_us: int = RAISED_US) -> list[str]:
    return [each.new.of for each in its if each.waits(now_us)]


def only(known: Decisions) -> Issue:
    (one,) = known.issues
    return one


def test_what_is_known_is_raised_and_counted_and_waits_for_nobody() -> None:
    known = fold(added(), raised(new()), raised(new(2)), raised(new(run=RUN + 11)))
    assert len(known.alarms) == 3
    assert waiting(known.alarms) == ["near/PMT 2/fewer", "near/PMT 1/fewer"]
    assert known.alarms[0].known is not None
    assert (only(known).hits, only(known).hit) == (1, issues.Hit(RUN, 40, RAISED_US))
    assert only(known).seen == f"1 hit, the last in run {RUN} after spill 40"
    # It is over without anybody's acknowledgement.
    over = fold(added(), raised(new()), cleared(new())).alarms[0]
    assert over.is_over


def test_an_alarm_waits_again_when_what_was_known_of_it_is_withdrawn_or_past() -> None:
    assert waiting(fold(raised(new()), added()).alarms) == []
    assert waiting(fold(raised(new()), added(), withdrawn()).alarms) == ["near/PMT 1/fewer"]
    by_time = fold(added(last=END, until_us=RAISED_US + DAY), raised(new()))
    assert waiting(by_time.alarms, RAISED_US + DAY - 1) == []
    assert waiting(by_time.alarms, RAISED_US + DAY) == ["near/PMT 1/fewer"]


def test_what_is_past_its_end_asks_until_somebody_says_whether_it_is_still_so() -> None:
    its = only(fold(added()))
    assert its.holds(RUN + 10, NOTED_US)
    assert not its.holds(RUN + 11, NOTED_US)
    assert [its.asks(run, NOTED_US) for run in (None, RUN, RUN + 10, RUN + 11)] == [False, False, False, True]
    longer = only(fold(added(), extended(RUN + 20)))
    assert longer.extended is not None
    assert not longer.asks(RUN + 11, NOTED_US)
    assert not only(fold(added(), withdrawn())).asks(RUN + 11, NOTED_US)
    by_time = only(fold(added(last=END, until_us=RAISED_US)))
    assert by_time.asks(None, RAISED_US)
    assert not by_time.holds(RUN, RAISED_US)


def test_a_group_covers_its_channels_and_a_channel_no_other() -> None:
    its = only(fold(added(of="near")))
    assert its.covers("near/PMT 1/fewer")
    assert not its.covers("nearer/PMT 1/fewer")
    assert not only(fold(added())).covers("near/PMT 12/fewer")


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (added(text=" "), "say what is known"),
        (added(text="x" * 301), "say what is known"),
        (added(owner=""), "say who sees to it"),
        (added(first=5, last=4), "there are no runs 5 to 4"),
        (added(first=0, last=END), "say up to which run, or until when"),
        (added(until_us=NOTED_US), "it would be over already"),
        (added(id="short"), "its id has other than"),
        (replace(added(), subject="another-one"), "its subject is not its id"),
        (added(until_us="tomorrow"), "cannot be read"),
        (extended(END), "say up to which run, or until when"),
        (extended(RUN - 1), "there are no runs"),
        (replace(extended(RUN + 20), subject="none-such"), "there is no known issue none-such"),
        (replace(extended(RUN + 20), after="{}"), "cannot be read"),
    ],
)
def test_what_cannot_be_noted_changes_nothing(wrong: Action, why: str) -> None:
    known = fold(added(2 if wrong.kind == ActionKind.ADD_ISSUE else 1))
    assert why in known.refusal(known.next, wrong)
    assert fold(wrong, known=known).issues == known.issues


def test_what_is_sent_twice_is_one_and_what_is_withdrawn_is_withdrawn() -> None:
    known = fold(added(), withdrawn())
    assert known.has_said(added())
    assert not known.has_said(added(text="another"))
    assert known.has_said(withdrawn())
    assert known.refusal(known.next, added()) == "it was noted already"
    assert "was withdrawn by" in known.refusal(known.next, withdrawn(2))
    assert "was withdrawn by" in known.refusal(known.next, extended(RUN + 20))


def test_it_is_stored_and_taken_over_as_it_is() -> None:
    known = fold(added(), raised(new()), extended(RUN + 20))
    assert Decisions.from_json(known.to_json().encode()) == known
    taken = action(ActionKind.TAKE_OVER, 0, after=known.state_json())
    assert fold(taken).issues == known.issues
    assert fold(taken).alarms == known.alarms


def test_what_there_is_not_cannot_be_known() -> None:
    assert place("hslabhits10") == place("plot: hslabhits10") == "plot: hslabhits10"
    assert place("TOF1") == "TOF1"
    assert place("TOF1/horizontal slab 3, PMT 1") == "TOF1/horizontal slab 3, PMT 1"
    for nothing in ("TOF1/horizontal slab 99, PMT 1", "none", ""):
        with pytest.raises(UsageError, match="is no plot, and no GROUP/CHANNEL"):
            place(nothing)
