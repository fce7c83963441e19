"""A Redis that takes nothing which names keys of several hash slots, as each node of a Redis Cluster does."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from dashboards.choices import Choices
from dashboards.data import Data
from ops.stack import free_port, processes
from ops.stack import redis as server
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import RedisSettings, Settings
from tests.workers import Workers, environment

pytestmark = pytest.mark.servers

RUN, SLOTS = 900_019, 16_384


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Iterator[Settings]:
    """Return settings that name such a Redis: a cluster of one node, which has all slots."""
    port = free_port()
    options = ("--bind", "127.0.0.1", "--port", str(port), "--dir", tmp_path, "--save", "")
    as_node = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    node = processes.start("cluster", [server.find_server(), *options, *as_node], tmp_path, port, keep=False)
    while not server.answers(port, 1.0):
        assert node.runs, [log.read_text() for log in tmp_path.glob("*.log")]
        time.sleep(0.05)
    with Redis(port=port) as redis:
        redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        while b"cluster_state:ok" not in redis.execute_command("CLUSTER", "INFO"):
            time.sleep(0.05)
    url = f"redis://127.0.0.1:{port}/0"
    yield settings.model_copy(update={"redis": RedisSettings(url=url, key_prefix=settings.redis.key_prefix)})
    node.end()


def test_spills_are_counted_shown_made_again_and_replayed(
    settings: Settings, workers: Workers, reader: BookReader, until_counted: Callable[[], None], tmp_path: Path
) -> None:
    records = list(SimulatedRun(run=RUN, spills=40, mean_triggers=3, detectors=("tof",)).records())
    workers.start()
    with SpillProducer(settings) as producer:
        for record in records:
            producer.send(record)
    until_counted()
    (expected,) = process(records, ConditionsStore([]).for_run).values()
    assert differences(expected.run_book(), reader.run(RUN, {})) == []
    with connect(settings) as redis:
        redis.flushall()
    time.sleep(2)  # a worker looks each second
    until_counted()
    assert differences(expected.run_book(), reader.run(RUN, {})) == []
    with Data(settings) as data:
        deadline = time.monotonic() + 20
        while not (view := data.view(Choices(), "ht01")).book.totals.filled:
            assert time.monotonic() < deadline, view.warnings
            time.sleep(0.1)
    for command in (
        ("replay", str(RUN), "--name", "again"),
        ("replays", "promote", "again", "--reason", "to see"),
        ("replays", "list"),
        ("runs", "list"),
        ("verify", str(RUN)),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "ops", *command],
            env=environment(settings) | {"SPILLDECK_REDIS__KEY_PREFIX": settings.redis.key_prefix},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    assert "CROSSSLOT" not in workers.log(0)
