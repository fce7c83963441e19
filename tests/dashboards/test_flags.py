"""What the page says of a run in a word, and of its flags."""

import pytest

from dashboards.pages.flags import MOST, flags_list, flags_shares, percent, run_word, strip_flag
from streams.books.flags import END, Flag, Flags, Remark, Verdict
from streams.books.proposals import Proposal, Proposed
from tests.dashboards.views import RUN, run_book, text_of, view

GOOD, BAD, UNKNOWN = Verdict.GOOD, Verdict.BAD, Verdict.UNKNOWN


def flag(verdict: Verdict, first: int = 0, last: int = END, detector: str = "", **more: Remark) -> Flag:
    return Flag(f"{verdict}-{first}", detector, verdict, first, last, "anna@here", 1, "the page", "<i>why</i>", **more)


REMARK = Remark("remark-1", "bob", 2, "the page", "of another run")


@pytest.mark.parametrize(
    ("flags", "word", "in_strip"),
    [
        ((), "– not looked at", "– not looked at"),
        ((flag(GOOD),), "✓ good", "✓ good"),
        ((flag(GOOD, 0, 3),), "✓ good in part", "✓ good 50 %"),
        ((flag(GOOD), flag(BAD, 2, 3)), "✕ bad in part", "✕ bad 25 %"),
        ((flag(GOOD), flag(UNKNOWN, 2)), "? unknown in part", "? unknown 75 %"),
        ((flag(BAD),), "✕ bad", "✕ bad"),
        ((flag(BAD, withdrawn=REMARK),), "– not looked at", "– not looked at"),
        ((flag(GOOD, detector="tof"),), "– not looked at", "– not looked at"),
        # Of spills that are still to come nothing is known: it is no share of the run.
        ((flag(BAD, 100),), "✕ bad in part", "– not looked at"),
    ],
)
def test_a_run_has_its_worst_word_and_is_good_only_where_somebody_said_so(
    flags: Flags, word: str, in_strip: str
) -> None:
    assert run_word(flags, None) == word
    assert text_of(strip_flag(view(run_book(8), flags={RUN: flags}))) == f"Flag {in_strip}"


def test_what_the_checks_propose_is_said_of_a_run_that_nobody_looked_at_and_is_no_flag() -> None:
    dead = Proposed(BAD, "silent since spill 40", "tof", 40)
    proposal = Proposal(session="live", produced_ms=1, reference=6, flags=(Proposed(GOOD, "nothing"), dead))
    assert run_word((), proposal) == "– not looked at (proposed: ✕ bad)"
    assert run_word((flag(GOOD),), proposal) == "✓ good"
    shown = view(run_book(8), proposed={RUN: proposal})
    assert text_of(strip_flag(shown)) == "Flag – proposed ✕"
    said = text_of(flags_list(shown))
    assert "The checks propose, against run 6:" in said
    assert "✕ bad: Time of flight, spills 40 and later: silent since spill 40" in said
    assert "100 % not looked at" in text_of(flags_shares(shown))


def test_a_share_says_all_or_nothing_only_where_it_is_so() -> None:
    assert [percent(some, 1000) for some in (0, 1, 500, 999, 1000)] == ["0 %", "< 1 %", "50 %", "> 99 %", "100 %"]


def test_all_flags_are_listed_the_newest_first_with_what_became_of_them() -> None:
    flags = (flag(GOOD, verified=REMARK), flag(BAD, 2, 3, "tof", withdrawn=REMARK), flag(BAD, 4, 5, "tof"))
    shown = view(run_book(8), flags={RUN: flags})
    words = text_of(flags_list(shown))
    assert words.index("spills 4–5") < words.index("withdrawn by bob: of another run") < words.index("verified by bob")
    assert "<i>why</i>" in words
    assert words.count("Verify") == 1
    assert words.count("Withdraw") == 2
    assert "Time of flight: spills 0–3 ✓ good, spills 4–5 ✕ bad, spills 6 and later ✓ good" in words
    assert "75 % good, 0 % unknown, 25 % bad, 0 % not looked at; 1 not verified" in text_of(flags_shares(shown))
    assert flags_list(view()) == []
    assert "before these" not in words
    assert text_of(flags_shares(view())) == "There is no run yet."


def test_of_very_many_flags_the_newest_are_listed_and_the_others_counted() -> None:
    flags = tuple(flag(BAD, 2 * at, 2 * at) for at in range(MOST + 25))
    words = text_of(flags_list(view(run_book(8), flags={RUN: flags})))
    assert words.count("Verify") == MOST
    assert f"spill {2 * MOST + 48}" in words
    assert "and 25 more" in words
    assert words.endswith(f"25 flags before these: spilldeck flags list {RUN}.")
