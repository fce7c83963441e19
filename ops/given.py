"""Runs, ranges and ids as somebody gives them to a command."""

import re
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from streams.errors import UsageError

LONGEST_TYPE = 40


class Named(Protocol):
    """What has an id."""

    @property
    def id(self) -> str:
        """Its own."""
        raise NotImplementedError


_T = TypeVar("_T", bound=Named)


def type_of_runs(said: str) -> str:
    """Return the type of runs that somebody names; raises `UsageError` if no run is of such a one."""
    if len(said) > LONGEST_TYPE or not said.isprintable():
        short = f"{said[:LONGEST_TYPE]}{'…' * (len(said) > LONGEST_TYPE)}"
        raise UsageError(f"{short!r} is no type of a run: at most {LONGEST_TYPE} characters that can be printed")
    return said.strip()


def run_numbers(said: Iterable[str], inside: Callable[[int, int], Iterable[int]]) -> list[int]:
    """Return the numbers of runs; of a range, those that there are inside it.

    Raises
    ------
    UsageError
        When it is no number and no range, or there is no run inside it.
    """
    found: dict[int, None] = {}
    for run in said:
        parts = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", run)
        if parts is None:
            raise UsageError(f"{run} is no run: give a number, or a range as 10-20")
        first, last = int(parts[1]), int(parts[2] or parts[1])
        there = [first] if parts[2] is None else [*inside(first, last)]
        if not there:
            raise UsageError(f"there is no run from {first} to {last}")
        found |= dict.fromkeys(there)
    return list(found)


def span(said: str | None, what: str, most: int) -> tuple[int, int]:
    """Return the first and the last number of what somebody gives: one, a range, or all from one on; None is all.

    Parameters
    ----------
    most
        The largest that there can be.

    Raises
    ------
    UsageError
        When it is none of these; `what` it should be, the error says.
    """
    if said is None:
        return 0, most
    parts = re.fullmatch(r"([0-9]{1,10})(-)?([0-9]{1,10})?", said)
    if parts is None or (parts[3] and not parts[2]):
        raise UsageError(f"{said} are no {what}: give a number, a range as 10-20, or 10- for all from there on")
    first = int(parts[1])
    return first, int(parts[3]) if parts[3] else most if parts[2] else first


def beginning_with(there: Iterable[_T], begin: str, what: str, listed: str) -> _T:
    """Return the one whose id begins so.

    Parameters
    ----------
    what
        They are: ``alarm``.
    listed
        The command that lists them.

    Raises
    ------
    UsageError
        When there is none, or there are several.
    """
    found = [each for each in there if each.id.startswith(begin)]
    if not found:
        raise UsageError(f"there is no {what} {begin}: see {listed}")
    if len(found) > 1:
        raise UsageError(f"several {what}s begin with {begin}: give more of it")
    return found[0]
