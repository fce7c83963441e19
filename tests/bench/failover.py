"""How long nothing is counted while another Redis becomes the master: python -m tests.bench.failover."""

import argparse
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from ops.demo import Running, wait_until_counted
from ops.stack import LocalStack, free_port
from ops.topics import ensure_topics
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import RedisSettings, Settings, load_settings
from tests.redis_servers import NAME, Cluster, Replicated, sentinel, until
from tests.servers import environment

RUN, EVERY_S, LOOK_S = 900_046, 0.1, 0.02
QUIET_S = 3.0
"""Before and after what is done."""
HANGS_S = 25.0


@contextmanager
def counting(stack: LocalStack, redis: RedisSettings, directory: Path) -> Iterator[Settings]:
    """Have a worker count a spill every `EVERY_S`."""
    kafka = stack.access.kafka.model_copy(update={"topic_prefix": f"{redis.key_prefix}."})
    settings, stop = load_settings(kafka=kafka, redis=redis), threading.Event()
    ensure_topics(settings)

    def produce() -> None:
        records = iter(SimulatedRun(run=RUN, spills=5000, mean_triggers=3, detectors=("tof",)).records())
        with SpillProducer(settings) as producer:
            while not stop.wait(EVERY_S):
                producer.send(next(records))

    thread = threading.Thread(target=produce)
    with Running(settings, directory, dict(os.environ) | environment(settings)) as parts:
        parts.start("worker", "worker")
        thread.start()
        try:
            yield settings
        finally:
            stop.set()
            thread.join()
        wait_until_counted(parts)


def longest_s(settings: Settings, harm: Callable[[], None]) -> float:
    """Return the longest time without a checkpoint, from before something is done until some seconds after it."""
    with connect(settings) as redis:
        reader, longest, last, moved_s = BookReader.of(redis, settings), 0.0, -1, 0.0
        until(lambda: sum(its.next for its in reader.progress().values()) > 10)
        thread = threading.Thread(target=harm)
        ends_s = moved_s = time.monotonic()
        thread.start()
        while thread.is_alive() or time.monotonic() < ends_s + QUIET_S:
            with suppress(RedisError):
                now = sum(its.next for its in reader.progress().values())
                if now != last:
                    longest, last, moved_s = max(longest, time.monotonic() - moved_s), now, time.monotonic()
            if thread.is_alive():
                ends_s = time.monotonic()
            time.sleep(LOOK_S)
        return longest


def main() -> None:
    """Print the longest time of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--down-ms", type=int, default=5000, help="Silent for so long, a server is down.")
    down_ms = parser.parse_args().down_ms
    table = Table("what is done", "nothing is counted for")

    def killed(group: Replicated) -> None:
        group.kill(group.master)
        group.switched()

    def hung(group: Replicated) -> None:
        with group.hung(group.master):
            group.switched()

    def hangs_on(group: Replicated, *others: int) -> None:
        with group.hung(group.master, *others):
            time.sleep(HANGS_S)
        group.switched()

    def hangs_on_with_a_sentinel(group: Replicated) -> None:
        hangs_on(group, group.sentinels[0])

    def demoted(group: Replicated) -> None:
        sentinel(group.sentinels[0]).sentinel_failover(NAME)
        group.switched()

    with TemporaryDirectory() as scratch, LocalStack(Path(scratch) / "stack", free_port(), free_port()) as stack:
        for what, kind, harm in (
            ("the master is killed", Replicated, killed),
            ("the master hangs, and comes back", Replicated, hung),
            ("the master hangs for 25 s", Replicated, hangs_on),
            ("it and a sentinel hang for 25 s", Replicated, hangs_on_with_a_sentinel),
            ("SENTINEL FAILOVER", Replicated, demoted),
            ("a Cluster's master is killed", Cluster, Cluster.fail),
        ):
            name = f"failover-{uuid.uuid4().hex[:8]}"
            directory = Path(scratch) / name
            directory.mkdir()
            servers = kind(directory, down_ms)
            try:
                with counting(stack, servers.settings(name), directory) as settings:
                    table.add_row(what, f"{longest_s(settings, lambda h=harm, s=servers: h(s)):.1f} s")  # type: ignore[misc]
            finally:
                servers.end()
    Console().print(table)


if __name__ == "__main__":
    main()
