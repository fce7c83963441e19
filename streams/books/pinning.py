"""The reference of a type of runs, as somebody pins it, on the page or by a command."""

import json

from schemas.records import Action, ActionKind
from streams.books.actions import new_action
from streams.books.decisions import Decisions


def pin_action(
    known: Decisions, run_type: str, run: int | None, *, origin: str, reason: str = "", who: str = ""
) -> Action:
    """Return the action that has the runs of a type be compared with a run; None leaves it to the newest good one."""
    now = known.pins.get(run_type, ())
    before = json.dumps({"run": now[-1].run}) if now else ""
    after = json.dumps({"run": run})
    kind = ActionKind.PIN_REFERENCE
    return new_action(kind, run_type, before=before, after=after, origin=origin, reason=reason, who=who)
