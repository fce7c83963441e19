"""A part of a run as an earlier version left it, made what workers write now."""

from collections.abc import Sequence

from ops.upgrade.account import Account
from streams.books.book import Book
from streams.books.checkpoint import RunChanges
from streams.books.layout import Place
from streams.books.partition import Filling
from streams.books.run import RunPart
from streams.books.stored import StoredPart
from streams.books.totals import Totals
from streams.books.v1 import Part
from streams.books.windows import Window
from streams.transform import Outcome

BEFORE = -1
"""In place of the first offset of a run that began in a log that is gone: Kafka never has it whole."""


def count_missed(part: Part, outcomes: Sequence[Outcome], filling: Filling) -> list[Outcome]:
    """Count messages that were missed, and return those of them that are rejected."""
    counted = RunPart(part.ledger, part.totals).count(outcomes, part.book.ranges, filling.window_of)
    for start, spills, filled in counted.filled:
        part.key_numbers |= filled.key_numbers
        part.book += filled.book
        window = part.windows.setdefault(start, Book(part.book.ranges))
        window += filled.book
        part.window_spills[start] = part.window_spills.get(start, 0) + spills
    return counted.rejected


def note_origin(totals: Totals, partition: int, first: int, account: Account) -> None:
    """Note what totals did not say before: where the last message of the run may be, and when the first one came."""
    totals.first_raw[partition] = first
    totals.last_raw[partition] = max(first, account.upto - 1)
    began_us = [said.time_us for said in totals.control.values()] + [totals.first_us]
    # The run that began to come last is the one that is shown: a late spill of this one must not make it that.
    totals.first_ms = min(filter(None, [totals.produced_ms, *(time_us // 1000 for time_us in began_us)]), default=0)


def changes_of(part: Part, partition: int, account: Account, window_s: int) -> RunChanges:
    """Return what a checkpoint writes of a part; the next one that counts something of it joins the older windows."""
    stored = StoredPart(
        part=RunPart(part.ledger, part.totals),
        book=part.book,
        windows={Window(start, window_s): spills for start, spills in part.window_spills.items()},
        upto=account.upto,
        log=account.log,
    )
    return RunChanges(
        stored=stored,
        place=Place.of(part.totals, partition, account.log),
        ledger=part.ledger,
        handling=part.handling,
        key_numbers=part.key_numbers,
        plots=part.book.cells,
        windows={Window(start, window_s): book.cells for start, book in part.windows.items()},
    )
