"""A worker of an older release, which cannot carry on the totals of this one."""

from streams.books import totals

totals.FORMAT -= 1
