"""What the hand-over says of a shift, as one content for all who read it."""

import re
from dataclasses import replace
from typing import Any

import pytest

from dashboards.pages.handover import sections
from streams.books.alarms import Alarm, Mask
from streams.books.changed import Changed, Moved
from streams.books.checklists import Answer, Checklist, Line
from streams.books.duties import Duty
from streams.books.flags import END, Flag, Remark, Shares, Verdict
from streams.books.handover import (
    LONGEST,
    MOST_ALARMS,
    MOST_CHECKLISTS,
    MOST_NOTES,
    MOST_RUNS,
    MOST_UNDONE,
    Compared,
    LimitsThen,
    Report,
    Shift,
    ShiftRun,
    markdown,
    report,
)
from streams.books.issues import Hit, Issue
from streams.books.notes import Note
from tests.books.test_alarms import new

HOUR_US = 3600 * 1_000_000
NOW_US = 1_700_000_000 * 1_000_000
SINCE_US = NOW_US - 8 * HOUR_US
CODE = frozenset({"1.0"})


def run(number: int = 6008, **changes: Any) -> ShiftRun:
    usual = ShiftRun(
        run=number,
        run_type="physics",
        state="ended",
        first_ms=SINCE_US // 1000,
        produced_ms=NOW_US // 1000,
        spills=100,
        rejected=1,
        missing=2,
        triggers=9000,
        shares=Shares(0, 0, 0, 100),
        flags=(),
        code=CODE,
    )
    return replace(usual, **changes)


def alarm(number: int = 1, at_us: int = NOW_US - HOUR_US, **changes: Any) -> Alarm:
    return Alarm(f"alarm-{number:04}", new(number), at_us)._replace(**changes)


def issue(**changes: Any) -> Issue:
    usual = Issue("issue-0001", "plot: hslabhits10", "dead since May", "anna", 0, 6000, None, "anna@here", 1, "a test")
    return usual._replace(**changes)


def shift(**changes: Any) -> Shift:
    usual = Shift(
        since_us=SINCE_US,
        until_us=NOW_US,
        runs=[run()],
        alarms=(),
        issues=(),
        notes=(),
        checklists=(),
        undone=(),
        decided=[],
        files={},
        compared=None,
        current=6008,
    )
    return replace(usual, **changes)


def section(its: Report, title: str) -> str:
    (found,) = [each for each in its.sections if each.title == title]
    cells = [" | ".join(row) for row in found.table.rows] if found.table is not None else []
    return "\n".join([*found.lines, *cells, *found.after])


def runs(*its: ShiftRun) -> str:
    return section(report(shift(runs=its)), "Runs")


def test_28_runs_have_spills_states_and_flags_and_nobody_looked_is_said() -> None:
    assert "100 not looked at." in runs(run())
    flag = Flag("flag-0001", "tof", Verdict.BAD, 0, END, "anna@here", 1, "a test", "it tripped")
    flagged = run(shares=Shares(60, 40, 0, 0), flags=(flag,))
    assert "good 60 %, bad 40 %: it tripped" in runs(flagged)
    assert "1 run, 100 spills in the plots, 40 flagged bad, 0 not looked at." in runs(flagged)
    assert "6008 | physics | ended | 14:13–22:13 | 100 | 1 | 2" in runs(flagged)
    assert runs() == "No run came."
    assert "cannot be read" in runs(run(shares=Shares(0, 0, 0, 0)))


def test_28_of_many_runs_the_rest_is_counted() -> None:
    said = runs(*(run(6000 + at) for at in range(MOST_RUNS + 3)))
    assert "3 runs before these, 300 spills." in said
    assert said.count("physics") == MOST_RUNS
    assert f"{6000 + MOST_RUNS + 2} |" in said


def test_28_all_alarms_that_stood_or_were_heard_of_are_named_those_that_stand_first() -> None:
    remark = Remark("remark-0001", "bob@here", NOW_US - HOUR_US, "a test", "as before again after spill 90")
    long_ago = SINCE_US - HOUR_US
    its = (
        alarm(1, cleared=remark),
        alarm(2, acknowledged=remark),
        alarm(3),
        alarm(4, long_ago),
        alarm(5, long_ago, cleared=remark._replace(at_us=long_ago)),
        alarm(6, known=Mask("issue-0001", "known: dead (anna)", None)),
    )
    said = section(report(shift(alarms=its)), "Alarms")
    lines = said.splitlines()
    assert lines[0] == "4 raised, 1 of 5 alarms acknowledged, 4 active now."
    assert [re.findall(r"PMT (\d)", line)[0] for line in lines[1:]] == ["4", "2", "3", "6", "1"]
    assert "over | PMT 1 silent" in lines[-1]
    assert "as before again after spill 90" in lines[-1]
    assert "bob@here" in lines[2]
    assert lines[3].endswith("nobody")
    assert lines[4].startswith("known issue")
    many = section(report(shift(alarms=tuple(map(alarm, range(MOST_ALARMS + 2))))), "Alarms")
    assert "2 alarms more: spilldeck alarms list --all." in many


def test_28_known_issues_past_their_end_ask() -> None:
    its = issue(), issue(id="issue-0002", last=7000, text="weak", hits=3, hit=Hit(6008, 40, 1))
    said = section(report(shift(issues=its)), "Known issues")
    assert "dead since May | anna | expired (runs 0–6000): still so?" in said
    assert "weak | anna | runs 0–7000 | 3 hits, the last in run 6008 after spill 40" in said
    gone = issue(withdrawn=Remark("remark-0001", "bob@here", NOW_US - 1, "a test", ""))
    assert "Withdrawn by bob@here: dead since May" in section(report(shift(issues=(gone,))), "Known issues")


def test_28_what_is_other_than_before_is_said_of_conditions_code_files_plots_and_channels() -> None:
    moved = Moved(
        detector="tof", group="TOF1", channel="slab 3", hits=10.0, expected=200.0, of=4000.0, evidence=80.0, told=1
    )
    its = Compared(
        run=6008,
        other=6001,
        tables=("tof_t0",),
        code=(CODE, frozenset({"0.9"})),
        changed=Changed(channels=(moved,), steady_plots=150),
    )
    said = section(
        report(shift(compared=its, files={"The file of limits": NOW_US}, decided=["Runs are compared with run 1."])),
        "Changed since the shift before",
    )
    assert "The file of limits was edited, 14 Nov 22:13 UTC." in said
    assert "Runs are compared with run 1." in said
    assert "Conditions (run 6008 against run 6001): other tables of tof_t0 (spilldeck conditions show)." in said
    assert "Code: 1.0, before 0.9." in said
    assert "0 plots and 1 channel moved by more than chance; 150 plots did not" in said
    assert "TOF1 slab 3 | 10 hits, where 200 were expected by the others in TOF1 | 4.8 %" in said
    type_only, new = LimitsThen("cosmics", 5999, ()), LimitsThen("beam", None, ())
    other = LimitsThen("physics", 6001, ("matters 0.1, before 0.05", "hslabhits10.judged no, before as its type"))
    limits = section(report(shift(limits=[type_only, other, new, new, new])), "Changed since the shift before")
    assert "of type physics, since run 6001: matters 0.1, before 0.05; hslabhits10.judged no, before" in limits
    steady = section(report(shift(limits=[type_only])), "Changed since the shift before")
    assert "Limits of runs of type cosmics, since run 5999: as before." in steady
    nobody_knows = section(report(shift(limits=[new])), "Changed since the shift before")
    assert "Limits of runs of type beam: nobody knows those of the shift before" in nobody_knows
    assert "Limits of 4 types of runs more." in limits
    same = replace(its, tables=(), code=(CODE, CODE), changed=Changed())
    steady = section(report(shift(compared=same)), "Changed since the shift before")
    assert "as before." in steady
    assert "Code: 1.0 as before." in steady
    nobody = section(
        report(shift(compared=Compared(run=1, other=None, why="none came"))), "Changed since the shift before"
    )
    assert nobody == "Run 1 is compared with none: none came."


@pytest.mark.parametrize("words", ["a | b", "<script>alert(1)</script>", "# a\n\n## b", "[a](javascript:b)", "`a` *b*"])
def test_28_what_somebody_wrote_makes_no_table_link_or_element(words: str) -> None:
    its = report(shift(issues=(issue(text=words),), unreadable=[words]))
    said = markdown(its)
    assert [line for line in said.splitlines() if line.startswith("#")][1:] == [
        "## Could not be read",
        "## Runs",
        "## Alarms",
        "## Known issues",
        "## Notes",
        "## Checklists",
        "## Changed since the shift before",
    ]
    (row,) = [line for line in said.splitlines() if "anna" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    assert not re.search(r"(?<!\\)[<\[`*]", row)


def test_28_what_is_not_printed_stands_as_an_escape_on_the_page_and_in_markdown() -> None:
    words = "silent \x1b]0;mine\x07\u202e since\u200b 5"
    its = report(shift(issues=(issue(text=words, owner=words),), unreadable=[words]))
    for said in (markdown(its), sections(its)):
        assert said.replace("\n", "").isprintable()
        assert "u202e since" in said


def test_28_a_long_text_is_cut_where_one_sees_it() -> None:
    said = section(report(shift(issues=(issue(text="x" * 400),))), "Known issues")
    assert "x…" in said
    assert len(max(said.split(" | "), key=len)) == LONGEST


def test_28_checklists_are_told_with_what_was_no_and_those_that_were_not_done() -> None:
    def checklist(number: int, *lines: Line, at_us: int = NOW_US - HOUR_US) -> Checklist:
        return Checklist(f"check-{number:05}", number, at_us, False, 100, 10, lines, "anna@here", at_us)

    off = Line("detector tof", "TOF: as it should be", Answer.NO, "PMT 1 silent since spill 4")
    few = Line("plots", "Plots are as in the reference", Answer.UNKNOWN, "No run to compare with")
    mine = Line("alarms", "All alarms are acknowledged", Answer.NO, "1 waits", Answer.YES, "I looked")
    its = (checklist(0, at_us=SINCE_US - 1), checklist(6008), checklist(6009, few, mine, off))
    undone = [Duty(6000 + at, NOW_US - HOUR_US, is_end=bool(at)) for at in range(2)]
    said = section(report(shift(checklists=its, undone=undone)), "Checklists")
    of_second = (
        "14 Nov 21:13 UTC, anna@here: run 6009, due since 14 Nov 21:13 UTC, as of spill 100: 8 yes, 1 no, 1 not known: "
        "TOF: as it should be: no (PMT 1 silent since spill 4); "
        "Plots are as in the reference: not known (No run to compare with); "
        "All alarms are acknowledged: yes (the checks said no: 1 waits); I looked"
    )
    assert said.splitlines() == [
        "14 Nov 21:13 UTC, anna@here: run 6008, due since 14 Nov 21:13 UTC, as of spill 100: 10 yes",
        of_second,
        "Not done: run 6000, due since 14 Nov 21:13 UTC; the end of run 6001, due since 14 Nov 21:13 UTC.",
    ]
    assert section(report(shift()), "Checklists") == "None fell due, and none was sent."
    many = [Duty(6000 + at, NOW_US, is_end=True) for at in range(MOST_UNDONE + 3)]
    said = section(report(shift(checklists=its[1:] * MOST_CHECKLISTS, undone=many)), "Checklists")
    assert f"{MOST_CHECKLISTS} checklists before these: spilldeck audit list --kind checklist." in said
    assert said.endswith("; 3 before these.")


def test_28_notes_of_the_shift_are_listed_and_the_rest_counted() -> None:
    def note(number: int, at_us: int = NOW_US - HOUR_US) -> Note:
        return Note(f"note-{number:05}", 6008, f"note {number}", "hslabhits10", "anna@here", at_us)

    its = (note(0, SINCE_US - 1), *(note(number) for number in range(1, MOST_NOTES + 3)))
    said = section(report(shift(notes=its)), "Notes")
    assert "note 0" not in said
    assert "note 2\n" not in said
    assert "14 Nov 21:13 UTC, anna@here, run 6008, TOF1 slab hits, horizontal plane: note 3\n" in said
    assert "2 notes before these: spilldeck audit list --kind note." in said
    assert section(report(shift()), "Notes") == "Nobody noted anything."
