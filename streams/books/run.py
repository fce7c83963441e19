"""The share of one run that one partition's spills make up: which spills, their totals, and what they fill."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from math import nan
from types import MappingProxyType

import numpy as np

from schemas.records import MISSING, ReconstructedSpill, RunControl
from schemas.scalers import SCALER_CHANNELS, Scalers
from streams.books.book import Book, Filled, Ranges, fill
from streams.books.totals import Totals
from streams.plots.spillfacts import SpillFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerEntry:
    """What is remembered of a spill that is in the book."""

    time_us: int
    triggers: int
    size: int
    digest: bytes
    """Of the raw bytes, 8 bytes."""
    scalers: tuple[int, ...] = ()
    """Counts of the scaler's channels, `MISSING` where they were not read; empty if none was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handling:
    """How a worker brought a spill into the books: no part of the run, and another one after each time it is done."""

    delay_s: float
    """From the broker's acknowledgement of the raw spill until it was filled."""
    resident_mb: float
    """Memory that the worker took then."""


_NOT_READ = (MISSING,) * SCALER_CHANNELS

_NOT_HANDLED = Handling(delay_s=nan, resident_mb=nan)

Ledger = dict[int, LedgerEntry]
"""Spill number → entry: the set of spills seen, and the points of the trends."""


class Admission(Enum):
    """What becomes of a spill that arrives."""

    FILL = auto()
    DUPLICATE = auto()
    CONFLICT = auto()
    """Its number was seen with other bytes: the first counts."""
    REJECTED = auto()
    """It was refused before it came here."""


class RunShare:
    """The spills of one run that one partition has seen.

    Parameters
    ----------
    ledger, totals
        As they stand; changed in place.
    """

    def __init__(self, ledger: Ledger, totals: Totals) -> None:
        self.ledger = ledger
        self.totals = totals

    def hear(self, control: RunControl) -> None:
        """Take note of the run's start or end."""
        self.totals.hear(control)

    def knows(self, record: ReconstructedSpill | RunControl) -> bool:
        """Say whether a record can have been here before: a good spill is then in the ledger, others leave no name."""
        if isinstance(record, RunControl) or record.rejection is not None:
            return True
        return record.spill in self.ledger

    def admit(self, spill: ReconstructedSpill) -> Admission:
        """Decide what becomes of a spill, and count it."""
        self.totals.received += 1
        self.totals.events += spill.events
        if spill.rejection is not None:
            self.totals.rejected[spill.rejection.step] += 1
            return Admission.REJECTED
        known = self.ledger.get(spill.spill)
        if known is None:
            self.ledger[spill.spill] = LedgerEntry(
                time_us=spill.time_us,
                triggers=spill.triggers,
                size=spill.size,
                digest=spill.digest,
                scalers=_scaler_counts(spill),
            )
            self.totals.count_filled(spill)
            return Admission.FILL
        if known.digest == spill.digest:
            self.totals.count_duplicate(spill.spill)
            return Admission.DUPLICATE
        self.totals.rejected["conflict"] += 1
        return Admission.CONFLICT

    def fill(self, spills: Sequence[ReconstructedSpill], ranges: Ranges) -> Filled:
        """Return what admitted spills fill; count the plots that fail."""
        filled = fill(spills, ranges)
        for plot, spills_lost in filled.failures.items():
            self.totals.errors[f"plot {plot}"] += spills_lost
        return filled


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


def _scaler_counts(spill: ReconstructedSpill) -> tuple[int, ...]:
    scalers = spill.get(Scalers)
    if scalers is None or not len(scalers.counts):
        return ()
    counts = np.full(SCALER_CHANNELS, MISSING, np.int32)
    counts[scalers.counts.channel] = scalers.counts.count
    return tuple(counts.tolist())


def spill_facts(ledger: Ledger, handling: Mapping[int, Handling] = MappingProxyType({})) -> SpillFacts:
    """Return the spills of a run in the order of their numbers."""
    numbers = sorted(ledger)
    entries = [ledger[n] for n in numbers]
    handled = [handling.get(n, _NOT_HANDLED) for n in numbers]
    return SpillFacts(
        spill=np.array(numbers, np.int64),
        time_us=np.array([e.time_us for e in entries], np.int64),
        triggers=np.array([e.triggers for e in entries], np.int32),
        size=np.array([e.size for e in entries], np.int32),
        scalers=np.array([e.scalers or _NOT_READ for e in entries], np.int32).reshape(-1, SCALER_CHANNELS),
        delay_s=np.array([h.delay_s for h in handled], np.float64),
        resident_mb=np.array([h.resident_mb for h in handled], np.float64),
    )
