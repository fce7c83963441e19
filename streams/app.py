"""The Faust application of a worker: spills.raw → reconstruct → spills.reco → aggregate → Redis."""

import logging
import os
import threading

import faust
import mode.loop

from schemas.wire import MAX_MESSAGE_BYTES
from streams.agents.aggregate import add_aggregate
from streams.agents.common import channels
from streams.agents.reconstruct import add_reconstruct
from streams.agents.registry import add_registry
from streams.conditions.store import ConditionsStore
from streams.log import log_to_stderr
from streams.settings import LIVE, Settings
from streams.transport import PromptTransport

END_S = 10.0
"""A worker that was told to stop ends after it, whatever it still waits for."""
REQUEST_S = 90.0
"""What a broker has to answer a question: Faust's own default."""
METADATA_AGE_MS = 10_000
"""How old what a worker knows of the topics and their brokers may be."""


class _App(faust.App):
    def _create_directories(self) -> None:
        """Make none: nothing is kept in files, and a worker may be started where it cannot write."""

    async def on_stop(self) -> None:
        # While no broker answers, the client would wait for a minute. What counts is in Redis already.
        end = threading.Timer(END_S, os._exit, [1 if self.crash_reason else 0])
        end.daemon = True
        end.start()
        await super().on_stop()


def create_app(settings: Settings) -> faust.App:
    """Return the application of one worker, ready to be run."""
    kafka = settings.kafka
    app = _App(
        f"{kafka.topic_prefix}spilldeck-{settings.session}",
        broker=";".join(f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(",")),
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
        broker_heartbeat_interval=kafka.session_timeout_s / 10,
        # The checkpoint of a worker that lost its partition is refused, so a rebalance need not wait for it.
        stream_wait_empty=False,
        stream_recovery_delay=0.0,
    )
    app.transport = PromptTransport(app.conf.broker_consumer, app)
    topics = channels(app, settings)
    conditions = ConditionsStore.from_settings(settings)
    add_reconstruct(app, topics, settings, conditions.for_run)
    add_aggregate(app, topics, settings, conditions.for_run)
    if settings.session == LIVE:
        add_registry(app, topics, settings)
    return app


def run_worker(settings: Settings) -> None:
    """Run one worker until it is told to stop; ends the process with its status."""
    log_to_stderr()
    # A third less CPU for large messages than asyncio's own loop.
    mode.loop.use("uvloop")
    worker = faust.Worker(create_app(settings), loglevel=logging.WARNING, redirect_stdouts=False, quiet=True)
    worker.execute_from_commandline()
