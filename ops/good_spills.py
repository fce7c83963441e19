"""The spills of runs for a good-spill list: from their books, or else made again from their archives."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from redis import Redis

from ops.archive import SUFFIX
from ops.replay.checks import refuse_a_running_run
from ops.replay.checksum import check_archive
from schemas.records import NO_RUN
from streams.books.decisions import Decisions
from streams.books.good_spills import RunSpills
from streams.books.lag import behind
from streams.books.promotions import Promoted, Promotions
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.archive_file import contents_of
from streams.daq.sources import read_source
from streams.errors import SpilldeckError, UsageError
from streams.kafka import topic_spans
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics

WAIT_S = 10.0
"""For workers to count what Kafka had when somebody asked."""


class SpillSource:
    """Gives the spills of runs that are over.

    Parameters
    ----------
    settings, redis
        Where the books are.
    decisions
        What people had decided: whose book a run has, and its flags.
    archives
        Directory of the archives; None if there is none.
    """

    def __init__(self, settings: Settings, redis: Redis, decisions: Decisions, archives: Path | None) -> None:
        self._settings, self._redis, self._decisions = settings, redis, decisions
        self._archives = archives.expanduser() if archives is not None else None
        self._promoted: Promoted = Promotions(redis, settings.redis.key_prefix).of(decisions)
        self._live = BookReader.of(redis, settings)
        self._places = self._live.places()
        self._is_whole = False
        self._conditions = ConditionsStore.from_settings(settings)

    def there(self, first: int, last: int) -> list[int]:
        """Return the runs of a range of which anybody knows: the books, the archives, or whoever flagged them."""
        found = {*self._places, *self._decisions.flags, *self._promoted.all} - {NO_RUN}
        if self._archives is not None:
            names = (path.name.partition(".")[0] for path in self._archives.glob(f"*.{SUFFIX}"))
            found |= {int(name) for name in names if name.isdigit()}
        return sorted(run for run in found if first <= run <= last)

    def of(self, runs: Sequence[int]) -> Iterator[RunSpills]:
        """Yield the spills of each.

        Raises
        ------
        SpilldeckError
            When a run is not over, or is whole nowhere.
        """
        for run in runs:
            yield self._from_books(run) or self._from_archive(run)

    def _from_books(self, run: int) -> RunSpills | None:
        """Return what the books have of a run; None if it is not, or not all of it, in them."""
        if run in self._promoted.lost:
            raise SpilldeckError(f"run {run}: {self._promoted.loss(run)}")
        session = self._promoted.shown.get(run, self._settings.session)
        reader = BookReader.of(self._redis, self._settings, session)
        if session == self._settings.session:
            if run not in self._places or reader.being_made_again(run):
                return None
            refuse_a_running_run(run, self._places, time.time())
            self._wait_for_the_books()
        book = reader.run(run, {}, of_spills=False)
        flags = self._decisions.flags.get(run, ())
        return RunSpills(run=run, session=session, totals=book.totals, ledger=book.ledger, flags=flags)

    def _wait_for_the_books(self) -> None:
        """Wait until the books have all that Kafka has: a run may end before its last spills are counted."""
        if self._is_whole:
            return
        spans, deadline = topic_spans(self._settings, Topics.of(self._settings).raw), time.monotonic() + WAIT_S
        while lacking := behind(spans, self._live.progress()):
            if time.monotonic() > deadline:
                raise SpilldeckError(f"the books lack {lacking} messages that Kafka has: start a worker, or wait")
            time.sleep(0.1)
        self._is_whole = True

    def _from_archive(self, run: int) -> RunSpills:
        file = self._archives / f"{run:08d}.{SUFFIX}" if self._archives is not None else None
        if file is None or not file.is_file():
            where = f"there is no {file}" if file is not None else "no archive is named (--archives, keeper.archive)"
            raise UsageError(f"run {run} is not whole in the books, and {where}")
        check_archive(file)
        if contents_of(file).run != run:
            raise UsageError(f"{file} is the archive of run {contents_of(file).run}")
        part = process(read_source(file), self._conditions.for_run)[run].part
        flags = self._decisions.flags.get(run, ())
        return RunSpills(run=run, session=self._settings.session, totals=part.totals, ledger=part.ledger, flags=flags)
