"""Whole sources to books without any server: the same functions that the workers call, in one process."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from schemas.records import RawSpill, ReconstructedSpill, RunControl
from streams.books.book import Book, Ranges
from streams.books.judgement import Judgement, judged
from streams.books.run import RunBook, RunPart
from streams.checks.start import Known
from streams.errors import UsageError
from streams.experiment import experiment
from streams.run_conditions import RunConditions
from streams.transform import ConditionsOf, Message, Outcome, outcome

BATCH_SPILLS = 64
"""Spills that are joined before they are filled; bounds the memory, changes nothing in the result."""
REMEMBERED = 20
"""Rejections of a run whose reasons are kept; the counters have them all."""


def ranges_of(conditions: RunConditions | None) -> Ranges:
    """Return the run's own ranges of plots."""
    return conditions.plot_ranges if conditions is not None else {}


def plot_ranges(run: int, conditions_of: ConditionsOf) -> Ranges:
    """Return a run's own ranges of plots; none if its conditions cannot be read, as each spill says then."""
    try:
        return ranges_of(conditions_of(run))
    except UsageError:
        return {}


@dataclass(slots=True, kw_only=True)
class RunResult:
    """A whole run, as one process sees it."""

    run: int
    part: RunPart
    book: Book
    """Complete when `Processor.finish` has returned, and so is what is kept of each spill."""
    key_numbers: dict[int, bytes] = field(default_factory=dict)
    """Spill → its key numbers, see `spill_numbers`."""
    channel_counts: dict[int, bytes] = field(default_factory=dict)
    """Spill → how often each channel was hit, see `streams.checks.channels`."""
    rejections: list[str] = field(default_factory=list)
    """Why spills were rejected, a sentence each: the first `REMEMBERED`."""
    lacking: dict[str, str] = field(default_factory=dict)
    """Detector, or ``detector.table`` → which tables its conditions lack for it."""
    known: Mapping[str, Known] = field(default_factory=dict)
    """What another run had of each group of channels, which tells what this one should have."""
    _judgement: Judgement | None = field(default=None, init=False)

    def run_book(self) -> RunBook:
        """Return totals, spills and histograms, as they are kept of a run."""
        part = self.part
        return RunBook(
            totals=part.totals,
            ledger=part.ledger,
            book=self.book,
            key_numbers=self.key_numbers,
            channel_counts=self.channel_counts,
        )

    def judgement(self) -> Judgement:
        """Return what is wrong with the run, when it is complete; it is judged once, however often somebody asks."""
        if self._judgement is None:
            self._judgement = judged(self.run_book(), known=self.known)
        return self._judgement

    def remember(self, rejection: str) -> None:
        """Take note of why a spill was rejected."""
        if len(self.rejections) < REMEMBERED:
            self.rejections.append(rejection)

    def to_json(self) -> dict[str, Any]:
        """Return counts and histograms' digests as plain values."""
        totals, book = self.part.totals, self.run_book()
        return {
            "run": self.run,
            "events": totals.all_events,
            "spills": totals.filled,
            "particle_triggers": totals.triggers,
            "rejected": totals.all_rejected,
            "errors": dict(sorted(totals.errors.items())),
            "not_read_out": dict(sorted(totals.absent.items())),
            "detectors": {name: dict(hits) for name, hits in sorted(totals.detectors.items())},
            "lacking": dict(sorted(totals.lacking.items())),
            "plots": {name: book.summary(name) for name in experiment().plots},
            "judgement": self.judgement().to_json(),
        }


class Processor:
    """Takes records in any order, and keeps the books of their runs.

    Parameters
    ----------
    conditions_of
        Gives a run's conditions.
    known
        What another run had of each group of channels, see `known_of`.
    """

    def __init__(self, conditions_of: ConditionsOf, known: Mapping[str, Known] = MappingProxyType({})) -> None:
        self.results: dict[int, RunResult] = {}
        self._conditions_of, self._known = conditions_of, known
        self._taken = 0
        self._waiting: dict[int, list[Outcome]] = {}

    def take(self, record: RawSpill | RunControl) -> None:
        """Take one record."""
        place = Message(partition=0, offset=self._taken, start=self._taken, produced_ms=0, value=b"")
        self._taken += 1
        waiting = self._waiting.setdefault(record.run, [])
        waiting.append(outcome(place, record, self._conditions_of))
        if len(waiting) >= BATCH_SPILLS:
            self._count(record.run)

    def finish(self) -> dict[int, RunResult]:
        """Return the runs, by number, with all that was taken in their books."""
        for run in list(self._waiting):
            self._count(run)
        return dict(sorted(self.results.items()))

    def _result(self, run: int) -> RunResult:
        if run not in self.results:
            book = Book(plot_ranges(run, self._conditions_of))
            self.results[run] = RunResult(run=run, part=RunPart(), book=book, known=self._known)
        return self.results[run]

    def _count(self, run: int) -> None:
        result, outcomes = self._result(run), self._waiting.pop(run)
        counted = result.part.count(outcomes, result.book.ranges, lambda _time_us: 0)
        for _, _, filled in counted.filled:
            result.book += filled.book
            result.key_numbers |= filled.key_numbers
            result.channel_counts |= filled.channel_counts
        for record in (rejected.record for rejected in counted.rejected):
            if isinstance(record, ReconstructedSpill) and record.rejection is not None:
                result.remember(f"{record.rejection.step}: {record.rejection.reason}")
        for each in outcomes:
            if isinstance(each.record, ReconstructedSpill):
                result.lacking |= each.record.lacking


def process(records: Iterable[RawSpill | RunControl], conditions_of: ConditionsOf) -> dict[int, RunResult]:
    """Return the runs in these records, by number."""
    processor = Processor(conditions_of)
    for record in records:
        processor.take(record)
    return processor.finish()
