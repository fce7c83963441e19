"""What the page shows, read from Redis and Kafka: whatever fails there becomes a state here, never an exception."""

import threading
import time
from dataclasses import dataclass, field, replace

import structlog
from confluent_kafka import Consumer, KafkaException, TopicPartition
from redis.exceptions import RedisError

from schemas.records import NO_RUN
from streams.books.book import Book
from streams.books.connect import connect
from streams.books.reader import BookReader, Progress
from streams.books.run import RunBook
from streams.books.totals import Totals
from streams.conditions.store import ConditionsStore
from streams.freshness import Freshness, Observed, daq, pipeline
from streams.process import ranges_of
from streams.settings import Settings
from streams.topics import Topics

LOOK_S = 1.0
"""How often Kafka is asked how far it is."""
ASK_S = 3.0
"""A broker that does not answer within it counts as away."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that a page needs, read at one time. The figures depend on `version` alone."""

    now_s: float
    run: int | None
    """The current run: the one with the newest spill. None before the first."""
    book: RunBook
    unattributed: Totals
    """What could not be put down to any run."""
    version: str
    """Changes when the books do."""
    lost: tuple[str, ...] = ()
    """Spills that Kafka no longer had when they were needed, a sentence each."""
    daq: Freshness
    pipeline: Freshness
    store_lost_s: float = 0.0
    """Since when Redis does not answer; 0 if it does. All else is what it last held."""


@dataclass(slots=True)
class _KafkaSeen:
    """What was last seen of ``spills.raw``."""

    ends: list[int] = field(default_factory=list)
    moved_s: float = 0.0
    lost_s: float = 0.0


class Data:
    """Reads for all browsers together: however many ask, the servers are asked once in `refresh_s`.

    Parameters
    ----------
    settings
        Servers, session, topics.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader = BookReader(
            connect(settings), settings.redis.key_prefix, settings.session, settings.kafka.partitions
        )
        self._conditions = ConditionsStore.from_settings(settings)
        self._lock = threading.Lock()
        self._progress: tuple[Progress, ...] | None = None
        self._behind_since_s = 0.0
        self._read_s = 0.0
        self._kafka = _KafkaSeen()
        empty = RunBook(totals=Totals(), ledger={}, book=Book({}))
        waiting = daq(Observed(now_s=0, produced_s=0, raw_moved_s=0, behind=0, behind_since_s=0))
        self._view = View(
            now_s=0, run=None, book=empty, unattributed=Totals(), version="", daq=waiting, pipeline=waiting
        )
        threading.Thread(target=self._watch_kafka, daemon=True, name="kafka-ends").start()

    def view(self) -> View:
        """Return what there is to show now."""
        with self._lock:
            now_s = time.time()
            if now_s - self._read_s >= self._settings.dashboard.refresh_s / 2:
                self._read_s = now_s
                self._view = self._read(now_s)
            return self._view

    def _read(self, now_s: float) -> View:
        try:
            progress = self._reader.progress()
            view = self._view if progress == self._progress else self._read_books(progress)
            self._progress = progress
        except (RedisError, ValueError) as error:
            if not self._view.store_lost_s:
                _log.warning("the store does not answer", error=str(error))
            return replace(self._view, now_s=now_s, store_lost_s=self._view.store_lost_s or now_s)
        seen = self._observe(now_s, progress, run_ended=view.book.totals.ended)
        return replace(view, now_s=now_s, daq=daq(seen), pipeline=pipeline(seen), store_lost_s=0.0)

    def _read_books(self, progress: tuple[Progress, ...]) -> View:
        runs = self._reader.runs()
        numbers = [run for run in runs if run != NO_RUN]
        # The newest spill decides; between runs without any, the one that began last.
        run = max(numbers, key=lambda r: (runs[r].last_us or _begin_us(runs[r]), r), default=None)
        ranges = ranges_of(self._conditions.for_run(run)) if run is not None else {}
        return replace(
            self._view,
            run=run,
            book=self._reader.run(run, ranges) if run is not None else self._view.book,
            unattributed=runs.get(NO_RUN, Totals()),
            version=f"{run}:" + ",".join(str(p.offset) for p in progress),
            lost=tuple(
                f"partition {partition}: messages {start} to {stop - 1} were gone from Kafka when they were needed"
                for partition, p in enumerate(progress)
                for start, stop in p.lost
            ),
        )

    def _observe(self, now_s: float, progress: tuple[Progress, ...], *, run_ended: bool) -> Observed:
        ends = self._kafka.ends or [0] * len(progress)
        behind = sum(max(end - p.raw_end, 0) for end, p in zip(ends, progress, strict=True))
        self._behind_since_s = (self._behind_since_s or now_s) if behind else 0.0
        return Observed(
            now_s=now_s,
            produced_s=max(p.produced_ms for p in progress) / 1000,
            raw_moved_s=self._kafka.moved_s,
            behind=behind,
            behind_since_s=self._behind_since_s,
            kafka_lost_s=self._kafka.lost_s,
            run_ended=run_ended,
        )

    def _watch_kafka(self) -> None:
        """Keep asking how far ``spills.raw`` is, for ever: a thread of its own, so that no page waits for a broker."""
        topic = Topics.of(self._settings).raw
        consumer = Consumer(
            {
                "bootstrap.servers": self._settings.kafka.bootstrap_servers,
                "group.id": "spilldeck-page",  # asked for by the library, joined by nobody
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        while True:
            try:
                partitions = range(self._settings.kafka.partitions)
                ends = [consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=ASK_S)[1] for p in partitions]
            except KafkaException:
                self._kafka.lost_s = self._kafka.lost_s or time.time()
            else:
                if self._kafka.ends and ends != self._kafka.ends:
                    self._kafka.moved_s = time.time()
                self._kafka.ends, self._kafka.lost_s = ends, 0.0
            time.sleep(LOOK_S)


def _begin_us(totals: Totals) -> int:
    return max((said.time_us for said in totals.control.values()), default=0)
