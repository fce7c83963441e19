"""Redis as sites have it: a master with a replica and sentinels, and a Cluster. Servers of a test's own."""

import itertools
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from ops.stack import free_port, processes
from ops.stack.redis import find_server
from streams.settings import RedisSettings

NAME = "spilldeck-Master"
"""Of the master, as sentinels know it: not in small letters alone."""
DOWN_MS = 500
"""A server that is silent for so long is down: sites have 5 s and more."""
SLOTS = 16_384
WAIT_S = 30.0


def until(true: Callable[[], Any], why: Callable[[], object] = lambda: "") -> Any:
    """Return what is true, when it is; a Redis that does not answer is not there yet."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            if found := true():
                return found
        except RedisError:
            pass
        assert time.monotonic() < deadline, why()
        time.sleep(0.02)


class _Servers:
    """Processes of Redis, by port."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._processes: dict[int, processes.Process] = {}
        self._names = itertools.count()

    def start(self, *options: object, port: int | None = None, sentinel: str = "") -> int:
        """Start one, or start it again; return its port."""
        port = free_port() if port is None else port
        directory = self._directory / f"server-{port}"
        directory.mkdir(exist_ok=True)
        common = ["--bind", "127.0.0.1", "--port", port, "--dir", directory]
        words: list[Any] = [find_server(), *common, "--save", "", "--repl-diskless-sync-delay", "0", *options]
        if sentinel:
            file = directory / "sentinel.conf"
            file.write_text(f"bind 127.0.0.1\nport {port}\ndir {directory}\n{sentinel}")
            words = [find_server(), file, "--sentinel"]
        name = f"redis-{next(self._names)}"
        self._processes[port] = processes.start(name, [str(word) for word in words], directory, port, keep=False)
        until(lambda: client(port).ping(), lambda: (directory / f"{name}.log").read_text())
        return port

    def send(self, port: int, number: signal.Signals) -> None:
        """Send the server at a port a signal."""
        self._processes[port].send(number)

    def kill(self, port: int) -> None:
        """End one without its knowing."""
        self.send(port, signal.SIGKILL)
        until(lambda: not self._processes[port].runs)

    def end(self) -> None:
        """End all."""
        for number in (signal.SIGCONT, signal.SIGKILL):  # they keep nothing
            for process in self._processes.values():
                process.send(number)
        processes.end(list(self._processes.values()))

    @contextmanager
    def hung(self, *ports: int) -> Iterator[None]:
        """Have some take connections, and answer nothing."""
        for port in ports:
            self.send(port, signal.SIGSTOP)
        try:
            yield
        finally:
            for port in ports:
                self.send(port, signal.SIGCONT)


def client(port: int) -> Redis:
    """Return a client of one server."""
    return Redis(port=port, socket_timeout=2)


class Replicated(_Servers):
    """A master, a replica, and three sentinels of which two must agree."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.master = self.start()
        self.replica = self.start("--replicaof", f"127.0.0.1 {self.master}")
        until(lambda: client(self.replica).info("replication")["master_link_status"] == "up")
        self.sentinels = [self.start(sentinel=self._configuration()) for _ in range(3)]
        until(self.is_whole)

    def _configuration(self) -> str:
        return (
            f"sentinel monitor {NAME} 127.0.0.1 {self.master} 2\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_MS}\n"
            f"sentinel failover-timeout {NAME} 3000\n"
        )

    def states(self) -> list[dict[str, Any]]:
        """Return what the sentinels say of the master."""
        return [client(port).sentinel_master(NAME) for port in self.sentinels]  # type: ignore[misc]

    def is_whole(self) -> bool:
        """Say whether all know each other, and the replica, and think the same."""
        return all(
            each["num-other-sentinels"] == 2
            and each["num-slaves"] == 1
            and each["flags"] == "master"
            and each["port"] == self.master
            for each in self.states()
        ) and all(
            replica["flags"] == "slave" and replica["master-link-status"] == "ok"
            for port in self.sentinels
            for replica in client(port).sentinel_slaves(NAME)  # type: ignore[union-attr]
        )

    def switched(self) -> None:
        """Wait until the replica is the master, and all sentinels say so."""
        until(lambda: all(each["port"] == self.replica for each in self.states()), self.states)
        until(lambda: client(self.replica).role()[0] == b"master")
        self.master, self.replica = self.replica, self.master

    def settings(self, key_prefix: str) -> RedisSettings:
        """Return how clients reach the master."""
        names = [f"127.0.0.1:{port}" for port in self.sentinels]
        return RedisSettings(url=f"redis://{NAME}/0", sentinels=names, key_prefix=key_prefix)


class Cluster(_Servers):
    """Three masters of a third of the slots each, and a replica of the first."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.masters = [self._node() for _ in range(3)]
        self.replica = self._node()
        ends = [SLOTS * at // 3 for at in range(4)]
        for port, first, end in zip(self.masters, ends, ends[1:], strict=False):
            client(port).execute_command("CLUSTER", "ADDSLOTSRANGE", first, end - 1)
        for port in (*self.masters[1:], self.replica):
            client(port).execute_command("CLUSTER", "MEET", "127.0.0.1", self.masters[0], self._bus[self.masters[0]])
        first = self.id_of(self.masters[0])
        until(lambda: client(self.replica).execute_command("CLUSTER", "REPLICATE", first))
        until(self.is_whole)

    _bus: dict[int, int]

    def _node(self) -> int:
        self._bus = getattr(self, "_bus", {})
        bus = free_port()
        port = self.start(
            *("--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", 1000),
            *("--cluster-require-full-coverage", "yes"),
        )
        self._bus[port] = bus
        return port

    @staticmethod
    def id_of(port: int) -> str:
        """Return what the others know a node by."""
        return str(client(port).execute_command("CLUSTER", "MYID").decode())

    def is_whole(self) -> bool:
        """Say whether all nodes know all, and who has which slots."""
        for port in (*self.masters, self.replica):
            said = client(port).execute_command("CLUSTER", "INFO")
            info = said if isinstance(said, dict) else dict(x.split(":") for x in said.decode().split())
            if (info["cluster_state"], info["cluster_known_nodes"], info["cluster_slots_ok"]) != ("ok", "4", "16384"):
                return False
        return client(self.replica).info("replication")["master_link_status"] == "up"

    def settings(self, key_prefix: str) -> RedisSettings:
        """Return how clients reach it: by one of its nodes, which knows the others."""
        return RedisSettings(url=f"redis://127.0.0.1:{self.masters[1]}/0", cluster=True, key_prefix=key_prefix)
