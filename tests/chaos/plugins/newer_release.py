"""A worker of a newer release, whose totals an older one cannot carry on."""

from streams.books import totals

totals.FORMAT = 99
