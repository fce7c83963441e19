"""What the checks propose of a run that is over: flags that a person may set as they are, and what it was held against.

It is written when the run has ended, once for each book of it, as an action: so what was held against what is known
whatever becomes of the other runs. It says nothing of a run by itself: that is for people.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.records import Action
from streams.books.flags import ALL, END, Verdict, names_run
from streams.plain import read_json

CHECKS = "checks"
"""Who proposes."""


class Proposed(NamedTuple):
    """A flag as it would be set."""

    verdict: Verdict
    reason: str
    detector: str = ALL
    first: int = 0
    last: int = END


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What the checks say of a run."""

    session: str
    produced_ms: int
    """Which book of it: whose, and when the newest message in it was produced, Unix milliseconds."""
    reference: int | None
    """The run that it was held against."""
    earlier: tuple[int, ...] = ()
    """Good ones before that, which say how runs scatter."""
    book: str = ""
    """SHA-256 of the book that it was held against, if that was pinned in place of a run."""
    flags: tuple[Proposed, ...]
    run_type: str = ""
    limits: dict[str, bool | float] | None = None
    """By which it was judged, see `limits.in_force`; None if an earlier version did so, which did not say."""
    at_us: int = 0
    """When it was written, microseconds since 1970 UTC."""

    @property
    def bad(self) -> str:
        """Why it would be flagged bad, in part at least; empty if it would not."""
        return next((each.reason for each in self.flags if each.verdict is Verdict.BAD), "")

    def to_json(self) -> str:
        """Return it as an action has it after it."""
        return json.dumps(plain({0: self})["0"])


_ALL = TypeAdapter(dict[int, Proposal])


def refusal(known: Proposal | None, action: Action) -> str:
    """Return why an action that proposes would not count where this is known of its run; empty if it would.

    Raises
    ------
    ValueError, TypeError, KeyError
        When it cannot be read.
    """
    if not names_run(action.subject):
        return "its subject is no run"
    new = of(action)
    if not all(0 <= each.first <= each.last <= END for each in new.flags):
        return "it has spills that there are not"
    if known is not None and known.session == new.session and known.produced_ms >= new.produced_ms:
        return "this book of the run was judged already"
    return ""


def of(action: Action) -> Proposal:
    """Return what an action proposes; raises as `refusal`."""
    return _ALL.validate_python({0: {**read_json(action.after), "at_us": action.at_us}})[0]


def plain(proposals: Mapping[int, Proposal]) -> dict[str, Any]:
    """Return all of them as JSON has them."""
    found: dict[int, Any] = _ALL.dump_python(dict(proposals), mode="json")
    return {str(run): its for run, its in found.items()}


def from_plain(values: Mapping[str, Any]) -> dict[int, Proposal]:
    """Return what `plain` returned, read from JSON; raises ValueError when it is none of it."""
    return _ALL.validate_python(values)
