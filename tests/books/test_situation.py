"""What each badge and each number says, situation by situation, in the words that a shifter reads."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from schemas.records import NO_RUN, TIME, ControlKind, ReconstructedSpill, Rejection, RunControl
from streams.books import situation
from streams.books import totals as totals_module
from streams.books.book import Book
from streams.books.compare import differences
from streams.books.layout import Place
from streams.books.run import RunBook, RunPart, spill_facts
from streams.books.totals import REASONS_KEPT, Totals
from streams.freshness import Level, daq, pipeline, silence_s, stand
from streams.transform import Message, reconstructed
from tests.records import reconstructed_spill

RUN, PARTITIONS = 7, 4
START_MS = 1_700_000_000_000
ANY_SPILL = replace(reconstructed_spill(run=RUN), detectors={})
LACKS = Rejection(step="unpack", reason="f, run 7, spill 3, byte 9: LDC 1 lacks in an event: it has [0]")
MARK = {Level.GOOD: "✓", Level.WARNING: "!", Level.BAD: "✕", Level.UNKNOWN: "?", Level.IDLE: "–"}


@dataclass(slots=True)
class Taken:
    """A run of a spill a second, whose first came at `START_MS`."""

    own_clock_s: float = 0.0
    parts: list[RunPart] = field(default_factory=lambda: [RunPart() for _ in range(PARTITIONS)])
    produced_ms: dict[int, int] = field(default_factory=dict)
    messages: int = 0
    now_ms: int = START_MS

    def spills(self, first: int, stop: int, *, rejected: bool = False) -> "Taken":
        return self.come(*range(first, stop), rejected=rejected)

    def come(self, *numbers: int, rejected: bool = False, **changes: Any) -> "Taken":
        for number in numbers:
            time_us = self.now_ms * 1000 + round(self.own_clock_s * 1e6)
            digest = number.to_bytes(8, "little")
            spill = replace(ANY_SPILL, **{"spill": number, "time_us": time_us, "digest": digest} | changes)
            if rejected:
                spill = replace(
                    spill, rejection=replace(LACKS, reason=LACKS.reason.replace("spill 3", f"spill {number}"))
                )
            self._count(number % PARTITIONS, spill)
            self.produced_ms.setdefault(number, self.now_ms)
            self.now_ms += 1000
        return self

    def end(self) -> "Taken":
        return self.control(ControlKind.END)

    def control(self, kind: ControlKind) -> "Taken":
        for partition in range(PARTITIONS):
            self._count(
                partition, RunControl(run=RUN, kind=kind, time_us=self.now_ms * 1000, source="f", byte=0, events=2)
            )
        return self

    def _count(self, partition: int, record: ReconstructedSpill | RunControl) -> None:
        self.messages += 1
        at = {"offset": self.messages, "start": self.messages, "produced_ms": self.now_ms}
        message = Message(partition=partition, value=b"", **at)
        self.parts[partition].count([reconstructed(message, record)], {}, lambda _: 0)

    def totals(self) -> Totals:
        total = Totals()
        for part in self.parts:
            total += Totals.from_json(part.totals.to_json())  # as it is stored
        return total

    def place(self) -> Place:
        first, *others = [Place.of(part.totals, p, "log") for p, part in enumerate(self.parts)]
        return sum(others, first)

    def facts(self) -> Any:
        ledger = {spill: entry for part in self.parts for spill, entry in part.ledger.items()}
        facts = spill_facts(ledger, refused=self.totals().refused)
        return replace(facts, produced_ms=np.array([self.produced_ms[s] for s in facts.spill.tolist()], np.int64))


def said(taken: Taken, after_s: float, behind: int = 0, behind_s: float = 0.0, **servers: Any) -> list[str]:
    """Return what stands on the page so long after the last message."""
    now_s = taken.now_ms / 1000 - 1 + after_s
    usual = {"produced_s": taken.now_ms / 1000 - 1, "behind": behind, "behind_since_s": now_s - behind_s}
    totals = taken.totals()
    seen = situation.observed(totals, taken.place(), now_s=now_s, **usual | servers)
    badges = [f"{MARK[found.level]} {found.text}" for found in (daq(seen), pipeline(seen))]
    facts = taken.facts()
    late = situation.out_of_order(facts.spill, facts.produced_ms)
    waited_s = 0.0 if seen.run_ended else silence_s(seen) or 0.0
    rate = situation.rate(facts.time_us, newest=situation.RATE_SPILLS, waited_s=waited_s)
    numbers = f"spills {totals.filled}, last {totals.last_spill} of {totals.last_came}, missing "
    numbers += f"{situation.missing(totals, behind)}, out of order {len(late)}, rate {rate or 0:.2f}"
    return [*badges, numbers + (", plots stand" if stand(seen) else "")]


def good(**changes: Any) -> Taken:
    return Taken(**changes).spills(0, 40)


PROCESSED = "✓ All spills processed"
GOES_ON = "spills 40, last 39 of 39, missing 0, out of order 0, rate 1.00"
REJECTS = "rejected by unpack, LDC 1 lacks in an event"
SITUATIONS: dict[str, tuple[Callable[[], list[str]], list[str]]] = {
    "all is well": (
        lambda: said(good(), 1),
        ["✓ Last spill 1 s ago", PROCESSED, GOES_ON],
    ),
    "the DAQ is late": (
        lambda: said(good(), 23),
        ["! No spills for 23 s: DAQ or beam", PROCESSED, GOES_ON.replace("1.00", "0.48")],
    ),
    "the DAQ is silent": (
        lambda: said(good(), 90),
        ["✕ No spills for 90 s: DAQ or beam", PROCESSED, GOES_ON.replace("1.00", "0.00, plots stand")],
    ),
    "every spill from one on is rejected": (
        lambda: said(good().spills(40, 120, rejected=True), 1),
        [
            "✓ Last spill 1 s ago",
            f"✕ No spill counted for 80: {REJECTS}",
            "spills 40, last 39 of 119, missing 0, out of order 0, rate 1.00, plots stand",
        ],
    ),
    "every spill of the run is rejected": (
        lambda: said(Taken().spills(0, 12, rejected=True), 1),
        [
            "✓ Last spill 1 s ago",
            f"✕ No spill counted for 12: {REJECTS}",
            "spills 0, last -1 of 11, missing 0, out of order 0, rate 0.00, plots stand",
        ],
    ),
    "every second spill is rejected": (
        lambda: said(good().come(41, 43, 45, rejected=True).come(40, 42, 44, 46), 1),
        [
            "✓ Last spill 1 s ago",
            f"! 3 of the last 20 spills not counted: {REJECTS}",
            "spills 44, last 46 of 46, missing 0, out of order 0, rate 0.86",
        ],
    ),
    "one spill is rejected": (
        lambda: said(good().come(40, rejected=True).come(41), 1),
        [
            "✓ Last spill 1 s ago",
            PROCESSED,
            "spills 41, last 41 of 41, missing 0, out of order 0, rate 0.95",
        ],
    ),
    "rejected spills are sent again after a fix": (
        lambda: said(good().spills(40, 60, rejected=True).spills(40, 60), 1),
        ["✓ Last spill 1 s ago", PROCESSED, "spills 60, last 59 of 59, missing 0, out of order 0, rate 1.00"],
    ),
    "a spill never came": (
        lambda: said(good().spills(42, 44), 1),
        ["✓ Last spill 1 s ago", PROCESSED, "spills 42, last 43 of 43, missing 2, out of order 0, rate 1.00"],
    ),
    "spills of two partitions changed places": (
        lambda: said(good().come(43, 42, 41, 40), 1),
        ["✓ Last spill 1 s ago", PROCESSED, "spills 44, last 43 of 43, missing 0, out of order 3, rate 1.00"],
    ),
    "the workers are behind": (
        lambda: said(good().come(41), 1, behind=12, behind_s=8),
        [
            "✓ Last spill 1 s ago",
            "! Processing 8 s behind (12 spills): workers",
            "spills 41, last 41 of 41, missing 0, out of order 0, rate 1.00",
        ],
    ),
    "the workers are stuck": (
        lambda: said(good(), 1, behind=40, behind_s=40),
        ["✓ Last spill 1 s ago", "✕ Processing 40 s behind (40 spills): workers", f"{GOES_ON}, plots stand"],
    ),
    "the spills' clock is an hour ahead": (
        lambda: said(good(own_clock_s=3600), 1),
        ["! Spills’ own clock ahead by 60 min: their times are not ours", PROCESSED, GOES_ON],
    ),
    "the spills' clock is an hour behind": (
        lambda: said(good(own_clock_s=-3600), 1),
        ["! Spills are 60 min old when they come: their clock is behind, or they are sent late", PROCESSED, GOES_ON],
    ),
    "the spills' clock is a little off": (
        lambda: said(good(own_clock_s=-8), 1),
        ["✓ Last spill 1 s ago", PROCESSED, GOES_ON],
    ),
    "a recorded file is played": (
        lambda: said(good(own_clock_s=-300_000_000), 1),
        ["✓ Last spill 1 s ago", PROCESSED, GOES_ON],
    ),
    "the producer's clock is two hours ahead": (
        lambda: said(good(), -7200, raw_moved_s=START_MS / 1000 + 39 - 7201),
        ["! Clock ahead by 2 h 0 min: times of spills are not ours", PROCESSED, GOES_ON],
    ),
    "the DAQ is silent, and the spills' clock is ahead": (
        lambda: said(good(own_clock_s=3600), 14),
        ["! No spills for 14 s: DAQ or beam", PROCESSED, GOES_ON.replace("1.00", "0.61")],
    ),
    "the run has ended": (
        lambda: said(good().end(), 3600),
        ["– Run ended, nothing more for 60 min", PROCESSED, GOES_ON],
    ),
    "the run has ended with spills that were rejected": (
        lambda: said(good().spills(40, 80, rejected=True).end(), 3600),
        [
            "– Run ended, nothing more for 60 min",
            f"! No spill counted for 40: {REJECTS}",
            "spills 40, last 39 of 79, missing 0, out of order 0, rate 1.00",
        ],
    ),
    "late spills come after the end": (
        lambda: said(good().end().come(41, 40), 2),
        [
            "– Run ended, nothing more for 2 s",
            PROCESSED,
            "spills 42, last 41 of 41, missing 0, out of order 1, rate 1.00",
        ],
    ),
    "the run has only begun": (
        lambda: said(Taken().control(ControlKind.START), 5, produced_s=START_MS / 1000),
        [
            "– Run started 4 s ago: waiting for its first spill",
            PROCESSED,
            "spills 0, last -1 of -1, missing 0, out of order 0, rate 0.00",
        ],
    ),
    "Kafka is away": (
        lambda: said(good(), 8, kafka_lost_s=START_MS / 1000),
        ["? Kafka does not answer: spills unknown", "? Kafka does not answer: lag unknown", GOES_ON],
    ),
    "the store is away": (
        lambda: said(good(), 8, store_lost_s=START_MS / 1000),
        ["✓ Last spill 8 s ago", "? Redis does not answer: lag unknown", GOES_ON.replace("1.00", "0.74")],
    ),
    "runs are made again": (
        lambda: said(good(), 1, made_again=2),
        ["✓ Last spill 1 s ago", "! Making 2 runs again from Kafka", GOES_ON],
    ),
}


@pytest.mark.parametrize("what", SITUATIONS)
def test_each_situation_is_said_as_it_is(what: str) -> None:
    found, wanted = SITUATIONS[what]
    assert found() == wanted


def place(first_ms: int, produced_ms: int, *, ended: bool = False, first: int = 0, last: int = 0) -> Place:
    """Return where a run is; all of the spills' own times are of another year than the producer's."""
    totals = Totals(received=1, first_ms=first_ms, produced_ms=produced_ms, ended_ms=produced_ms if ended else 0)
    totals.first_raw, totals.last_raw, totals.first_us, totals.last_us = {0: first}, {0: last}, -first_ms, -produced_ms
    return Place.of(totals, 0, "log")


CURRENT: dict[str, tuple[dict[int, Place], int | None]] = {
    "no run": ({}, None),
    "what is of no run": ({NO_RUN: place(90, 90, first=9, last=9)}, None),
    "one after the other": ({7: place(10, 20, ended=True, first=0, last=5), 5: place(30, 40, first=6, last=9)}, 5),
    "the last one has ended": (
        {7: place(10, 20, ended=True, first=0, last=5), 5: place(30, 40, ended=True, first=6, last=9)},
        5,
    ),
    "one that was never ended lies before it": (
        {7: place(10, 20, first=0, last=5), 5: place(30, 40, ended=True, first=6, last=9)},
        5,
    ),
    "two runs at once": ({7: place(10, 50, first=0, last=12), 5: place(30, 40, first=6, last=9)}, 5),
    "two runs at once, of which the later one has ended": (
        {7: place(10, 50, first=0, last=12), 5: place(30, 40, ended=True, first=6, last=9)},
        7,
    ),
    "late spills of a run that has ended": (
        {7: place(10, 50, ended=True, first=0, last=12), 5: place(30, 40, first=6, last=9)},
        5,
    ),
    "a clock that was set back after one that was never ended": (
        {7: place(3610, 3620, first=0, last=5), 5: place(3611, 40, ended=True, first=6, last=9)},
        5,
    ),
}


@pytest.mark.parametrize("what", CURRENT)
def test_the_run_that_is_being_taken_follows_from_what_came_when(what: str) -> None:
    places, wanted = CURRENT[what]
    came_ms = {run: place.first_ms for run, place in places.items()}
    assert situation.current(places, came_ms) == wanted


def test_what_is_kept_of_rejected_spills_is_bounded_and_of_no_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(totals_module, "REFUSED_KEPT", 100)
    forth, back = Totals(), Totals()
    numbers = range(150)
    for totals, order in ((forth, numbers), (back, reversed(numbers))):
        for number in order:
            spill = replace(ANY_SPILL, spill=number)
            totals.count_rejected(spill, "unpack", f"f, run 7, spill {number}: why", is_filled=False)
    assert forth == back
    assert (len(forth.refused), forth.refused[-1], forth.last_came) == (100, 99, 149)
    assert forth.reasons == {number: ["unpack", "why"] for number in numbers[-REASONS_KEPT:]}


def test_a_spill_that_differs_from_one_that_counts_is_not_a_spill_that_does_not_count() -> None:
    taken = good().come(39, digest=b"another.")
    assert (taken.totals().all_rejected, taken.totals().refused) == (1, [])


def test_a_spill_of_an_impossible_time_says_nothing_of_the_clock() -> None:
    assert situation.own_clock_s(good(own_clock_s=5).come(40, errors={TIME: "in 2083"}).totals()) == 5


def test_totals_from_before_rejected_spills_were_kept_are_read_and_no_difference() -> None:
    new = good().come(40, rejected=True).totals()
    stored = new.to_json()
    for name in ("last_came", "refused", "reasons", "counted_ms", "counted_us"):
        del stored[name]
    old = Totals.from_json(stored)
    assert (old.last_came, old.refused, situation.missing(old), situation.own_clock_s(old)) == (-1, [], 0, 0)
    assert differences(*(RunBook(totals=each, ledger={}, book=Book({})) for each in (new, old))) == []
