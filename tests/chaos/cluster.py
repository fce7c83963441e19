"""Brokers, a Redis that keeps what it holds, workers and a producer, each of which can be killed and started.

Which servers they are `SERVERS` says, as for all tests.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaError, KafkaException
from redis import RedisError

from ops.stack import free_port, kafka, processes
from ops.stack.access import CA
from ops.stack.processes import die_with_parent
from ops.topics import apply, ensure_topics
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.daq.sources import read_source
from streams.errors import ServerError
from streams.settings import RedisSettings, load_settings
from streams.topics import Topics, workers_group
from tests.chaos.daq import Daq, Record
from tests.chaos.network import HERE, Host, Network
from tests.chaos.tables import make_other_tables, make_tables
from tests.conftest import PROJECT, is_counted
from tests.kafka import admin, ends, is_shared
from tests.ops.test_alarms import Hook
from tests.servers import environment, own_access, own_redis
from tests.tables import naming

START_S = 90.0
KNOWN_AWAY_S = 10.0
"""A broker that was killed is told to be in step for so long: Kafka knows of it after 9 s by its default."""
OURS = ("-m", "ops")
FAULTS = "planted_faults"
"""The plug-in that every worker has: the spills that it makes fail are few, and asked for."""
OTHER_SESSION = "other"
WATCHERS = 2
"""Of alarms, at once."""


class Child:
    """A process of ours; ``program``, ``plugins`` and ``arguments`` hold from its next start on."""

    def __init__(self, log: Path, environment: Mapping[str, str], *arguments: str, host: Host = HERE) -> None:
        self.log, self.host, self.environment = log, host, environment
        self.program: tuple[str, ...] = OURS
        self.plugins: Sequence[str] = ()
        """Modules of `tests.chaos.plugins`."""
        self.arguments = arguments
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def exit_status(self) -> int | None:
        """None while it runs, and when it was ended on purpose."""
        return self.process.poll() if self.process is not None else None

    def start(self) -> None:
        plugins = {"SPILLDECK_EXPERIMENT": "tests.chaos.plugins.chosen", "CHAOS_PLUGINS": ",".join(self.plugins)}
        with self.log.open("ab") as log, self.host.entered():
            self.process = subprocess.Popen(
                [sys.executable, *self.program, *self.arguments],
                env={**self.environment, **plugins},
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
        self.process = None

    def end(self) -> None:
        """Ask it to end; kill it if it does not."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            if self.process is not None:
                self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGKILL)
        self.kill()


@dataclass(frozen=True, kw_only=True)
class Places:
    """Which host each part is on."""

    brokers: Sequence[Host]
    workers: Sequence[Host]
    redis: Sequence[Host] = (HERE,)
    """Of the servers of its kind."""
    page: Host | None = None
    network: Network | None = None
    """Between the hosts, if they are several."""


class Cluster:
    """All of it, in a directory; in a ``with`` block, at whose end nothing is left running.

    Parameters
    ----------
    directory
        Where all of it is.
    daq
        Whose file the producer follows.
    places
        Of how many of each there are, and where.
    """

    def __init__(self, directory: Path, daq: Daq, places: Places) -> None:
        self.directory, self.daq, self.places = directory, daq, places
        self.sent_again: list[Record] = []
        """What second producers have sent."""
        self.newest_run_before = 0
        """A run up to this one lies in fewer partitions than there are."""
        self.died: list[str] = []
        """Processes that ended by themselves, with their exit status, and were started again."""
        brokers, page_port = len(places.brokers), free_port()
        ports = [free_port() for _ in range(2 * brokers)]
        controllers = {n: f"{host.address}:{ports[n - 1]}" for n, host in enumerate(places.brokers, 1)}
        cluster_id = kafka.new_cluster_id()
        self.nodes = [
            kafka.Node(
                directory=directory / f"broker-{number}",
                host=host.address,
                port=ports[brokers + number - 1],
                controllers=controllers,
                number=number,
                cluster_id=cluster_id,
            )
            for number, host in enumerate(places.brokers, 1)
        ]
        self._running: dict[str, processes.Process] = {}
        access = own_access(directory)
        self.store = own_redis(directory, access.redis, places.redis)
        """The Redis of all of it."""
        servers = ",".join(node.address for node in self.nodes)
        self.settings = load_settings(
            kafka=access.kafka.model_copy(update={"bootstrap_servers": servers, "replication": brokers}),
            redis=self.store.settings(RedisSettings().key_prefix),
        )
        self.redis = connect(self.settings)
        self.books = BookReader.of(self.redis, self.settings)
        self.index = make_tables(directory / "tables")
        self._other_index = make_other_tables(directory / "other-tables")
        self._environment = {
            **os.environ,
            **naming(self.index),
            **environment(self.settings),
            "PYTHONPATH": str(PROJECT),
            "SPILLDECK_PRODUCER__JOURNALS": str(directory / "journals"),
        }
        self.workers = [
            Child(directory / f"worker-{n}.log", self._environment, "worker", host=host)
            for n, host in enumerate(places.workers)
        ]
        for worker in self.workers:
            worker.plugins = [FAULTS]
        # On several hosts nobody could be told.
        self.hook = Hook() if places.network is None else None
        """What the watchers tell."""
        tells = {"SPILLDECK_ALARMS__WEBHOOK": self.hook.address} if self.hook is not None else {}
        self.watchers = [
            Child(directory / f"watcher-{n}.log", self._environment | tells, "alarms", "watch")
            for n in range(WATCHERS if tells else 0)
        ]
        self.page: Child | None = None
        if places.page is not None:
            its = {"SPILLDECK_DASHBOARD__HOST": places.page.address, "SPILLDECK_DASHBOARD__PORT": str(page_port)}
            its["SPILLDECK_ACCESS__DIRECTORY"] = str(directory / "access")
            self.page = Child(directory / "page.log", self._environment | its, "dashboard", host=places.page)
            self._page_address = f"http://{places.page.address}:{page_port}/live?path=/&search="
        self._admin = admin(self.settings)
        self.producer = Child(
            directory / "producer.log", self._environment, "produce", str(daq.file), "--follow", "--resume"
        )

    def produce_again(self, most: int) -> None:
        """Send with a second producer some records that were sent before, and wait for its end."""
        # A run that is produced anew is spread over all partitions that there are then.
        again = [record for record in list(self.daq.written) if record.run > self.newest_run_before][:most]
        file = self.directory / "again.000"
        file.write_bytes(b"".join(record.payload for record in again))
        second = Child(self.directory / "second.log", self._environment, "produce", str(file))
        second.start()
        self.until(lambda: second.exit_status is not None, "the second producer")
        assert second.exit_status == 0, "the second producer failed"
        self.sent_again += read_source(file)

    def add_partitions(self, more: int) -> None:
        """Add partitions to the topics, of which none of the workers may run."""
        self.newest_run_before = max(record.run for record in list(self.daq.written))
        there = self.settings.kafka.model_copy(update={"partitions": self.settings.kafka.partitions + more})
        self.settings = self.settings.model_copy(update={"kafka": there})
        self.until(self._applied, "Kafka, asked for more partitions,")

    def _applied(self) -> bool:
        try:
            apply(self.settings)
        except ServerError:  # a worker that was killed is a member still
            return False
        return True

    def forget_the_group(self) -> None:
        """Have Kafka forget how far the workers have read; none of them may run."""
        self.until(self._forgotten, "the group")

    def _forgotten(self) -> bool:
        group = workers_group(self.settings, self.settings.session)
        # A client of its own each time: one that knew another coordinator asks that for ever.
        client = admin(self.settings)
        try:
            client.delete_consumer_groups([group])[group].result(10)
        except KafkaException as error:
            return bool(error.args[0].code() == KafkaError.GROUP_ID_NOT_FOUND)
        return True

    def other_session(self) -> Child:
        """Return a worker of another session with other tables; nobody has started it."""
        environment = self._environment | naming(self._other_index)
        return Child(self.directory / "other.log", environment, "worker", "--session", OTHER_SESSION)

    def until_counted(self) -> None:
        """Wait until the books have what Kafka has now."""
        wanted = ends(self.settings)
        self.until(lambda: all(now >= end for now, end in zip(self.nexts(), wanted, strict=False)), "the books")

    def is_counted(self) -> bool:
        """Say whether the books have all that Kafka has, with nothing that is made again."""
        return is_counted(self.books, ends(self.settings))

    def nexts(self) -> list[int]:
        """Return, by partition, the first offset that is not in the books."""
        progress = self.books.progress()
        return [progress[p].next if p in progress else 0 for p in range(self.settings.kafka.partitions)]

    def start_broker(self, node: kafka.Node) -> None:
        if not node.directory.exists():
            node.directory.mkdir()
            (node.directory / CA.parent).symlink_to(self.directory / CA.parent)  # of TLS, if they speak that
        with self.places.brokers[node.number - 1].entered():
            started = kafka.start(node, keep=False, reached=self.settings.kafka)
            self._running[f"broker {node.number}"] = started

    def kill_broker(self, node: kafka.Node) -> None:
        self._kill(f"broker {node.number}")

    def restart_broker(self, node: kafka.Node) -> None:
        """End a broker as a person would, start it, and wait until it has caught up."""
        self._running.pop(f"broker {node.number}").end()
        self.start_broker(node)
        self.until_in_step()

    def until_in_step(self) -> None:
        """Wait until the brokers have caught up with each other."""
        self.until(self._all_answer, "Kafka")
        since = time.monotonic()

        def is_settled() -> bool:
            nonlocal since
            since = since if self._in_step() else time.monotonic()
            return time.monotonic() - since > KNOWN_AWAY_S

        self.until(is_settled, "Kafka")

    def _all_answer(self) -> bool:
        reached = [self.settings.kafka.model_copy(update={"bootstrap_servers": node.address}) for node in self.nodes]
        return all(kafka.answers(node.port, 2.0, its) for node, its in zip(self.nodes, reached, strict=True))

    def _in_step(self) -> bool:
        """Say whether every partition of the spills has all its replicas in step, as far as Kafka knows by now."""
        topics, names = self._admin.list_topics(timeout=5).topics, Topics.of(self.settings)
        partitions = [p for name in (names.raw, names.reco) for p in topics[name].partitions.values()]
        return all(len(p.isrs) == len(self.nodes) for p in partitions)

    def restart_worker(self, worker: Child) -> None:
        """End a worker as a person would, start it, and wait until all workers share the partitions."""
        worker.end()
        worker.start()
        time.sleep(1)  # until it asks to join, the group is as settled as before
        self.until(lambda: is_shared(self._admin, self.settings, len(self.workers)), "the consumer group")

    def _kill(self, name: str) -> None:
        process = self._running.pop(name)
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, 0)

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until something is so, and have what ended by itself started again meanwhile."""
        deadline = time.monotonic() + START_S
        while True:
            with suppress(KafkaException, RedisError, TimeoutError):  # while servers are away
                if condition():
                    return
            assert time.monotonic() < deadline, f"{what} does not answer"
            self.look_after()
            time.sleep(0.1)

    def look_after(self) -> None:
        """Start again what could not start while a server was away, as a supervisor does."""
        for child in self._children():
            if child.exit_status is not None:
                self.died.append(f"{child.log.stem} ended with status {child.exit_status}")
                child.start()

    def _children(self) -> list[Child]:
        return [self.producer, *self.workers, *self.watchers, *([self.page] if self.page is not None else [])]

    def doctor_finds(self, child: Child) -> set[str]:
        """Return which troubles doctor tells on a process's host, with its settings."""
        with child.host.entered():
            words = [sys.executable, *OURS, "doctor", "--json"]
            done = subprocess.run(words, env=child.environment, stdout=subprocess.PIPE, timeout=START_S, check=False)
        return {each["id"] for each in json.loads(done.stdout) if each["state"] not in {"good", "idle"}}

    def page_says(self) -> str:
        """Return what the page tells a browser that asks from our host; empty if it tells nothing."""
        try:
            with urllib.request.urlopen(self._page_address, timeout=5) as answer:
                told: dict[str, str] = json.loads(answer.read())["parts"]
        except OSError:
            return ""
        return json.dumps(told, ensure_ascii=False)

    def _topics(self) -> bool:
        try:
            ensure_topics(self.settings)
        except ServerError:
            return False
        return True

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        try:
            for node in self.nodes:
                self.start_broker(node)
            self.until(self._all_answer, "Kafka")
            self.until(self._topics, "Kafka")
            for worker in self.workers:
                worker.start()
            self.producer.start()
            if self.hook is not None:
                self._stack.enter_context(self.hook)
                threading.Thread(target=self.hook.serve_forever, daemon=True).start()
                self._stack.callback(self.hook.shutdown)
            for watcher in self.watchers:
                watcher.start()
            if self.page is not None:
                self.page.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        # Nothing of it is used again, so nothing need be ended with care.
        for child in self._children():
            child.kill()
        for name in list(self._running):
            self._kill(name)
        self.redis.close()
        self.store.end()
        self._stack.close()

    def count_said(self, words: str) -> int:
        """Return how often workers have said this."""
        return sum(worker.log.read_text(errors="replace").count(words) for worker in self.workers)

    def keep_logs(self) -> Path:
        """Copy the logs to where they stay; return where that is."""
        kept = Path(tempfile.mkdtemp(prefix="spilldeck-chaos-logs-"))
        for log in (*self.directory.glob("*.log"), *self.directory.glob("*-*/*.log")):
            shutil.copy(log, kept / f"{log.parent.name}-{log.name}")
        return kept

    def said(self) -> Iterator[str]:
        """Yield the last words of each process."""
        for log in sorted(self.directory.glob("*.log")):
            yield f"{log.stem}: {log.read_text(errors='replace').strip().rpartition(chr(10))[2]}"
