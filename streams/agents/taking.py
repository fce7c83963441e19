"""What comes is taken in batches: all that came while the last one was worked on, or soon after its first."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TypeVar

_T = TypeVar("_T")


async def in_batches(events: AsyncIterator[_T], most: int, within_s: float) -> AsyncIterator[list[_T]]:
    """Yield what comes, in its order; when it ends by an error, that is raised behind all that came.

    While a batch is worked on, the next one is gathered, so batches grow with what is behind. While nothing comes, no
    loop turns.

    Parameters
    ----------
    most
        The most that is taken at once, and that is gathered.
    within_s
        The longest that the first one waits for others.
    """
    loop = asyncio.get_running_loop()
    come: asyncio.Queue[tuple[float, _T] | None] = asyncio.Queue()
    room = asyncio.Semaphore(most)

    async def gather() -> None:
        async for one in events:
            await room.acquire()
            come.put_nowait((loop.time(), one))

    gathering = loop.create_task(gather())
    gathering.add_done_callback(lambda _: come.put_nowait(None))
    try:
        while (first := await come.get()) is not None:
            at_s, one = first
            some = [one]
            with suppress(TimeoutError):
                async with asyncio.timeout_at(at_s + within_s):
                    while len(some) < most:
                        if (another := await come.get()) is None:
                            come.put_nowait(None)
                            break
                        some.append(another[1])
            for _ in some:
                room.release()
            yield some
        await gathering
    finally:
        gathering.cancel()
