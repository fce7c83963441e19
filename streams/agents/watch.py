"""What a worker does besides: it looks after quiet partitions, and ends itself when it is deaf."""

import os
import threading
import time
from collections.abc import Callable, Collection
from typing import Any

import faust
import structlog

from streams.agents.common import SERVER_ERRORS
from streams.books.partition import Partitions
from streams.books.reading import Reading

WATCH_S = 1.0
"""How often quiet partitions are looked after."""
DEAF_S = 60.0
"""A worker that takes nothing for so long, though there is something and all servers answer, ends itself."""
DEAF_STATUS = 70
"""Its exit status: a fault of the software, as ``sysexits.h`` has it."""

_log = structlog.get_logger(__name__)


class Deafness:
    """Ends the process, from a thread of its own, when nothing has been well for `DEAF_S`.

    So a worker that waits for ever gives its partitions to others, and whoever supervises it starts it again.

    Parameters
    ----------
    progress
        Called whenever all is well: whoever supervises it hears of that.
    """

    def __init__(self, progress: Callable[[], None]) -> None:
        self._progress = progress
        self._silent = 0
        """Looks since something was well: a machine that slept for an hour has not looked meanwhile."""
        threading.Thread(target=self._look, daemon=True, name="deafness").start()

    def well(self) -> None:
        """Take note that something was taken, that nothing waits, or that a server is away."""
        self._silent = 0
        self._progress()

    def _look(self) -> None:
        while self._silent * WATCH_S < DEAF_S:
            self._silent += 1
            time.sleep(WATCH_S)
        _log.critical("nothing was taken for a minute, though there is something: ending", status=DEAF_STATUS)
        os._exit(DEAF_STATUS)


def add_watch(
    app: faust.App,
    raw: Any,
    reading: Reading,
    partitions: Partitions,
    progress: Callable[[], None],
    looked: Callable[[str], None],
) -> None:
    """Give the application the timer that looks after its partitions, see `Deafness` and `Watch`."""
    topic = raw.get_topic_name()
    watching: list[Watch] = []

    @app.timer(WATCH_S)
    async def watch() -> None:
        watching[:] = watching or [Watch(reading, partitions, Deafness(progress).well, looked)]
        await watching[0].look(lambda: {tp.partition for tp in app.consumer.assignment() if tp.topic == topic})


class Watch:
    """Looks after the partitions of a worker.

    Parameters
    ----------
    reading, partitions
        Of the worker.
    well
        Called when something was taken, when nothing waits, and when a server is away.
    looked
        Called after each look, with why a partition could not be looked after; an empty text if all were.
    """

    def __init__(
        self,
        reading: Reading,
        partitions: Partitions,
        well: Callable[[], None],
        looked: Callable[[str], None] = lambda _why: None,
    ) -> None:
        self._reading = reading
        self._partitions = partitions
        self._well = well
        self._looked = looked
        self._written: dict[int, str] = {}

    async def look(self, assigned: Callable[[], Collection[int]]) -> None:
        """Look after the partitions that are the worker's now."""
        waits, why = False, ""
        await self._reading.forget_others(assigned)
        for partition in sorted(assigned()):
            if partition not in assigned():  # it moved meanwhile: whoever has it would lose it to this worker
                continue
            try:
                waits |= not await self._reading.look_after(partition)
            except SERVER_ERRORS as error:
                self._well()
                why = f"{type(error).__name__}: {error}"
                _log.warning("cannot look after a partition", partition=partition, error=why)
        now = {number: known.state.fence for number, known in self._partitions.items()}
        if not waits or now != self._written:
            self._well()
        self._written = now
        self._looked(why)
