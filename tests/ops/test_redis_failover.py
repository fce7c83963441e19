"""A master of Redis that fails, is cut off or comes back: all parts go on with the new one; each spill counts once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.choices import Choices
from dashboards.data import Data
from ops.topics import ensure_topics
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.books.watchers import watching
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.freshness import WATCHER_SILENT_S
from streams.process import process
from streams.settings import Settings, load_settings
from tests.conftest import wait_until_counted
from tests.ops.conftest import Spilldeck
from tests.ops.parts import Site
from tests.redis_servers import Replicated, client, until
from tests.workers import environment

pytestmark = pytest.mark.servers

RUN, SPILLS = 900_029, 60
SECONDS = 6.0
"""All go on within it of the new master: a worker pauses for five, when one was away for longer."""


@pytest.fixture(scope="module")
def group(servers_can_be_had: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    group = Replicated(tmp_path_factory.mktemp("replicated"))
    yield group
    group.end()


@pytest.fixture
def reached(group: Replicated) -> Settings:
    """Return settings that reach the master by its sentinels."""
    return load_settings(redis=group.settings("test"))


def test_each_spill_counts_once_through_a_killed_a_stale_and_an_older_master(
    group: Replicated, settings: Settings, spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"redis": group.settings(settings.redis.key_prefix)})
    ensure_topics(settings)
    records = list(SimulatedRun(run=RUN, spills=SPILLS, mean_triggers=3, detectors=("tof",)).records())
    parts = Site(settings, tmp_path)
    quick = {"SPILLDECK_DASHBOARD__REFRESH_S": "0.2"}
    archive = tmp_path / "archive"
    for name, command in (("worker", "worker"), ("alarms", "alarms watch"), ("keeper", "keeper")):
        parts.start(name, *command.split(), environment=quick | {"SPILLDECK_KEEPER__ARCHIVE": str(archive)})
    try:
        with SpillProducer(settings) as producer, connect(settings) as redis, Data(settings) as data:
            reader, filled = BookReader.of(redis, settings), 0

            def send(upto: int) -> None:
                nonlocal filled
                for record in records[filled:upto]:
                    producer.send(record)
                filled = upto

            def is_shown() -> bool:
                """Say whether the page shows all, and the watcher has said that it is at work."""
                wait_until_counted(settings, reader)
                its = process(records[:filled], ConditionsStore([]).for_run)[RUN].run_book().totals
                prefix = settings.redis.key_prefix
                return (
                    data.view(Choices(run=RUN)).book.totals.filled == its.filled
                    and watching(redis, prefix, settings.session, WATCHER_SILENT_S).at_work == 1
                )

            send(20)
            until(is_shown)

            group.kill(group.master)
            send(30)
            group.switched()
            began_s = time.monotonic()
            until(is_shown)
            assert time.monotonic() - began_s < SECONDS
            group.start("--replicaof", f"127.0.0.1 {group.master}", port=group.replica)
            group.follow()

            # What comes now the replica never gets: what takes the master's place is older than what was acknowledged.
            client(group.replica).replicaof("127.0.0.1", 1)
            send(40)
            until(is_shown)
            with group.hung(group.master):
                group.switched()
            stale, began_s = group.replica, time.monotonic()
            send(50)
            until(is_shown)
            assert time.monotonic() - began_s < SECONDS
            assert client(stale).role()[0] == b"master"  # it still takes itself for the one, and nobody asks it

            group.follow()
            send(len(records))
            until(is_shown)
            (expected,) = process(records, ConditionsStore([]).for_run).values()
            assert differences(expected.run_book(), reader.run(RUN, {})) == []
            done = spilldeck_here("books", "--deep", env=environment(settings))
            assert done.returncode == 0, done.stdout
            until(lambda: list(archive.glob("*.avro")))
    finally:
        for part in parts.running.values():
            part.terminate()
        for part in parts.running.values():
            part.wait(20)
    assert "NOSCRIPT" not in parts.log("worker")
    assert "Traceback" not in "".join(map(parts.log, parts.running))
