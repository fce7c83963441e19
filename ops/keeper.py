"""Writes what is to outlive a run, when it has ended: its archive. What is written already is not written again.

It may be killed, or run twice: a file is written whole or not at all, and what was missed is made up for at the next
start.
"""

import threading
import time

import structlog
from redis import Redis, RedisError

from ops.archive import archives, write_archive
from schemas.records import NO_RUN, RunState
from streams.books.products import Products
from streams.books.reader import BookReader
from streams.books.registry import state
from streams.errors import SpilldeckError
from streams.settings import Settings

LOOK_S = 2.0
"""Time between two looks at the books."""
_OVER = (RunState.ENDED, RunState.ENDED_WITHOUT_ITS_END)

_log = structlog.get_logger(__name__)


class Keeper:
    """Looks at the books again and again.

    Parameters
    ----------
    settings
        Servers, session, and where archives go.
    redis
        Client that returns bytes.
    """

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        prefix, session = settings.redis.key_prefix, settings.session
        self._reader = BookReader(redis, prefix, session, settings.kafka.partitions)
        self._products = Products(redis, prefix, session)
        self._directory = settings.keeper.archive and settings.keeper.archive.expanduser()
        self._refused: set[int] = set()
        """Runs of which there can be no archive, which was said."""
        self.stopped = threading.Event()
        """Set it to end the keeping."""

    def keep(self) -> None:
        """Look until stopped; a server that is away is waited for."""
        while not self.stopped.is_set():
            try:
                self.look()
            except RedisError as error:
                _log.warning("Redis does not answer", error=str(error))
            self.stopped.wait(LOOK_S)

    def look(self) -> None:
        """Write the archive of each run that has ended and has none."""
        if self._directory is None:
            return
        known, products, now_s = self._reader.runs(), self._products.all(), time.time()
        for run in known.keys() - {NO_RUN} - self._refused:
            its = state(known[run], known, now_s)
            if its in _OVER and run not in products:
                self._products.note(run, self._archive(run))
            elif its is RunState.REOPENED and products.get(run):
                _log.warning("the archive lacks late spills: spilldeck runs archive writes another", run=run)
                self._products.note(run, [])

    def _archive(self, run: int) -> list[str]:
        """Return the name of a run's archive, written now if it was not there; none if it cannot be."""
        directory = self._directory
        assert directory is not None  # noqa: S101 - asked before
        if there := archives(directory, run):
            return there
        try:
            directory.mkdir(parents=True, exist_ok=True)
            made = write_archive(self._settings, self._reader, run, directory)
        except (SpilldeckError, OSError) as error:
            self._refused.add(run)
            _log.error("no archive of a run that has ended", run=run, why=str(error))
            return []
        _log.info("archive of a run that has ended", run=run, file=str(made.file), spills=made.spills)
        return [made.file.name]
