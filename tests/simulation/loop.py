"""An event loop whose time jumps to the next timer: no real time passes, and nothing depends on it."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import greenlet

BEGIN_S = 1_790_000_000.0
"""Virtual time in which a simulation begins, seconds since 1970 UTC."""

_T = TypeVar("_T")


class StuckError(Exception):
    """Everything waits, and nothing is to come."""


class _Selector:
    """Waits for nothing, as there are no files: it has the time jump instead."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StuckError("everything waits, and no timer is set")
        self._loop.jump(timeout)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs tasks in an order that depends on them alone."""

    def __init__(self) -> None:
        super().__init__()
        self._now = BEGIN_S
        self._clock_resolution = 1e-6  # what is due is so in spite of rounding
        self._selector = _Selector(self)

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        """Have time pass."""
        self._now += max(seconds, 0.0)

    def _process_events(self, events: list[Any]) -> None:
        """Do nothing: there are none."""

    def _write_to_self(self) -> None:
        """Do nothing: nobody waits for a file that would have to be woken."""


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Return what a coroutine returns in a loop of its own."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


async def _end(left: set[asyncio.Task[Any]]) -> None:
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


async def in_greenlet(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call blocking code, in which others have their turns wherever it waits with `wait_for`."""
    code = greenlet.greenlet(call)
    waited = code.switch(*arguments)
    while not code.dead:
        try:
            answer = await waited
        except BaseException as error:  # noqa: BLE001 - the code decides what becomes of it
            waited = code.throw(error)
        else:
            waited = code.switch(answer)
    return waited


def wait_for(awaitable: Coroutine[Any, Any, _T]) -> _T:
    """Wait in code that `in_greenlet` calls."""
    answer: _T = greenlet.getcurrent().parent.switch(awaitable)
    return answer
