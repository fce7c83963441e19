"""Flags as somebody sets them, on the page or by a command."""

from schemas.records import Action, ActionKind
from streams.books.actions import new_action
from streams.books.flags import ALL, Flags, NewFlag, cut_text, flag_text, remark_text
from streams.errors import UsageError
from streams.experiment import experiment


def flag_action(there: Flags, run: int, *, new: NewFlag, origin: str, who: str = "") -> Action:
    """Return the action that sets a flag beside those that are there.

    Raises
    ------
    UsageError
        When there is no such detector.
    """
    known = experiment().tables
    if new.detector != ALL and new.detector not in known:
        raise UsageError(f"there is no detector {new.detector}: there are {', '.join(known)}")
    before, text = cut_text(there, new), flag_text(new)
    return new_action(ActionKind.FLAG, run, before=before, after=text, origin=origin, reason=new.reason, who=who)


def remark_action(
    there: Flags,
    run: int,
    *,
    kind: ActionKind,
    ids: tuple[str, str],
    reason: str,
    origin: str,
    who: str = "",
) -> Action:
    """Return the action that withdraws or verifies a flag, given ids of its own and of the flag."""
    before = next((flag_text(flag) for flag in there if flag.id == ids[1]), "")
    return new_action(kind, run, before=before, after=remark_text(*ids), origin=origin, reason=reason, who=who)
