"""What the checks propose of runs: folded in the order in which it was written, and never more than a proposal."""

import json
from dataclasses import replace

import pytest

from schemas.records import Action, ActionKind
from streams.books.decisions import Decisions
from streams.books.flags import END, Verdict
from streams.books.proposals import CHECKS, Proposal, Proposed
from tests.books.test_decisions import action, fold
from tests.books.test_flags import BAD, GOOD, RUN, flagged, withdrawn

DEAD = Proposed(Verdict.BAD, "PMT 3 silent since spill 40", "near", 40)
CLEAN = Proposed(Verdict.GOOD, "nothing is known to be wrong")


def proposal(*flags: Proposed, produced_ms: int = 100, session: str = "live") -> Proposal:
    return Proposal(session=session, produced_ms=produced_ms, reference=6007, earlier=(6005,), flags=flags)


def proposing(its: Proposal, at_us: int = 1) -> Action:
    return replace(action(ActionKind.PROPOSE_FLAGS, RUN, after=its.to_json()), who=CHECKS, at_us=at_us)


def test_the_proposal_of_the_newest_book_is_the_one_that_is_known() -> None:
    first, second = proposal(CLEAN), proposal(CLEAN, DEAD, produced_ms=200)
    known = fold(proposing(first), proposing(second, at_us=7))
    assert known.proposed == {RUN: replace(second, at_us=7)}
    back = Decisions.from_json(known.to_json().encode())
    assert back == known
    assert not known.is_empty
    again = fold(action(ActionKind.TAKE_OVER, 0, after=known.state_json()))
    assert again.proposed == known.proposed


@pytest.mark.parametrize(
    ("late", "why"),
    [
        (proposing(proposal(CLEAN)), "this book of the run was judged already"),
        (proposing(proposal(CLEAN, produced_ms=99)), "judged already"),
        (replace(proposing(proposal(CLEAN, produced_ms=300)), subject="live"), "cannot be read"),
        (replace(proposing(proposal(CLEAN, produced_ms=300)), subject=str(END + 1)), "its subject is no run"),
        (replace(proposing(proposal()), after="[" * 100_000), "cannot be read"),
        (replace(proposing(proposal()), after=json.dumps({"flags": 7})), "cannot be read"),
        (proposing(proposal(Proposed(BAD, "", "near", 9, 3), produced_ms=300)), "spills that there are not"),
    ],
)
def test_what_is_no_proposal_or_comes_twice_does_not_count(late: Action, why: str) -> None:
    known = fold(proposing(proposal(DEAD)))
    assert why in known.refusal(known.next, late)
    assert fold(late, known=known).proposed == known.proposed


def test_a_replay_that_was_promoted_is_proposed_anew_whatever_is_newer() -> None:
    known = fold(proposing(proposal(DEAD)), proposing(proposal(CLEAN, produced_ms=50, session="replay-a")))
    assert known.proposed[RUN].session == "replay-a"


def test_a_run_is_bad_by_what_people_said_and_else_by_the_checks() -> None:
    for actions, bad in (
        ([], ""),
        ([proposing(proposal(CLEAN))], ""),
        ([proposing(proposal(CLEAN, DEAD))], "the checks: PMT 3 silent since spill 40"),
        ([proposing(proposal(CLEAN, DEAD)), flagged(1, GOOD)], ""),
        ([proposing(proposal(CLEAN, DEAD)), flagged(1, GOOD, first=5)], "the checks: PMT 3 silent since spill 40"),
        ([proposing(proposal(CLEAN)), flagged(1, BAD, "near", 3, 4)], "flagged bad: it is so"),
        ([proposing(proposal(CLEAN)), flagged(1, BAD, "near", 3, 4), withdrawn(1, 1)], ""),
    ):
        assert fold(*actions).bad(RUN) == bad


def test_what_was_said_later_is_not_asked_so_that_it_makes_no_difference_when_somebody_looks() -> None:
    known = fold(
        replace(flagged(1, BAD), at_us=10), replace(withdrawn(1, 1), at_us=20), proposing(proposal(DEAD), at_us=30)
    )
    assert [bool(known.bad(RUN, until_us)) for until_us in (9, 10, 19, 20, 29, 30, None)] == [
        False,
        True,
        True,
        False,
        False,
        True,
        True,
    ]
