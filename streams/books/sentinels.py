"""Sentinels, asked for the master: all of them, when a client connects, and again and again while it goes on.

A master that was cut off does not know that another has its place, and nor does a sentinel that was cut off with it:
what such a master takes is lost when it comes back. So the newest configuration counts, whoever answers first.

A master that hangs takes connections, and answers nothing. Until the sentinels say so, whoever connects anew comes to
it again, and so waits there no longer than for a sentinel.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from math import inf
from typing import Any, cast

from redis.asyncio.sentinel import Sentinel as AsyncSentinel
from redis.asyncio.sentinel import SentinelConnectionPool as AsyncSentinelConnectionPool
from redis.asyncio.sentinel import SentinelManagedConnection as AsyncManaged
from redis.asyncio.sentinel import SentinelManagedSSLConnection as AsyncManagedSSL
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)

PATIENCE_S = 1.0
"""A sentinel does nothing but answer: one that does not within it is away, and so is a master that lets nobody in."""
ASK_S = 1.0
"""So long a client goes on with a master without asking whether it still is the one."""
SHARE = 20
"""Asking takes this part of a client's time at most: one sentinel that hangs must not make it slow."""
_LEADS = "failover_in_progress"
"""One of the flags that a sentinel says of a master."""

Answer = dict[str, Any] | RedisError
"""What a sentinel says of a master, or why it says nothing."""


class Sentinels(Sentinel):
    """Asks all sentinels."""

    def answers(self, name: str) -> list[Answer]:
        """Return what each says of a master of that name."""
        found: list[Answer] = []
        for each in self.sentinels:
            try:
                found.append(cast("dict[str, Any]", each.sentinel_master(name)))
            except RedisError as error:
                found.append(error)
        return found

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
        return newest(service_name, self.answers(service_name))


class AsyncSentinels(AsyncSentinel):
    """Asks all sentinels, at the same time."""

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        """Return what `Sentinels` does."""
        asked = (cast("Any", each.sentinel_master(service_name)) for each in self.sentinels)
        found: list[Any] = await asyncio.gather(*asked, return_exceptions=True)
        for error in found:
            if isinstance(error, BaseException) and not isinstance(error, RedisError):
                raise error
        return newest(service_name, found)


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
    """To a master: it is made as fast as one to a sentinel or not at all; for answers it waits as any client does."""

    def _connect(self) -> Any:
        with _hasty(self):
            return super()._connect()  # type: ignore[no-untyped-call]

    def connect_to(self, address: tuple[str, int]) -> None:
        super().connect_to(address)  # type: ignore[no-untyped-call]
        cast("Any", self._sock).settimeout(self.socket_timeout)


class _SSLConnection(_Connection, SentinelManagedSSLConnection):
    pass


class _AsyncConnection(AsyncManaged):
    """What `_Connection` is, for an event loop."""

    async def connect_to(self, address: tuple[str, int]) -> None:
        with _hasty(self):
            await super().connect_to(address)  # type: ignore[no-untyped-call]

    async def disconnect(self, *_: Any, **its: Any) -> None:
        """End it at once: by TLS the other side is to say goodbye, and one that hangs is waited for."""
        await super().disconnect(**its | {"nowait": True})


class _AsyncSSLConnection(_AsyncConnection, AsyncManagedSSL):
    pass


class _Asking:
    """When the sentinels are asked again."""

    def __init__(self) -> None:
        self._next_s = time.monotonic() + ASK_S  # who connects asks in any case

    @property
    def is_due(self) -> bool:
        return time.monotonic() > self._next_s

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
        self._asking = _Asking()

    def get_connection(self, *_: Any, **__: Any) -> Any:
        """Return one to the master that is."""
        if self._asking.is_due:
            with self._asking.now():
                self.get_master_address()  # type: ignore[no-untyped-call]
        return super().get_connection()

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
                await self.get_master_address()  # type: ignore[no-untyped-call]
        return await super().get_connection()  # type: ignore[no-untyped-call]

    async def aclose(self) -> None:
        """End all connections, those to the sentinels too."""
        await super().aclose()
        await self.sentinel_manager.aclose()
