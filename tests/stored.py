"""Books put into Redis by real checkpoints, for tests that need runs that are stored and no worker."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from streams.books.book import Book
from streams.books.cells import Cells, Histogram
from streams.books.checkpoint import RunChanges
from streams.books.connect import connect_async
from streams.books.layout import Place
from streams.books.run import RunBook, RunPart
from streams.books.store import CheckpointStore
from streams.books.stored import PartitionState, StoredPart
from streams.books.windows import Window
from streams.settings import Settings

LOG = "a topic"
"""The id of the topic whose offsets the books have."""
Windows = Mapping[Window, tuple[int, Mapping[str, Histogram]]]
"""Window → its spills, and its histograms."""


def checkpoint(
    settings: Settings, runs: Mapping[int, RunBook], *, partition: int = 0, windows: Windows | None = None, **state: Any
) -> PartitionState:
    """Put whole runs into Redis as one partition's part of them, in place of what it had of these.

    Parameters
    ----------
    windows
        Of each of them.
    state
        What else changes in how far the partition is: ``next``, say.
    """
    return asyncio.run(_checkpoint(settings, runs, partition, windows or {}, state))


async def _checkpoint(
    settings: Settings, runs: Mapping[int, RunBook], partition: int, windows: Windows, state: Mapping[str, Any]
) -> PartitionState:
    async with connect_async(settings) as redis:
        store = CheckpointStore(redis, settings.redis.key_prefix, settings.session)
        before = await store.load_state(partition)
        changed: dict[str, Any] = {"log": LOG, "produced_ms": 1} | dict(state)
        after = replace(before, **changed, fence=f"test:{before.number + 1}")
        changes = {run: _changes(book, partition, windows, after) for run, book in runs.items()}
        await store.begin(partition)
        return await store.checkpoint(partition, before.fence, after, changes)


def retire(settings: Settings, run: int, partition: int = 0) -> None:
    """Have a partition's part of a run leave but for its totals, as a worker has it."""
    asyncio.run(_retire(settings, run, partition))


async def _retire(settings: Settings, run: int, partition: int) -> None:
    async with connect_async(settings) as redis:
        store = CheckpointStore(redis, settings.redis.key_prefix, settings.session)
        before = await store.load_state(partition)
        stored = await store.parts.load_totals(partition, run, {})
        place = await store.load_place(partition, run, before.index)
        assert stored is not None
        assert place is not None
        stored.retired = True
        left = RunChanges(stored=stored, place=replace(place, retired=1))
        after = replace(before, fence=f"test:{before.number + 1}")
        await store.checkpoint(partition, before.fence, after, {run: left})


def _changes(book: RunBook, partition: int, windows: Windows, state: PartitionState) -> RunChanges:
    part = StoredPart(
        part=RunPart(dict(book.ledger), book.totals),
        book=Book(book.book.ranges),
        windows={window: spills for window, (spills, _) in windows.items()},
        upto=state.next,
        log=state.log,
    )
    return RunChanges(
        stored=part,
        place=Place.of(book.totals, partition, state.log),
        ledger=book.ledger,
        handling=dict(book.handling),
        key_numbers=dict(book.key_numbers),
        channel_counts=dict(book.channel_counts),
        plots=book.book.cells,
        windows={window: _cells(plots) for window, (_, plots) in windows.items()},
    )


def _cells(plots: Mapping[str, Histogram]) -> dict[str, Cells]:
    return {name: Cells.of(histogram) for name, histogram in plots.items()}
