"""The local stack: a Kafka and a Redis of one's own from packages, without root, Docker or anything running before."""

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from ops.console import err
from ops.stack import access, jars, kafka, processes, redis
from ops.stack.access import Access
from streams.errors import ServerError
from streams.settings import LOCAL_SERVERS

START_S = 60.0
"""Kafka answers within 4 s on an idle machine."""
_ASK_S = 3.0
"""A server that runs and does not answer within it is not well: on a busy machine one took more than a second."""
_NAMES = (kafka.NAME, redis.FRONT, redis.NAME)


def free_port() -> int:
    """Return a port of this machine that nobody listens on, and that the system gives to nobody else for a minute.

    A server takes a second or more until it listens at what it was given, and others are looking for a port meanwhile.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        # Of a connection that ended it is kept for its peers' last words; who names it may listen all the same.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.listen(1)
        with socket.create_connection(("127.0.0.1", port)) as client:
            served, _ = probe.accept()
            served.close()  # first, so that it is ours that waits
            client.recv(1)
        return port


def refuse_used_port(port: int, setting: str) -> None:
    """Raise an error if somebody listens on a port of this machine.

    Raises
    ------
    ServerError
        Says which setting to change.
    """
    if is_used(port):
        raise ServerError(f"port {port} is in use: end what listens there, or choose another in {setting}")


def is_used(port: int) -> bool:
    """Return whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@dataclass(frozen=True, slots=True)
class Status:
    """Whether a server of the local stack runs."""

    name: str
    port: int
    pid: int | None
    answers: bool
    is_of_another: bool
    """Whether something else listens at its port."""


class LocalStack:
    """A Kafka and a Redis in a directory of ours. In a ``with`` block they end with it, and at the latest with us.

    Parameters
    ----------
    directory
        For data, logs and process ids.
    kafka_port, redis_port
        Where they listen, on loopback only.
    secure
        Have both speak TLS alone, with certificates and passwords of the stack's own.
    """

    def __init__(self, directory: Path, kafka_port: int, redis_port: int, *, secure: bool = False) -> None:
        self.directory = directory.expanduser().absolute()  # the servers work in it
        self.kafka_port, self.redis_port = kafka_port, redis_port
        self._secure = secure

    @property
    def access(self) -> Access:
        """How the servers are reached while they run.

        Raises
        ------
        ServerError
            When nobody has started them.
        """
        if (found := access.find(self.directory)) is None:
            raise ServerError(f"nothing was started in {self.directory}: run spilldeck up")
        return found

    def start(self, *, keep: bool) -> None:
        """Start what does not run yet; return when both answer.

        Parameters
        ----------
        keep
            Let them live on when we end.

        Raises
        ------
        ServerError
            When a port is in use, Java or jars are lacking, or a server does not answer.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ServerError(
                f"{self.directory} cannot be made ({error.strerror}): choose another in local.directory"
            ) from error
        started: list[processes.Process] = []
        try:
            reached = self._reached()
            if not self._runs(redis.NAME, self.redis_port):
                started.append(redis.start(self.directory, self.redis_port, keep=keep, reached=reached.redis))
            if self._secure and processes.find(redis.FRONT, self.directory) is None:
                started.append(redis.start_front(self.directory, self.redis_port, keep=keep))
            if not self._runs(kafka.NAME, self.kafka_port):
                first = "" if not jars.missing() else " (fetching its 43 MB of jars the first time)"
                with err.status(f"starting Kafka{first}"):
                    node = kafka.Node.alone(self.directory, self.kafka_port, free_port())
                    started.append(kafka.start(node, keep=keep, reached=reached.kafka))
            with err.status("waiting for Kafka and Redis to answer"):
                self._wait(redis.NAME, lambda: redis.answers(self.redis_port, _ASK_S, reached.redis))
                self._wait(kafka.NAME, lambda: kafka.answers(self.kafka_port, _ASK_S, reached.kafka))
        except BaseException as error:
            processes.end(started)
            if not self._running():
                (self.directory / LOCAL_SERVERS).unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise ServerError(
                    f"{self.directory} cannot be written to ({error.strerror}): choose another in local.directory"
                ) from error
            raise

    def _running(self) -> dict[str, processes.Process]:
        found = {name: processes.find(name, self.directory) for name in _NAMES}
        return {name: process for name, process in found.items() if process is not None}

    def _reached(self) -> Access:
        """Return how the servers are to be reached: as those that run are.

        Raises
        ------
        ServerError
            When some run that are reached otherwise.
        """
        if not (running := self._running()):
            for name, port in ((redis.NAME, self.redis_port), (kafka.NAME, self.kafka_port)):
                refuse_used_port(port, f"local.{name}_port")
            return access.make(self.directory, self.kafka_port, self.redis_port, secure=self._secure)
        found = access.find(self.directory)
        if found is None:
            raise ServerError(f"{' and '.join(running)} of an earlier version run there: run spilldeck down first")
        if found.is_secured != self._secure:
            how = "with" if found.is_secured else "without"
            raise ServerError(f"the local stack runs {how} --secure: run spilldeck down first")
        return found

    def _runs(self, name: str, port: int) -> bool:
        """Whether a server of ours runs already; its port is free if not.

        Raises
        ------
        ServerError
            When it runs at another port, or the port is somebody else's.
        """
        process = processes.find(name, self.directory)
        if process is None:
            refuse_used_port(port, f"local.{name}_port")
        elif process.port != port:
            raise ServerError(
                f"{name} runs at port {process.port} and local.{name}_port is {port}: run spilldeck down first, or "
                f"set it to {process.port}"
            )
        return process is not None

    def _wait(self, name: str, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not answers():
            if processes.find(name, self.directory) is None:
                raise ServerError(f"{name} ended: {processes.last_words(name, self.directory)}")
            if time.monotonic() > deadline:
                raise ServerError(
                    f"{name} does not answer after {START_S:.0f} s: {processes.last_words(name, self.directory)}"
                )
            time.sleep(0.1)

    def stop(self) -> list[str]:
        """End what runs; return the names of what was ended."""
        running = self._running()
        processes.end(list(running.values()))
        for file in (*(f"{name}.pid" for name in _NAMES), LOCAL_SERVERS):
            (self.directory / file).unlink(missing_ok=True)
        return list(running)

    def status(self) -> list[Status]:
        """Return what runs and what answers."""
        found, reached = [], access.find(self.directory)
        for name, port, answers in (
            (kafka.NAME, self.kafka_port, partial(kafka.answers, reached=reached.kafka if reached else None)),
            (redis.NAME, self.redis_port, partial(redis.answers, reached=reached.redis if reached else None)),
        ):
            process = processes.find(name, self.directory)
            if process is None:
                found.append(Status(name, port, None, answers=False, is_of_another=is_used(port)))
            else:
                found.append(Status(name, port, process.pid, answers(port, _ASK_S), is_of_another=False))
        return found

    def __enter__(self) -> Self:
        self.start(keep=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
