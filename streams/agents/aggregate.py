"""The agent between spills.reco and the books in Redis."""

import asyncio
import time
from functools import partial
from typing import Any

import faust
import psutil
import structlog
from faust.types import TP
from redis.asyncio import Redis

from schemas.records import RejectedSpill
from schemas.wire import encode
from streams.agents.common import SERVER_ERRORS, Channels, each_batch
from streams.agents.probe import Probe
from streams.agents.tables import BookTable, RunBooks, WindowBooks
from streams.agents.transform import raw_offset_of
from streams.books.aggregator import Aggregator, Incoming, KafkaAccess, TopicAccess
from streams.books.run import Handling
from streams.books.store import CheckpointStore
from streams.process import ConditionsOf, ranges_of
from streams.settings import Settings

WATCH_S = 1.0
"""How often quiet partitions are looked after."""

_log = structlog.get_logger(__name__)


def add_aggregate(app: faust.App, channels: Channels, settings: Settings, conditions_of: ConditionsOf) -> None:
    """Give the application the agent that aggregates, with its two tables."""
    topic = channels.reco.get_topic_name()
    redis = Redis.from_url(settings.redis.url.get_secret_value())
    run_table = BookTable(app, name="run-books", partitions=settings.kafka.partitions)
    window_table = BookTable(app, name="window-books", partitions=settings.kafka.partitions)
    app.tables.add(run_table)
    app.tables.add(window_table).tumbling(settings.books.window_s)

    async def reject(spill: RejectedSpill) -> None:
        await (await channels.rejected.send(key=str(spill.run).encode(), value=encode(spill), force=True))

    aggregator = Aggregator(
        store=CheckpointStore(redis, settings.redis.key_prefix, settings.session),
        kafka=KafkaAccess(
            raw=_access(app, settings, channels.raw), reco=_access(app, settings, channels.reco), reject=reject
        ),
        run_books=RunBooks(run_table),
        window_books=WindowBooks(window_table),
        ranges_of=lambda run: ranges_of(conditions_of(run)),
        window_s=settings.books.window_s,
        windows_kept=settings.books.windows_kept,
        clock=time.monotonic,
        handling=partial(_handling, psutil.Process()),
    )

    async def forget(tp: TP) -> None:
        if tp.topic == topic:
            await aggregator.forget(tp.partition)

    run_table.forget = window_table.forget = forget

    async def step(events: list[Any]) -> None:
        await aggregator.take([_incoming(event) for event in events])

    @app.agent(channels.reco, name="aggregate")
    async def aggregate(stream: Any) -> None:
        await each_batch(stream, settings, step)

    @app.on_before_shutdown.connect
    async def close(*_: Any, **__: Any) -> None:
        await redis.aclose()

    @app.timer(WATCH_S)
    async def watch() -> None:
        partitions = sorted(tp.partition for tp in app.consumer.assignment() if tp.topic == topic)
        try:
            await aggregator.watch(partitions)
        except SERVER_ERRORS as error:
            _log.warning("cannot look after quiet partitions", error=f"{type(error).__name__}: {error}")


def _handling(worker: psutil.Process, produced_ms: int) -> Handling:
    delay_s = max(0.0, time.time() - produced_ms / 1000)
    return Handling(delay_s=delay_s, resident_mb=worker.memory_info().rss / 1e6)


def _access(app: faust.App, settings: Settings, channel: Any) -> TopicAccess:
    name = channel.get_topic_name()
    probe = Probe(settings, name)

    async def seek(partition: int, offset: int) -> None:
        # Faust's `seek` reaches into the consumer from this thread while the consumer's own is at work in it, which has
        # ended workers with a KeyError; this one asks that thread to do it.
        await app.consumer.seek_wait({TP(name, partition): offset})

    return TopicAccess(
        name=name,
        seek=seek,
        first_from=lambda partition, offset: asyncio.to_thread(probe.first_from, partition, offset),
        still_has=lambda partition, offset, at_ms: asyncio.to_thread(probe.still_has, partition, offset, at_ms),
        end=lambda partition: asyncio.to_thread(probe.end, partition),
    )


def _incoming(event: Any) -> Incoming:
    message = event.message
    return Incoming(
        partition=message.partition,
        offset=message.offset,
        raw_offset=raw_offset_of(dict(message.headers or {})),
        produced_ms=round(message.timestamp * 1000),
        value=event.value or b"",  # a message may have none
    )
