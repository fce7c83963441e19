"""Processes and servers: what it takes to ask one, and what becomes of it when one of both is away."""

import asyncio
import random
import zlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any


class Trace:
    """All that happened, as one number: the same seed gives the same."""

    def __init__(self) -> None:
        self.steps = 0
        self.digest = 0

    def note(self, what: str) -> None:
        self.steps += 1
        self.digest = zlib.crc32(what.encode(), self.digest)


class Server:
    """What Kafka and Redis have in common.

    Parameters
    ----------
    rng
        Decides how long answers take.
    error
        Makes what its clients raise when it does not answer.
    """

    def __init__(self, rng: random.Random, trace: Trace, error: Callable[[str], Exception]) -> None:
        self._rng = rng
        self._error = error
        self.trace = trace
        self.is_away = False
        self.slow_s = 0.0
        """How long an answer takes at most."""
        self.busy = 0.1
        """How often it takes a while to come."""
        self.loses_answers = 0.0
        """How often it does what it was asked, and the answer is lost."""

    def delay_s(self) -> float:
        """Return how long the next answer takes."""
        rng = self._rng
        if self.slow_s:
            return rng.random() * self.slow_s
        return rng.random() * 0.02 if rng.random() < self.busy else 0.0

    def check(self) -> None:
        """Raise what a client does when it is away."""
        if self.is_away:
            raise self._error("it does not answer")

    def lose_answer(self) -> None:
        """Raise what a client does when it hears nothing of what it asked for, now and then."""
        if self.loses_answers and self._rng.random() < self.loses_answers:
            raise self._error("the answer was lost")

    def heal(self) -> None:
        """Answer everybody at once."""
        self.is_away, self.slow_s, self.loses_answers = False, 0.0, 0.0


class Host:
    """A process: its tasks, which may be killed or stopped for a while wherever they wait for somebody else.

    Parameters
    ----------
    name
        For the trace.
    on_crash
        Called when one of its tasks raises something.
    """

    def __init__(self, name: str, on_crash: Callable[["Host", BaseException], None]) -> None:
        self.name = name
        self.is_dead = False
        self._on_crash = on_crash
        self._goes_on: asyncio.Event | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_stopped(self) -> bool:
        """Whether it does nothing for a while."""
        return self._goes_on is not None

    def begin(self, *tasks: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Begin tasks."""
        self._tasks += [asyncio.get_running_loop().create_task(self._guarded(task)) for task in tasks]

    async def _guarded(self, task: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            await self.turn()
            await task()
        except asyncio.CancelledError:
            if not self.is_dead:
                raise
        except BaseException as error:  # noqa: BLE001 - it ends the process, and the simulation says so
            self.kill()
            self._on_crash(self, error)

    def kill(self) -> None:
        """End at once."""
        self.is_dead = True
        for task in self._tasks:
            task.cancel()

    def stop(self) -> None:
        """Do nothing any more, as after SIGSTOP."""
        self._goes_on = self._goes_on or asyncio.Event()

    def go_on(self) -> None:
        """Go on where it was stopped."""
        if self._goes_on is not None:
            self._goes_on.set()
            self._goes_on = None

    async def ask(self, server: Server, call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Return what a server answers."""
        await self._pause(server)
        server.check()
        server.trace.note(f"{self.name} {call.__name__} {arguments[:1]}")
        answer = call(*arguments, **named)
        await self._pause(server)
        server.lose_answer()
        return answer

    async def _pause(self, server: Server) -> None:
        if delay_s := server.delay_s():
            await asyncio.sleep(delay_s)
        await self.turn()

    async def turn(self) -> None:
        """Wait while it is stopped; raise `CancelledError` if it is dead."""
        while self._goes_on is not None:
            await self._goes_on.wait()
        if self.is_dead:
            raise asyncio.CancelledError

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)
        await self.turn()


Ask = Callable[..., Awaitable[Any]]
