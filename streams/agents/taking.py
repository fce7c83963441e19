"""What comes is taken in batches: one alone at once, and then all that came while the last batch was worked on."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

_T = TypeVar("_T")


async def in_batches(events: AsyncIterator[_T], most: int) -> AsyncIterator[list[_T]]:
    """Yield what comes, in its order; when it ends by an error, that is raised behind all that came.

    So none waits for others, and batches grow with what is behind. While nothing comes, no loop turns.

    Parameters
    ----------
    most
        The most that is taken at once, and that is gathered meanwhile.
    """
    come: asyncio.Queue[_T | None] = asyncio.Queue()
    room = asyncio.Semaphore(most)

    async def gather() -> None:
        async for one in events:
            await room.acquire()
            come.put_nowait(one)

    gathering = asyncio.create_task(gather())
    gathering.add_done_callback(lambda _: come.put_nowait(None))
    try:
        while (one := await come.get()) is not None:
            some = [one]
            while len(some) < most and not come.empty():
                if (another := come.get_nowait()) is None:
                    come.put_nowait(None)
                    break
                some.append(another)
            for _ in some:
                room.release()
            yield some
        await gathering
    finally:
        gathering.cancel()
