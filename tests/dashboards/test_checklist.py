"""What the checks answer to each line of the checklist: what is not known is never yes."""

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from dashboards.data import Automatic
from dashboards.pages.checklist import MARKS, lines, page, shown
from dashboards.pages.strip import strip
from streams.books.checklists import Answer
from streams.books.duties import Agenda, Duty
from streams.books.flags import Verdict
from streams.books.issues import Issue
from streams.books.judgement import Judgement
from streams.books.shapes import PlotVerdict, State
from streams.checks.shapes import Block, Shape
from streams.freshness import Freshness, Level
from tests.books.test_alarms import known, new, raised
from tests.books.test_checklists import sent
from tests.books.test_decisions import fold
from tests.dashboards.test_flags import flag
from tests.dashboards.test_tiles import FINE, verdict
from tests.dashboards.views import EMPTY, END, RUN, run_book, text_of, view

YES, NO, UNKNOWN = Answer
OWN = ("Magnets as in the run plan", "Target <in>")
SHAPE = Shape(
    entries=100,
    reference=200,
    elsewhere=0.2,
    evidence=90.0,
    worst=Block(first=(3,), last=(4,), share=0.2, expected=0.1, evidence=90.0),
)
OFF = PlotVerdict(plot="hslabhits10", state=State.BAD, shape=SHAPE, against="run 5")
GOOD = PlotVerdict(plot="ht01", state=State.GOOD, against="run 5")
FEW = PlotVerdict(plot="hslabhits11", state=State.FEW)
COMPARED = {"automatic": Automatic(run=5), "judgement": FINE}
BOOK = run_book(8)
TOTALS = BOOK.totals
ENDED = replace(BOOK, totals=replace(TOTALS, control=END))
REFUSED = replace(BOOK, totals=replace(TOTALS, received=12, rejected=Counter({"unpack": 4})))
LACKING = replace(BOOK, totals=replace(TOTALS, last_spill=17))
NOW = Duty(RUN, 1_700_000_000_000_000, is_end=False)
OVER = NOW._replace(is_end=True)
DEAD = replace(FINE, verdicts=(verdict(),))
ISSUE = Issue("issue-0001", "TOF1/horizontal slab 1, PMT 1", "dead", "anna", 0, RUN, None, "anna@here", 1, "a test")


def fresh(level: Level) -> Freshness:
    return Freshness(level=level, text="so it is")


def shapes(*its: PlotVerdict) -> dict[str, Any]:
    return COMPARED | {"shapes": {each.plot: each for each in its}}


TABLE: dict[str, tuple[str, dict[str, Any], Answer, str]] = {
    "spills come": ("spills", {}, YES, "Last spill 1 s ago"),
    "spills do not come": ("spills", {"daq": fresh(Level.BAD)}, NO, "so it is"),
    "spills are late": ("spills", {"daq": fresh(Level.WARNING)}, NO, "so it is"),
    "nobody knows of spills": ("spills", {"daq": fresh(Level.UNKNOWN)}, UNKNOWN, "so it is"),
    "the first spill is waited for": ("spills", {"daq": fresh(Level.IDLE)}, UNKNOWN, "so it is"),
    "spills of a run that is over": ("spills", {"book": ENDED, "daq": fresh(Level.IDLE)}, YES, "8 spills"),
    "workers are behind": ("processed", {"pipeline": fresh(Level.BAD)}, NO, "so it is"),
    "Kafka is away": ("processed", {"pipeline": fresh(Level.UNKNOWN)}, UNKNOWN, "so it is"),
    "all count": ("counted", {}, YES, "0 missing, 0 rejected of 8 spills"),
    "too many rejected": ("counted", {"book": REFUSED}, NO, "4 of 12 spills (33.3 %) rejected"),
    "too many missing": ("counted", {"book": LACKING}, NO, "10 of 18 spills (55.6 %) missing"),
    "none came": ("counted", {"book": EMPTY, "run": RUN}, UNKNOWN, "No spills"),
    "detector fine": ("detector tof", {"judgement": FINE}, YES, "No change"),
    "detector not judged": ("detector tof", {"judgement": None}, UNKNOWN, "Not judged yet"),
    "detector judged in part": ("detector tof", {"judgement": replace(FINE, left=9)}, UNKNOWN, "Not all is judged yet"),
    "detector settles": ("detector tof", {"judgement": Judgement(spills=7, counted=7, last=6)}, UNKNOWN, "Settling"),
    "detector wrong": ("detector tof", {"judgement": DEAD}, NO, "PMT 1 silent since spill 40"),
    "detector wrong and known": ("detector tof", {"judgement": DEAD, "known": (ISSUE,)}, NO, "Known: dead (anna"),
    "plots": ("plots", shapes(GOOD, FEW), YES, "1 plot as in run 5; of 1 nobody can tell, for want of data"),
    "plots off": ("plots", shapes(GOOD, OFF), NO, "Not as in run 5: TOF1 slab hits, horizontal plane 20 % off"),
    "plots that were off": ("plots", shapes(GOOD, replace(OFF, is_past=True)), YES, "1 plot as in run 5"),
    "no plot has enough": ("plots", shapes(FEW), UNKNOWN, "Not enough data"),
    "plots not judged": ("plots", shapes(), UNKNOWN, "Not judged yet"),
    "nothing to compare with": ("plots", {"judgement": FINE}, UNKNOWN, "No run to compare with"),
    "no alarm": ("alarms", {}, YES, "None waits"),
    "an alarm": ("alarms", {"alarms": known(raised(new(run=RUN)))}, NO, "Nobody has acknowledged: PMT"),
    "an alarm that nobody watches for": ("alarms", {"watching": fresh(Level.WARNING)}, UNKNOWN, "so it is"),
    "an alarm, and nobody watches": (
        "alarms",
        {"alarms": known(raised(new(run=RUN))), "watching": fresh(Level.BAD)},
        NO,
        "Nobody has acknowledged",
    ),
    "no flag": ("flag", {"book": ENDED}, NO, "100 % not looked at"),
    "a flag": ("flag", {"book": ENDED, "flags": {RUN: (flag(Verdict.BAD),)}}, YES, "100 % bad"),
    "a flag of some spills": ("flag", {"book": ENDED, "flags": {RUN: (flag(Verdict.GOOD, 0, 3),)}}, NO, "50 % good"),
    "a site's own": (f"own: {OWN[0]}", {}, UNKNOWN, ""),
}


@pytest.mark.parametrize("name", TABLE)
def test_27_each_line_is_answered_by_the_checks_with_why(name: str) -> None:
    line, changes, answer, why = TABLE[name]
    its = view(**{"book": BOOK, **changes})
    found = {each.name: each for each in lines(its, OVER if line == "flag" else NOW, OWN)}
    assert (found[line].checks, why in found[line].why) == (answer, True), found[line]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"is_old": True, "warnings": ("The store (Redis) does not answer",)}, "The store (Redis) does not answer"),
        ({"is_loading": True}, "The run is still being read"),
        ({"is_unreadable": True}, "The run cannot be read"),
        ({"is_made_again": True}, "Some of the run is being made again"),
        ({"runs": ()}, "The run cannot be read"),
    ],
)
def test_27_of_what_cannot_be_read_no_line_is_yes(changes: dict[str, Any], why: str) -> None:
    its = view(BOOK, **shapes(GOOD), **changes)
    of_checks = [each for each in lines(its, OVER, OWN) if not each.name.startswith("own: ")]
    assert {(each.checks, each.why) for each in of_checks} == {(UNKNOWN, why)}


def test_27_a_run_without_spills_has_no_line_that_is_yes_but_that_no_alarm_waits() -> None:
    its = view(EMPTY, run=RUN, daq=fresh(Level.IDLE), pipeline=fresh(Level.IDLE))
    assert [each.name for each in lines(its, NOW, OWN) if each.checks is YES] == ["alarms"]


def test_27_the_way_to_it_is_there_while_it_is_due_with_since_when() -> None:
    def head(agenda: Agenda | None, **changes: Any) -> str:
        return text_of(strip(view(BOOK, agenda=agenda, **changes)))

    assert "Checklist since ! 22:13" in head(Agenda((NOW,)))
    assert "Checklist since ! 22:13" in head(Agenda((NOW, OVER)), is_loading=True)
    assert "Checklist since ! 14 Nov" in head(Agenda((NOW,)), now_s=1_700_100_000.0)
    assert "Checklist" not in head(Agenda())
    assert "Checklist" not in head(None)


def test_27_the_page_has_a_form_only_where_one_is_due_and_nothing_of_it_is_markup() -> None:
    its = view(BOOK, agenda=Agenda((NOW,), 1_700_007_200_000_000), checklists=fold(sent()).checklists)
    due = page(its, NOW, OWN)
    assert f"<h1>Run {RUN}, due since 14 Nov 22:13 UTC</h1>" in due
    assert f"as of spill {TOTALS.last_spill}" in due
    assert "Target &lt;in&gt;" in due
    assert "<in>" not in due
    assert "it is &lt;b&gt;known&lt;/b&gt;" in due
    assert len(re.findall("type='radio'", due)) == 3 * len(re.findall("data-line=", due))
    assert all(f"{mark} {answer}" in due for answer, mark in MARKS.items())

    nothing = page(view(BOOK, agenda=Agenda((), 1_700_007_200_000_000)), None, OWN)
    assert f"falls due 15 Nov 00:13 UTC, or when run {RUN} ends." in nothing
    assert "<form" not in nothing
    assert "Last spill 1 s ago" in nothing
    unknown = page(view(BOOK, agenda=None, warnings=("Kafka <b> does not answer",)), None, OWN)
    assert "Nobody knows whether a checklist is due." in unknown
    assert "Kafka &lt;b&gt; does not answer" in unknown
    assert "<form" not in unknown
    assert "data-state='unknown'" in unknown
    none = page(view(), None, OWN)
    assert "No checklist is due. One falls due at the end of a run." in none


def test_27_what_is_due_of_another_run_is_answered_of_that() -> None:
    class Known:
        def view(self, choices: Any = None) -> Any:
            run = choices.run if choices is not None else RUN
            return view(run_book(run=run), run=run, agenda=Agenda((OVER._replace(run=RUN + 1),)))

    assert f"The end of run {RUN + 1}, due" in shown(Known(), OWN)  # type: ignore[arg-type]
    assert f"Run {RUN + 1} as of spill" in shown(Known(), OWN)  # type: ignore[arg-type]
