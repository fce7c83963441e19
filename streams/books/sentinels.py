"""Sentinels, asked for the master: all of them, when a client connects, and again and again while it goes on.

A master that was cut off does not know that another has its place, and nor does a sentinel that was cut off with it:
what such a master takes is lost when it comes back. So the newest configuration counts, whoever answers first.

A master that hangs takes connections, and answers nothing. Until the sentinels say so, whoever connects anew comes to
it again, and so waits there no longer than for a sentinel. Who waits for an answer asks them meanwhile: as soon as
another is the master, none comes that counts.

A sentinel that hangs is not waited for where most have answered: who has another take the master's place is most of
them, so among any most of them one knows it.
"""

import asyncio
import socket
import time
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent import futures
from contextlib import contextmanager, suppress
from math import inf
from operator import itemgetter
from typing import Any, cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelConnectionPool
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncManaged
from redis.asyncio.sentinel import SentinelManagedSSLConnection as AsyncManagedSSL
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

from streams.books.ended import SaysSo

PATIENCE_S = 1.0
"""A sentinel does nothing but answer: one that does not within it is away, and so is a master that lets nobody in."""
ASK_S = 1.0
"""So long a client goes on with a master, or waits for its answer, without asking whether it still is the one."""
REST_S = 0.1
"""Where most sentinels have answered, the rest have so long: those of a site are milliseconds away."""
LEAST_S = 0.01
"""An answer that is there by now is taken in that."""
SHARE = 20
"""Asking takes this part of a client's time at most: one sentinel that hangs must not make it slow."""
_LEADS = "failover_in_progress"
"""One of the flags that a sentinel says of a master."""

Answer = dict[str, Any] | RedisError
"""What a sentinel says of a master, or why it says nothing."""


class Sentinels(Sentinel):
    """Asks all sentinels, at the same time."""

    def answers(self, name: str) -> list[Answer]:
        """Return what each says of a master of that name."""
        asked = self._ask(name)
        futures.wait(asked)
        return [each.result() for each in asked]

    def _ask(self, name: str) -> list[futures.Future[Answer]]:
        def ask(sentinel: Redis) -> Answer:
            try:
                return cast("dict[str, Any]", sentinel.sentinel_master(name))
            except RedisError as error:
                return error

        threads = futures.ThreadPoolExecutor(len(self.sentinels), "sentinels")
        try:
            return [threads.submit(ask, each) for each in self.sentinels]
        finally:
            threads.shutdown(wait=False)

    def without_quorum(self, name: str) -> list[str]:
        """Return why each that answers could have no other take the master's place; an empty text if it could."""
        found = []
        for each in self.sentinels:
            try:
                each.sentinel_ckquorum(name)
                found.append("")
            except ResponseError as error:
                found.append(str(error))
            except RedisError:  # it does not answer
                continue
        return found

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return host and port of the master; a `MasterNotFoundError` if none of them knows one that is up."""
        asked = self._ask(service_name)
        found = dict[int, Answer]()
        rest = {each: at for at, each in enumerate(asked)}
        while rest:
            now, _ = futures.wait(rest, _wait_s(found.values(), len(asked)), futures.FIRST_COMPLETED)
            if not now:
                break
            found |= {rest.pop(each): each.result() for each in now}
        return newest(service_name, _in_order(found))


class AsyncSentinels(AsyncSentinel):
    """Asks all sentinels, at the same time."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return what `Sentinels` does."""
        asked = [asyncio.create_task(self._ask(each, service_name)) for each in self.sentinels]
        found = dict[int, Answer]()
        rest = {each: at for at, each in enumerate(asked)}
        try:
            while rest:
                wait_s = _wait_s(found.values(), len(asked))
                now, _ = await asyncio.wait(rest, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                if not now:
                    break
                found |= {rest.pop(each): each.result() for each in now}
        finally:
            for each in rest:
                each.cancel()
        return newest(service_name, _in_order(found))

    @staticmethod
    async def _ask(sentinel: AsyncRedis, name: str) -> Answer:
        try:
            return cast("dict[str, Any]", await cast("Any", sentinel.sentinel_master(name)))
        except RedisError as error:
            return error


def _in_order(found: Mapping[int, Answer]) -> list[Answer]:
    """Return answers in the settings' order: of several masters of one name it is always the same that counts."""
    return [answer for _, answer in sorted(found.items(), key=itemgetter(0))]


def _wait_s(found: Collection[Answer], of: int) -> float | None:
    """Return for how long the other sentinels are waited for; None for as long as they have patience for."""
    know = sum(not isinstance(each, RedisError) for each in found)
    return REST_S if know > of // 2 else None


def newest(name: str, answers: Sequence[Answer]) -> tuple[str, int]:
    """Return host and port of a master as the newest configuration has it that any sentinel knows.

    Raises
    ------
    MasterNotFoundError
        When none knows it, or all of those that know the newest say that it is down; an `AuthenticationError` when no
        sentinel lets us ask.
    """
    known = [each for each in answers if not isinstance(each, RedisError)]
    epoch = max((int(each["config-epoch"]) for each in known), default=0)
    # Until all replicas follow the new master, who leads a failover has the old one's address.
    for each in sorted(known, key=lambda its: _LEADS in its["flags"]):
        if int(each["config-epoch"]) == epoch and each["is_master"] and not (each["is_sdown"] or each["is_odown"]):
            return str(each["ip"]), int(each["port"])
    refused = [each for each in answers if isinstance(each, AuthenticationError)]
    if refused and not known:
        raise refused[0]
    if known:
        raise MasterNotFoundError(f"master {name} is down, as the sentinels say, and no other has its place yet")
    why = "; ".join(sorted({str(each) for each in answers}))
    raise MasterNotFoundError(f"no sentinel knows a master {name}: {why}")


@contextmanager
def _hasty(connection: Any) -> Iterator[None]:
    """Have a connection wait for no longer than `PATIENCE_S`, in a ``with`` block."""
    patience = connection.socket_timeout, connection.socket_connect_timeout
    connection.socket_timeout = connection.socket_connect_timeout = PATIENCE_S
    try:
        yield
    finally:
        connection.socket_timeout, connection.socket_connect_timeout = patience


class _Connection(SentinelManagedConnection):
    """To a master: it is made as fast as one to a sentinel or not at all; for answers it waits as any client does.

    While it waits for one, the sentinels are asked; when another is the master, it ends.
    """

    def _connect(self) -> Any:
        with _hasty(self):
            return super()._connect()  # type: ignore[no-untyped-call]

    def connect_to(self, address: tuple[str, int]) -> None:
        super().connect_to(address)  # type: ignore[no-untyped-call]
        cast("Any", self._sock).settimeout(self.socket_timeout)

    def read_response(self, *what: Any, **its: Any) -> Any:
        sock = cast("Any", self._sock)
        if sock is None or "timeout" in its:  # by who hears announcements
            return super().read_response(*what, **its)
        patience_s = sock.gettimeout()  # less while it greets the master
        ends_s = time.monotonic() + patience_s
        try:
            while (left_s := ends_s - time.monotonic()) > ASK_S:
                _have_wait(sock, ASK_S)
                with suppress(RedisTimeoutError):
                    return super().read_response(*what, **its)
                self.connection_pool.ask_meanwhile()
            _have_wait(sock, max(left_s, LEAST_S))  # the sentinels may have taken the rest; of 0 none would wait
            return super().read_response(*what, **its)
        finally:
            _have_wait(sock, patience_s)

    def leave(self) -> None:
        """End it under whoever waits for an answer."""
        if (sock := cast("Any", self._sock)) is not None:
            with suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)  # not TLS's own, which a reader is in


def _have_wait(sock: socket.socket, seconds: float) -> None:
    with suppress(OSError):  # it was ended meanwhile: who reads says so
        sock.settimeout(seconds)


class _SSLConnection(_Connection, SentinelManagedSSLConnection):
    pass


class _AsyncConnection(SaysSo, AsyncManaged):
    """What `_Connection` is, for an event loop."""

    async def connect_to(self, address: tuple[str, int]) -> None:
        with _hasty(self):
            await super().connect_to(address)  # type: ignore[no-untyped-call]

    async def disconnect(self, *_: Any, **its: Any) -> None:
        """End it at once: by TLS the other side is to say goodbye, and one that hangs is waited for."""
        await super().disconnect(**its | {"nowait": True})

    async def read_response(self, *what: Any, **its: Any) -> Any:
        with self.connection_pool.asking_meanwhile():
            return await super().read_response(*what, **its)

    def leave(self) -> None:
        """End it under whoever waits for an answer."""
        cast("Any", self._writer).transport.abort()


class _AsyncSSLConnection(_AsyncConnection, AsyncManagedSSL):
    pass


class _Asking:
    """When the sentinels are asked again."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + ASK_S  # who connects asks in any case

    @property
    def is_due(self) -> bool:
        return time.monotonic() > self._next_s

    @property
    def is_under_way(self) -> bool:
        return self._next_s == inf

    @contextmanager
    def now(self) -> Iterator[None]:
        """Ask them in a ``with`` block; if none answers, the master may be there all the same."""
        began_s, self._next_s = time.monotonic(), inf
        try:
            with suppress(RedisError):
                yield
        finally:
            ended_s = time.monotonic()
            self._next_s = ended_s + max(ASK_S, SHARE * (ended_s - began_s))


class MasterPool(SentinelConnectionPool):
    """Connections to the master, dropped when another has its place."""

    def __init__(self, service_name: str, sentinel_manager: Sentinel, **kwargs: Any) -> None:
        kind = _SSLConnection if kwargs.pop("ssl", False) else _Connection
        super().__init__(service_name, sentinel_manager, connection_class=kind, **kwargs)  # type: ignore[no-untyped-call]
        self.connection_kwargs["connection_pool"] = weakref.proxy(self)
        self._asking = _Asking()

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """Return one to the master that is."""
        if self._asking.is_due:
            with self._asking.now():
                self.get_master_address()
        return super().get_connection()

    def ask_meanwhile(self) -> None:
        """Ask who the master is, if nobody does so just now: somebody waits for its answer."""
        if not self._asking.is_under_way:
            with self._asking.now():
                self.get_master_address()

    def get_master_address(self) -> tuple[str, int]:
        """Return where the master is; nobody goes on to wait for another."""
        address: tuple[str, int] = super().get_master_address()  # type: ignore[no-untyped-call]
        for each in _others(self._in_use_connections, address):
            each.leave()
        return address

    def close(self) -> None:
        """End all connections, those to the sentinels too."""
        super().close()
        self.sentinel_manager.close()


class AsyncMasterPool(AsyncSentinelConnectionPool):
    """What `MasterPool` is, for an event loop."""

    def __init__(self, service_name: str, sentinel_manager: AsyncSentinel, **kwargs: Any) -> None:
        kind = _AsyncSSLConnection if kwargs.pop("ssl", False) else _AsyncConnection
        super().__init__(service_name, sentinel_manager, connection_class=kind, **kwargs)  # type: ignore[no-untyped-call]
        self._asking = _Asking()

    async def get_connection(self, *_: Any, **__: Any) -> Any:
        """Return one to the master that is."""
        if self._asking.is_due:
            with self._asking.now():
                await self.get_master_address()
        return await super().get_connection()  # type: ignore[no-untyped-call]

    @contextmanager
    def asking_meanwhile(self) -> Iterator[None]:
        """Ask who the master is again and again in a ``with`` block, in which somebody waits for its answer."""
        asking: list[asyncio.Task[None]] = []
        loop = asyncio.get_running_loop()
        soon = loop.call_later(ASK_S, lambda: asking.append(loop.create_task(self._ask_meanwhile())))
        try:
            yield
        finally:
            soon.cancel()
            for each in asking:
                each.cancel()

    async def _ask_meanwhile(self) -> None:
        while True:
            if not self._asking.is_under_way:
                with self._asking.now():
                    await self.get_master_address()
            await asyncio.sleep(ASK_S)

    async def get_master_address(self) -> tuple[str, int]:
        """Return where the master is; nobody goes on to wait for another."""
        address: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
        for each in _others(self._in_use_connections, address):
            each.leave()
        return address

    async def aclose(self) -> None:
        """End all connections, those to the sentinels too."""
        await super().aclose()
        await self.sentinel_manager.aclose()


def _others(connections: Collection[Any], address: tuple[str, int]) -> list[Any]:
    """Return the connections that are made, and to another server."""
    return [each for each in [*connections] if each.is_connected and (each.host, each.port) != address]
