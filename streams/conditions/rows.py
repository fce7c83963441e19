"""The rows of a table file: white-space separated words, checked one by one, errors with file and line."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from streams.errors import UsageError

_WHOLE = re.compile(r"-?[0-9]{1,18}")
_REAL = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
"""Python reads more than people write: 1_000, or digits of other alphabets."""
_SMALL = {str(number): number for number in range(256)}
"""Most words of a table of cables, of which there are 70,000: each part and command reads them when it begins."""
_SHOWN = 40
"""Characters of a word that an error shows."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table."""

    file: Path
    line: int
    words: tuple[str, ...]

    def fail(self, reason: str) -> UsageError:
        """Return the error that says what is wrong with this row, and where."""
        return UsageError(f"{self.file}, line {self.line}: {reason}")

    def whole(self, at: int, low: int, high: int) -> int:
        """Return word `at` as a whole number in [low, high]."""
        word = self.words[at]
        value = _SMALL.get(word)
        if value is None and _WHOLE.fullmatch(word):
            value = int(word)
        if value is None or not low <= value <= high:
            raise self.fail(f"word {at + 1} is {word[:_SHOWN]!r}, not a whole number from {low} to {high}")
        return value

    def real(self, at: int) -> float:
        """Return word `at` as a finite number."""
        word = self.words[at]
        value = float(word) if _REAL.fullmatch(word) else math.nan
        if not math.isfinite(value):
            raise self.fail(f"word {at + 1} is {word[:_SHOWN]!r}, not a number")
        return value


def rows(file: Path, text: str, words: int, first: str | None = None) -> Iterator[Row]:
    """Yield the rows of a table; blank lines are passed over.

    Parameters
    ----------
    file
        For the errors.
    text
        What the file holds.
    words
        How many each row has.
    first
        What the first word of each row is.

    Raises
    ------
    UsageError
        When a row has another number of words, or begins with another.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        row = Row(file, number, tuple(line.split()))
        if not row.words:
            continue
        if len(row.words) != words:
            raise row.fail(f"{len(row.words)} words where {words} belong")
        if first is not None and row.words[0] != first:
            raise row.fail(f"begins with {row.words[0]!r}, not {first}")
        yield row


def once(of: Iterable[Row], words: int) -> Iterator[Row]:
    """Yield rows of which no two may be about the same: what the first `words` of each say it is about.

    Raises
    ------
    UsageError
        At the second row about something: nothing tells which one is right.
    """
    lines: dict[tuple[str, ...], int] = {}
    for row in of:
        about = row.words[:words]
        if about in lines:
            raise row.fail(f"{' '.join(about) or 'it'} has line {lines[about]} already")
        lines[about] = row.line
        yield row
