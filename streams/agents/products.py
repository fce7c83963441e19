"""What was reconstructed, written to spills.reco for whoever wants it. Nothing is counted from it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from schemas.wire import MAX_MESSAGE_BYTES, encode
from streams.agents.common import SERVER_ERRORS
from streams.transform import RAW_OFFSET, Outcome

_log = structlog.get_logger(__name__)


class Products:
    """Writes each spill with the offset in ``spills.raw`` that it was made of; twice if it was made twice.

    A spill that cannot be written is left out and said: it counts all the same.

    Parameters
    ----------
    topic
        The one of reconstructed spills, as Faust has it; None where none are to be written.
    """

    def __init__(self, topic: Any) -> None:
        self._topic = topic

    async def send(self, outcomes: Sequence[Outcome]) -> None:
        """Write spills and run control; return when the broker has them, or said that it does not take them."""
        if self._topic is not None:
            values = await asyncio.to_thread(lambda: [encode(outcome.record) for outcome in outcomes])
            await asyncio.gather(*(self._one(o, value) for o, value in zip(outcomes, values, strict=True)))

    async def _one(self, outcome: Outcome, value: bytes) -> None:
        message = outcome.message
        place = {"run": outcome.run, "partition": message.partition, "offset": message.offset}
        if len(value) > MAX_MESSAGE_BYTES:
            _log.warning("too large for spills.reco: left out, and counted", **place, size=len(value))
            return
        try:
            await (
                await self._topic.send(
                    key=str(outcome.run).encode(),
                    value=value,
                    partition=message.partition,
                    timestamp=message.produced_ms / 1000,
                    headers={RAW_OFFSET: str(message.offset).encode()},
                    force=True,
                )
            )
        except SERVER_ERRORS as error:
            _log.warning("left out of spills.reco, and counted", **place, error=f"{type(error).__name__}: {error}")
