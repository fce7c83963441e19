"""The servers in memory answer as the real ones do: what is shown on them holds for these, too."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from confluent_kafka import KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import DataError, OutOfMemoryError, ResponseError

from streams import kafka
from streams.agents.repairs import read_from_kafka
from streams.books.checkpoint import COMPARE_AND_SET
from streams.books.connect import is_other_type
from streams.books.store import SET_ASIDE
from streams.errors import ServerError
from streams.kafka.probe import Probe
from streams.settings import Settings
from tests.kafka import reached
from tests.simulation.host import Trace
from tests.simulation.kafka_in_memory import Kafka
from tests.simulation.redis_in_memory import Keyspace, Members, refuse

pytestmark = pytest.mark.servers

Step = tuple[Any, ...]
"""Name of a command, and what it is given."""

HASHES, SETS, LISTS = ("p:{live:0}:state", "p:{live:0}:book:1", "p:{live:0}:aside:book:1"), "p:repair", "p:changed"
FIELDS = ("fence", "", "1", "tof")
VALUES = ("", "a:1", "a:2", b"\x00\xff")
"""Few, so that fences and stamps are often right."""
MANY = [part for i in range(1200) for part in (i, f"value {i}")]
"""Fields and values: more than Lua hands on at once."""

hash_keys = st.sampled_from(HASHES)
keys = st.one_of(hash_keys, hash_keys, st.sampled_from([SETS, LISTS]))
fields, values, members = st.sampled_from(FIELDS), st.sampled_from(VALUES), st.sampled_from(["1", "2", "30"])
pairs = st.dictionaries(fields, values, max_size=3)
scores = st.dictionaries(members, st.integers(0, 5), max_size=3)


def step(name: str, *arguments: Any) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), *arguments)


def some(of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, max_size=3)


def flat(given_pairs: dict[Any, Any]) -> list[Any]:
    return [part for pair in given_pairs.items() for part in pair]


reads = st.one_of(
    step("hget", keys, fields),
    step("hmget", keys, some(fields)),
    step("hgetall", keys),
    step("hlen", keys),
    step("smembers", keys),
    step("zrangebyscore", keys, st.integers(0, 6), st.just("+inf")),
    step("type", keys),
)
writes = st.one_of(
    step("hset", hash_keys, fields, values),
    step("hset", keys, fields, values),
    step("hdel", keys, fields),
    step("sadd", keys, members),
    step("delete", keys),
    step("unlink", keys, keys),
    step("rename", keys, keys),
    st.tuples(st.just("zadd"), keys, scores.filter(bool)),
)
several = st.one_of(
    step("hset_all", keys, pairs),
    st.tuples(st.just("zadd"), keys, scores),
    some(fields).flatmap(lambda chosen: step("hdel", keys, *map(st.just, chosen))),
    some(members).flatmap(lambda chosen: step("sadd", keys, *map(st.just, chosen))),
    some(keys).flatmap(lambda chosen: step("delete", *map(st.just, chosen))),
    step("spop", keys, st.sampled_from([0, 1, 100])),
    step("scan", st.sampled_from(["*", "p:{live:0}:*", "p:{live:0}:aside:*:1", "p:repair", "*:state*"])),
    step("rubbish", keys),
    step("pipeline", st.lists(st.one_of(reads, writes), max_size=4), st.booleans()),
    step("memory", st.booleans()),
)
changes: st.SearchStrategy[Step] = st.one_of(
    st.tuples(keys, st.just("set"), st.builds(lambda stamp, new: [stamp, *flat(new)], st.just("*") | values, pairs)),
    st.tuples(keys, st.just("new"), pairs.map(flat)),
    st.tuples(keys, st.just("hdel"), some(fields)),
    st.tuples(keys, st.just("zadd"), scores.map(lambda those: [part for m, s in those.items() for part in (s, m)])),
    st.tuples(keys, st.just("del"), st.just([])),
)
scripts = st.one_of(
    step("compare_and_set", keys, values, st.lists(changes, max_size=4)),
    step("compare_and_set", st.just(HASHES[0]), values, st.lists(changes, max_size=4)),
    step("set_aside", keys, values, st.lists(st.tuples(keys, keys), max_size=3)),
)
steps = st.lists(st.one_of(reads, writes, several, scripts, scripts), min_size=3, max_size=30)


class RealRedis:
    """A real one, with what the tests of both have in common."""

    def __init__(self, client: Redis) -> None:
        self._client: Any = client
        self._scripts = {
            "compare_and_set": client.register_script(COMPARE_AND_SET),
            "set_aside": client.register_script(SET_ASIDE),
        }

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def compare_and_set(self, those: list[str], args: list[Any]) -> Any:
        return self._scripts["compare_and_set"](keys=those, args=args)

    def set_aside(self, those: list[str], args: list[Any]) -> Any:
        return self._scripts["set_aside"](keys=those, args=args)

    def scan(self, pattern: str) -> list[bytes]:
        return list(self._client.scan_iter(match=pattern, count=1000))

    def rubbish(self, key: str) -> None:
        self._client.set(key, b"rubbish")

    def memory(self, is_there: bool) -> None:
        self._client.config_set("maxmemory", 0 if is_there else 1)

    def pipeline(self, commands: list[Step], raise_on_error: bool) -> list[Any]:
        pipe = self._client.pipeline(transaction=False)
        for name, *arguments in commands:
            getattr(pipe, name)(*arguments)
        return pipe.execute(raise_on_error=raise_on_error)

    def contents(self) -> dict[bytes, Any]:
        kinds: dict[bytes, Callable[[bytes], Any]] = {
            b"hash": self._client.hgetall,
            b"set": self._client.smembers,
            b"zset": lambda key: dict(self._client.zrange(key, 0, -1, withscores=True)),
            b"string": self._client.get,
        }
        return {key: kinds[self._client.type(key)](key) for key in self._client.scan_iter()}


class RedisInMemory(Keyspace):
    """The one in memory."""

    def rubbish(self, key: str) -> None:
        self.refuses()
        self.data[key.encode()] = b"rubbish"

    def memory(self, is_there: bool) -> None:
        self.refuses = (lambda: None) if is_there else refuse

    def pipeline(self, commands: list[Step], raise_on_error: bool) -> list[Any]:
        return super().pipeline([(name, tuple(arguments)) for name, *arguments in commands], raise_on_error)

    def contents(self) -> dict[bytes, Any]:
        found: dict[bytes, Any] = {}
        for key, value in self.data.items():
            kind = set if isinstance(value, Members) else dict
            found[key] = value if isinstance(value, bytes) else kind(value)
            assert isinstance(value, bytes) or value, f"{key!r} is empty and there"
        return found


Either = RealRedis | RedisInMemory


def answer(server: Either, name: str, arguments: list[Any]) -> Any:
    """Return what a server answers to a step, in a form that can be compared."""
    try:
        return plain(name, ask(server, name, arguments))
    except (ResponseError, DataError) as error:
        return kind(error)


def ask(server: Either, name: str, arguments: list[Any]) -> Any:
    if name == "hset_all":
        return server.hset(arguments[0], mapping=arguments[1])
    if name == "spop":  # which ones it takes is its own affair
        key, most = arguments
        before, taken = server.smembers(key), server.spop(key, most)
        assert set(taken) <= before
        assert server.smembers(key) == before - set(taken)
        if taken:
            server.memory(True)
            server.sadd(key, *taken)
        return len(taken)
    if name == "compare_and_set":
        state, fence, changed = arguments
        args = [fence, "channel"]
        for _, command, its in changed:
            args += [command, len(its), *its]
        return server.compare_and_set([state, *(key for key, _, _ in changed)], args)
    if name == "set_aside":
        state, fence, renamed = arguments
        return server.set_aside([state, *(key for pair in renamed for key in pair)], [fence])
    return getattr(server, name)(*arguments)


def plain(name: str, found: Any) -> Any:
    if isinstance(found, Exception):
        return kind(found)
    if name == "scan":
        return sorted(found)
    return [plain("", each) for each in found] if isinstance(found, list) else found


def kind(error: Exception) -> str:
    if isinstance(error, OutOfMemoryError):
        return "out of memory"
    if is_other_type(error):
        return "wrong type"
    return "wrong use" if isinstance(error, DataError) else "refused"


@hypothesis_settings(max_examples=600, deadline=None)
@example([("compare_and_set", HASHES[0], "", [(HASHES[1], "new", MANY), (HASHES[1], "set", ["*", *MANY])])])
@example([("hset", HASHES[0], "fence", "a:1"), ("set_aside", HASHES[0], "a:1", [(HASHES[0], HASHES[2])])])
@example([("memory", False), ("compare_and_set", HASHES[0], "", [(HASHES[1], "new", ["", "a:1"])])])
@example([("memory", False), ("compare_and_set", HASHES[0], "", [(LISTS, "zadd", [1, "1"])])])
@example([("memory", False), ("compare_and_set", HASHES[0], "", [(HASHES[1], "del", []), (LISTS, "zadd", [1, "1"])])])
@given(steps)
def test_redis_in_memory_answers_as_a_real_one(redis_url: str, given_steps: list[Step]) -> None:
    with Redis.from_url(redis_url) as client:
        real, ours = RealRedis(client), RedisInMemory()
        real.memory(True)
        client.flushall()
        try:
            for name, *arguments in given_steps:
                assert answer(ours, name, arguments) == answer(real, name, arguments), (name, *arguments)
            assert ours.contents() == real.contents()
        finally:
            real.memory(True)


ANSWER_S = 60.0
PARTITIONS = 2
BASE_MS = 1_700_000_000_000


class RealKafka:
    """A topic of a real one: what is done to it, and what the worker's own clients say of it."""

    def __init__(self, settings: Settings) -> None:
        self.topic = f"{settings.kafka.topic_prefix}contract"
        self._servers = reached(settings)
        self._admin = AdminClient(self._servers)
        self._settings = settings
        self._make()

    def _make(self) -> None:
        topic = NewTopic(self.topic, num_partitions=PARTITIONS, replication_factor=1, config={"retention.ms": "-1"})
        deadline = time.monotonic() + ANSWER_S
        while True:  # one that was just removed may be there for a moment
            try:
                self._admin.create_topics([topic])[self.topic].result(ANSWER_S)
            except KafkaException:
                assert time.monotonic() < deadline, "the topic cannot be made anew"
                time.sleep(0.05)
            else:
                break
        while self.topic not in self._admin.list_topics(timeout=ANSWER_S).topics:  # brokers hear of it one by one
            time.sleep(0.05)
        self._probe = Probe(self._settings, self.topic)
        self._read = read_from_kafka(self._settings, self.topic)
        while not self._has_leaders():
            assert time.monotonic() < deadline, "the topic has no leaders"
            time.sleep(0.05)

    def _has_leaders(self) -> bool:
        with suppress(ServerError):
            return all(self._probe.span(each) == (0, 0) and self._probe.epoch(each) >= 0 for each in range(PARTITIONS))
        return False

    def make_anew(self) -> None:
        self._admin.delete_topics([self.topic])[self.topic].result(ANSWER_S)
        self._make()

    def append(self, partition: int, messages: dict[bytes, int]) -> None:
        producer = Producer(self._servers)
        for value, produced_ms in messages.items():
            producer.produce(self.topic, value, partition=partition, timestamp=produced_ms)
        assert producer.flush(ANSWER_S) == 0

    def leave_out(self, partition: int) -> None:
        """Use an offset up for nobody: the mark at the end of a transaction, of which the message is taken back."""
        _, end = self.span(partition)
        producer = Producer(self._servers | {"transactional.id": self.topic})
        producer.init_transactions(ANSWER_S)
        producer.begin_transaction()
        producer.produce(self.topic, b"taken back", partition=partition)
        producer.flush(ANSWER_S)
        producer.abort_transaction(ANSWER_S)
        while self.span(partition)[1] < end + 2:  # the mark is written soon
            time.sleep(0.02)

    def delete_before(self, partition: int, offset: int) -> None:
        for done in self._admin.delete_records([TopicPartition(self.topic, partition, offset)]).values():
            done.result(ANSWER_S)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._probe, name)

    def read(self, partition: int, start: int, stop: int) -> list[Any]:
        return list(self._read(partition, start, stop))


class KafkaInMemory:
    """The one in memory, with the same done to it."""

    def __init__(self) -> None:
        self._kafka = Kafka(random.Random(1), Trace(), PARTITIONS)

    def make_anew(self) -> None:
        self._kafka.make_anew(PARTITIONS)

    def append(self, partition: int, messages: dict[bytes, int]) -> None:
        for value, produced_ms in messages.items():
            self._kafka.append(partition, value, produced_ms, None)

    def leave_out(self, partition: int) -> None:
        self._kafka.logs[partition].slots += [None, None]

    def delete_before(self, partition: int, offset: int) -> None:
        self._kafka.logs[partition].low = offset

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kafka, name)

    def read(self, partition: int, start: int, stop: int) -> list[Any]:
        return list(self._kafka.read(partition, start, stop))


def said(kafka_server: RealKafka | KafkaInMemory) -> Iterator[tuple[Any, ...]]:
    """Yield all that may be asked of one, with the answer; None where it does not answer."""

    def asked(name: str, *arguments: int) -> tuple[Any, ...]:
        answered = None
        with suppress(ServerError):
            answered = getattr(kafka_server, name)(*arguments)
        return name, *arguments, answered

    for partition in range(PARTITIONS + 1):
        yield asked("span", partition)
        yield asked("epoch", partition)
    for offset in (0, 2, 3, 6, 8, 9):
        yield asked("first_from", 0, offset)
        yield asked("still_has", 0, offset, BASE_MS + offset)
        yield asked("still_has", 0, offset, BASE_MS)
    _, end = kafka_server.span(0)
    for start, stop in ((0, end), (0, 5), (end, end), (3, end + 1)):
        yield asked("read", 0, start, stop)


def test_kafka_in_memory_answers_as_a_real_one(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "SHOWN_S", 0.0)  # how long a real one is waited for
    real, ours = RealKafka(settings), KafkaInMemory()
    ids: list[tuple[str, str]] = []

    def compare(when: str) -> None:
        ids.append((real.id(), ours.id()))
        for there, here in zip(said(real), said(ours), strict=True):
            assert here == there, when

    def both(what: str, *arguments: Any) -> None:
        for each in (real, ours):
            getattr(each, what)(*arguments)

    compare("nothing")
    both("append", 0, {b"spill %d" % i: BASE_MS + i for i in range(6)})
    compare("some messages")
    both("delete_before", 0, 3)
    compare("the oldest are deleted")
    both("leave_out", 0)
    compare("an offset without a message at the end")
    both("append", 0, {b"spill 8": BASE_MS + 8})
    compare("one between")
    both("delete_before", 0, 7)
    compare("the first offset has no message")
    both("delete_before", 0, 9)
    compare("all are deleted")
    both("make_anew")
    compare("the topic is made anew")
    both("append", 0, {b"another %d" % i: BASE_MS + 100 + i for i in range(2)})
    compare("it has other messages")
    for server in (0, 1):
        names = [each[server] for each in ids]
        assert len(set(names[:7])) == len(set(names[7:])) == 1
        assert names[0] != names[7]
