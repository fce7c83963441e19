"""What a checkpoint costs with all detectors, and what Redis holds of a run, a partition."""

import asyncio
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.asyncio import Redis
from rich.table import Table
from streams.books.aggregator import Aggregator, Incoming, KafkaAccess, TopicAccess

from ops.stack import free_port
from ops.stack import redis as server
from schemas.records import RawSpill, RejectedSpill
from schemas.wire import encode
from streams.books.layout import Keys
from streams.books.run import Handling
from streams.books.store import CheckpointStore, PartitionState, RunChanges
from streams.daq.simulator import SimulatedRun
from streams.daq.simulator.run import DETECTORS
from streams.reconstruct import reconstruct
from streams.settings import BookSettings

SPILLS, TRIGGERS = 120, 60
"""Of one partition: of four, in a run of twenty minutes."""


class _Timed(CheckpointStore):
    seconds: list[float]

    async def checkpoint(
        self, partition: int, previous: int, state: PartitionState, runs: Mapping[int, RunChanges]
    ) -> None:
        start = time.perf_counter()
        await super().checkpoint(partition, previous, state, runs)
        self.seconds.append(time.perf_counter() - start)


def measure_checkpoints() -> Table:
    """Return the cost of a checkpoint of one spill, with Redis on this machine, and the size of the run there."""
    run = SimulatedRun(spills=4 * SPILLS, mean_triggers=TRIGGERS, detectors=tuple(DETECTORS), seed=3)
    messages = []
    for number in range(SPILLS):
        raw: RawSpill = run.spill(4 * number).raw
        messages.append(
            Incoming(
                partition=0,
                offset=number,
                raw_offset=number,
                produced_ms=number,
                value=encode(reconstruct(raw, run.conditions)),
            )
        )
    with TemporaryDirectory(prefix="spilldeck-bench-") as directory:
        port = free_port()
        running = server.start(Path(directory), port, keep=False)
        try:
            while not server.answers(port, 1.0):
                time.sleep(0.05)
            seconds, sizes = asyncio.run(_aggregate(messages, run.run, port))
        finally:
            running.end()
    table = Table(title=f"Checkpoints of {SPILLS} spills of {TRIGGERS} particle triggers with all detectors, one each")
    for column in ("", "median", "most"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("a checkpoint, ms", f"{statistics.median(seconds) * 1e3:.1f}", f"{max(seconds) * 1e3:.1f}")
    for name, size in sizes.items():
        table.add_row(f"{name} in Redis, MB", f"{size / 1e6:.2f}", "")
    return table


async def _aggregate(messages: list[Incoming], run: int, port: int) -> tuple[list[float], dict[str, int]]:
    async def nothing(_partition: int, _offset: int) -> None:
        raise AssertionError("no seek is needed")

    async def first_from(_partition: int, _offset: int) -> tuple[int | None, int]:
        return None, 0

    async def still_has(_partition: int, _offset: int, _produced_ms: int) -> bool:
        return True

    async def end(_partition: int) -> int:
        return len(messages)

    async def reject(_spill: RejectedSpill) -> None:
        raise AssertionError("nothing is rejected")

    topic = TopicAccess(name="", seek=nothing, first_from=first_from, still_has=still_has, end=end)
    settings = BookSettings()
    async with Redis(port=port) as redis:
        store = _Timed(redis, "bench", "live")
        store.seconds = []
        aggregator = Aggregator(
            store=store,
            kafka=KafkaAccess(raw=topic, reco=topic, reject=reject),
            run_books={},
            window_books={},
            ranges_of=lambda _run: {},
            window_s=settings.window_s,
            windows_kept=settings.windows_kept,
            clock=time.monotonic,
            handling=lambda _produced_ms: Handling(delay_s=0.1, resident_mb=200.0),
        )
        for message in messages:
            await aggregator.take([message])
        keys = Keys("bench", "live", 0)
        windows = [keys.window(run, int(start)) for start in await redis.hkeys(keys.windows(run))]
        sizes = {
            "book, ledger, key numbers and totals of the run": [
                keys.book(run),
                keys.spills(run),
                keys.key_numbers(run),
                keys.runs,
                keys.state,
            ],
            f"its {len(windows)} windows of {settings.window_s} s": windows,
        }
        found = {
            name: sum([await redis.memory_usage(key, samples=0) or 0 for key in each]) for name, each in sizes.items()
        }
    return store.seconds, found
