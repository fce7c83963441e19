"""What the first version of the keys holds, read only: ``prefix:{session:partition}:…``, without a version in it.

Workers count into the keys of `layout` alone. These stay as they are, so that the older version can be gone back to.

========================  ======  ===================================================================
``state``                 hash    ``raw`` (offsets of ``spills.raw`` that were counted, as ranges), ``offset`` (the last
                                  one of the log that was counted from: ``spills.reco``, or what a replay read),
                                  ``tail`` (the last messages that were counted), ``lost``
``runs``                  hash    run → totals, JSON
``spills:RUN``            hash    spill → ledger entry
``handling:RUN``          hash    spill → how it was handled
``key-numbers:RUN``       hash    spill → its key numbers
``book:RUN``              hash    plot → histogram
``windows:RUN``           hash    start of the window, s → its spills
``window:RUN:START``      hash    plot → histogram
========================  ======  ===================================================================

The values are those of `layout`, `cells` and `spill_numbers`, without their checksums.
"""

import json
import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from streams.books import layout, spill_numbers
from streams.books.book import Book, Ranges, new_histogram
from streams.books.cells import Cells
from streams.books.invariants import of_entries
from streams.books.run import Handling, Ledger
from streams.books.totals import Totals
from streams.experiment import experiment

Stretches = tuple[tuple[int, int], ...]
"""Offsets as (first, first that is not in it), sorted and apart."""


class UnreadableError(Exception):
    """Something is gone or damaged, or its plots have other axes than they would have now."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the keys of one session's partition."""

    prefix: str
    session: str
    partition: int

    def __call__(self, *parts: object) -> str:
        """Return the name of a key."""
        return ":".join([self.prefix, f"{{{self.session}:{self.partition}}}", *map(str, parts)])


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How far a partition was counted."""

    offset: int
    """The last one of the log that was counted from."""
    raw: Stretches
    """Of ``spills.raw``: what was counted. A replay of ``spills.raw`` has none."""
    tail: tuple[tuple[int, int], ...]
    """Of the last messages that were counted: the offset in ``spills.raw``, and when it was produced, Unix ms."""
    lost: tuple[layout.Loss, ...]


@dataclass(slots=True, kw_only=True)
class Part:
    """A partition's part of a run."""

    totals: Totals
    ledger: Ledger
    key_numbers: dict[int, bytes]
    """Of every spill; empty of one that was filled before they were kept."""
    handling: dict[int, Handling]
    book: Book
    windows: dict[int, Book] = field(default_factory=dict)
    """Start of a window that is kept, s → its book."""
    window_spills: dict[int, int] = field(default_factory=dict)
    """Start of a window that is kept, s → spills in it."""
    left_out: tuple[str, ...] = ()
    """Plots that there are no more."""


async def find(redis: Redis, prefix: str) -> list[Keys]:
    """Return the partitions of which there are runs, by session and number."""
    pattern = re.compile(re.escape(prefix) + r":\{(.+):(\d+)\}:runs")
    names = [key.decode(errors="replace") async for key in redis.scan_iter(match=f"{prefix}:{{*}}:runs", count=1000)]
    found = [Keys(prefix, match[1], int(match[2])) for match in map(pattern.fullmatch, names) if match]
    return sorted(found, key=lambda keys: (keys.session, keys.partition))


async def load_state(redis: Redis, keys: Keys) -> State:
    """Return how far a partition was counted.

    Raises
    ------
    UnreadableError
        When Redis has it no more, or something else.
    """
    with _naming(keys("state")):
        stored = await _hash(redis, keys("state"))
        return State(
            offset=int(stored[b"offset"]),
            raw=_checked((int(start), int(stop)) for start, stop in json.loads(stored[b"raw"])),
            tail=tuple((int(raw), int(ms)) for _, raw, ms in json.loads(stored[b"tail"]) if raw is not None),
            lost=tuple(layout.Loss(int(at_s), str(what)) for at_s, what in json.loads(stored[b"lost"])),
        )


def _checked(stretches: Iterable[tuple[int, int]]) -> Stretches:
    found = tuple(stretches)
    edges = [edge for pair in found for edge in pair]
    if edges != sorted(set(edges)):
        raise ValueError("its ranges overlap")
    return found


async def load_runs(redis: Redis, keys: Keys) -> dict[int, bytes]:
    """Return the totals of a partition's runs as they are stored, by number.

    Raises
    ------
    UnreadableError
        When Redis has something else.
    """
    with _naming(keys("runs")):
        return {int(run): totals for run, totals in sorted((await _hash(redis, keys("runs"))).items())}


def unpack_totals(keys: Keys, run: int, stored: bytes) -> Totals:
    """Return the totals of a run; raises as `load_part` does."""
    with _naming(f"run {run} in {keys('runs')}"):
        return Totals.from_json(json.loads(stored))


async def load_part(redis: Redis, keys: Keys, run: int, totals: Totals, ranges: Ranges) -> Part:
    """Return a partition's part of a run.

    Parameters
    ----------
    totals
        Its own.
    ranges
        The run's own ranges of plots, today.

    Raises
    ------
    UnreadableError
        When something of it is gone, damaged, or has other axes than today.
    """
    if totals.filled + totals.all_rejected != totals.received - totals.duplicates:
        raise UnreadableError(f"the counters in {keys('runs')} do not add up")
    with _naming(keys("spills", run)):
        stored = await _hash(redis, keys("spills", run))
        ledger = {int(spill): layout.unpack_ledger_entry(layout.seal(entry)) for spill, entry in stored.items()}
        if len(ledger) != totals.filled:
            raise ValueError(f"it has {len(ledger)} spills, and {totals.filled} were filled")
    with _naming(keys("key-numbers", run)):
        stored = await _hash(redis, keys("key-numbers", run))
        numbers = {int(spill): spill_numbers.check(data) for spill, data in stored.items()}
        if not numbers.keys() <= ledger.keys():
            raise ValueError("it has spills that were not filled")
    with _naming(keys("handling", run)):
        stored = await _hash(redis, keys("handling", run))
        handling = {int(spill): layout.unpack_handling(data) for spill, data in stored.items()}
    book, left_out = await _load_book(redis, keys("book", run), ranges)
    numbers = {spill: spill_numbers.without(data, left_out) for spill, data in numbers.items()}
    if numbers.keys() == ledger.keys() and (what := next(of_entries(book, numbers), "")):
        raise UnreadableError(f"{keys('book', run)} {what}")
    part = Part(
        totals=totals,
        ledger=ledger,
        key_numbers=dict.fromkeys(ledger, b"") | numbers,
        handling=handling,
        book=book,
        left_out=left_out,
    )
    with _naming(keys("windows", run)):
        stored = await _hash(redis, keys("windows", run))
        part.window_spills = {int(start): int(spills) for start, spills in sorted(stored.items())}
    for start in part.window_spills:
        part.windows[start], _ = await _load_book(redis, keys("window", run, start), ranges)
    return part


async def _load_book(redis: Redis, key: str, ranges: Ranges) -> tuple[Book, tuple[str, ...]]:
    """Return a book, and the plots in it that there are no more as they were."""
    book, left_out = Book(ranges), []
    with _naming(key):
        for name, data in sorted((n.decode(), data) for n, data in (await _hash(redis, key)).items()):
            if name not in experiment().plots or name in experiment().other_since_v1:
                left_out.append(name)
                continue
            stored, ours = Cells.unpack(data).histogram(), new_histogram(name, ranges)
            edges = [[axis.edges for axis in one.axes] for one in (stored, ours)]
            if len(edges[0]) != len(edges[1]) or not all(map(np.array_equal, *edges)):
                raise ValueError(f"the plot {name} has other axes than the run's conditions give it today")
            ours.view(flow=True)[...] = stored.view(flow=True)
            book[name] = ours
    return book, tuple(left_out)


async def _hash(redis: Redis, key: str) -> dict[bytes, bytes]:
    return cast("dict[bytes, bytes]", await cast("Any", redis.hgetall(key)))


@contextmanager
def _naming(key: str) -> Iterator[None]:
    """Say which key it is that cannot be read."""
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise UnreadableError(f"{key} cannot be read: {type(error).__name__}: {error}") from error
    except ResponseError as error:
        if "WRONGTYPE" not in str(error):
            raise
        raise UnreadableError(f"{key} has another type: {error}") from error
