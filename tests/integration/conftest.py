"""Workers of this test's own on the real stack."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops.topics import ensure_topics
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.settings import Settings
from tests.integration.kafka import ends

WAIT_S = 60.0


@pytest.fixture
def reader(settings: Settings) -> Iterator[BookReader]:
    """Return what reads the books."""
    with connect(settings) as redis:
        yield BookReader(redis, settings.redis.key_prefix, settings.session, settings.kafka.partitions)


class Workers:
    """Worker processes that share a session."""

    def __init__(self, settings: Settings, logs: Path) -> None:
        self._environment = os.environ | {
            "SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
            "SPILLDECK_KAFKA__TOPIC_PREFIX": settings.kafka.topic_prefix,
            "SPILLDECK_KAFKA__SESSION_TIMEOUT_S": str(settings.kafka.session_timeout_s),
            "SPILLDECK_REDIS__URL": settings.redis.url.get_secret_value(),
            "SPILLDECK_REDIS__KEY_PREFIX": settings.redis.key_prefix,
        }
        self._logs = logs
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        with (self._logs / f"worker-{len(self.running)}.log").open("wb") as log:
            command = [sys.executable, "-m", "ops", "worker"]
            self.running.append(subprocess.Popen(command, env=self._environment, stdout=log, stderr=log))

    def kill(self, which: int) -> None:
        os.kill(self.running[which].pid, signal.SIGKILL)
        self.running[which].wait()

    def stop(self) -> None:
        for worker in self.running:
            worker.terminate()
        for worker in self.running:
            worker.wait(20)


@pytest.fixture
def workers(settings: Settings, tmp_path: Path) -> Iterator[Workers]:
    """Return workers on fresh topics, none started yet."""
    ensure_topics(settings)
    workers = Workers(settings, tmp_path)
    yield workers
    workers.stop()


@pytest.fixture
def until_counted(settings: Settings, reader: BookReader) -> Callable[[], None]:
    """Return what waits until the books hold all that spills.raw holds."""

    def wait() -> None:
        wanted = ends(settings)
        deadline = time.monotonic() + WAIT_S
        while [p.raw_end for p in reader.progress()] != wanted:
            assert time.monotonic() < deadline, f"only {reader.progress()} of {wanted} counted"
            time.sleep(0.1)

    return wait
