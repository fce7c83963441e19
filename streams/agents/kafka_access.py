"""What a worker asks of Kafka: seeks of its consumer, what a topic has, and messages to spills.rejected."""

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import faust
from aiokafka.errors import IllegalStateError, MessageSizeTooLargeError
from faust.types import TP

from schemas.records import MAX_TEXT, RejectedSpill
from schemas.wire import encode
from streams import metrics
from streams.agents.common import SERVER_ERRORS, Channels
from streams.books.kafka_log import KafkaLog, Known
from streams.books.known_runs import KnownRuns
from streams.kafka.probe import Probe
from streams.settings import LIVE, Settings


def kafka_log(app: faust.App, settings: Settings, channels: Channels) -> KafkaLog:
    """Return what is asked about the raw spills of these settings."""
    name = channels.raw.get_topic_name()
    probe = Probe(settings, name)
    runs = KnownRuns(settings, channels.runs.get_topic_name())

    async def seek(partition: int, offset: int) -> None:
        # Faust's `seek` reaches into the consumer from this thread while the consumer's own is at work in it, which has
        # ended workers with a KeyError; this one asks that thread to do it.
        with suppress(IllegalStateError):  # it moved to another worker, which goes there by itself
            await app.consumer.seek_wait({TP(name, partition): offset})

    async def reject(spill: RejectedSpill) -> None:
        try:
            await _send(channels.rejected, spill)
        except SERVER_ERRORS as error:
            if not _is_too_large(error):
                raise
            kept = f" (its bytes are too many for spills.rejected: see {name}[{spill.partition}] at {spill.offset})"
            reason = spill.reason[: MAX_TEXT - len(kept)] + kept
            await _send(channels.rejected, replace(spill, payload=b"", reason=reason))
        metrics.rejected(spill.step)

    async def known(partition: int) -> Known:
        if settings.session != LIVE:
            return Known()  # it says where live's are
        return await asyncio.to_thread(lambda: runs.of(probe.id(), partition))

    return KafkaLog(
        name=name,
        id=lambda: asyncio.to_thread(probe.id),
        epoch=lambda partition: asyncio.to_thread(probe.epoch, partition),
        span=lambda partition: asyncio.to_thread(probe.span, partition),
        first_from=lambda partition, offset: asyncio.to_thread(probe.first_from, partition, offset),
        still_has=lambda partition, offset, at_ms: asyncio.to_thread(probe.still_has, partition, offset, at_ms),
        seek=seek,
        known=known,
        reject=reject,
        now_s=time.time,
    )


async def _send(topic: Any, spill: RejectedSpill) -> None:
    await (await topic.send(key=str(spill.run).encode(), value=encode(spill), force=True))


def _is_too_large(error: BaseException) -> bool:
    return isinstance(error, MessageSizeTooLargeError) or isinstance(error.__cause__, MessageSizeTooLargeError)
