"""What comes is taken in batches: as much as comes within a time of the first. While nothing comes, no loop turns."""

import asyncio
from collections.abc import AsyncIterator
from typing import TypeVar

_T = TypeVar("_T")


async def in_batches(events: AsyncIterator[_T], most: int, within_s: float) -> AsyncIterator[list[_T]]:
    """Yield what comes, in its order.

    Parameters
    ----------
    most
        The most that is taken at once.
    within_s
        The longest that the first one waits for others.
    """
    loop = asyncio.get_running_loop()
    coming = loop.create_task(_next(events))
    try:
        while (first := await coming) is not None:
            some, until_s = [first], loop.time() + within_s
            coming = loop.create_task(_next(events))
            while len(some) < most:
                come, _ = await asyncio.wait([coming], timeout=until_s - loop.time())
                if not come or (one := coming.result()) is None:
                    break
                some.append(one)
                coming = loop.create_task(_next(events))
            yield some
    finally:
        coming.cancel()


async def _next(events: AsyncIterator[_T]) -> _T | None:
    """Return what comes next; None at the end."""
    return await anext(events, None)
