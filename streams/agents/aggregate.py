"""The agent that counts what was reconstructed: books in Faust's tables, and a checkpoint in Redis for each batch."""

from collections.abc import Sequence
from typing import Any

import faust

from streams.agents.common import until_it_works
from streams.agents.state import WorkerState
from streams.books.counter import Counter
from streams.transform import Outcome


def add_aggregate(app: faust.App, from_reconstruct: Any, counter: Counter, state: WorkerState) -> None:
    """Give the application the agent that aggregates."""

    @app.agent(from_reconstruct, name="aggregate")
    async def aggregate(stream: Any) -> None:
        async for passed in stream:
            await count(passed.outcomes, counter)
            state.counted(passed.outcomes)
            for event in passed.events:
                event.ack()


async def count(outcomes: Sequence[Outcome], counter: Counter) -> None:
    """Bring messages into the books, as far as they are next; waits while a server that it needs is away."""
    by_partition: dict[int, list[Outcome]] = {}
    for outcome in outcomes:
        by_partition.setdefault(outcome.message.partition, []).append(outcome)
    for partition, theirs in by_partition.items():
        await until_it_works(lambda p=partition, o=theirs: counter.take(p, o))  # type: ignore[misc]
