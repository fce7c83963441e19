"""Checklists: what somebody on shift answered line by line, every few hours and at the end of a run.

A line has two answers, and both stand: what the checks said when it was sent, and what the person said, if anything. Of
a checklist that was sent the lines are remembered that are no plain yes: the others say nothing more. Kafka has all.
"""

import json
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.records import NO_RUN, Action
from streams.books.flags import END, names_run, refuse_id
from streams.plain import read_json
from streams.words import calendar_time

KEPT = 300
"""Checklists that are remembered, the newest ones."""
MOST_LINES = 100
LONGEST_LINE = 200
LONGEST_WHY = 300
LONGEST_REMARK = 300


OWN = "own: "
"""So begin the names of lines of the site's own, which a person alone can answer."""


class Answer(StrEnum):
    """What is said of a line."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "not known"


class Line(NamedTuple):
    """A line, answered."""

    name: str
    """The same as long as the line means the same."""
    asks: str
    """What is so if the answer is yes."""
    checks: Answer
    """What the checks said."""
    why: str
    """Why they did, in words."""
    person: Answer | None = None
    """What the person said; None if nothing."""
    remark: str = ""
    """That the person wrote."""

    @property
    def answer(self) -> Answer:
        """What holds: the person's, if there is one."""
        return self.checks if self.person is None else self.person

    @property
    def is_own(self) -> bool:
        """Whether the checks cannot say anything of it."""
        return self.name.startswith(OWN)

    @property
    def is_plain(self) -> bool:
        """Whether the checks said yes, and nobody anything."""
        return self.checks is Answer.YES and self.person is None and not self.remark

    @property
    def words(self) -> str:
        """All that is said of it, in a line."""
        said = f"{self.asks}: {self.answer}"
        if self.person is not None and self.person is not self.checks and not self.is_own:
            said = f"{said} (the checks said {self.checks}{f': {self.why}' if self.why else ''})"
        elif self.why:
            said = f"{said} ({self.why})"
        return f"{said}; {self.remark}" if self.remark else said


class Checklist(NamedTuple):
    """One that was sent."""

    id: str
    run: int
    due_us: int
    """Since when it was due, microseconds since 1970 UTC."""
    is_end: bool
    """Whether it is that of the end of the run."""
    spill: int
    """The last spill of the run then; `NO_RUN` without one."""
    of: int
    """Lines that it had."""
    lines: tuple[Line, ...]
    """Those of them that are no plain yes."""
    who: str
    at_us: int
    """Microseconds since 1970 UTC."""

    @property
    def counts(self) -> str:
        """How many of its lines were what: ``9 yes, 2 no, 1 not known``."""
        others = {answer: sum(each.answer is answer for each in self.lines) for answer in (Answer.NO, Answer.UNKNOWN)}
        found = {Answer.YES: self.of - sum(others.values()), **others}
        return ", ".join(f"{count} {answer}" for answer, count in found.items() if count)

    @property
    def of_what(self) -> str:
        """Of which run it is, or of the end of which, and since when it was due."""
        return of_what(self.run, self.due_us, is_end=self.is_end)

    @property
    def done(self) -> str:
        """By whom it was done, and when, as who comes second is told."""
        return f"{self.who} did it already, {calendar_time(self.at_us / 1000)} UTC"


def of_what(run: int, at_us: int, *, is_end: bool) -> str:
    """Return in words of which run a checklist is, or of the end of which, and since when it is due."""
    due = calendar_time(at_us / 1000, "%d %b %H:%M")
    return f"{'the end of ' if is_end else ''}run {run}, due since {due} UTC"


Checklists = tuple[Checklist, ...]
"""In the order in which they were sent."""
_ALL = TypeAdapter(Checklists)
_LINES = TypeAdapter(tuple[Line, ...])


def checklist_text(act_id: str, *, due_us: int, is_end: bool, spill: int, lines: tuple[Line, ...]) -> str:
    """Return what an action that sends a checklist has after it."""
    return json.dumps({"id": act_id, "due_us": due_us, "end": is_end, "spill": spill, "lines": lines})


def find(checklists: Checklists, run: int, due_us: int, *, is_end: bool) -> Checklist | None:
    """Return the one that was sent of what was due; None if none was. A run has one end, whenever that was."""
    return next(
        (each for each in checklists if (each.run, each.is_end) == (run, is_end) and (is_end or each.due_us == due_us)),
        None,
    )


def refusal(checklists: Checklists, action: Action) -> str:
    """Return why a checklist would not count where these are known; empty if it would.

    Raises
    ------
    ValueError, TypeError, KeyError
        When it cannot be read.
    """
    if not names_run(action.subject):
        return "its subject is no run"
    its, lines = _read(action)
    if why := refuse_id(its.id):
        return why
    if any(each.id == its.id for each in checklists):
        return "it was noted already"
    if (done := find(checklists, its.run, its.due_us, is_end=its.is_end)) is not None:
        return done.done
    return _refuse_lines(lines)


def _refuse_lines(lines: tuple[Line, ...]) -> str:
    if not 0 < len(lines) <= MOST_LINES:
        return f"a checklist has 1 to {MOST_LINES} lines"
    if len({each.name for each in lines}) < len(lines):
        return "it has the same line twice"
    for each in lines:
        bounds = (each.name, LONGEST_LINE), (each.asks, LONGEST_LINE), (each.why, LONGEST_WHY)
        if not each.name or not each.asks or any(len(text) > most for text, most in bounds):
            return "one of its lines has no words, or too many"
        if len(each.remark) > LONGEST_REMARK:
            return f"say it in at most {LONGEST_REMARK} characters: {each.asks}"
    return ""


def after(checklists: Checklists, action: Action) -> Checklists:
    """Return the checklists with one that counts."""
    its, _ = _read(action)
    return (*checklists, its)[-KEPT:]


def has_counted(checklists: Checklists, action: Action) -> bool:
    """Say whether the same person sent the same before; what the checks say may be another a moment later."""
    its, _ = _read(action)
    there = next((each for each in checklists if each.id == its.id), None)
    if there is None:
        return False
    return (there.run, there.due_us, there.who, _by_person(there)) == (its.run, its.due_us, its.who, _by_person(its))


def plain(checklists: Checklists) -> Any:
    """Return them as JSON has them."""
    return _ALL.dump_python(checklists, mode="json")


def from_plain(values: Any) -> Checklists:
    """Return what `plain` returned, read from JSON; raises ValueError when it is none of it."""
    return _ALL.validate_python(values)


def _by_person(its: Checklist) -> set[tuple[str, Answer | None, str]]:
    return {(each.name, each.person, each.remark) for each in its.lines if each.person is not None or each.remark}


def _read(action: Action) -> tuple[Checklist, tuple[Line, ...]]:
    """Return a checklist as it is remembered, and all of its lines."""
    said = read_json(action.after)
    lines = _LINES.validate_python(said["lines"])
    due_us, is_end, spill = said["due_us"], said["end"], said["spill"]
    if type(due_us) is not int or type(spill) is not int or type(is_end) is not bool:
        raise TypeError("it has no time, no spill, or no end")
    if due_us < 0 or not NO_RUN <= spill <= END:
        raise ValueError("its time or its spill is none")
    told = tuple(each for each in lines if not each.is_plain)
    its = Checklist(said["id"], int(action.subject), due_us, is_end, spill, len(lines), told, action.who, action.at_us)
    return its, lines
