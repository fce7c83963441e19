"""What was reconstructed, written to spills.reco for whoever wants it. Nothing is counted from it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from schemas.known import WireError
from schemas.wire import encode
from streams.agents.common import SERVER_ERRORS
from streams.experiment import experiment
from streams.transform import RAW_OFFSET, Outcome

_log = structlog.get_logger(__name__)


class Products:
    """Writes each spill with the offset in ``spills.raw`` that it was made of; twice if it was made twice.

    A spill that cannot be written is left out and said: it counts all the same.

    Parameters
    ----------
    topic
        The one of reconstructed spills, as Faust has it; None where none are to be written.
    compute
        Awaitable: calls a function with arguments in a thread.
    """

    def __init__(self, topic: Any, compute: Callable[..., Any]) -> None:
        self._topic = topic
        self._compute = compute

    async def send(self, outcomes: Sequence[Outcome]) -> None:
        """Write spills and run control; return when the broker has them, or said that it does not take them."""
        if self._topic is None:
            return
        values = await self._compute(_messages, outcomes)
        # Given to the client one after the other: they lie in the topic in the order of their offsets.
        sent = [await self._begin(outcome, value) for outcome, value in zip(outcomes, values, strict=True)]
        for outcome, future in zip(outcomes, sent, strict=True):
            try:
                if future is not None:
                    await future
            except SERVER_ERRORS as error:
                _left_out(outcome, f"{type(error).__name__}: {error}")

    async def _begin(self, outcome: Outcome, value: bytes | None) -> Awaitable[Any] | None:
        """Give a message to the client; return what tells when the broker has it."""
        if value is None:
            return None
        message = outcome.message
        try:
            sent: Awaitable[Any] = await self._topic.send(
                key=str(outcome.run).encode(),
                value=value,
                partition=message.partition,
                timestamp=message.produced_ms / 1000,
                headers={RAW_OFFSET: str(message.offset).encode()},
                force=True,
            )
        except SERVER_ERRORS as error:
            _left_out(outcome, f"{type(error).__name__}: {error}")
            return None
        return sent


def _messages(outcomes: Sequence[Outcome]) -> list[bytes | None]:
    return [_message(outcome) for outcome in outcomes]


def _message(outcome: Outcome) -> bytes | None:
    """Return what is written of a spill; None of one that nobody could read."""
    try:
        return encode(outcome.record, experiment().tables)
    except WireError as error:
        _left_out(outcome, str(error))
        return None


def _left_out(outcome: Outcome, why: str) -> None:
    place = {"run": outcome.run, "partition": outcome.message.partition, "offset": outcome.message.offset}
    _log.warning("left out of spills.reco, and counted", **place, why=why)
