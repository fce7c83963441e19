"""A run: what one partition's messages make of it, and all that is known of it when they are summed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from itertools import islice
from math import nan
from types import MappingProxyType

import numpy as np

from schemas.columns import Growing
from schemas.records import MISSING, ReconstructedSpill, Rejection, RunControl
from streams.books.book import Book, Filled, Ranges, fill
from streams.books.cells import Histogram
from streams.books.totals import Totals
from streams.experiment import NOT_CALIBRATED, experiment
from streams.plots.spillfacts import SCALER_CHANNELS, LedgerEntry, SpillFacts
from streams.transform import CONFLICT, FAULT, Outcome, fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """How a worker brought a spill into the books: no part of the run, and another one after each time it is done."""

    delay_s: float
    """From the broker's acknowledgement of the raw spill until it was filled."""
    resident_mb: float
    """Memory that the worker took then."""
    produced_ms: int = 0
    """When the raw spill was produced, Unix milliseconds; 0 where nobody knows."""


_NOT_READ = (MISSING,) * SCALER_CHANNELS

_NOT_HANDLED = Handling(delay_s=nan, resident_mb=nan)

Ledger = dict[int, LedgerEntry]
"""Spill number → entry: the set of spills seen, and the points of the trends."""


class Admission(Enum):
    """What becomes of a spill that arrives."""

    FILL = auto()
    DUPLICATE = auto()
    CONFLICT = auto()
    """Its number was seen with other bytes: those at the lowest offset of ``spills.raw`` count."""
    REJECTED = auto()
    """It was refused before it came here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What some messages changed in a part of a run."""

    filled: "list[tuple[int, int, Filled]]"
    """Start of a window in seconds, how many spills of it, and what they fill."""
    entries: Ledger
    """Of the spills that were filled."""
    produced_ms: dict[int, int]
    """Spill that was filled → when it was produced, Unix milliseconds."""
    rejected: list[Outcome]
    """What is in no histogram; each record says why."""


class RunPart:
    """What one partition's messages make of a run. They are counted in the order of their offsets.

    So a book does not depend on who counts them, when, and in which batches; and of two spills of one number, the one
    at the lower offset is there first.

    Parameters
    ----------
    ledger, totals
        As they stand; changed in place.
    """

    def __init__(self, ledger: Ledger | None = None, totals: Totals | None = None) -> None:
        self.ledger = ledger if ledger is not None else {}
        self.totals = totals if totals is not None else Totals()

    def count(self, outcomes: Sequence[Outcome], ranges: Ranges, window_of: Callable[[int], int]) -> Counted:
        """Count messages, and return what their spills fill.

        A spill on which the code fails is rejected, whatever it raises, and the others are filled.

        Parameters
        ----------
        outcomes
            Of this run, in the order of their offsets.
        ranges
            The run's own ranges of plots.
        window_of
            Gives the start of a window, seconds, for the time of a spill in microseconds.
        """
        try:
            return self._count(outcomes, ranges, window_of)
        except Exception as error:  # noqa: BLE001 - it is one spill's fault: which, they tell one by one
            if len(outcomes) == 1:
                return self._count([_faulty(outcomes[0], error)], ranges, window_of)
        found = Counted(filled=[], entries={}, produced_ms={}, rejected=[])
        for outcome in outcomes:
            one = self.count([outcome], ranges, window_of)
            found.filled.extend(one.filled)
            found.entries.update(one.entries)
            found.produced_ms.update(one.produced_ms)
            found.rejected.extend(one.rejected)
        return found

    def _count(self, outcomes: Sequence[Outcome], ranges: Ranges, window_of: Callable[[int], int]) -> Counted:
        new: Ledger = {}
        admitted = [(outcome, self._admit(outcome, new)) for outcome in outcomes]
        windows: dict[int, list[ReconstructedSpill]] = {}
        for outcome, admission in admitted:
            if admission is Admission.FILL and isinstance(outcome.record, ReconstructedSpill):
                windows.setdefault(window_of(outcome.record.time_us), []).append(outcome.record)
        filled = [(start, len(spills), fill(spills, ranges)) for start, spills in windows.items()]
        # Nothing has changed so far: what raised above leaves the part as it was.
        rejected = [found for outcome, admission in admitted if (found := self._note(outcome, admission)) is not None]
        self.ledger |= new
        for _, _, each in filled:
            for what, spills_lost in each.failures.items():
                self.totals.count_errors(what, spills_lost)
        return Counted(
            filled=filled,
            entries=new,
            produced_ms={
                outcome.record.spill: outcome.message.produced_ms
                for outcome, admission in admitted
                if admission is Admission.FILL and isinstance(outcome.record, ReconstructedSpill)
            },
            rejected=rejected,
        )

    def _admit(self, outcome: Outcome, new: Ledger) -> Admission | None:
        """Decide what becomes of a message; None of run control. `new` are the spills that are admitted with it."""
        record = outcome.record
        if isinstance(record, RunControl):
            return None
        if outcome.entry is None:
            return Admission.REJECTED
        known = self.ledger.get(record.spill) or new.get(record.spill)
        if known is None:
            new[record.spill] = outcome.entry
            return Admission.FILL
        return Admission.DUPLICATE if known.digest == outcome.entry.digest else Admission.CONFLICT

    def _note(self, outcome: Outcome, admission: Admission | None) -> Outcome | None:
        """Count a message in the totals; return it if it is rejected."""
        record, message, totals = outcome.record, outcome.message, self.totals
        totals.note_origin(record, message.partition, message.offset, message.produced_ms)
        if isinstance(record, RunControl):
            totals.hear(record)
            return None
        totals.received += 1
        totals.events += record.events
        if admission is Admission.FILL:
            totals.count_filled(record, message.produced_ms)
            return None
        if admission is Admission.DUPLICATE:
            totals.count_duplicate(record.spill)
            return None
        if admission is Admission.CONFLICT:
            reason = "this spill came before with other bytes, which count"
            place = f"{outcome.source}, run {record.run}, spill {record.spill}, byte {outcome.byte}"
            record = replace(record, rejection=Rejection(step=CONFLICT, reason=f"{place}: {reason}"), detectors={})
            outcome = replace(outcome, record=record)
        assert record.rejection is not None  # noqa: S101 - or it would have an entry
        why, is_filled = record.rejection, admission is Admission.CONFLICT
        totals.count_rejected(record, why.step, why.reason, is_filled=is_filled)
        return outcome


def _faulty(outcome: Outcome, error: Exception) -> Outcome:
    """Return what stands for a message that raises when it is filled."""
    record = outcome.record
    if isinstance(record, RunControl):
        raise error  # nothing of it is the DAQ's doing
    place = f"run {record.run}, spill {record.spill}"
    rejection = Rejection(step=FAULT, reason=f"{place}: {fault(error)}")
    return replace(outcome, record=replace(record, rejection=rejection, detectors={}), entry=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunBook:
    """All that is known of a run: totals, spills and histograms that belong together."""

    totals: Totals
    ledger: Ledger
    book: Book
    handling: Mapping[int, Handling] = field(default_factory=dict)
    """Spill number → how it was handled; without those that no worker did."""
    key_numbers: Mapping[int, bytes] = field(default_factory=dict)
    """Spill number → its key numbers, see `spill_numbers`; without those that were filled before they were kept."""
    channel_counts: Mapping[int, bytes] = field(default_factory=dict)
    """Spill number → how often each channel was hit, see `streams.checks.channels`; as the key numbers."""
    counted_twice: int = 0
    """Spills that lie in two partitions, and were filled from both."""

    def state(self, name: str) -> str:
        """Return why a plot has no entries in any spill, where the run's conditions are why; else an empty text."""
        cells, spills = self.book.cells.get(name), self.totals.filled
        if cells is not None and cells.counts.any():
            return ""
        return (
            NOT_CALIBRATED
            if spills and experiment().spills_without(experiment().plots[name], self.totals.lacking) == spills
            else ""
        )

    def histogram(self, name: str) -> Histogram:
        """Return the histogram of a plot; its state is in its metadata, if it has one."""
        histogram = self.book[name]
        vars(histogram).update({"state": state} if (state := self.state(name)) else {})
        return histogram

    def summary(self, name: str) -> dict[str, int | str]:
        """Return counts and digest of a plot, see `Book.summary`, and its state, if it has one."""
        return self.book.summary(name) | ({"state": state} if (state := self.state(name)) else {})


NO_SPILLS = SpillFacts.empty()


def spill_facts(
    ledger: Ledger,
    handling: Mapping[int, Handling] = MappingProxyType({}),
    refused: Sequence[int] = (),
    known: SpillFacts = NO_SPILLS,
    room: Growing[SpillFacts] | None = None,
) -> SpillFacts:
    """Return the spills of a run in the order of their numbers; those that were `refused` are not missed.

    Parameters
    ----------
    known
        What was returned of those that came to the ledger first: it is not made again.
    room
        Has them, if they were put there.
    """
    numbers = sorted(islice(reversed(ledger), len(ledger) - len(known)))
    entries = [ledger[n] for n in numbers]
    handled = [handling.get(n, _NOT_HANDLED) for n in numbers]
    new = SpillFacts(
        spill=np.array(numbers, np.int64),
        missed=np.zeros(len(numbers), np.int64),
        produced_ms=np.array([h.produced_ms for h in handled], np.int64),
        time_us=np.array([e.time_us for e in entries], np.int64),
        triggers=np.array([e.triggers for e in entries], np.int32),
        size=np.array([e.size for e in entries], np.int32),
        scalers=np.array([e.scalers or _NOT_READ for e in entries], np.int32).reshape(-1, SCALER_CHANNELS),
        delay_s=np.array([h.delay_s for h in handled], np.float64),
        resident_mb=np.array([h.resident_mb for h in handled], np.float64),
    )
    found = (Growing(known) if room is None else room).followed(known, new)
    if len(known) and len(new) and new.spill[0] < known.spill[-1]:
        found = found.rows(np.argsort(found.spill))
    missed = np.diff(found.spill, prepend=-1) - 1
    if lost := sorted({n for n in refused if n not in ledger}):
        missed -= np.diff(np.searchsorted(lost, found.spill), prepend=0)
    return replace(found, missed=missed)
