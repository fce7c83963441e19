"""Keeps the account of the runs: their records in the topic ``runs`` and in Redis, and the archive of each at its end.

Everything it writes follows from the books, so it may be killed, or run twice: what is written already is not written
again, and what was missed is made up for at the next start.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import cast

import structlog
from confluent_kafka import KafkaError, Message, Producer
from redis import Redis, RedisError

from ops.archive import archives, write_archive
from schemas.records import NO_RUN, RunRecord, RunState
from schemas.wire import WireError, decode, encode
from streams.books.promotions import Promotions
from streams.books.reader import BookReader
from streams.books.registry import record, state
from streams.errors import SpilldeckError
from streams.kafka import POLL_S, queue, writer
from streams.settings import Settings
from streams.topics import Topics

LOOK_S = 1.0
"""Time between two looks at the books."""
COUNTERS_S = 10.0
"""A record whose counters alone have changed is written after so long; one whose state has, at once."""
_OVER = (RunState.ENDED, RunState.ENDED_WITHOUT_ITS_END)

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Written:
    """The newest record of a run, and when it was written."""

    record: RunRecord
    at_s: float


class Keeper:
    """Looks at the books again and again.

    Parameters
    ----------
    settings
        Servers, session, and where archives go.
    redis
        Client that returns bytes.
    """

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._redis = redis
        self._reader = BookReader(
            redis,
            settings.redis.key_prefix,
            settings.session,
            settings.kafka.partitions,
            Promotions(redis, settings.redis.key_prefix).all,
        )
        self._key = registry_key(settings)
        self._topic = Topics.of(settings).runs
        self._producer: Producer = writer(settings, message_timeout_ms=0)
        self.stopped = threading.Event()
        """Set it to end the keeping."""
        self._written: dict[int, _Written] | None = None
        self._archived: set[int] = set()
        """Runs of which nothing more is to be archived: it is done, or it failed and said so."""

    def keep(self) -> None:
        """Look until stopped; a server that is away is waited for."""
        while not self.stopped.is_set():
            try:
                self.look()
            except RedisError as error:
                _log.warning("Redis does not answer", error=str(error))
                self._written = None  # it may come back as another one
            self.stopped.wait(LOOK_S)

    def look(self) -> None:
        """Write what has changed since the last look."""
        if self._written is None:
            self._written = {run: _Written(known, 0.0) for run, known in stored_records(self._redis, self._key).items()}
        known = self._reader.runs()
        known.pop(NO_RUN, None)
        now_s = time.time()
        for run, totals in known.items():
            new = record(run, totals, state(totals, known, now_s))
            last = self._written.get(run)
            products = last.record.products if last is not None else []
            if new.state in _OVER and run not in self._archived:
                products = self._archive(run, products)
            elif new.state is RunState.REOPENED and products:
                _log.warning("the archive lacks late spills: spilldeck runs archive writes another", run=run)
                products = []
            new = replace(new, products=products)
            if last is not None and new == last.record:
                continue
            urgent = last is None or (new.state, new.products) != (last.record.state, last.record.products)
            if urgent or now_s - last.at_s > COUNTERS_S:  # type: ignore[union-attr]
                self._write(new, now_s)

    def _write(self, new: RunRecord, now_s: float) -> None:
        """Send a record, and note in Redis that Kafka has it."""
        message, answers = encode(new), list[KafkaError | None]()

        def on_delivery(error: KafkaError | None, _message: Message) -> None:
            answers.append(error)

        queue(self._producer, self._topic, message, key=str(new.run), partition=0, on_delivery=on_delivery)
        while not answers:
            self._producer.poll(POLL_S)
            if self.stopped.is_set():
                return
        if answers[0] is not None:
            _log.error("Kafka refuses the record of a run", run=new.run, error=answers[0].str())
            return
        self._redis.hset(self._key, str(new.run), message)
        assert self._written is not None  # noqa: S101 - `look` has read it
        self._written[new.run] = _Written(new, now_s)
        _log.info("record of a run", run=new.run, state=new.state.value, spills=new.spills)

    def _archive(self, run: int, products: list[str]) -> list[str]:
        """Return the products of a run, with its archive if one is wanted and can be written."""
        self._archived.add(run)
        if self._settings.keeper.archive is None or products:
            return products
        directory = self._settings.keeper.archive.expanduser()
        if there := archives(directory, run):
            return there
        try:
            directory.mkdir(parents=True, exist_ok=True)
            made = write_archive(self._settings, self._reader, run, directory)
        except (SpilldeckError, OSError) as error:
            _log.error("no archive of a run that has ended", run=run, why=str(error))
            return products
        _log.info("archive of a run that has ended", run=run, file=str(made.file), spills=made.spills)
        return [made.file.name]


def registry_key(settings: Settings) -> str:
    """Return the name of the hash that has the newest record of each run."""
    return f"{settings.redis.key_prefix}:{settings.session}:records"


def stored_records(redis: Redis, key: str) -> Mapping[int, RunRecord]:
    """Return the newest record of each run, as Redis has it; what cannot be read is left out, to be written again."""
    found = {}
    for run, message in cast("dict[bytes, bytes]", redis.hgetall(key)).items():
        try:
            known = decode(message)
        except WireError:
            continue
        if isinstance(known, RunRecord):
            found[int(run)] = known
    return found
