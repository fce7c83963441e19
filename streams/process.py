"""Whole sources to books without any server: the same functions that the workers call, in one process."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from schemas.records import RawSpill, ReconstructedSpill, RunControl
from streams.books.book import Book, Ranges
from streams.books.run import Admission, RunBook, RunShare
from streams.books.totals import Totals
from streams.conditions.model import Conditions
from streams.plots.catalogue import PLOTS
from streams.reconstruct import reconstruct

BATCH_SPILLS = 64
"""Spills that are joined before they are filled; bounds the memory, changes nothing in the result."""
REMEMBERED = 20
"""Rejections of a run whose reasons are kept; the counters have them all."""

ConditionsOf = Callable[[int], Conditions | None]


def ranges_of(conditions: Conditions | None) -> Ranges:
    """Return the run's own ranges of plots."""
    return conditions.plot_ranges if conditions is not None else {}


@dataclass(slots=True, kw_only=True)
class RunResult:
    """A whole run, as one process sees it."""

    run: int
    share: RunShare
    book: Book
    """Complete when `Processor.finish` has returned, and so are the key numbers."""
    key_numbers: dict[int, bytes] = field(default_factory=dict)
    """Spill → its key numbers, see `spill_numbers`."""
    rejections: list[str] = field(default_factory=list)
    """Why spills were rejected, a sentence each: the first `REMEMBERED`."""
    first_errors: dict[str, str] = field(default_factory=dict)
    """Detector that failed on spills → where and why it did first."""

    def run_book(self) -> RunBook:
        """Return totals, spills and histograms, as they are kept of a run."""
        share = self.share
        return RunBook(totals=share.totals, ledger=share.ledger, book=self.book, key_numbers=self.key_numbers)

    def remember(self, rejection: str) -> None:
        """Take note of why a spill was rejected."""
        if len(self.rejections) < REMEMBERED:
            self.rejections.append(rejection)

    def to_json(self) -> dict[str, Any]:
        """Return counts and histograms' digests as plain values."""
        totals = self.share.totals
        return {
            "run": self.run,
            "events": totals.all_events,
            "spills": totals.filled,
            "particle_triggers": totals.triggers,
            "rejected": totals.all_rejected,
            "errors": dict(sorted(totals.errors.items())),
            "detectors": {name: dict(hits) for name, hits in sorted(totals.detectors.items())},
            "plots": {name: self.book.summary(name) for name in PLOTS},
        }


class Processor:
    """Takes records in any order, and keeps the books of their runs.

    Parameters
    ----------
    conditions_of
        Gives a run's conditions.
    """

    def __init__(self, conditions_of: ConditionsOf) -> None:
        self.results: dict[int, RunResult] = {}
        self._conditions_of = conditions_of
        self._waiting: dict[int, list[ReconstructedSpill]] = {}

    def take(self, record: RawSpill | RunControl) -> None:
        """Take one record."""
        result = self._result(record.run)
        if isinstance(record, RunControl):
            result.share.hear(record)
            return
        spill = reconstruct(record, self._conditions_of(record.run))
        admission = result.share.admit(spill)
        if admission is Admission.FILL:
            waiting = self._waiting.setdefault(record.run, [])
            waiting.append(spill)
            if len(waiting) >= BATCH_SPILLS:
                self._fill(record.run)
        elif admission is Admission.CONFLICT:
            place = f"{record.source}, run {record.run}, spill {record.spill}, byte {record.byte}"
            result.remember(f"conflict: {place}: this spill came before with other bytes, which count")
        elif spill.rejection is not None:
            result.remember(f"{spill.rejection.step}: {spill.rejection.reason}")
        for name, problem in spill.errors.items():
            result.first_errors.setdefault(name, f"spill {spill.spill}: {problem}")

    def finish(self) -> dict[int, RunResult]:
        """Return the runs, by number, with all that was taken in their books."""
        for run in list(self._waiting):
            self._fill(run)
        return self.results

    def _result(self, run: int) -> RunResult:
        if run not in self.results:
            book = Book(ranges_of(self._conditions_of(run)))
            self.results[run] = RunResult(run=run, share=RunShare({}, Totals()), book=book)
        return self.results[run]

    def _fill(self, run: int) -> None:
        result = self.results[run]
        filled = result.share.fill(self._waiting.pop(run), result.book.ranges)
        result.book += filled.book
        result.key_numbers |= filled.key_numbers


def process(records: Iterable[RawSpill | RunControl], conditions_of: ConditionsOf) -> dict[int, RunResult]:
    """Return the runs in these records, by number."""
    processor = Processor(conditions_of)
    for record in records:
        processor.take(record)
    return processor.finish()
