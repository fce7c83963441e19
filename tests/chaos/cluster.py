"""Three brokers, a Redis with its append-only file, workers and a producer, each of which can be killed and started."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from confluent_kafka import ConsumerGroupState, KafkaException
from confluent_kafka.admin import AdminClient

from ops.stack import free_port, kafka, processes, redis
from ops.stack.processes import die_with_parent
from ops.topics import ensure_topics
from streams.errors import ServerError
from streams.settings import KafkaSettings, RedisSettings, load_settings
from streams.topics import Topics
from tests.chaos.slow_proxy import SlowProxy

START_S = 90.0
OURS = ("-m", "ops")


class Child:
    """A process of ours; ``program`` and ``arguments`` hold from its next start on."""

    def __init__(self, log: Path, environment: dict[str, str], *arguments: str) -> None:
        self.log, self._environment = log, environment
        self.program: tuple[str, ...] = OURS
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def exit_status(self) -> int | None:
        """None while it runs."""
        return self.process.poll() if self.process is not None else None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.program, *self.arguments],
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

    def __init__(self, directory: Path, *, brokers: int, workers: int) -> None:
        self.directory = directory
        self.file = directory / "run.000"
        """What the producer follows; it must be there when it starts."""
        self.again = directory / "again.000"
        """What a second producer sends, see `harm.produce_again`."""
        self.produced_again = 0
        self.died: list[str] = []
        """Processes that ended by themselves, with their exit status, and were started again."""
        ports = [free_port() for _ in range(2 * brokers + 2)]
        controllers = {number: ports[number] for number in range(1, brokers + 1)}
        cluster_id = kafka.new_cluster_id()
        self.nodes = [
            kafka.Node(
                directory=directory / f"broker-{number}",
                port=ports[brokers + number],
                controller_ports=controllers,
                number=number,
                cluster_id=cluster_id,
            )
            for number in range(1, brokers + 1)
        ]
        self.redis_port = ports[0]
        self.proxy = SlowProxy(ports[-1], self.redis_port)
        """Between the workers and Redis."""
        self._running: dict[str, processes.Process] = {}
        servers = ",".join(f"127.0.0.1:{node.port}" for node in self.nodes)
        self.settings = load_settings(
            kafka=KafkaSettings(bootstrap_servers=servers, replication=brokers),
            redis=RedisSettings(url=f"redis://127.0.0.1:{self.redis_port}/0"),
        )
        """They name the servers, Redis without the proxy."""
        self.environment = os.environ | {
            "SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": servers,
            "SPILLDECK_KAFKA__REPLICATION": str(brokers),
            "SPILLDECK_REDIS__URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "SPILLDECK_PRODUCER__JOURNALS": str(directory / "journals"),
        }
        slowly = self.environment | {"SPILLDECK_REDIS__URL": f"redis://127.0.0.1:{ports[-1]}/0"}
        self.workers = [Child(directory / f"worker-{n}.log", slowly, "worker") for n in range(workers)]
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self.producer = Child(
            directory / "producer.log", self.environment, "produce", str(self.file), "--follow", "--resume"
        )

    def produce_again(self) -> None:
        """Send the file `again` with a second producer, and wait for its end."""
        self.produced_again += 1
        second = Child(self.directory / "second.log", self.environment, "produce", str(self.again))
        second.start()
        self._until(lambda: second.exit_status is not None, "the second producer")
        assert second.exit_status == 0, "the second producer failed"

    def start_broker(self, node: kafka.Node) -> None:
        node.directory.mkdir(parents=True, exist_ok=True)
        self._running[f"broker {node.number}"] = kafka.start(node, keep=False)

    def kill_broker(self, node: kafka.Node) -> None:
        self._kill(f"broker {node.number}")

    def start_redis(self) -> None:
        self._running["redis"] = redis.start(self.directory, self.redis_port, keep=False)
        self._until(lambda: redis.answers(self.redis_port, 1.0), "Redis")

    def restart_broker(self, node: kafka.Node) -> None:
        """End a broker as a person would, start it, and wait until it has caught up."""
        self._running.pop(f"broker {node.number}").end()
        self.start_broker(node)
        self._until(self._in_step, f"broker {node.number}")

    def _in_step(self) -> bool:
        """Whether every partition of the spills has all its replicas in step."""
        topics, names = self._admin.list_topics(timeout=5).topics, Topics.of(self.settings)
        partitions = [p for name in (names.raw, names.reco) for p in topics[name].partitions.values()]
        return all(len(p.isrs) == len(self.nodes) for p in partitions)

    def restart_worker(self, worker: Child) -> None:
        """End a worker as a person would, start it, and wait until all workers share the partitions."""
        worker.end()
        worker.start()
        time.sleep(1)  # until it asks to join, the group is as settled as before
        self._until(self._settled, "the consumer group")

    def _settled(self) -> bool:
        group = f"spilldeck-{self.settings.session}"
        described = self._admin.describe_consumer_groups([group])[group].result(timeout=10)
        return described.state is ConsumerGroupState.STABLE and len(described.members) == len(self.workers)

    def restart_redis(self) -> None:
        """End Redis as a person would, and start it."""
        self._running.pop("redis").end()
        self.start_redis()

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
        while True:
            with suppress(KafkaException):  # while brokers are away
                if condition():
                    return
            assert time.monotonic() < deadline, f"{what} does not answer"
            time.sleep(0.1)

    def look_after(self) -> None:
        """Start again what could not start while a server was away, as a supervisor does."""
        for child in (self.producer, *self.workers):
            if child.exit_status not in (None, 0, -signal.SIGTERM, -signal.SIGKILL):
                self.died.append(f"{child.log.stem} ended with status {child.exit_status}")
                child.start()

    def _topics(self) -> bool:
        try:
            ensure_topics(self.settings)
        except ServerError:
            return False
        return True

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        try:
            self._stack.enter_context(self.proxy)
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
        # Nothing of it is used again, so nothing need be ended with care.
        for child in (self.producer, *self.workers):
            child.kill()
        for name in list(self._running):
            self._kill(name)
        self._stack.close()

    def refused(self) -> int:
        """Return how many checkpoints were refused: of workers that lost their partition, or whose Redis lost data."""
        return sum(worker.log.read_bytes().count(b"checkpoint refused") for worker in self.workers)

    def gone_back(self) -> int:
        """Return how often a worker went back to spills of spills.raw that were passed over."""
        return sum(worker.log.read_bytes().count(b"was not reconstructed") for worker in self.workers)

    def said(self) -> Iterator[str]:
        """Yield the last words of each process."""
        for log in sorted(self.directory.glob("*.log")):
            yield f"{log.stem}: {log.read_text(errors='replace').strip().rpartition(chr(10))[2]}"
