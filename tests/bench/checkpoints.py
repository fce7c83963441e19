"""What a checkpoint costs with all detectors, and what Redis holds of a run, a partition."""

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from redis.asyncio import Redis
from rich.table import Table

from ops.stack import free_port
from ops.stack import redis as server
from schemas.records import RawSpill, RejectedSpill
from streams.books.checkpoint import RunChanges
from streams.books.counter import Counter
from streams.books.kafka_log import KafkaLog, Known
from streams.books.layout import STAMP, Keys, unpack_window
from streams.books.partition import Filling, Partitions
from streams.books.run import Handling
from streams.books.store import CheckpointStore
from streams.books.stored import PartitionState
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.run import DETECTORS
from streams.settings import BookSettings
from streams.transform import Message, Outcome, outcome

SPILLS, TRIGGERS = 120, 60
"""Of one partition: of four, in a run of twenty minutes."""
LOG, MESSAGES = "bench", 1_000_000
"""Id and length of the log that is counted."""


class _Timed(CheckpointStore):
    seconds: list[float]

    async def checkpoint(
        self, partition: int, fence: str, state: PartitionState, runs: Mapping[int, RunChanges]
    ) -> PartitionState:
        start = time.perf_counter()
        written = await super().checkpoint(partition, fence, state, runs)
        self.seconds.append(time.perf_counter() - start)
        return written


def measure_checkpoints() -> Table:
    """Return the cost of a checkpoint of one spill, with Redis on this machine, and the size of the run there."""
    run = SimulatedRun(spills=4 * SPILLS, mean_triggers=TRIGGERS, detectors=tuple(DETECTORS), seed=3)
    outcomes = []
    for offset in range(SPILLS):
        raw: RawSpill = run.spill(4 * offset).raw
        message = Message(partition=0, offset=offset, start=offset, produced_ms=offset + 1, value=b"")
        outcomes.append(outcome(message, raw, lambda _run: run.conditions))
    with a_redis() as port:
        seconds, sizes = asyncio.run(_count(outcomes, run.run, port))
    table = Table(title=f"Checkpoints of {SPILLS} spills of {TRIGGERS} particle triggers with all detectors, one each")
    for column in ("", "median", "most"):
        table.add_column(column, justify="left" if not column else "right")
    table.add_row("a checkpoint, ms", f"{statistics.median(seconds) * 1e3:.1f}", f"{max(seconds) * 1e3:.1f}")
    for name, size in sizes.items():
        table.add_row(f"{name} in Redis, MB", f"{size / 1e6:.2f}", "")
    return table


@contextmanager
def a_redis() -> Iterator[int]:
    """Start a Redis of our own, and give its port."""
    with TemporaryDirectory(prefix="spilldeck-bench-") as directory:
        port = free_port()
        running = server.start(Path(directory), port, keep=False)
        try:
            while not server.answers(port, 1.0):
                time.sleep(0.05)
            yield port
        finally:
            running.end()


async def _count(outcomes: list[Outcome], run: int, port: int) -> tuple[list[float], dict[str, int]]:
    async with Redis(port=port) as redis:
        store = _Timed(redis, "bench", "live")
        store.seconds = []
        counter = counter_of(store)
        await counter.begin(0)
        for one in outcomes:
            await counter.take(0, [one])
        keys = Keys("bench", "live", 0)
        names = cast("list[bytes]", await redis.hkeys(keys.windows(run)))
        windows = [keys.window(run, unpack_window(name)) for name in names if name != STAMP.encode()]
        sizes = {
            "book, ledger, key numbers and totals of the run": [
                keys.book(run),
                keys.spills(run),
                keys.key_numbers(run),
                keys.run(run),
                keys.state,
            ],
            f"its {len(windows)} windows of {BookSettings().window_s} s and more": windows,
        }
        found = {
            name: sum([await redis.memory_usage(key, samples=0) or 0 for key in each]) for name, each in sizes.items()
        }
    return store.seconds, found


def counter_of(store: CheckpointStore) -> Counter:
    """Return what counts messages as a worker does."""
    settings = BookSettings()
    filling = Filling(
        run_books={},
        window_books={},
        ranges_of=lambda _run: {},
        window_s=settings.window_s,
        windows_kept=settings.windows_kept,
        handling=lambda _produced_ms: Handling(delay_s=0.1, resident_mb=200.0),
        compute=asyncio.to_thread,
    )
    return Counter(store=store, kafka=_whole_log(), partitions=Partitions(), filling=filling, writer="bench")


def _whole_log() -> KafkaLog:
    """Return a log that has all messages, and loses none."""

    async def topic_id() -> str:
        return LOG

    async def epoch(_partition: int) -> int:
        return 0

    async def span(_partition: int) -> tuple[int, int]:
        return 0, MESSAGES

    async def first_from(_partition: int, offset: int) -> tuple[int | None, int]:
        return offset, 0

    async def still_has(_partition: int, _offset: int, _produced_ms: int) -> bool:
        return True

    async def seek(_partition: int, _offset: int) -> None:
        raise AssertionError("no seek is needed")

    async def known(_partition: int) -> Known:
        return Known()

    async def reject(_spill: RejectedSpill) -> None:
        raise AssertionError("nothing is rejected")

    return KafkaLog(
        name="spills.raw",
        id=topic_id,
        epoch=epoch,
        span=span,
        first_from=first_from,
        still_has=still_has,
        seek=seek,
        known=known,
        reject=reject,
        now_s=time.time,
    )
