"""Writes what is to outlive a run, when it has ended: its archive. What is written already is not written again.

It may be killed, or run twice: a file is written whole or not at all, and what was missed is made up for at the next
start.
"""

import tempfile
import threading
import time
from pathlib import Path

import structlog
from redis import Redis, RedisError

from ops.archive import archives, write_archive
from ops.replay.checksum import CHECKSUM_SUFFIX
from schemas.records import NO_RUN, RunState
from streams.books.products import Products
from streams.books.reader import BookReader
from streams.books.registry import state
from streams.errors import SpilldeckError
from streams.settings import Settings

LOOK_S = 2.0
"""Time between two looks at the books."""

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
        self._reader = BookReader.of(redis, settings)
        self._products = Products(redis, settings.redis.key_prefix, settings.session)
        self._directory = settings.keeper.archive and settings.keeper.archive.expanduser()
        self._refused: set[int] = set()
        """Runs of which there can be no archive, which was said; asked again at the next start."""
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
            if its.is_over and not products.get(run):
                self._archive(run, again=run in products)
            elif its is RunState.REOPENED and products.get(run):
                self._products.note(run, [])  # to be written again, with the late spills

    def _archive(self, run: int, *, again: bool) -> None:
        """Have a run's archive written; one that is there stays unless it is to be written again."""
        directory = self._directory
        assert directory is not None  # noqa: S101 - asked before
        there = archives(directory, run)
        if there and not again:
            self._products.note(run, there)
            return
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=directory) as new:
                made = write_archive(self._settings, self._reader, run, Path(new))
                # Each before its checksum, and the new checksum before the new file: none has a wrong one.
                for name in there:
                    (directory / name).unlink()
                    (directory / (name + CHECKSUM_SUFFIX)).unlink(missing_ok=True)
                for name in (made.file.name + CHECKSUM_SUFFIX, made.file.name):
                    (Path(new) / name).rename(directory / name)
        except (SpilldeckError, OSError) as error:
            self._refused.add(run)
            _log.error("no archive of a run that has ended", run=run, why=str(error))
            return
        self._products.note(run, [made.file.name])
        _log.info("archive of a run that has ended", run=run, file=made.file.name, spills=made.spills)
