"""The rows of a table file: white-space separated words, checked one by one, errors with file and line."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streams.boards import CHANNELS, GEOS, LDCS
from streams.errors import UsageError

Tables = dict[str, tuple[Path, str]]
"""Kind → file and what it holds."""
Address = tuple[int, int, int, int]
"""LDC, geo, channel, equipment type."""


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
        if not (word.lstrip("-").isascii() and word.lstrip("-").isdigit() and low <= int(word) <= high):
            raise self.fail(f"word {at + 1} is {word!r}, not a whole number from {low} to {high}")
        return int(word)

    def real(self, at: int) -> float:
        """Return word `at` as a finite number."""
        try:
            value = float(self.words[at])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.fail(f"word {at + 1} is {self.words[at]!r}, not a number")
        return value

    def address(self, at: int) -> Address:
        """Return the channel that words `at` to `at` + 3 name."""
        return (
            self.whole(at, 0, LDCS - 1),
            self.whole(at + 1, 0, GEOS - 1),
            self.whole(at + 2, 0, CHANNELS - 1),
            self.whole(at + 3, 0, 255),
        )


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
