"""What the page shows, read from Redis and Kafka: whatever fails there becomes a state here, never an exception.

One thread reads each server, however many browsers look; a page takes what was last read and never waits.
"""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from schemas.records import NO_RUN
from streams.books.book import Book, Ranges
from streams.books.connect import connect
from streams.books.reader import BookReader, Progress
from streams.books.run import RunBook, spill_facts
from streams.books.totals import Totals
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.freshness import Freshness, Observed, daq, pipeline, span
from streams.kafka import ends, reader
from streams.plots.spillfacts import SpillFacts
from streams.process import ranges_of
from streams.settings import Settings
from streams.topics import Topics

LOOK_S = 1.0
"""How often Kafka is asked how far it is."""
ASK_S = 3.0
"""A broker that does not answer within it counts as away."""
FIRST_READ_S = 2.0
"""How long a page waits for the first read of the books, once."""
ENDS_KEPT = 1000
"""Earlier ends of ``spills.raw`` that are remembered while the workers are behind them."""

_NO_TOPIC = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that a page needs, as of one time. The figures depend on `version` alone."""

    now_s: float
    run: int | None
    """The current run: the one with the newest spill. None before the first."""
    book: RunBook
    spills: SpillFacts
    """The book's ledger, as columns; while spills are being processed, up to the first that may still come."""
    unattributed: Totals
    """What could not be put down to any run."""
    version: str
    """Changes when the books do."""
    behind: int
    """Messages of ``spills.raw`` that are not in the books."""
    warnings: tuple[str, ...]
    """What must not be overlooked, a sentence each."""
    daq: Freshness
    pipeline: Freshness


@dataclass(frozen=True, slots=True, kw_only=True)
class _Books:
    """What was last read of Redis."""

    run: int | None
    book: RunBook
    spills: SpillFacts
    unattributed: Totals
    version: str
    progress: tuple[Progress, ...]
    warnings: tuple[str, ...] = ()
    behind: int = 0
    behind_since_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Broker:
    """What was last seen of ``spills.raw``."""

    ends: tuple[int, ...] = ()
    moved_s: float = 0.0
    lost_s: float = 0.0
    warnings: tuple[str, ...] = ()


class Data:
    """Reads for all browsers together, from when it is entered until it is left.

    Parameters
    ----------
    settings
        Servers, session, topics.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._redis = connect(settings)
        # Asked again soon in any case; retries would only delay the word that it is away.
        self._redis.set_retry(Retry(NoBackoff(), 0))
        self._reader = BookReader(self._redis, settings.redis.key_prefix, settings.session, settings.kafka.partitions)
        self._conditions = ConditionsStore.from_settings(settings)
        # Each is written by one thread alone and replaced as a whole: a page needs no lock to read it.
        empty = RunBook(totals=Totals(), ledger={}, book=Book({}))
        self._books = _Books(
            run=None, book=empty, spills=spill_facts({}), unattributed=Totals(), version="", progress=()
        )
        self._broker = _Broker()
        self._read_s = time.time()
        self._fault = "has not answered yet"
        self._unprocessed: deque[tuple[float, tuple[int, ...]]] = deque()
        self._was_read, self._stopped = threading.Event(), threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(look, seconds), daemon=True, name=name)
            for name, look, seconds in (
                ("books", self._look_at_redis, settings.dashboard.refresh_s / 2),
                ("kafka-ends", self._kafka_watcher(), LOOK_S),
            )
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._redis.close()

    def view(self) -> View:
        """Return what there is to show now."""
        self._was_read.wait(FIRST_READ_S)
        now_s, books, broker, fault = time.time(), self._books, self._broker, self._fault
        totals = books.book.totals
        seen = Observed(
            now_s=now_s,
            produced_s=max((p.produced_ms for p in books.progress), default=0) / 1000,
            raw_moved_s=broker.moved_s,
            behind=books.behind,
            behind_since_s=books.behind_since_s,
            kafka_lost_s=broker.lost_s,
            store_lost_s=self._read_s if fault else 0.0,
            run_waits=books.run is not None and not totals.received,
            run_ended=totals.ended,
        )
        warnings = broker.warnings + books.warnings
        if fault:
            ago = span(now_s - self._read_s)
            warnings = (f"The store (Redis) {fault}, for {ago}: all numbers below are old", *warnings)
        return View(
            now_s=now_s,
            run=books.run,
            book=books.book,
            spills=books.spills,
            unattributed=books.unattributed,
            version=books.version,
            behind=books.behind,
            warnings=warnings,
            daq=daq(seen),
            pipeline=pipeline(seen),
        )

    def _repeat(self, look: Callable[[], None], seconds: float) -> None:
        while not self._stopped.is_set():
            look()
            self._stopped.wait(seconds)

    def _look_at_redis(self) -> None:
        try:
            progress = self._reader.progress()
            behind, since_s = self._behind(progress)
            books = self._books if progress == self._books.progress else self._read_books(progress, behind)
        except (RedisConnectionError, RedisTimeoutError) as error:
            self._fail("does not answer", error)
        except Exception as error:  # noqa: BLE001 - whatever somebody wrote into Redis, the page goes on
            self._fail("holds what cannot be read", error)
        else:
            self._books = replace(books, behind=behind, behind_since_s=since_s)
            self._read_s, self._fault = time.time(), ""
        self._was_read.set()

    def _fail(self, fault: str, error: Exception) -> None:
        if self._fault != fault:
            _log.warning(f"the store {fault}", error=f"{type(error).__name__}: {error}")
        self._fault = fault

    def _read_books(self, progress: tuple[Progress, ...], behind: int) -> _Books:
        runs = self._reader.runs()
        unattributed = runs.pop(NO_RUN, Totals())
        # The newest spill decides; between runs without any, the one that began last.
        run = max(runs, key=lambda r: (runs[r].last_us or _begin_us(runs[r]), r), default=None)
        warnings = [
            f"Partition {partition}: messages {start} to {stop - 1} were gone from Kafka when they were needed"
            for partition, p in enumerate(progress)
            for start, stop in p.lost
        ]
        ranges: Ranges = {}
        if run is not None:
            try:
                ranges = ranges_of(self._conditions.for_run(run))
            except UsageError as error:
                warnings.append(f"The conditions of run {run} cannot be read: {error}")
        book = self._reader.run(run, ranges) if run is not None else RunBook(totals=Totals(), ledger={}, book=Book({}))
        return _Books(
            run=run,
            book=book,
            spills=_settled(spill_facts(book.ledger), len(progress)) if behind else spill_facts(book.ledger),
            unattributed=unattributed,
            version=f"{run}:{hashlib.blake2b(repr(progress).encode(), digest_size=8).hexdigest()}",
            progress=progress,
            warnings=tuple(warnings),
        )

    def _behind(self, progress: tuple[Progress, ...]) -> tuple[int, float]:
        """Return how many messages are not in the books, and when the oldest of them was first seen."""
        now, unprocessed = self._broker.ends, self._unprocessed
        if now and len(unprocessed) < ENDS_KEPT and (not unprocessed or unprocessed[-1][1] != now):
            unprocessed.append((time.time(), now))
        # Under a steady stream something is always under way: what counts is how long one message waits.
        while unprocessed and not _missing(unprocessed[0][1], progress):
            unprocessed.popleft()
        return _missing(now, progress), unprocessed[0][0] if unprocessed else 0.0

    def _kafka_watcher(self) -> Callable[[], None]:
        topic, partitions = Topics.of(self._settings).raw, range(self._settings.kafka.partitions)
        consumer: Consumer | None = None

        def look() -> None:
            nonlocal consumer
            last = self._broker
            consumer = consumer or reader(self._settings, reconnect_backoff_max_ms=round(LOOK_S * 1000))
            try:
                found = ends(consumer, topic, partitions, ASK_S)
            except KafkaException as error:
                # After a loss of all brokers the library may take the topic for unknown, and asks no more for minutes.
                consumer.close()
                consumer = None
                if error.args[0].code() in _NO_TOPIC:
                    warning = f"Kafka has no topic {topic}: start a worker, or run spilldeck topics apply"
                    self._broker = _Broker(moved_s=last.moved_s, warnings=(warning,))
                else:
                    self._broker = replace(last, lost_s=last.lost_s or time.time(), warnings=())
            else:
                moved = bool(last.ends) and found != last.ends
                self._broker = _Broker(ends=found, moved_s=time.time() if moved else last.moved_s)

        return look


def _missing(produced: tuple[int, ...], progress: tuple[Progress, ...]) -> int:
    return sum(max(end - p.raw_end, 0) for end, p in zip(produced, progress, strict=False))


def _settled(spills: SpillFacts, partitions: int) -> SpillFacts:
    """Leave out the spills beyond the first that may still come: a partition that lags would look like missed spills.

    The producer spreads them by their numbers, see `streams.daq.producer.partition_of`.
    """
    number = spills.spill
    next_of_each = [
        int(number[number % partitions == p].max(initial=p - partitions)) + partitions for p in range(partitions)
    ]
    return spills.rows(number < min(next_of_each))


def _begin_us(totals: Totals) -> int:
    return max((said.time_us for said in totals.control.values()), default=0)
