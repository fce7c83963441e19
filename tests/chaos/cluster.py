"""Three brokers, a Redis with its append-only file, workers and a producer, each of which can be killed and started."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from ops.stack import free_port, kafka, processes, redis
from ops.stack.processes import die_with_parent
from ops.topics import ensure_topics
from streams.errors import ServerError
from streams.settings import Settings, load_settings

BROKERS = 3
WORKERS = 4
START_S = 90.0
SESSION_S = 6.0
"""The shortest session time-out: a dead worker's partitions move soon."""
RATE = 12.0
"""Spills a second."""


class Child:
    """A process of ours."""

    def __init__(self, name: str, log: Path, environment: dict[str, str], *arguments: str) -> None:
        self.name, self._log, self._environment = name, log, environment
        self._command = [sys.executable, "-m", "ops", *arguments]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self.process.poll() if self.process is not None else None

    def start(self, *more: str) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._command, *more],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - a system call, nothing that locks
            )

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.exit_status is None:
            os.kill(self.process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def end(self) -> None:
        """Ask it to end; kill it if it does not."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            if self.process is not None:
                self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()


class Cluster:
    """All of it, in a directory; in a ``with`` block, at whose end nothing is left running."""

    def __init__(self, directory: Path, source: Path) -> None:
        self.directory = directory
        ports = [free_port() for _ in range(2 * BROKERS + 1)]
        controllers = {number: ports[number] for number in range(1, BROKERS + 1)}
        cluster_id = kafka.new_cluster_id()
        self.nodes = [
            kafka.Node(
                directory=directory / f"broker-{number}",
                port=ports[BROKERS + number],
                controller_ports=controllers,
                number=number,
                cluster_id=cluster_id,
            )
            for number in range(1, BROKERS + 1)
        ]
        self.redis_port = ports[0]
        self._running: dict[str, processes.Process] = {}
        servers = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self.environment = os.environ | {
            "SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": servers,
            "SPILLDECK_KAFKA__REPLICATION": str(BROKERS),
            "SPILLDECK_KAFKA__SESSION_TIMEOUT_S": str(SESSION_S),
            "SPILLDECK_REDIS__URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "SPILLDECK_PRODUCER__JOURNALS": str(directory / "journals"),
        }
        self.workers = [
            Child(f"worker {n}", directory / f"worker-{n}.log", self.environment, "worker") for n in range(WORKERS)
        ]
        produce = ("produce", str(source), "--resume", "--rate", str(RATE))
        self.producer = Child("producer", directory / "producer.log", self.environment, *produce)
        self._stack = ExitStack()

    def settings(self) -> Settings:
        os.environ.update({name: value for name, value in self.environment.items() if name.startswith("SPILLDECK_")})
        return load_settings()

    def start_broker(self, node: kafka.Node) -> None:
        node.directory.mkdir(parents=True, exist_ok=True)
        self._running[f"broker {node.number}"] = kafka.start(node, keep=False)

    def kill_broker(self, node: kafka.Node) -> None:
        self._kill(f"broker {node.number}")

    def start_redis(self) -> None:
        self._running["redis"] = redis.start(self.directory, self.redis_port, keep=False)
        self._until(lambda: redis.answers(self.redis_port, 1.0), "Redis")

    def kill_redis(self, *, with_file: bool) -> None:
        self._kill("redis")
        if with_file:
            shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)

    def _kill(self, name: str) -> None:
        process = self._running.pop(name)
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)

    def _until(self, condition, what: str) -> None:  # type: ignore[no-untyped-def]
        deadline = time.monotonic() + START_S
        while not condition():
            assert time.monotonic() < deadline, f"{what} does not answer"
            time.sleep(0.1)

    def look_after(self) -> None:
        """Start again what could not start while a server was away, as a supervisor does."""
        for child in (self.producer, *self.workers):
            if child.exit_status not in (None, 0, -signal.SIGTERM, -signal.SIGKILL):
                child.start()

    def _topics(self) -> bool:
        try:
            ensure_topics(self.settings())
        except ServerError:
            return False
        return True

    def __enter__(self) -> Self:
        try:
            for node in self.nodes:
                self.start_broker(node)
            self.start_redis()
            self._until(lambda: all(kafka.answers(node.port, 2.0) for node in self.nodes), "Kafka")
            self._until(self._topics, "Kafka")
            for worker in self.workers:
                worker.start()
            self.producer.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for child in (self.producer, *self.workers):
            child.end()
        for process in self._running.values():
            process.end()

    def said(self) -> Iterator[str]:
        """Yield the last words of each process."""
        for log in sorted(self.directory.glob("*.log")):
            yield f"{log.stem}: {log.read_text(errors='replace').strip().rpartition(chr(10))[2]}"
