"""Which old runs leave Redis: those of which the archive has every message, and the products are of the newest book."""

import time
from collections.abc import Mapping
from pathlib import Path

import structlog
from redis import Redis

from ops.archive import SUFFIX, lacking
from schemas.records import NO_RUN
from streams.books.decisions import Decisions
from streams.books.kept_run import Edition, edition_there
from streams.books.layout import Place
from streams.books.promotions import Promoted
from streams.books.reader import BookReader
from streams.books.retiring import Retiring
from streams.books.totals import Totals
from streams.daq.archive_file import contents_of
from streams.errors import UsageError
from streams.settings import KeeperSettings, Settings

BACK_S = 86_400.0
"""A run that somebody wanted back stays so long."""
AT_ONCE = 20
"""So many runs are asked to leave at a look: live goes on between the checkpoints that it takes."""

_log = structlog.get_logger(__name__)


class Retirement:
    """Asks runs to leave.

    Parameters
    ----------
    settings
        How many stay, and where their files are.
    redis
        Client that returns bytes; its errors are passed on.
    """

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings = settings
        self._live = BookReader.of(redis, settings)
        self._retiring = Retiring(redis, settings.redis.key_prefix, settings.session)
        self._stays: dict[int, str] = {}
        """Runs that cannot leave, and why, which was said."""

    def look(self, over: Mapping[int, Place], promoted: Promoted, decisions: Decisions) -> None:
        """Ask those that are due.

        Parameters
        ----------
        over
            The runs that have ended, as live has them, and of which nothing is being made again.
        """
        pinned = {pins[-1].run for pins in decisions.pins.values() if pins and not pins[-1].book}
        asked = 0
        for run in self._due(over):
            is_wanted = run in pinned or time.time() - self._retiring.restored_s(run) < BACK_S
            if is_wanted or run in promoted.lost:
                continue
            totals = self._live.totals(run)
            why = self._stays_for(run, totals, promoted.shown.get(run, self._settings.session))
            if not why:
                self._retiring.ask(run, totals.last_raw)
                asked += 1
            elif self._stays.get(run) != why:
                self._stays[run] = why
                _log.warning("an old run stays in Redis", run=run, why=why)
            if asked == AT_ONCE:
                return

    def _due(self, over: Mapping[int, Place]) -> list[int]:
        """Return the runs that are older than what is kept, the oldest first."""
        kept, now_ms = self._settings.keeper, time.time() * 1000
        known = self._live.places()
        newest = sorted((run for run in known if run != NO_RUN), key=lambda run: -known[run].first_ms)
        old = set(newest[kept.runs_kept :]) if kept.runs_kept is not None else set()
        if kept.days_kept is not None:
            old |= {run for run in newest if now_ms - known[run].produced_ms > kept.days_kept * 86_400_000}
        return [
            run for run in reversed(newest) if run in old and run in over and known[run].retired < known[run].partitions
        ]

    def _stays_for(self, run: int, totals: Totals, session: str) -> str:
        """Return why a run cannot leave; empty if it can."""
        archive, products = _directories(self._settings.keeper)
        edition = edition_there(products, run)
        if Edition(session=session, produced_ms=totals.produced_ms).is_due_after(edition):
            return f"its newest book is not in {products}"
        try:
            lacks = lacking(contents_of(archive / f"{run:08d}.{SUFFIX}"), totals)
        except UsageError as error:
            return str(error)
        return f"its archive has not all of partition {lacks[0]}" if lacks else ""


def _directories(kept: KeeperSettings) -> tuple[Path, Path]:
    """Return where archives and products are."""
    if kept.archive is None or kept.products is None:
        raise ValueError("runs leave only where they are written to files")
    return kept.archive.expanduser(), kept.products.expanduser()
