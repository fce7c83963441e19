"""Notes: what somebody writes down of a run, for whoever comes next. None is changed or removed."""

from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.records import Action
from streams.books.flags import names_run, refuse_id
from streams.plain import read_json

KEPT = 200
"""Notes that are remembered, the newest ones; Kafka has all."""
LONGEST_NOTE = 1000


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


Notes = tuple[Note, ...]
"""In the order in which they were written."""
_ALL = TypeAdapter(Notes)


def refusal(notes: Notes, action: Action) -> str:
    """Return why a note would not count where these are known; empty if it would.

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
    if any(each.id == said["id"] for each in notes):
        return "it was noted already"
    if not isinstance(said["text"], str) or not isinstance(said["plot"], str):
        raise TypeError("it has no words or no plot")
    is_said = said["text"].strip() and len(said["text"]) <= LONGEST_NOTE
    return "" if is_said else f"say what is to be noted, in at most {LONGEST_NOTE} characters"


def after(notes: Notes, action: Action) -> Notes:
    """Return the notes with one that counts."""
    return (*notes, _note(action))[-KEPT:]


def has_counted(notes: Notes, action: Action) -> bool:
    """Say whether the same note of the same person counted before: it was sent twice."""
    new = _note(action)
    return any(each._replace(at_us=0) == new._replace(at_us=0) for each in notes)


def plain(notes: Notes) -> Any:
    """Return them as JSON has them."""
    return _ALL.dump_python(notes, mode="json")


def from_plain(values: Any) -> Notes:
    """Return what `plain` returned, read from JSON; raises ValueError when it is none of it."""
    return _ALL.validate_python(values)


def _note(action: Action) -> Note:
    said = read_json(action.after)
    return Note(said["id"], int(action.subject), said["text"], said["plot"], action.who, action.at_us)
