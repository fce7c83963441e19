"""spilldeck books: how far the books of a session are, and what in them is wrong; no workers mend it here."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import pytest
from confluent_kafka import Producer
from redis import Redis

from ops.book_checks import findings
from ops.topics import ensure_topics
from streams.books import layout
from streams.books.cells import Cells
from streams.books.connect import connect, place
from streams.books.layout import Keys, Loss
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.books.windows import Window
from streams.settings import Settings
from streams.topics import Topics
from tests.dashboards.views import RUN, run_book
from tests.kafka import reached
from tests.live import Live
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.servers import environment, without_redis
from tests.stored import checkpoint

pytestmark = pytest.mark.servers

OTHER = RUN - 1
PLOT = "ht01"
MESSAGES = 9


@pytest.fixture
def redis(settings: Settings) -> Iterator[Redis]:
    with connect(settings) as client:
        yield client


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    return environment(settings)


def whole(run: int, spills: int = 3) -> RunBook:
    """Return a run of which a list knows where in partition 0 it is."""
    book = run_book(spills, run=run)
    return replace(book, totals=replace(book.totals, first_raw={0: 0}, last_raw={0: MESSAGES - 1}))


def write(settings: Settings, run: int, book: RunBook, **state: Any) -> None:
    """Put a run with a window that has all of it into the books."""
    window = Window(min(entry.time_us for entry in book.ledger.values()) // 1_000_000, 1000)
    windows = {window: (len(book.ledger), {name: book.book[name] for name in book.book})}
    checkpoint(settings, {run: book}, windows=windows, **state)


def store(settings: Settings, **state: Any) -> Keys:
    """Put two runs, each with a window that has all of it, into the books, and as many messages into Kafka."""
    ensure_topics(settings)
    producer = Producer(reached(settings))
    for _ in range(MESSAGES):
        producer.produce(Topics.of(settings).raw, b"a message", partition=0)
    assert producer.flush(10) == 0
    for run in (RUN, OTHER):
        write(settings, run, whole(run), **{"next": MESSAGES} | state)
    return Keys(settings.redis.key_prefix, settings.session, 0)


def wrong(spilldeck_here: Spilldeck, env: dict[str, str]) -> list[str]:
    """Return what is found wrong, the same with and without JSON."""
    told = spilldeck_here("books", "--deep", env=env)
    done = spilldeck_here("books", "--deep", "--json", env=env)
    found: list[str] = json.loads(done.stdout)["wrong"]
    assert done.returncode == told.returncode == bool(found), done.stderr
    assert all(what in told.stdout for what in found)
    return found


def test_whole_books_are_well(settings: Settings, spilldeck_here: Spilldeck, env: dict[str, str]) -> None:
    store(settings)
    assert spilldeck_here("books", env=env).returncode == 0
    assert wrong(spilldeck_here, env) == []
    found = json.loads(spilldeck_here("books", "--json", env=env).stdout)
    assert "wrong" not in found
    first, *others = found["partitions"]
    assert (first["next"], first["end"], first["behind"], first["is_well"]) == (MESSAGES, MESSAGES, 0, True)
    assert {(each["end"], each["is_well"]) for each in others} == {(0, True)}


def test_what_is_behind_made_again_or_lost_is_told_within_80_columns(
    settings: Settings, spilldeck: Spilldeck, env: dict[str, str]
) -> None:
    lost = Loss(1_700_000_000, "a long sentence of what Kafka no longer had when a worker came to it, and which it was")
    store(settings, next=MESSAGES - 2, repairs={RUN: 1}, lost=(lost,))
    done = spilldeck("books", env=env | {"COLUMNS": "80"})
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert f"run {RUN}" in done.stdout
    assert "2023-11-14 22:13:20" in done.stdout
    found = json.loads(spilldeck("books", "--deep", "--json", env=env).stdout)
    first = found["partitions"][0]
    assert (first["behind"], first["made_again"], first["lost"]) == (2, {str(RUN): 1}, [lost._asdict()])
    assert found["wrong"] == []


def test_books_that_have_more_than_kafka_are_not_well(
    settings: Settings, spilldeck_here: Spilldeck, env: dict[str, str]
) -> None:
    store(settings, next=MESSAGES + 1)
    assert spilldeck_here("books", env=env).returncode == 1


def test_what_is_written_meanwhile_is_read_again_before_it_is_called_wrong(settings: Settings, redis: Redis) -> None:
    store(settings)
    books = [whole(RUN, spills) for spills in (4, 3)]
    is_over = Event()

    def go_on() -> None:
        while not is_over.wait(0.05):
            for book in books:
                write(settings, RUN, book)

    with ThreadPoolExecutor(1) as beside:
        writing = beside.submit(go_on)
        found = [what for _ in range(10) for what in findings(settings, redis, 1)]
        is_over.set()
        writing.result()
    assert found == []


def change_a_bin(redis: Redis, keys: Keys, key: str) -> None:
    cells = Cells.unpack(layout.unseal(redis.hget(key, PLOT) or b""))
    cells.counts[3] += 1
    redis.hset(key, PLOT, layout.seal(cells.pack()))


def change_totals(redis: Redis, keys: Keys, **changes: Any) -> None:
    totals = layout.unpack_json(redis.hget(keys.run(RUN), "totals") or b"")
    redis.hset(keys.run(RUN), "totals", layout.pack_json(totals | changes))


def window_of(redis: Redis, keys: Keys) -> str:
    reader = BookReader(redis, keys.prefix, keys.session)
    (window,) = reader.windows(RUN)
    return keys.window(RUN, window)


def last_spill(redis: Redis, keys: Keys) -> bytes:
    return max(field for field in redis.hkeys(keys.spills(RUN)) if field)


HARM: dict[str, tuple[Callable[[Redis, Keys], object], str]] = {
    "a bin of the book": (lambda r, k: change_a_bin(r, k, k.book(RUN)), f"the plot {PLOT} of its windows together"),
    "a bin of a window": (lambda r, k: change_a_bin(r, k, window_of(r, k)), f"the plot {PLOT} of its windows together"),
    "an entry of the ledger": (lambda r, k: r.hdel(k.spills(RUN), last_spill(r, k)), "are in the ledger"),
    "key numbers": (lambda r, k: r.hdel(k.key_numbers(RUN), last_spill(r, k)), "the key numbers are those of other"),
    "hits by channel": (lambda r, k: r.hdel(k.channel_counts(RUN), last_spill(r, k)), "hits by channel are kept of"),
    "a counter": (lambda r, k: change_totals(r, k, received=77), "the counters do not add up"),
    "triggers": (lambda r, k: change_totals(r, k, triggers=1), "1 particle triggers were counted"),
    "a list that is older": (lambda r, k: change_totals(r, k, last_raw={"0": 77}), f"last {MESSAGES - 1}, and its"),
    "a checksum": (lambda r, k: r.hset(k.spills(RUN), last_spill(r, k), b"rubbish"), "its checksum is wrong"),
    "a window with a wrong checksum": (lambda r, k: r.hset(window_of(r, k), PLOT, b"rubbish"), "its checksum is wrong"),
    "a key of another type": (lambda r, k: (r.delete(k.book(RUN)), r.set(k.book(RUN), "rubbish")), "WRONGTYPE"),
    "a window that is gone": (lambda r, k: r.delete(window_of(r, k)), "is gone"),
    "a run that is gone": (lambda r, k: r.delete(k.run(RUN)), "it is in the list of runs, and all of it is gone"),
    "a run that is not listed": (lambda r, k: r.hdel(k.index, str(RUN)), "the list of runs lacks it"),
    "rubbish in place of the stamps": (lambda r, k: r.hset(k.run(RUN), "unit", b"rubbish"), "its checksum is wrong"),
    "rubbish in the list": (lambda r, k: r.hset(k.index, str(RUN), b"rubbish"), "what the list of runs says of it"),
}


@pytest.mark.parametrize("harm", HARM)
def test_what_is_wrong_in_a_run_is_named_with_run_and_partition(
    settings: Settings, redis: Redis, spilldeck_here: Spilldeck, env: dict[str, str], harm: str
) -> None:
    keys = store(settings)
    do, said = HARM[harm]
    do(redis, keys)
    found = wrong(spilldeck_here, env)
    assert found
    assert all(what.startswith(f"run {RUN} in partition 0") for what in found)
    assert any(said in what for what in found), found


@pytest.mark.parametrize("field", ["state", "index"])
def test_rubbish_in_place_of_what_a_partition_has_is_named(
    settings: Settings, redis: Redis, spilldeck_here: Spilldeck, env: dict[str, str], field: str
) -> None:
    keys = store(settings)
    key = getattr(keys, field)
    redis.delete(key)
    redis.set(key, "rubbish")
    assert any("partition 0" in what and key in what for what in wrong(spilldeck_here, env))
    redis.delete(key)
    redis.hset(key, mapping={"": "another stamp", "nine": "rubbish"})
    assert any("partition 0" in what for what in wrong(spilldeck_here, env))


def test_without_a_server_one_sentence_says_which(
    spilldeck_here: Spilldeck, settings: Settings, env: dict[str, str]
) -> None:
    away = without_redis(settings)
    no_redis = spilldeck_here("books", "--deep", env=env | environment(away))
    assert f"no Redis answers at {place(away)}" in assert_one_sentence(no_redis, 3)
    no_kafka = spilldeck_here("books", env=env | {"SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert "no Kafka answers at 127.0.0.1:1" in assert_one_sentence(no_kafka, 3)


def test_what_workers_counted_with_one_killed_meanwhile_is_well(spilldeck_here: Spilldeck, live: Live) -> None:
    done = spilldeck_here("books", "--deep", "--json", env=live.env)
    assert json.loads(done.stdout)["wrong"] == []
    assert done.returncode == 0
