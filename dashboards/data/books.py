"""The books of the runs that somebody looks at, as they were last read from Redis."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dashboards.data.view import RunSummary
from schemas.records import NO_RUN
from streams.books import layout
from streams.books.book import Book, Ranges
from streams.books.reader import BookReader, Progress
from streams.books.run import RunBook, spill_facts
from streams.books.totals import Totals
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.plots.spillfacts import SpillFacts
from streams.process import ranges_of

MINUTE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Recent:
    """The last minute of a run: of whole windows, so that it is one to two minutes with windows of one."""

    since_us: int
    book: Book


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    """One run."""

    book: RunBook
    spills: SpillFacts
    recent: Recent | None
    """None unless it was asked for."""
    version: str
    warnings: tuple[str, ...] = ()


NOTHING = OneRun(
    book=RunBook(totals=Totals(), ledger={}, book=Book({})), spills=spill_facts({}), recent=None, version=""
)
"""What there is of a run that the books do not know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What was last read of Redis."""

    current: int | None = None
    totals: Mapping[int, Totals] = field(default_factory=dict)
    runs: tuple[RunSummary, ...] = ()
    read: Mapping[int, OneRun] = field(default_factory=dict)
    """The runs that somebody looks at."""
    unattributed: Totals = field(default_factory=Totals)
    progress: tuple[Progress, ...] = ()
    warnings: tuple[str, ...] = ()

    def one(self, run: int | None) -> OneRun:
        """Return a run, as far as it was read."""
        return self.read.get(run, NOTHING) if run is not None else NOTHING


class BooksReader:
    """Reads runs, and only what has changed.

    Parameters
    ----------
    reader
        Its errors are passed on.
    conditions
        Give a run's own ranges of plots.
    """

    def __init__(self, reader: BookReader, conditions: ConditionsStore) -> None:
        self._reader = reader
        self._conditions = conditions

    def read(
        self, last: Books, progress: tuple[Progress, ...], wanted: Iterable[tuple[int | None, bool]], *, behind: bool
    ) -> Books:
        """Return what there is now.

        Parameters
        ----------
        last
            What was read before.
        wanted
            Runs that somebody looks at, and whether at their last minute too; None is the current run.
        behind
            Whether messages are on their way.
        """
        totals = dict(self._reader.runs())
        unattributed = totals.pop(NO_RUN, Totals())
        # The newest spill decides; between runs without any, the one that began last.
        order = sorted(totals, key=lambda r: (totals[r].last_us or _begin_us(totals[r]), r))
        current = order[-1] if order else None
        recents: dict[int, bool] = {}
        for asked, recent in wanted:
            run = current if asked is None else asked
            if run in totals:
                recents[run] = recents.get(run, False) or recent
        read = {}
        for run, recent in recents.items():
            known = last.read.get(run)
            unchanged = known is not None and known.book.totals == totals[run] and (known.recent or not recent)
            if known is not None and unchanged and (run != current or progress == last.progress):
                read[run] = known
            else:
                of_current = progress if run == current else None
                read[run] = self._read_run(run, totals[run], of_current, recent=recent, behind=behind)
        warnings = [
            f"Partition {partition}: messages {start} to {stop - 1} were gone from Kafka when they were needed"
            for partition, p in enumerate(progress)
            for start, stop in p.lost
        ]
        return Books(
            current=current,
            totals=totals,
            runs=tuple(_summary(run, totals[run]) for run in order),
            read=read,
            unattributed=unattributed,
            progress=progress,
            warnings=tuple(warnings),
        )

    def _read_run(
        self, run: int, totals: Totals, progress: tuple[Progress, ...] | None, *, recent: bool, behind: bool
    ) -> OneRun:
        ranges: Ranges = {}
        warnings: tuple[str, ...] = ()
        try:
            ranges = ranges_of(self._conditions.for_run(run))
        except UsageError as error:
            warnings = (f"The conditions of run {run} cannot be read: {error}",)
        book = self._reader.run(run, ranges)
        spills = spill_facts(book.ledger, book.handling)
        # The current run by how far the partitions are: unlike the totals, it says whether something is on its way.
        what = repr(progress) if progress is not None else layout.pack_totals(totals)
        return OneRun(
            book=book,
            spills=_settled(spills, len(progress)) if progress is not None and behind else spills,
            recent=self._read_recent(run, ranges) if recent else None,
            version=f"{run}:{hashlib.blake2b(what.encode(), digest_size=8).hexdigest()}",
            warnings=warnings,
        )

    def _read_recent(self, run: int, ranges: Ranges) -> Recent:
        """Return the newest window and, as it may only have begun, so much before it that it is a minute or more."""
        starts = list(self._reader.windows(run))
        recent, book = [start for start in starts if start >= starts[-1] - MINUTE_S], Book(ranges)
        for start in recent:
            book += self._reader.window(run, start, ranges)
        return Recent(since_us=min(recent, default=0) * 1_000_000, book=book)


def _settled(spills: SpillFacts, partitions: int) -> SpillFacts:
    """Leave out the spills beyond the first that may still come: a partition that lags would look like missed spills.

    The producer spreads them by their numbers, see `streams.daq.producer.partition_of`.
    """
    number = spills.spill
    next_of_each = [
        int(number[number % partitions == p].max(initial=p - partitions)) + partitions for p in range(partitions)
    ]
    return spills.rows(number < min(next_of_each))


def _summary(run: int, totals: Totals) -> RunSummary:
    return RunSummary(
        run=run,
        run_type=totals.run_type,
        begin_us=min((said.time_us for said in totals.control.values()), default=totals.first_us),
        ended=totals.ended,
    )


def _begin_us(totals: Totals) -> int:
    return max((said.time_us for said in totals.control.values()), default=0)
