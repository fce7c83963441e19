"""Numbers of runs as somebody gives them to a command."""

import re
from collections.abc import Callable, Iterable

from streams.errors import UsageError


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
