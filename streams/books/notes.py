"""Notes: what somebody writes down of a run, for whoever comes next. None is changed or removed.

One that is for the site's logbook, too, waits until somebody says that this has taken it.
"""

import json
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.records import Action, ActionKind
from streams.books.flags import names_run, refuse_id
from streams.plain import read_json

KEPT = 200
"""Notes that are remembered, the newest ones; Kafka has all."""
LONGEST_NOTE = 1000
KINDS = {ActionKind.NOTE, ActionKind.TELL_NOTE}


class Note(NamedTuple):
    """What somebody wrote down."""

    id: str
    run: int
    text: str
    plot: str
    """Of which; empty if of none."""
    who: str
    at_us: int
    """Microseconds since 1970 UTC."""
    path: str = ""
    """Of the page that was looked at, with what was chosen; empty if of none."""
    to_log: bool = False
    """Whether the site's logbook is to have it."""
    logged_us: int = 0
    """When that had taken it; 0 if it has not, as far as is known."""

    @property
    def waits(self) -> bool:
        """Whether the logbook is to have it and has not."""
        return self.to_log and not self.logged_us


Notes = tuple[Note, ...]
"""In the order in which they were written."""
_ALL = TypeAdapter(Notes)


def refusal(notes: Notes, action: Action) -> str:
    """Return why an action of `KINDS` would not count where these are known; empty if it would.

    Raises
    ------
    ValueError, TypeError, KeyError
        When it cannot be read.
    """
    said = read_json(action.after)
    if not names_run(action.subject):
        return "its subject is no run"
    if why := refuse_id(said["id"]):
        return why
    found = find(notes, said["id"])
    if action.kind == ActionKind.TELL_NOTE:
        return "there is no such note" if found is None else "the logbook has it already" if not found.waits else ""
    if found is not None:
        return "it was noted already"
    its = _note(action)
    if not all(isinstance(each, str) for each in (its.text, its.plot, its.path)) or type(its.to_log) is not bool:
        raise TypeError("it has no words, no plot, or leads nowhere")
    is_said = said["text"].strip() and len(said["text"]) <= LONGEST_NOTE
    return "" if is_said else f"say what is to be noted, in at most {LONGEST_NOTE} characters"


def after(notes: Notes, action: Action) -> Notes:
    """Return the notes with an action that counts."""
    if action.kind == ActionKind.TELL_NOTE:
        told = read_json(action.after)["id"]
        return tuple(each._replace(logged_us=action.at_us) if each.id == told else each for each in notes)
    return (*notes, _note(action))[-KEPT:]


def find(notes: Notes, note_id: str) -> Note | None:
    """Return a note; None if none of this id is remembered."""
    return next((each for each in reversed(notes) if each.id == note_id), None)


def note_text(act_id: str, text: str, plot: str, path: str, *, to_log: bool) -> str:
    """Return what an action that notes has after it."""
    return json.dumps({"id": act_id, "text": text, "plot": plot, "path": path, "log": to_log})


def told_text(note_id: str) -> str:
    """Return what an action has after it that says that the logbook has a note."""
    return json.dumps({"id": note_id})


def has_counted(notes: Notes, action: Action) -> bool:
    """Say whether the same note of the same person counted before: it was sent twice."""
    if action.kind == ActionKind.TELL_NOTE:
        return False
    new = _note(action)._replace(at_us=0)
    return any(each._replace(at_us=0, logged_us=0) == new for each in notes)


def plain(notes: Notes) -> Any:
    """Return them as JSON has them."""
    return _ALL.dump_python(notes, mode="json")


def from_plain(values: Any) -> Notes:
    """Return what `plain` returned, read from JSON; raises ValueError when it is none of it."""
    return _ALL.validate_python(values)


def _note(action: Action) -> Note:
    said = read_json(action.after)
    # What an older version wrote leads nowhere, and was told by the page that took it.
    its = said.get("path", ""), said.get("log", False)
    return Note(said["id"], int(action.subject), said["text"], said["plot"], action.who, action.at_us, *its)
