"""Known issues, notes and checklists as somebody writes them, on the page or by a command."""

import json

from schemas.records import Action, ActionKind
from streams.books.actions import new_action
from streams.books.alarms import remark_text
from streams.books.checklists import Line, checklist_text
from streams.books.duties import Duty
from streams.books.issues import Issues, NewIssue, end_text, find, issue_values
from streams.books.named import PLOT, name_of_plot
from streams.books.notes import Note, note_text, told_text
from streams.errors import UsageError
from streams.experiment import experiment

LOGBOOK = "the logbook"
"""Who has taken a note."""


def place(said: str) -> str:
    """Return what an issue is of, as alarms name it: of a plot's name, ``GROUP/CHANNEL``, or ``GROUP``.

    Raises
    ------
    UsageError
        When there is no such thing.
    """
    name = said.removeprefix(PLOT)
    if name in experiment().plots:
        return name_of_plot(name)
    for its in experiment().all_watched:
        channels = {*getattr(its, "names", ()), *getattr(its, "parts", ())}
        if said == its.name or any(said == f"{its.name}/{channel}" for channel in channels):
            return said
    groups = ", ".join(each.name for each in experiment().all_watched)
    raise UsageError(f"{said} is no plot, and no GROUP/CHANNEL as alarms name them; the groups are {groups}")


def add_action(new: NewIssue, *, origin: str, who: str = "") -> Action:
    """Return the action that adds an issue.

    Raises
    ------
    UsageError
        When there is no such plot or channel.
    """
    of_it = new._replace(of=place(new.of))
    text = json.dumps(issue_values(of_it))
    return new_action(ActionKind.ADD_ISSUE, new.id, after=text, origin=origin, reason=new.text, who=who)


def extend_action(
    there: Issues, issue_id: str, *, act_id: str, last: int, until_us: int | None, origin: str, who: str = ""
) -> Action:
    """Return the action that says that an issue is still so: up to another run, or until another time."""
    text = end_text(act_id, last, until_us)
    return new_action(
        ActionKind.EXTEND_ISSUE, issue_id, before=_before(there, issue_id), after=text, origin=origin, who=who
    )


def withdraw_action(there: Issues, issue_id: str, *, act_id: str, reason: str, origin: str, who: str = "") -> Action:
    """Return the action that says that an issue is no more so."""
    before, text = _before(there, issue_id), remark_text(act_id)
    return new_action(
        ActionKind.WITHDRAW_ISSUE, issue_id, before=before, after=text, origin=origin, reason=reason, who=who
    )


def note_action(
    run: int, text: str, plot: str, *, act_id: str, path: str = "", to_log: bool = False, origin: str, who: str = ""
) -> Action:
    """Return the action that notes something.

    Parameters
    ----------
    path
        Of the page that was looked at; empty if of none.
    to_log
        Whether the site's logbook is to have it.
    """
    text = note_text(act_id, text, plot, path, to_log=to_log)
    return new_action(ActionKind.NOTE, run, after=text, origin=origin, who=who)


def tell_note_action(note: Note) -> Action:
    """Return the action that says that the logbook has taken a note."""
    return new_action(ActionKind.TELL_NOTE, note.run, after=told_text(note.id), origin="the page", who=LOGBOOK)


def checklist_action(
    duty: Duty, spill: int, lines: tuple[Line, ...], *, act_id: str, origin: str, who: str = ""
) -> Action:
    """Return the action that sends a checklist, as of a spill."""
    text = checklist_text(act_id, due_us=duty.at_us, is_end=duty.is_end, spill=spill, lines=lines)
    return new_action(ActionKind.CHECKLIST, duty.run, after=text, origin=origin, who=who)


def _before(there: Issues, issue_id: str) -> str:
    found = find(there, issue_id)
    return json.dumps(issue_values(found)) if found is not None else ""
