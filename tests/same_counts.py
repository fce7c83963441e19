"""Whether books hold the same counts, bin for bin."""

import numpy as np

from streams.books.book import Book


def differing(one: Book, other: Book) -> set[str]:
    """Return the plots whose counts, flow included, are not the same in both.

    Those that neither has filled have the same bins, all empty, but where the runs' ranges differ.
    """
    ranges = {name for name, _ in one.ranges.items() ^ other.ranges.items()}
    names = one.cells.keys() | other.cells.keys() | ranges
    return {name for name in names if not np.array_equal(one.counts(name), other.counts(name))}
