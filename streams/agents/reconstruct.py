"""The agent that takes messages of spills.raw, reconstructs them, and passes them on to be counted."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import faust

from streams import metrics
from streams.agents.common import until_it_works
from streams.agents.products import Products
from streams.agents.taking import in_batches
from streams.books.batches import by_bytes
from streams.books.reading import Arrived, Reading
from streams.settings import Settings
from streams.transform import ConditionsOf, Message, Outcome, transform


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What is passed on to be counted."""

    outcomes: list[Outcome]
    events: list[Any]
    """Faust's, to be acknowledged once they are counted."""


def add_reconstruct(
    app: faust.App,
    raw: Any,
    to_aggregate: Any,
    settings: Settings,
    reconstruction: "Reconstruction",
) -> None:
    """Give the application the agent that reconstructs."""

    @app.agent(raw, name="reconstruct")
    async def reconstruct(stream: Any) -> None:
        events: list[Any]
        # Not Faust's own `noack_take`, which lets a spill wait for others, and looks for what came while nothing does.
        async for events in in_batches(stream.noack().events(), settings.books.batch_spills):
            outcomes = await reconstruction.of([_arrived(event) for event in events])
            await pass_on(to_aggregate, Passed(outcomes=outcomes, events=events))


async def pass_on(to_aggregate: Any, passed: Passed) -> None:
    """Wait for room among what is on its way, and pass this on; lost where Faust empties its queues meanwhile.

    It does so when partitions move, and cancels whoever waits for room in one: what waits comes again then, like all
    that was in it (`streams.books.reading.LOST_S`), and is no reason for the worker to end.
    """
    try:
        await to_aggregate.send(value=passed)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is None or task.cancelling():  # it is we who are to end
            raise


class Reconstruction:
    """Takes those of some messages that are next, and reconstructs them.

    Parameters
    ----------
    reading
        Decides which messages are taken.
    products
        Where what comes out is written.
    conditions_of
        Gives a run's conditions.
    compute
        Awaitable: calls a function with arguments in a thread, so that heartbeats go out meanwhile.
    """

    def __init__(
        self, reading: Reading, products: Products, conditions_of: ConditionsOf, compute: Callable[..., Any]
    ) -> None:
        self._reading = reading
        self._products = products
        self._conditions_of = conditions_of
        self._compute = compute

    async def of(self, arrived: Sequence[Arrived]) -> list[Outcome]:
        """Return what is counted of those that are taken; waits while a server that it needs is away."""
        messages = await until_it_works(lambda: self._reading.accept(arrived))
        outcomes: list[Outcome] = []
        for some in by_bytes(messages):
            made = await self._compute(transform_all, some, self._conditions_of)
            await self._products.send(made)
            outcomes += made
        return outcomes


def transform_all(messages: Sequence[Message], conditions_of: ConditionsOf) -> list[Outcome]:
    """Return what is counted of messages."""
    return [transform_one(message, conditions_of) for message in messages]


def transform_one(message: Message, conditions_of: ConditionsOf) -> Outcome:
    """Return what is counted of a message; how long it takes is among the metrics."""
    with metrics.WORKER_RECONSTRUCT.time():
        return transform(message, conditions_of)


def _arrived(event: Any) -> Arrived:
    message = event.message
    return Arrived(
        partition=message.partition,
        offset=message.offset,
        produced_ms=round(message.timestamp * 1000),
        value=event.value or b"",  # a message may have none
    )
