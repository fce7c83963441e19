"""Redis as sites have it: one server, a master with a replica and sentinels, a Cluster. Servers of a test's own."""

import itertools
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError

from ops.stack import free_port, processes, redis
from ops.stack.access import write_own
from streams.books.connect import client as client_of
from streams.books.connect import is_encrypted
from streams.settings import RedisSettings
from tests.chaos.network import HERE, Host

NAME = "spilldeck-Master"
"""Of the master, as sentinels know it: not in small letters alone."""
PASSWORD = "redis-hunter2"
"""Of servers, and, turned round, of sentinels."""
KEEPING = ("--appendonly", "yes")
DOWN_MS = 1000
"""A master that is killed or hangs is down after so long: sites have 5 s and more."""
PATIENT_MS = 60_000
"""Nobody is down before it as long as a test harms no master: a busy machine keeps one silent for seconds."""
LAG_S = 10
"""As at a site: who is cut off from its replica for longer takes nothing. On one machine nobody is."""
SLOTS = 16_384
WAIT_S = 120.0


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


class Servers(ABC):
    """Processes of Redis, by port: one Redis to whoever reaches it by `settings`.

    Parameters
    ----------
    directory
        For what each holds, and its log.
    options
        Of each that is no sentinel.
    """

    def __init__(self, directory: Path, *options: object) -> None:
        self._directory, self._kept = directory, options
        self._processes: dict[int, processes.Process] = {}
        self._hosts: dict[int, Host] = {}
        self._names = itertools.count()

    def start(self, *options: object, port: int | None = None, sentinel: str = "", host: Host = HERE) -> int:
        """Start one on a host, or start it again where it was; return its port."""
        port = free_port() if port is None else port
        host = self._hosts.setdefault(port, host)
        directory = self._directory_of(port)
        directory.mkdir(mode=0o700, exist_ok=True)
        common = ["--bind", host.address, "--port", port, "--dir", directory, "--save", ""]
        asked = ["--requirepass", PASSWORD, "--masterauth", PASSWORD, "--repl-diskless-sync-delay", "0"]
        words: list[Any] = [redis.find_server(), *common, *asked, *self._kept, *options]
        if sentinel:
            file = directory / "sentinel.conf"
            asked = [f"requirepass {PASSWORD[::-1]}", f"sentinel sentinel-pass {PASSWORD[::-1]}"]
            lines = [f"bind {host.address}", f"port {port}", f"dir {directory}", *asked, sentinel]
            if not file.exists():  # else it has written there what it knows
                write_own(file, "\n".join(lines).encode())
            words = [redis.find_server(), file, "--sentinel"]
        name = f"redis-{next(self._names)}"
        with host.entered():
            self._processes[port] = processes.start(name, [str(word) for word in words], directory, port, keep=False)
        until(lambda: _any(port, host, is_sentinel=bool(sentinel)).ping(), (directory / f"{name}.log").read_text)
        return port

    def send(self, port: int, number: signal.Signals) -> None:
        """Send the server at a port a signal."""
        self._processes[port].send(number)

    def kill(self, port: int) -> None:
        """End one without its knowing."""
        self.send(port, signal.SIGKILL)
        until(lambda: not self._processes[port].runs)

    @abstractmethod
    def settings(self, key_prefix: str) -> RedisSettings:
        """Return how clients reach it."""

    @property
    @abstractmethod
    def holding(self) -> Sequence[int]:
        """Those that hold what is kept, a master before who follows it."""

    @abstractmethod
    def fail(self) -> None:
        """Kill a master, and wait until another has its place, where another may."""

    def host_of(self, port: int) -> Host:
        """Return the host that one is on."""
        return self._hosts[port]

    def lose(self, host: Host) -> None:
        """Kill all that is on a host, and wait until another has a master's place, where another may."""
        for port, its in self._hosts.items():
            if its == host:
                Servers.kill(self, port)

    @abstractmethod
    def start_again(self, port: int) -> None:
        """Start one of `holding` that has ended, as what it is to be now."""

    @abstractmethod
    def is_whole(self) -> bool:
        """Say whether all of it is as it was at first, whoever is the master."""

    def asking(self, port: int) -> Redis:
        """Return a client of one of `holding`."""
        return _any(port, self._hosts[port], is_sentinel=False)

    def mend(self) -> None:
        """Start again what was killed, and wait until all is whole."""
        for port in self.holding:
            if not self._processes[port].runs:
                self.start_again(port)
        until(self.is_whole)

    def kill_all(self) -> None:
        """Kill all that hold something, before anybody can have their place."""
        for port in self.holding:
            Servers.kill(self, port)

    def restart(self) -> None:
        """End one after the other as a person would, and start it before the next."""
        for port in reversed(self.holding):
            self._processes[port].end()
            self.mend()

    @property
    def files(self) -> list[Path]:
        """The directories in which those that hold something keep it, if they keep it."""
        return [self._directory_of(port) / "appendonlydir" for port in self.holding]

    def _directory_of(self, port: int) -> Path:
        return self._directory / f"server-{port}"

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


def _port_of(reached: RedisSettings) -> int:
    port = urlsplit(reached.url.get_secret_value()).port
    assert port is not None
    return port


def _any(port: int, host: Host = HERE, *, is_sentinel: bool) -> Redis:
    return Redis(host.address, port, socket_timeout=10, password=PASSWORD[::-1] if is_sentinel else PASSWORD)


def client(port: int) -> Redis:
    """Return a client of one server of this machine."""
    return _any(port, is_sentinel=False)


def sentinel(port: int) -> Redis:
    """Return a client of one sentinel of this machine."""
    return _any(port, is_sentinel=True)


def ask(port: int, *words: object, is_sentinel: bool = False) -> Any:
    """Return what a server of this machine answers to any command."""
    return _ask(_any(port, is_sentinel=is_sentinel), *words)


def _ask(redis: Redis, *words: object) -> Any:
    return redis.execute_command(*words)  # type: ignore[no-untyped-call]


class Alone(Servers):
    """One server, as the local stack has it: what speaks TLS stands before it, if it is reached so.

    Parameters
    ----------
    directory
        With the certificates of TLS.
    reached, host
        How it is reached on this machine, and the host that it is on.
    """

    def __init__(self, directory: Path, reached: RedisSettings, host: Host = HERE) -> None:
        super().__init__(directory)
        url = reached.url.get_secret_value().replace(HERE.address, host.address)
        self._port, self._reached = _port_of(reached), reached.model_copy(update={"url": SecretStr(url)})
        self._hosts[self._port] = host
        self.start_again(self._port)
        if is_encrypted(reached):
            self._processes[0] = redis.start_front(directory, self._port, keep=False)
        until(self.is_whole)

    def settings(self, key_prefix: str) -> RedisSettings:
        """Return how clients reach it."""
        return self._reached.model_copy(update={"key_prefix": key_prefix})

    @property
    def holding(self) -> Sequence[int]:
        """It alone."""
        return [self._port]

    def fail(self) -> None:
        """Kill it."""
        self.kill(self._port)

    def start_again(self, port: int) -> None:
        """Start it."""
        host = self._hosts[port]
        with host.entered():
            self._processes[port] = redis.start(
                self._directory, port, keep=False, reached=self._reached, host=host.address
            )

    def is_whole(self) -> bool:
        """Say whether it answers."""
        with self.asking(self._port) as it:
            return bool(it.ping())

    def asking(self, port: int) -> Redis:
        return client_of(self._reached, 10)

    def _directory_of(self, port: int) -> Path:
        return self._directory


class Replicated(Servers):
    """A master, a replica, and three sentinels of which two must agree.

    As at a site they lose nothing that sites would not: else all that runs on them says that they may.

    Parameters
    ----------
    hosts
        Of the master, the replica and what is neither, with a sentinel each; or one, which all are on.
    """

    def __init__(
        self,
        directory: Path,
        down_ms: int = DOWN_MS,
        *,
        as_at_a_site: bool = False,
        hosts: Sequence[Host] = (HERE,),
    ) -> None:
        lag_s = LAG_S if len(hosts) > 1 else PATIENT_MS // 1000
        with_a_replica = ("--min-replicas-to-write", 1, "--min-replicas-max-lag", lag_s)
        super().__init__(directory, *(KEEPING + with_a_replica if as_at_a_site else ()))
        self._down_ms = down_ms
        on = [*itertools.islice(itertools.cycle(hosts), 3)]
        self.master = self.start(host=on[0])
        self.replica = self.start(*self._following(self.master), host=on[1])
        self._takes_itself_for_master: int | None = None
        """Who has lost its place with its host: sentinels tell it so when it is back."""
        until(self._follows)
        self.sentinels = [self._start_sentinel(host=its) for its in on]
        until(self.is_whole)

    def _following(self, port: int) -> tuple[str, str]:
        return "--replicaof", f"{self._hosts[port].address} {port}"

    def _follows(self) -> bool:
        return bool(self.asking(self.replica).info("replication").get("master_link_status") == "up")

    def _start_sentinel(self, port: int | None = None, host: Host = HERE) -> int:
        port = self.start(
            sentinel=f"sentinel monitor {NAME} {self._hosts[self.master].address} {self.master} 2\n"
            f"sentinel auth-pass {NAME} {PASSWORD}\n"
            f"sentinel failover-timeout {NAME} 3000\n",
            port=port,
            host=host,
        )
        # One that was stopped for two seconds would do nothing for thirty.
        _ask(self._asking_sentinel(port), "SENTINEL", "DEBUG", "TILT-TRIGGER", PATIENT_MS)
        self._miss_master_after(PATIENT_MS, port)
        return port

    def _asking_sentinel(self, port: int) -> Redis:
        return _any(port, self._hosts[port], is_sentinel=True)

    def _miss_master_after(self, down_ms: int, *ports: int) -> None:
        """Tell these sentinels, or all that run."""
        for port in ports or [each for each in self.sentinels if self._processes[each].runs]:
            until(partial(self._asking_sentinel(port).sentinel_set, NAME, "down-after-milliseconds", down_ms))

    def kill(self, port: int) -> None:
        """End one without its knowing; the master is missed soon, until another has its place."""
        if port == self.master:
            self._miss_master_after(self._down_ms)
        super().kill(port)

    @contextmanager
    def hung(self, *ports: int) -> Iterator[None]:
        """Have some take connections, and answer nothing; the master is missed soon, if another may have its place."""
        if self.master in ports and self.replica not in ports:
            self._miss_master_after(self._down_ms)
        with super().hung(*ports):
            yield

    @property
    def holding(self) -> Sequence[int]:
        """Master and replica."""
        return [self.master, self.replica]

    def fail(self) -> None:
        """Kill the master, and wait until the replica has its place."""
        self.kill(self.master)
        self.switched()

    def lose(self, host: Host) -> None:
        """Kill all that is on a host; a master that was there takes itself for it when it comes back."""
        is_masters = self._hosts[self.master] == host
        self._takes_itself_for_master = self.master if is_masters else None
        super().lose(host)
        if is_masters:
            self.replaced()

    def replaced(self) -> None:
        """Have the master missed, which is lost or cut off, and wait until the replica has its place."""
        self._miss_master_after(self._down_ms)
        self.switched()

    def start_again(self, port: int) -> None:
        """Start one, which follows the other if that is the master now."""
        is_told = port == self.replica and port != self._takes_itself_for_master
        self.start(*(self._following(self.master) if is_told else ()), port=port)

    def mend(self) -> None:
        """Start again what was killed, sentinels too, and wait until all is whole."""
        for port in self.sentinels:
            if not self._processes[port].runs:
                self._start_sentinel(port)
        super().mend()

    def states(self, *ports: int) -> list[dict[str, Any]]:
        """Return what these sentinels, or all, say of the master."""
        asked = map(self._asking_sentinel, ports or self.sentinels)
        return [each.sentinel_master(NAME) for each in asked]  # type: ignore[misc]

    def is_whole(self) -> bool:
        """Say whether the replica follows, all know each other, and it, and think the same."""
        return (
            self._follows()
            and all(
                each["num-other-sentinels"] == 2
                and each["num-slaves"] == 1
                and each["flags"] == "master"
                and each["port"] == self.master
                for each in self.states()
            )
            and all(
                replica["flags"] == "slave" and replica["master-link-status"] == "ok"
                for port in self.sentinels
                for replica in self._asking_sentinel(port).sentinel_slaves(NAME)
            )
        )

    def switched(self) -> None:
        """Wait until the replica is the master, and all sentinels say so but one whose host is the former one's."""
        gone = self._hosts[self.master]
        others = [port for port in self.sentinels if self._hosts[port] != gone]
        until(lambda: all(each["port"] == self.replica for each in self.states(*others)), self.states)
        until(lambda: self.asking(self.replica).role()[0] == b"master")
        self.master, self.replica = self.replica, self.master
        self._miss_master_after(PATIENT_MS)

    def follow(self) -> None:
        """Have the other server follow the master, as sentinels would after a while, and wait until it does."""
        self.asking(self.replica).replicaof(self._hosts[self.master].address, str(self.master))
        until(self._follows)

    def stranger(self) -> int:
        """Start a sentinel that has another server for a master of the same name; return its port."""
        other = self.start()
        return self.start(sentinel=f"sentinel monitor {NAME} 127.0.0.1 {other} 1\nsentinel auth-pass {NAME} {PASSWORD}")

    def settings(self, key_prefix: str) -> RedisSettings:
        """Return how clients reach the master."""
        names = [f"{self._hosts[port].address}:{port}" for port in self.sentinels]
        return RedisSettings(
            url=SecretStr(f"redis://{NAME}/0"),
            password=SecretStr(PASSWORD),
            sentinels=names,
            sentinel_password=SecretStr(PASSWORD[::-1]),
            key_prefix=key_prefix,
        )


class Cluster(Servers):
    """Three masters of a third of the slots each, and a replica of the first; as at a site they keep what they hold."""

    def __init__(self, directory: Path, down_ms: int = 2 * DOWN_MS, *, as_at_a_site: bool = False) -> None:
        # A master without slots would follow another by itself.
        options = ("--cluster-enabled", "yes", "--cluster-allow-replica-migration", "no")
        super().__init__(directory, *options, *(KEEPING if as_at_a_site else ()))
        self._down_ms = down_ms
        buses = [free_port() for _ in range(4)]
        self.nodes = [self.start(*self._options(down_ms, bus)) for bus in buses]
        self._buses = dict(zip(self.nodes, buses, strict=True))
        *first, replica = self.nodes
        ends = [SLOTS * at // 3 for at in range(4)]
        for port, begin, end in zip(first, ends[:-1], ends[1:], strict=True):
            ask(port, "CLUSTER", "ADDSLOTSRANGE", begin, end - 1)
        for port in (*first[1:], replica):
            ask(port, "CLUSTER", "MEET", "127.0.0.1", first[0], buses[0])
        until(lambda: ask(replica, "CLUSTER", "REPLICATE", self.id_of(first[0])))
        until(self.is_whole)
        self._miss_after(PATIENT_MS)

    def grow(self) -> int:
        """Start a node that has no slots yet, and wait until all know it; return its port."""
        bus = free_port()
        port = self.start(*self._options(self._down_ms, bus))
        ask(port, "CLUSTER", "MEET", "127.0.0.1", self.nodes[1], self._buses[self.nodes[1]])
        self.nodes.append(port)
        self._buses[port] = bus
        until(self.is_whole)
        self._miss_after(PATIENT_MS)
        return port

    def _miss_after(self, down_ms: int) -> None:
        for port in self.nodes:
            if self._processes[port].runs:
                until(partial(ask, port, "CONFIG", "SET", "cluster-node-timeout", down_ms))

    @staticmethod
    def _options(down_ms: int, bus: int) -> tuple[object, ...]:
        return ("--cluster-node-timeout", down_ms, "--cluster-port", bus)

    @property
    def holding(self) -> Sequence[int]:
        """All nodes."""
        return self.nodes

    def start_again(self, port: int) -> None:
        """Start a node; it learns from the others what it is."""
        self.start(*self._options(PATIENT_MS, self._buses[port]), port=port)

    @property
    def masters(self) -> list[int]:
        """Those that are masters now."""
        found = []
        for port in self.nodes:
            with suppress(RedisError):
                found += [port] if client(port).role()[0] == b"master" else []
        return found

    def fail(self) -> None:
        """Kill the master that has a replica, and wait until that has its place."""

        def replica_and_master() -> tuple[int, int] | None:
            roles = {port: client(port).role() for port in self.nodes if self._processes[port].runs}
            followed = ((at, its[2]) for at, its in roles.items() if its[0] == b"slave" and its[3] == b"connected")
            return next(followed, None)

        replica, doomed = until(replica_and_master)
        self._miss_after(self._down_ms)
        self.kill(doomed)
        until(lambda: client(replica).role()[0] == b"master")
        self._miss_after(PATIENT_MS)

    @staticmethod
    def id_of(port: int) -> str:
        """Return what the others know a node by."""
        return str(ask(port, "CLUSTER", "MYID").decode())

    def is_whole(self) -> bool:
        """Say whether all nodes know all, and who has which slots."""
        wanted = {"cluster_state:ok", f"cluster_known_nodes:{len(self.nodes)}", f"cluster_slots_ok:{SLOTS}"}
        is_known = all(wanted <= set(_text(ask(port, "CLUSTER", "INFO")).split()) for port in self.nodes)
        return is_known and any(client(port).info("replication")["connected_slaves"] for port in self.masters)

    def settings(self, key_prefix: str) -> RedisSettings:
        """Return how clients reach it: by one of its nodes, which knows the others."""
        url = SecretStr(f"redis://127.0.0.1:{self.nodes[1]}/0")
        return RedisSettings(url=url, password=SecretStr(PASSWORD), cluster=True, key_prefix=key_prefix)

    def owner(self, slot: int) -> int:
        """Return the port of the master that has a slot."""
        shards = ask(self.nodes[1], "CLUSTER", "SLOTS")
        return next(int(shard[2][1]) for shard in shards if shard[0] <= slot <= shard[1])

    def moving(self, slot: int, to: int, *, pause_s: float = 0.0) -> Iterator[None]:
        """Move a slot to another master, as its operator would; yields before its first key moves, and after each."""
        source = self.owner(slot)
        ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(to))
        yield
        while keys := ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 1):
            ask(source, "MIGRATE", "127.0.0.1", to, keys[0], 0, 5000, "AUTH", PASSWORD)
            yield
            time.sleep(pause_s)
        for port in (to, source, *(set(self.masters) - {to, source})):
            ask(port, "CLUSTER", "SETSLOT", slot, "NODE", self.id_of(to))


def _text(answer: Any) -> str:
    """Return what CLUSTER INFO says, which the library may have made a mapping of."""
    return "\n".join(f"{k}:{v}" for k, v in answer.items()) if isinstance(answer, dict) else str(answer.decode())
