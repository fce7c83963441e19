"""What the books must hold, found out without them: from what was sent, and what Kafka and Redis lost of it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.records import NO_RUN
from streams import __version__
from streams.books import spill_numbers
from streams.books.book import Ranges
from streams.books.windows import Window, window_at
from streams.checks import channels
from streams.plots.model import Axis
from tests.simulation.experiment import (
    BINS,
    CATALOGUE,
    CHANNELS,
    PAIRS,
    RARE,
    TUNED,
    TYPO,
    VALUES,
    Kind,
    Sent,
    is_read_out,
)
from tests.simulation.kafka_in_memory import Entry

Counts = npt.NDArray[np.int64]


@dataclass(slots=True, kw_only=True)
class Expected:
    """What messages of a run in one partition come to."""

    spills: dict[int, Sent] = field(default_factory=dict)
    """The spills in the book, by number."""
    totals: dict[str, Any]
    rejected_at: list[int] = field(default_factory=list)
    """Offsets of what is in no histogram."""


def expected(entries: Sequence[Entry], partition: int, conditions: str) -> Expected:
    """Return what the messages of one run come to, in the order of their offsets; `conditions` is their digest."""
    found = Expected(totals={})
    rejected: Counter[str] = Counter()
    duplicated, disordered, order = list[int](), list[int](), -1
    for entry in entries:
        sent: Sent = entry.sent
        if not sent.is_spill:
            continue
        known, step = found.spills.get(sent.spill), ""
        if sent.kind is Kind.GARBAGE:
            step = "envelope"
        elif sent.kind is Kind.UNREADABLE:
            step = "board"
        elif sent.kind is Kind.RAISES:
            step = "fault"
        elif known is not None and known.digest == sent.digest:
            duplicated.append(sent.spill)
        elif known is not None:
            step = "conflict"
        elif sent.kind is Kind.RAISES_LATER:
            step = "fault"
        else:
            found.spills[sent.spill] = sent
            if sent.spill < order:
                disordered.append(sent.spill)
            order = max(order, sent.spill)
        if step:
            rejected[step] += 1
            found.rejected_at.append(entry.arrived.offset)
    spills = [entry.sent for entry in entries if entry.sent.is_spill]
    times = [sent.time_us for sent in found.spills.values() if sent.time_us]
    produced = [entry.arrived.produced_ms for entry in entries]
    ends = [entry.arrived.produced_ms for entry in entries if entry.sent.kind is Kind.END]
    filled = found.spills.values()
    why = f"the conditions of run {entries[0].sent.run} cannot be read: {TYPO}"
    absent = sum(not is_read_out(spill) for spill in found.spills)
    found.totals = {
        "received": len(spills),
        "filled": len(filled),
        "duplicates": len(duplicated),
        "duplicated": sorted(set(duplicated)),
        "rejected": dict(rejected),
        "errors": {TUNED: len(filled)} if filled and not conditions else {},
        "first_errors": {TUNED: (min(found.spills), why)} if filled and not conditions else {},
        "absent": {RARE: absent} if absent else {},
        "skipped": {},
        "lacking": {},
        "detectors": ({"board": {"counts": 4 * len(filled)}} if filled else {})
        | ({TUNED: {"counts": 0}} if filled and conditions else {})
        | ({RARE: {"counts": 0}} if absent < len(filled) else {}),
        "out_of_order": len(disordered),
        "disordered": sorted(set(disordered)),
        "triggers": sum(sent.triggers for sent in filled),
        "events": sum(3 for sent in spills if sent.kind is not Kind.GARBAGE),
        "first_us": min(times, default=0),
        "last_us": max(times, default=0),
        "last_spill": max(found.spills, default=-1),
        "first_raw": {partition: entries[0].arrived.offset},
        "last_raw": {partition: entries[-1].arrived.offset},
        "first_ms": min(produced),
        "produced_ms": max(produced),
        "ended_ms": max(ends, default=0),
        "code": [__version__] if filled else [],
        "conditions": [conditions] if filled else [],
        "control": _control(entries),
    }
    return found


def _control(entries: Iterable[Entry]) -> dict[str, dict[str, Any]]:
    found = {}
    for kind, name in ((Kind.START, "start"), (Kind.END, "end")):
        said = [entry.sent for entry in entries if entry.sent.kind is kind]
        if said:
            first = min(said, key=lambda sent: (sent.time_us, sent.source, sent.byte))
            found[name] = {
                "time_us": first.time_us,
                "events": 2,
                "run_type": "physics",
                "source": first.source,
                "byte": first.byte,
            }
    return found


def histograms(spills: Iterable[Sent], ranges: Ranges) -> dict[str, Counts]:
    """Return what spills fill, with the bins beside the axes; spill for spill, bin for bin."""
    bins, low, high = ranges.get(VALUES, (BINS, 0.0, float(BINS)))
    values, pairs = np.zeros(bins + 2, np.int64), np.zeros((6, 6), np.int64)
    for sent in spills:
        for channel, value in enumerate(sent.values):
            values[_bin(value, bins, low, high)] += 1
            pairs[_bin(channel, 4, 0, 4), _bin(value, 4, 0, BINS)] += 1
    return {VALUES: values, PAIRS: pairs}


def _bin(value: float, bins: int, low: float, high: float) -> int:
    """Return in which bin a value is, 0 for what is below the first and ``bins + 1`` for what is above the last."""
    return min(max(int((value - low) * bins // (high - low)) + 1, 0), bins + 1)


def key_numbers(sent: Sent, ranges: Ranges) -> bytes:
    """Return the key numbers of a spill."""
    bins, low, high = ranges.get(VALUES, (BINS, 0.0, float(BINS)))
    there = [_bin(value, bins, low, high) - 1 for value in sent.values]
    inside = np.array([i for i in there if 0 <= i < bins], np.int32)
    axis = Axis(label="", bins=bins, low=low, high=high)
    return spill_numbers.pack(spill_numbers.of_bins(CATALOGUE[VALUES], axis, inside))


def channel_counts(sent: Sent) -> bytes:
    """Return how often each channel was hit in a spill."""
    return channels.pack({CHANNELS.digest: np.array([sum(value % 4 == c for value in sent.values) for c in range(4)])})


def windows(spills: Mapping[int, Sent], window_s: int, kept: int) -> dict[Window, list[Sent]]:
    """Return the windows that are kept, and the spills of each."""
    newest_s = max((sent.time_us for sent in spills.values()), default=0) // 1_000_000
    found: dict[Window, list[Sent]] = {}
    for sent in spills.values():
        window = window_at(sent.time_us // 1_000_000, newest_s, window_s=window_s, kept=kept)
        found.setdefault(window, []).append(sent)
    return found


def run_of(sent: Sent) -> int:
    """Return under which run a message is counted."""
    return NO_RUN if sent.kind is Kind.GARBAGE else sent.run
