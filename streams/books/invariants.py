"""What is true of a partition's part of a run whatever was sent: its counters, ledger, book, windows and place agree.

Pure: takes what was read, and yields what contradicts itself, a sentence each, without the run and the partition.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace

import numpy as np

from streams.books import spill_numbers
from streams.books.book import Book
from streams.books.layout import Place
from streams.books.run import RunBook
from streams.books.totals import Totals
from streams.books.windows import Window
from streams.experiment import experiment


def of_totals(totals: Totals) -> Iterator[str]:
    """Yield what in the totals of a part contradicts itself."""
    if totals.filled + totals.all_rejected != totals.received - totals.duplicates:
        yield (
            f"the counters do not add up: {totals.filled} filled and {totals.all_rejected} rejected of "
            f"{totals.received} received and {totals.duplicates} duplicates"
        )


def of_part(part: RunBook) -> Iterator[str]:
    """Yield what in a part of a run contradicts itself."""
    totals, ledger = part.totals, part.ledger
    yield from of_totals(totals)
    if totals.filled != len(ledger):
        yield f"{totals.filled} spills were filled, and {len(ledger)} are in the ledger"
    elif totals.triggers != (triggers := sum(entry.triggers for entry in ledger.values())):
        yield f"{totals.triggers} particle triggers were counted, and the ledger has {triggers}"
    if part.key_numbers.keys() != ledger.keys():
        yield "the key numbers are those of other spills than the ledger's"
    elif not part.channel_counts.keys() <= ledger.keys():
        yield "the hits by channel are those of other spills than the ledger's"
    elif all(part.key_numbers.values()):
        yield from (f"the book {what}" for what in of_entries(part.book, part.key_numbers))


def of_entries(book: Book, key_numbers: Mapping[int, bytes]) -> Iterator[str]:
    """Yield of which plots a book has other entries than its key numbers say; the book's name goes before it."""
    for plot in filter(spill_numbers.is_kept, experiment().plots.values()):
        view = book.counts(plot.name)
        there = int((view[1:-1] if plot.has_mean else view).sum())
        wanted = sum(one.entries for one in spill_numbers.of_plot(key_numbers, plot))
        if there != wanted:
            yield f"has {there} entries of the plot {plot.name}, and its spills have {wanted}"


def of_windows(part: RunBook, windows: Mapping[Window, tuple[int, Book]]) -> Iterator[str]:
    """Yield where the windows of a part, each with its spills and its book, are not what the part is.

    Nothing is known where not all are kept, as in what an earlier version counted.
    """
    spills, filled = sum(each for each, _ in windows.values()), part.totals.filled
    if spills > filled:
        yield f"its windows have {spills} spills, and {filled} were filled"
    if spills != filled:
        return
    times_s = [entry.time_us // 1_000_000 for entry in part.ledger.values()]
    for window, (its, _) in windows.items():
        there = sum(window.start <= time_s < window.end for time_s in times_s)
        if its != there:
            yield f"its window of {window.length} s from {window.start} has {its} spills, and the ledger {there} of it"
    for name in sorted({*part.book, *(name for _, book in windows.values() for name in book)}):
        whole = part.book.counts(name)
        views = [book.counts(name) for _, book in windows.values() if name in book]
        if any(view.shape != whole.shape for view in views):
            yield f"the plot {name} has other axes in one of its windows than in its book"
        elif not np.array_equal(sum(views, np.zeros_like(whole)), whole):
            yield f"the plot {name} of its windows together is not that of its book"


def of_place(place: Place, totals: Totals, partition: int) -> Iterator[str]:
    """Yield where the list of runs does not say what the totals of a part do."""
    wanted = replace(Place.of(totals, partition, place.log), retired=place.retired)
    names = [each.name for each in fields(Place) if getattr(place, each.name) != getattr(wanted, each.name)]
    if names:
        listed, there = (", ".join(f"{name} {getattr(each, name)}" for name in names) for each in (place, wanted))
        yield f"the list of runs says {listed}, and its totals {there}"
