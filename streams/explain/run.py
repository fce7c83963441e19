"""The bad plots of a run explained, with the last spills that Kafka has of it."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice

from redis.exceptions import RedisError

from streams.books.connect import connect, no_redis
from streams.books.limits import TypeLimits
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.books.shapes import against_run
from streams.books.topic_spills import newest_first, run_spans
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.explain.verdicts import Explained, at_once, explain, nobody_knows, sides, the_same
from streams.process import plot_ranges
from streams.settings import Settings

SPILLS = 100
"""About so many of a run, the last ones, are made again: some seconds of a processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A run, and the one that it is compared with."""

    run: int
    book: RunBook
    reference: int
    reference_book: RunBook
    limits: TypeLimits
    """Of the run's type."""


def compared(settings: Settings, run: int, reference: int, limits: TypeLimits) -> Compared:
    """Return two runs as they are in the books now.

    Raises
    ------
    SpilldeckError
        When Redis does not answer.
    """
    conditions_of = ConditionsStore.from_settings(settings).for_run
    try:
        with connect(settings) as redis:
            shown = BookReader.shown(redis, settings)
            book, other = (shown.run(its, plot_ranges(its, conditions_of)) for its in (run, reference))
    except RedisError as error:
        raise no_redis(settings, error) from error
    return Compared(run=run, book=book, reference=reference, reference_book=other, limits=limits)


def explain_run(settings: Settings, its: Compared, plots: Sequence[str], spills: int = SPILLS) -> dict[str, Explained]:
    """Return whether its conditions explain that plots of a run are off.

    Parameters
    ----------
    spills
        How many are made again.

    Raises
    ------
    SpilldeckError
        When Kafka does not answer, or an index of conditions cannot be read.
    """
    run, reference = its.run, its.reference
    ours, theirs = its.book.totals, its.reference_book.totals
    if not plots:
        return {}
    if equal := at_once(ours, theirs, reference):
        return dict.fromkeys(plots, equal)
    store = ConditionsStore.from_settings(settings)
    try:
        conditions = sides(store, run, ours, reference, theirs)
    except UsageError as error:
        return dict.fromkeys(plots, nobody_knows(error))
    if not conditions.differ:  # but the names of their files
        return dict.fromkeys(plots, the_same(ours, theirs, reference))
    spans = run_spans(settings, ours)
    with closing(newest_first(settings, run, spans, at_once=-(-spills // max(len(spans), 1)))) as found:
        records = islice(found, spills)
        return explain(records, plots, conditions, against_run(reference, its.reference_book), its.limits)
