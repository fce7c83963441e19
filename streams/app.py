"""The Faust application of a worker: spills.raw → reconstruct → aggregate → Redis."""

import asyncio
import ctypes
import os
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import replace
from functools import partial

import mode.loop
import psutil
import structlog

from schemas.wire import MAX_MESSAGE_BYTES
from streams import metrics
from streams.agents.aggregate import add_aggregate
from streams.agents.common import channels, one_after_another
from streams.agents.faust_private import App, BookTable, PromptTransport, Worker
from streams.agents.kafka_access import kafka_log
from streams.agents.moving import Moving, add_moving
from streams.agents.products import Products
from streams.agents.reconstruct import Reconstruction, add_reconstruct
from streams.agents.registry import add_registry
from streams.agents.repairs import Repairs, add_repairs, read_from_kafka
from streams.agents.state import WorkerState, add_state
from streams.agents.watch import add_watch
from streams.agents.witness import witnessed
from streams.books.connect import connect_async
from streams.books.counter import Counter
from streams.books.partition import Filling, Partitions
from streams.books.reading import Reading
from streams.books.run import Handling
from streams.books.store import CheckpointStore
from streams.conditions.store import ConditionsStore
from streams.health.server import serve
from streams.health.state import Health
from streams.kafka.clients import faust_broker
from streams.kafka.large_batches import bound_batches
from streams.moving import Start
from streams.process import plot_ranges
from streams.settings import LIVE, Settings
from streams.starting import begin_log

_log = structlog.get_logger(__name__)

END_S = 10.0
"""A worker that was told to stop ends after it, whatever it still waits for."""
REQUEST_S = 90.0
"""What a broker has to answer a question: Faust's own default."""
HEARTBEAT_S = 0.3
"""Between two words to the broker that a worker is alive, of which the answer is whether partitions move."""
METADATA_AGE_MS = 10_000
"""How old what a worker knows of the topics and their brokers may be."""
_M_ARENA_MAX = -8
"""Of glibc's malloc.h."""
ON_THE_WAY = 1
"""Batches between the two agents: one is reconstructed while another is counted."""


class _App(App):
    moving: Moving
    health: Health

    async def on_stop(self) -> None:
        # While no broker answers, the client would wait for a minute. What counts is in Redis already.
        end = threading.Timer(END_S, self._end, [1 if self.crash_reason else 0])
        end.daemon = True
        end.start()
        await super().on_stop()

    def _end(self, status: int) -> None:
        try:
            self.moving.become()
        finally:
            os._exit(status)


def create_app(settings: Settings) -> _App:
    """Return the application of one worker, ready to be run."""
    kafka = settings.kafka
    app = _App(
        f"{kafka.topic_prefix}spilldeck-{settings.session}",
        **faust_broker(kafka),
        store="memory://",
        web_enabled=False,
        topic_partitions=kafka.partitions,
        topic_replication_factor=kafka.replication,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=kafka.fetch_kib * 1024,
        # A topic that is made anew is found again within it; the client's own five minutes are a quarter of a run.
        consumer_metadata_max_age_ms=METADATA_AGE_MS,
        stream_buffer_maxsize=kafka.messages_ahead,
        producer_acks=-1,
        producer_compression_type="zstd",
        producer_max_request_size=MAX_MESSAGE_BYTES,
        broker_commit_interval=0.5,
        broker_session_timeout=kafka.session_timeout_s,
        # Faust refuses less than the session's time.
        broker_request_timeout=max(REQUEST_S, kafka.session_timeout_s),
        broker_heartbeat_interval=HEARTBEAT_S,
        # The checkpoint of a worker that lost its partition is refused, so a rebalance need not wait for it.
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
        # What is no one spill's fault ends the process, so that its partitions move: by default the agent would be
        # started again, and never get another message.
        agent_supervisor="mode.CrashingSupervisor",
    )
    bound_batches()
    app.transport = PromptTransport(app.conf.broker_consumer, app)
    _add_parts(app, settings)
    return app


def _add_parts(app: _App, settings: Settings) -> None:
    """Give the application its agents, tables, and what they work with."""
    topics = channels(app, settings)
    conditions = ConditionsStore.from_settings(settings)
    for why in conditions.problems():
        _log.error("some runs have no conditions", why=why)
    conditions_of = conditions.for_run
    redis = connect_async(settings)
    compute = one_after_another()
    run_books = BookTable(app, name="run-books", partitions=settings.kafka.partitions)
    window_books = BookTable(app, name="window-books", partitions=settings.kafka.partitions)
    app.tables.add(run_books)
    app.tables.add(window_books).tumbling(settings.books.window_s)

    partitions = Partitions()
    store = CheckpointStore(redis, settings.redis.key_prefix, settings.session)
    state = WorkerState(partitions)
    log = kafka_log(app, settings, topics)
    log = replace(log, span=state.noting(log.span))
    filling = Filling(
        run_books=run_books,
        window_books=window_books,
        ranges_of=lambda run: plot_ranges(run, conditions_of),
        window_s=settings.books.window_s,
        windows_kept=settings.books.windows_kept,
        handling=partial(_handling, psutil.Process()),
        compute=compute,
    )
    writer = uuid.uuid4().hex[:8]
    counter = Counter(store=store, kafka=log, partitions=partitions, filling=filling, writer=writer)
    reading = Reading(counter=counter, kafka=log, store=store, partitions=partitions, clock=time.monotonic)

    run_books.on_moved = window_books.on_moved = counter.forget_all
    reco = topics.reco if settings.session == LIVE and settings.kafka.keep_reconstructed else None
    products = Products(reco, compute)
    between = app.channel(maxsize=ON_THE_WAY)
    add_reconstruct(app, topics.raw, between, settings, Reconstruction(reading, products, conditions_of, compute))
    add_aggregate(app, between, counter, state)
    repairs = Repairs(
        log=log,
        read=read_from_kafka(settings, topics.raw.get_topic_name()),
        counter=counter,
        partitions=partitions,
        conditions_of=conditions_of,
        in_thread=asyncio.to_thread,
        compute=compute,
    )
    app.health = add_state(app, topics.raw, settings, state)
    add_watch(app, topics.raw, reading, partitions, app.health.progress, state.looked)
    add_repairs(app, repairs)
    if settings.session == LIVE:
        add_registry(app, topics, settings)
    app.moving = add_moving(app, redis, settings, Start())

    @app.on_before_shutdown.connect
    async def close(*_: object, **__: object) -> None:
        await redis.aclose()


def _handling(worker: psutil.Process, produced_ms: int) -> Handling:
    delay_s = max(0.0, time.time() - produced_ms / 1000)
    metrics.WORKER_DELAY.observe(delay_s)
    return Handling(delay_s=delay_s, resident_mb=worker.memory_info().rss / 1e6)


def _have_one_heap() -> None:
    """Have all threads take memory from one heap, where the system's library lets us choose.

    By default each thread fills one of its own with large messages and gives little of it back: a sixth more memory.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)


def run_worker(settings: Settings) -> None:
    """Run one worker until it is told to stop; ends the process with its status, or becomes another release's."""
    begin_log("worker", settings)
    _have_one_heap()
    # A third less CPU for large messages than asyncio's own loop.
    mode.loop.use("uvloop")
    on_named = witnessed(settings)
    app = create_app(settings)
    app.on_named = on_named
    serve(settings, app.health)
    try:
        Worker(app).execute_from_commandline()
    finally:
        app.moving.become()
