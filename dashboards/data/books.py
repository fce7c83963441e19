"""The books of the runs that somebody looks at, as they were last read from Redis."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dashboards.choices import LAST_MINUTE
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
Wanted = tuple[int | None, int | None]
"""A run that somebody looks at, None for the current one, and which part of it, None for the whole."""
ENOUGH_TRIGGERS = 1000
"""Particle triggers that a run must have to be taken as a reference by itself: a bin with a tenth of them has 10 %."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A window of a run, or its last minute: of whole windows, so that it is one to two minutes with windows of one."""

    since_us: int
    until_us: int
    book: Book


@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    """One run."""

    book: RunBook
    spills: SpillFacts
    windows: tuple[int, ...]
    """Starts of those that are kept, s since 1970 UTC, in order."""
    parts: Mapping[int, Part]
    """Those that were asked for, see `Choices.window`."""
    version: str
    session: str | None = None
    """The replay whose book it is; None if it is that of live."""
    warnings: tuple[str, ...] = ()


NOTHING = OneRun(
    book=RunBook(totals=Totals(), ledger={}, book=Book({})), spills=spill_facts({}), windows=(), parts={}, version=""
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

    def automatic_reference(self, run: int | None) -> int | None:
        """Return the newest run before this one, of the same type, with enough particle triggers to compare with."""
        before = [each for each in self.runs if each.run in self.totals]
        order = [each.run for each in before]
        if run not in order:
            return None
        at = order.index(run)
        enough = [
            each.run
            for each in before[:at]
            if each.run_type == before[at].run_type and self.totals[each.run].triggers >= ENOUGH_TRIGGERS
        ]
        return enough[-1] if enough else None

    def one(self, run: int | None) -> OneRun:
        """Return a run, as far as it was read."""
        return self.read.get(run, NOTHING) if run is not None else NOTHING


class BooksReader:
    """Reads runs, and only what has changed.

    Parameters
    ----------
    reader
        Its errors are passed on.
    promoted
        Gives the session of the replay whose book is that of the run, by run.
    conditions
        Give a run's own ranges of plots.
    window_s
        Length of a window.
    """

    def __init__(
        self,
        reader: BookReader,
        promoted: Callable[[], Mapping[int, str]],
        conditions: ConditionsStore,
        window_s: int,
    ) -> None:
        self._reader = reader
        self._promoted = promoted
        self._conditions = conditions
        self._window_s = window_s

    def read(self, last: Books, progress: tuple[Progress, ...], wanted: Iterable[Wanted], *, behind: bool) -> Books:
        """Return what there is now.

        Parameters
        ----------
        last
            What was read before.
        wanted
            Runs that somebody looks at.
        behind
            Whether messages are on their way.
        """
        totals = dict(self._reader.runs())
        unattributed = totals.pop(NO_RUN, Totals())
        # The newest spill decides; between runs without any, the one that began last.
        order = sorted(totals, key=lambda r: (totals[r].last_us or _begin_us(totals[r]), r))
        current = order[-1] if order else None
        looked_at: dict[int, set[int]] = {}
        for asked, part in wanted:
            run = current if asked is None else asked
            if run in totals:
                looked_at.setdefault(run, set()).update(() if part is None else (part,))
        read = {}
        promoted = self._promoted()
        for run, parts in looked_at.items():
            known = last.read.get(run)
            unchanged = known is not None and known.book.totals == totals[run] and known.parts.keys() >= parts
            unchanged = unchanged and known is not None and known.session == promoted.get(run)
            if known is not None and unchanged and (run != current or progress == last.progress):
                read[run] = known
            else:
                of_current = progress if run == current else None
                one = self._read_run(run, totals[run], of_current, parts=parts, behind=behind)
                read[run] = _of_replay(run, one, promoted.get(run))
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
        self, run: int, totals: Totals, progress: tuple[Progress, ...] | None, *, parts: set[int], behind: bool
    ) -> OneRun:
        ranges: Ranges = {}
        warnings: tuple[str, ...] = ()
        try:
            ranges = ranges_of(self._conditions.for_run(run))
        except UsageError as error:
            warnings = (f"The conditions of run {run} cannot be read: {error}",)
        book = self._reader.run(run, ranges)
        spills, starts = spill_facts(book.ledger, book.handling), tuple(self._reader.windows(run))
        # The current run by how far the partitions are: unlike the totals, it says whether something is on its way.
        what = repr(progress) if progress is not None else layout.pack_totals(totals)
        return OneRun(
            book=book,
            spills=_settled(spills, len(progress)) if progress is not None and behind else spills,
            windows=starts,
            parts={part: self._read_part(run, ranges, part, starts) for part in parts},
            version=f"{run}:{hashlib.blake2b(what.encode(), digest_size=8).hexdigest()}",
            warnings=warnings,
        )

    def _read_part(self, run: int, ranges: Ranges, part: int, starts: Sequence[int]) -> Part:
        """Return a window; or the newest and, as it may only have begun, what makes it a minute or more."""
        taken = [start for start in starts if start == part or (part == LAST_MINUTE and start >= starts[-1] - MINUTE_S)]
        book = Book(ranges)
        for start in taken:
            book += self._reader.window(run, start, ranges)
        since, until = min(taken, default=0), max(taken, default=-self._window_s) + self._window_s
        return Part(since_us=since * 1_000_000, until_us=until * 1_000_000, book=book)


def _of_replay(run: int, one: OneRun, session: str | None) -> OneRun:
    """Say whose book it is."""
    if session is None:
        return one
    warning = f"The plots of run {run} are those of {session}, which was promoted in place of what live made"
    return replace(one, session=session, version=f"{session}:{one.version}", warnings=(*one.warnings, warning))


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
