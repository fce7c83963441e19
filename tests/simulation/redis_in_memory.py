"""A Redis in memory: the commands that the books use, both scripts, and what befalls a Redis.

`test_contract.py` asks the same of it and of a real one.
"""

import random
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import DataError, OutOfMemoryError, ResponseError

from streams.books.checkpoint import COMPARE_AND_SET
from streams.books.store import SET_ASIDE
from tests.simulation.host import Host, Server
from tests.simulation.loop import wait_for


class Hash(dict[bytes, bytes]):
    """Field → value."""


class Members(dict[bytes, None]):
    """A set that has an order, so that nothing depends on how Python hashes."""


class Scores(dict[bytes, float]):
    """Member → score: a sorted set."""


Value = Hash | Members | Scores | bytes


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _check_some(values: Any) -> None:
    """Refuse a command that names nothing."""
    if not values:
        raise ResponseError("wrong number of arguments")


class Keyspace:
    """Keys and their values. Commands are methods, which take and give what the client does."""

    def __init__(self) -> None:
        self.data: dict[bytes, Value] = {}
        self.refuses: Callable[[], None] = lambda: None
        """Raises where writes are refused that need memory."""

    def copy(self) -> dict[bytes, Value]:
        """Return what there is, apart."""
        return {key: value if isinstance(value, bytes) else type(value)(value) for key, value in self.data.items()}

    def _there(self, key: Any, kind: type[Any]) -> Any:
        value = self.data.get(_bytes(key))
        if value is not None and type(value) is not kind:
            raise ResponseError("WRONGTYPE Operation against a key holding the wrong kind of value")
        return value

    def _to_write(self, key: Any, kind: type[Any]) -> Any:
        self.refuses()
        value = self._there(key, kind)
        return value if value is not None else self.data.setdefault(_bytes(key), kind())

    def _tidy(self, key: Any) -> None:
        if not self.data.get(_bytes(key), True):
            del self.data[_bytes(key)]

    def hget(self, key: Any, field: Any) -> bytes | None:
        found = self._there(key, Hash)
        return found.get(_bytes(field)) if found else None

    def hmget(self, key: Any, fields: Collection[Any]) -> list[bytes | None]:
        _check_some(fields)
        return [self.hget(key, field) for field in fields]

    def hgetall(self, key: Any) -> dict[bytes, bytes]:
        return dict(self._there(key, Hash) or {})

    def hlen(self, key: Any) -> int:
        return len(self._there(key, Hash) or ())

    def hset(self, key: Any, field: Any = None, value: Any = None, mapping: Mapping[Any, Any] | None = None) -> int:
        pairs = {**({field: value} if field is not None else {}), **(mapping or {})}
        if not pairs:
            raise DataError("nothing to set")
        there = self._to_write(key, Hash)
        before = len(there)
        there.update({_bytes(f): _bytes(v) for f, v in pairs.items()})
        return len(there) - before

    def hdel(self, key: Any, *fields: Any) -> int:
        _check_some(fields)
        found = self._there(key, Hash) or {}
        gone = [field for field in map(_bytes, fields) if found.pop(field, None) is not None]
        self._tidy(key)
        return len(gone)

    def zadd(self, key: Any, mapping: Mapping[Any, float]) -> int:
        if not mapping:
            raise DataError("nothing to add")
        there = self._to_write(key, Scores)
        before = len(there)
        there.update({_bytes(member): float(score) for member, score in mapping.items()})
        return len(there) - before

    def zrangebyscore(self, key: Any, low: float, high: Any) -> list[bytes]:
        assert high == "+inf"
        found = self._there(key, Scores) or {}
        return [m for s, m in sorted((score, member) for member, score in found.items()) if s >= low]

    def sadd(self, key: Any, *members: Any) -> int:
        _check_some(members)
        there = self._to_write(key, Members)
        before = len(there)
        there.update(dict.fromkeys(map(_bytes, members)))
        return len(there) - before

    def smembers(self, key: Any) -> set[bytes]:
        return set(self._there(key, Members) or ())

    def spop(self, key: Any, count: int) -> list[bytes]:
        found = self._there(key, Members) or {}
        gone = list(found)[:count]
        for member in gone:
            del found[member]
        self._tidy(key)
        return gone

    def delete(self, *keys: Any) -> int:
        _check_some(keys)
        return sum(self.data.pop(_bytes(key), None) is not None for key in keys)

    unlink = delete

    def rename(self, key: Any, to: Any) -> bool:
        if _bytes(key) not in self.data:
            raise ResponseError("no such key")
        self.data[_bytes(to)] = self.data.pop(_bytes(key))
        return True

    def scan(self, pattern: str) -> list[bytes]:
        begin = pattern.partition("*")[0].encode()
        found = [key for key in self.data if key.startswith(begin)]
        return [key for key in found if fnmatchcase(key.decode(), pattern.replace("[", "[[]"))]

    def type(self, key: Any) -> bytes:
        """Return the name of a key's kind."""
        value = self.data.get(_bytes(key))
        names: dict[type[Any], bytes] = {Hash: b"hash", Members: b"set", Scores: b"zset", bytes: b"string"}
        return names[type(value)] if value is not None else b"none"

    def pipeline(self, commands: list[tuple[str, tuple[Any, ...]]], raise_on_error: bool) -> list[Any]:
        """Return the answers to several commands; raise the first error, when all are done, or have it among them."""
        answers: list[Any] = []
        for name, arguments in commands:
            try:
                answers.append(getattr(self, name)(*arguments))
            except ResponseError as error:
                answers.append(error)
        errors = [answer for answer in answers if isinstance(answer, ResponseError)]
        if errors and raise_on_error:
            raise errors[0]
        return answers

    def compare_and_set(self, keys: list[str], args: list[Any]) -> bytes:
        """Do what the script `COMPARE_AND_SET` does."""
        if self.type(keys[0]) not in (b"hash", b"none"):
            return b"refused"
        if (self.hget(keys[0], "fence") or b"") != _bytes(args[0]):
            return b"refused"
        kinds = {"set": b"hash", "hdel": b"hash", "zadd": b"zset"}
        at, commands = 2, []
        for key in keys[1:]:
            name, count = args[at], args[at + 1]
            values = args[at + 2 : at + 2 + count]
            # What names no field does nothing.
            if values[name == "set" :] or name in ("new", "del"):
                commands.append((name, key, values))
            at += 2 + count
            if name in kinds and self.type(key) not in (kinds[name], b"none"):
                return _bytes(key)
            if name == "set" and args[at - count] != "*" and self.hget(key, "") != _bytes(args[at - count]):
                return _bytes(key)
        refuses, was_written = self.refuses, False
        for name, key, values in commands:
            # A script that has written goes on where memory is short: Redis would not leave it half done.
            self.refuses = refuses if not was_written else lambda: None
            try:
                self._do(name, key, values)
            finally:
                self.refuses = refuses
            was_written = True
        return b"written"

    def _do(self, name: str, key: str, values: list[Any]) -> None:
        if name == "new":
            if values and self.type(key) in (b"hash", b"none"):
                self.refuses()
            self.delete(key)
            if values:
                self.data[_bytes(key)] = Hash(zip(map(_bytes, values[::2]), map(_bytes, values[1::2]), strict=True))
        elif name == "set":
            self.hset(key, mapping=dict(zip(values[1::2], values[2::2], strict=True)))
        elif name == "hdel":
            self.hdel(key, *values)
        elif name == "zadd":
            self.zadd(key, dict(zip(values[1::2], values[::2], strict=True)))
        else:
            self.delete(key)

    def set_aside(self, keys: list[str], args: list[Any]) -> bytes:
        """Do what the script `SET_ASIDE` does."""
        if (self.hget(keys[0], "fence") or b"") != _bytes(args[0]):
            return b"refused"
        for key, to in zip(keys[1::2], keys[2::2], strict=True):
            if _bytes(key) in self.data:
                self.rename(key, to)
        return b"written"


SCRIPTS = {COMPARE_AND_SET: "compare_and_set", SET_ASIDE: "set_aside"}


class Redis(Server):
    """A Redis server.

    Parameters
    ----------
    rng
        Decides when answers come.
    """

    def __init__(self, rng: random.Random, trace: Any) -> None:
        super().__init__(rng, trace, lambda why: RedisConnectionError(f"Redis: {why}"))
        self.keys = Keyspace()

    def refuse_writes(self) -> None:
        """Take no more writes that need memory."""
        self.keys.refuses = refuse

    def heal(self) -> None:
        super().heal()
        self.keys.refuses = lambda: None


def refuse() -> None:
    """Raise what a Redis answers that is full."""
    raise OutOfMemoryError("command not allowed when used memory > 'maxmemory'.")


class AsyncClient:
    """What a worker asks of Redis, as redis.asyncio has it."""

    def __init__(self, host: Host, server: Redis) -> None:
        self._host, self._server = host, server

    def _ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        return self._host.ask(self._server, getattr(self._server.keys, name), *arguments, **named)

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self._ask(name, *arguments, **named)

    def register_script(self, text: str) -> Any:
        name = SCRIPTS[text]

        async def script(keys: list[str], args: list[Any]) -> Any:
            try:
                return await self._ask(name, keys, args)
            except RedisConnectionError:
                # The client tries again by itself, whether the script was done or not.
                return await self._ask(name, keys, args)

        return script

    async def scan_iter(self, match: str, count: int) -> Any:
        for key in await self._ask("scan", match):
            yield key

    def pipeline(self, transaction: bool) -> "_Pipeline":
        return _Pipeline(self._server.keys, self._ask)


class _Pipeline:
    """Commands that are sent together."""

    def __init__(self, keys: Keyspace, ask: Callable[..., Any]) -> None:
        self._keys, self._send = keys, ask
        self._commands: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments: self._commands.append((name, arguments))

    def execute(self, raise_on_error: bool = True) -> Any:
        commands, self._commands = self._commands, []
        return self._send("pipeline", commands, raise_on_error)


class SyncClient:
    """What the page's reader asks of Redis, as redis has it; wherever it waits, others have their turns.

    Parameters
    ----------
    host
        Whose it is; None for what sees all in one moment.
    """

    def __init__(self, host: Host | None, server: Redis) -> None:
        self._host, self._server = host, server

    def _ask(self, name: str, *arguments: Any, **named: Any) -> Any:
        call = getattr(self._server.keys, name)
        if self._host is None:
            return call(*arguments, **named)
        return wait_for(self._host.ask(self._server, call, *arguments, **named))

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **named: self._ask(name, *arguments, **named)

    def pipeline(self, transaction: bool) -> _Pipeline:
        return _Pipeline(self._server.keys, self._ask)
