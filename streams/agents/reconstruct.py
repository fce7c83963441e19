"""The agent between spills.raw and spills.reco."""

import asyncio
from collections.abc import Iterator
from typing import Any

import faust

from streams.agents.common import Channels, each_batch
from streams.agents.transform import RAW_OFFSET, Source, Transformed, transform
from streams.process import ConditionsOf
from streams.settings import Settings

BYTES_AT_ONCE = 16 << 20
"""Of messages that are on the way to ``spills.reco`` together: some batches of usual spills, or one large message."""


def add_reconstruct(app: faust.App, channels: Channels, settings: Settings, conditions_of: ConditionsOf) -> None:
    """Give the application the agent that reconstructs.

    It may send a spill twice (after a restart, or when the broker's answer was lost); the header with the source
    offset lets the aggregating agent know.
    """

    def transform_all(events: list[Any]) -> list[Transformed]:
        return [
            transform(
                event.value or b"",  # a message may have none
                Source(topic=event.message.topic, partition=event.message.partition, offset=event.message.offset),
                conditions_of,
            )
            for event in events
        ]

    async def step(events: list[Any]) -> None:
        for some in _by_bytes(events):
            await send(some)

    async def send(events: list[Any]) -> None:
        sent = []
        # In a thread, so that heartbeats go out meanwhile.
        for event, message in zip(events, await asyncio.to_thread(transform_all, events), strict=True):
            key = str(message.run).encode()
            if message.rejected is not None:
                sent.append(await channels.rejected.send(key=key, value=message.rejected, force=True))
            sent.append(
                await channels.reco.send(
                    key=key,
                    value=message.value,
                    partition=event.message.partition,
                    timestamp=event.message.timestamp,
                    headers={RAW_OFFSET: str(event.message.offset).encode()},
                    force=True,
                )
            )
        await asyncio.gather(*sent)

    @app.agent(channels.raw, name="reconstruct")
    async def reconstruct(stream: Any) -> None:
        await each_batch(stream, settings, step)


def _by_bytes(events: list[Any]) -> Iterator[list[Any]]:
    """Yield the events in their order, as many at once as have `BYTES_AT_ONCE`, or one that alone has more."""
    some: list[Any] = []
    size = 0
    for event in events:
        length = len(event.value or b"")
        if some and size + length > BYTES_AT_ONCE:
            yield some
            some, size = [], 0
        some.append(event)
        size += length
    if some:
        yield some
