"""Writes what is to outlive a run, when it has ended: its archive, its book, pictures and summary, proposed flags.

What is written already is not written again, unless late spills or a replay that was promoted have changed it. It may
be killed, or run twice: all is written whole or not at all, and what was missed is made up for at the next start.
"""

import threading
import time
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import Counter
from redis import Redis, RedisError

from dashboards.data.automatic import CONSIDERED
from dashboards.data.judged_run import JudgedRun, StoredRuns
from ops.archive import archives, write_archive
from ops.end_of_run import Export, write_end_of_run
from ops.export.chosen import choose
from ops.proposing import proposed
from ops.retirement import Retirement
from schemas.records import NO_RUN, ActionKind
from streams import metrics
from streams.books.actions import new_action
from streams.books.decided import Copy, decide, refresh
from streams.books.decisions import Decisions
from streams.books.kept_run import Edition, directory_of, edition_there
from streams.books.lag import behind
from streams.books.layout import Place
from streams.books.limits import LimitsFile, in_force
from streams.books.part_reader import UnreadableRunError
from streams.books.products import Product, Products, Written
from streams.books.promotions import Promotions
from streams.books.proposals import CHECKS, Proposal
from streams.books.reader import BookReader
from streams.books.registry import record, state, states
from streams.books.run import RunBook
from streams.conditions.store import ConditionsStore
from streams.daq.archive_file import contents_of, is_archive
from streams.errors import ServerError, SpilldeckError, UsageError
from streams.health.state import Health, Known
from streams.kafka import Spans, topic_spans
from streams.metrics import Part, Value
from streams.process import ranges_of
from streams.settings import Settings
from streams.topics import Topics
from streams.words import several

LOOK_S = 2.0
"""Time between two looks at the books."""
RETIRE_S = 60.0
"""Time between two looks for runs that are to leave Redis."""
LATE_S = 900.0
"""Between two looks, or two runs, passes less: the archive of a long run takes minutes."""

_log = structlog.get_logger(__name__)


class Keeper:
    """Looks at the books again and again.

    Parameters
    ----------
    settings
        Servers, session, and where archives and products go.
    redis
        Client that returns bytes.
    export
        Writes the plots of a run; needed if the settings say where products go.
    """

    def __init__(self, settings: Settings, redis: Redis, export: Export | None = None) -> None:
        self._settings, self._redis = settings, redis
        self._live, self._shown = BookReader.of(redis, settings), BookReader.shown(redis, settings)
        self._promotions = Promotions(redis, settings.redis.key_prefix)
        self._noted = Products(redis, settings.redis.key_prefix, settings.session)
        self._export = export
        self._archive = settings.keeper.archive and settings.keeper.archive.expanduser()
        self._products = settings.keeper.products and settings.keeper.products.expanduser()
        self._limits = LimitsFile(settings.checks.limits)
        self._retirement = Retirement(settings, redis)
        self._retired_at = -inf
        """When somebody looked for such runs, monotonic seconds."""
        self._editions: dict[int, Edition | None] = {}
        """Run → which book of it is in its directory, as far as somebody has looked."""
        self._due: dict[int, Spans] = {}
        """Run → what ``spills.raw`` had when its book was seen to be due: it is written when that is in it."""
        self._refused: set[tuple[Product, int, Edition]] = set()
        """What cannot be written, which was said; asked again at the next start."""
        self._not_proposed: set[tuple[int, Edition]] = set()
        """Of which the checks could not say anything, which was said."""
        self._unreadable: set[int] = set()
        """Runs of which a worker has to mend something first, which was said."""
        self._waiting: dict[Product, set[int]] = {product: set() for product in Product}
        """Runs that are still to be written, as of the last look, without those that cannot be."""
        self._servers = Known("Kafka and Redis", LATE_S)
        self.health = Health(
            Part.KEEPER,
            settings,
            faults=lambda: self._servers.faults,
            does=lambda: f"{several(self._behind(), 'run')} to be written",
            figures=lambda: (Value(metrics.KEEPER_BEHIND, self._behind() if self._servers.is_of_now else None),),
            live_s=LATE_S,
        )
        self.stopped = threading.Event()
        """Set it to end the keeping."""

    def keep(self) -> None:
        """Look until stopped; a server that is away is waited for."""
        is_away = False
        while not self.stopped.is_set():
            try:
                self.look()
            except (RedisError, ServerError) as error:
                is_away = True
                self._servers.say(f"a server does not answer: {error}")
                _log.warning("a server does not answer", error=str(error))
            else:
                if is_away:
                    _log.info("the servers answer again")
                is_away = False
                self._servers.say()
            self._go_on()
            self.stopped.wait(LOOK_S)
        self.health.end()

    def _go_on(self) -> None:
        """Say that this goes on: a run takes long, and between two of them nothing hangs."""
        self.health.turn()
        self.health.progress()

    def _behind(self) -> int:
        return len(set[int]().union(*self._waiting.values()))

    def look(self) -> None:
        """Write what is lacking of each run that has ended.

        Raises
        ------
        ServerError
            When Kafka does not answer; `redis.RedisError` when Redis does not.
        """
        refresh(self._settings, self._redis)
        if self._archive is not None:
            known = self._live.places()
            noted = self._noted.all()
            newest = {run: noted.get(run, {}).get(Product.ARCHIVE) for run in self._over(known)}
            due = [run for run, its in newest.items() if its is None or its.produced_ms < known[run].produced_ms]
            self._waiting[Product.ARCHIVE] = {run for run in due if not self._is_refused(run, known[run])}
            for run in due:
                self._write_archive(self._archive, run, known[run], newest[run])
                self._go_on()
        if self._products is not None and self._export is not None:
            self._look_at_books(self._products, self._export)
        self._propose()
        if self._settings.keeper.has_limit and time.monotonic() - self._retired_at >= RETIRE_S:
            self._retired_at = time.monotonic()
            self._retirement.look(self._over(self._live.places()), self._promotions.look(), self._decisions())

    def _decisions(self) -> Decisions:
        return Copy(self._redis, self._settings.redis.key_prefix).read() or Decisions()

    def _propose(self) -> None:
        """Have the checks say what they think of one run that is over, the newest first, unless they have."""
        known, promoted = self._shown.places(), self._promotions.look()
        decisions = self._decisions()
        over = self._over(known)
        for run in sorted(over, key=lambda run: -known[run].first_ms)[:CONSIDERED]:
            session = promoted.shown.get(run, self._settings.session)
            edition, there = Edition(session=session, produced_ms=known[run].produced_ms), decisions.proposed.get(run)
            written = Edition(session=there.session, produced_ms=there.produced_ms) if there is not None else None
            is_due = edition.is_due_after(written) and (run, edition) not in self._not_proposed
            is_due = is_due and not known[run].retired
            if is_due and run not in promoted.lost and self._all_is_in_the_books(run):
                self._propose_of(run, edition)
                return

    def _propose_of(self, run: int, seen: Edition) -> None:
        try:
            book = self._book(run)
            its = self._judged(run, book)
            proposal = Proposal(
                session=seen.session,
                produced_ms=book.totals.produced_ms,
                reference=its.reference,
                earlier=its.earlier,
                book=its.book,
                flags=proposed(its),
                run_type=book.totals.run_type,
                limits=in_force(its.limits, self._settings.checks.spills_a_false_alarm),
            )
            action = new_action(
                ActionKind.PROPOSE_FLAGS, run, after=proposal.to_json(), origin="the keeper", who=CHECKS
            )
            decide(self._settings, self._redis, action)
        except ServerError:
            raise
        except UnreadableRunError as error:
            self._wait_for(run, error)
        except SpilldeckError as error:
            self._not_proposed.add((run, seen))
            _log.warning("no flags are proposed of a run that has ended", run=run, why=str(error))
        else:
            self._due.pop(run, None)
            _log.info(
                "flags are proposed of a run that has ended", run=run, flags=len(proposal.flags), bad=proposal.bad
            )

    def _edition(self, place: Place) -> Edition:
        return Edition(session=self._settings.session, produced_ms=place.produced_ms)

    def _is_refused(self, run: int, place: Place) -> bool:
        return (Product.ARCHIVE, run, self._edition(place)) in self._refused

    def _write_archive(self, directory: Path, run: int, place: Place, written: Written | None) -> None:
        """Write a run's archive, unless one is there that is as new, or of which nobody knows how old it is."""
        edition = self._edition(place)
        if self._is_refused(run, place):
            return
        try:
            there = archives(directory, run)
            if there and written is None:
                produced_ms = _newest(directory / there[0], place)
                self._noted.note(run, Product.ARCHIVE, there, produced_ms)
                if produced_ms >= place.produced_ms:
                    self._waiting[Product.ARCHIVE].discard(run)
                    return
            directory.mkdir(parents=True, exist_ok=True)
            made = write_archive(self._settings, self._live, run, directory, replace=True)
        except ServerError:
            raise
        except UnreadableRunError as error:
            self._wait_for(run, error)
            return
        except (SpilldeckError, OSError) as error:
            self._refused.add((Product.ARCHIVE, run, edition))
            self._note(Product.ARCHIVE, run, metrics.KEEPER_FAILED)
            _log.error("no archive of a run that has ended", run=run, why=str(error))
            return
        self._noted.note(run, Product.ARCHIVE, [made.file.name], made.contents.produced_ms)
        self._note(Product.ARCHIVE, run, metrics.KEEPER_WRITTEN)
        _log.info("archive of a run that has ended", run=run, file=made.file.name, spills=made.spills)

    def _note(self, product: Product, run: int, what: Counter) -> None:
        """Take note of what became of a run."""
        what.labels(product).inc()
        self._waiting[product].discard(run)

    def _look_at_books(self, directory: Path, export: Export) -> None:
        """Write the book of each run of which it is due."""
        known, promoted = self._shown.places(), self._promotions.look()
        over = self._over(known)
        self._due = {run: ends for run, ends in self._due.items() if run in over}
        due: dict[int, Edition] = {}
        for run in over:
            if run in promoted.lost:
                self._leave(run, promoted.lost[run])
                continue
            session = promoted.shown.get(run, self._settings.session)
            edition = Edition(session=session, produced_ms=known[run].produced_ms)
            if run not in self._editions:
                self._editions[run] = edition_there(directory, run)
            if edition.is_due_after(self._editions[run]) and (Product.END_OF_RUN, run, edition) not in self._refused:
                due[run] = edition
        self._waiting[Product.END_OF_RUN] = {*due}
        for run, edition in due.items():
            if self._all_is_in_the_books(run):
                self._write_products(directory, export, run, edition)
                self._go_on()

    def _leave(self, run: int, session: str) -> None:
        """Leave what was written of a run whose promoted replay is gone from Redis: nobody wants live's book there."""
        edition = Edition(session=session, produced_ms=0)
        if (Product.END_OF_RUN, run, edition) not in self._refused:
            self._refused.add((Product.END_OF_RUN, run, edition))
            _log.error("the book of a run is lost, its products stay as they are", run=run, book=session)

    def _session_of(self, run: int) -> str:
        """Return the session whose book of a run is shown."""
        return self._promotions.all().get(run, self._settings.session)

    def _all_is_in_the_books(self, run: int) -> bool:
        """Say whether all is in the books that Kafka had when this was first asked of a run.

        The end of a run may be counted before its last spills, which lie in other partitions; and books that are being
        rebuilt are of less than the run.
        """
        if run not in self._due:
            topic = Topics.of(self._settings).raw
            self._due[run] = topic_spans(self._settings, topic)
        return not behind(self._due[run], self._live.progress())

    def _write_products(self, directory: Path, export: Export, run: int, seen: Edition) -> None:
        try:
            book = self._book(run)
            edition = Edition(session=seen.session, produced_ms=book.totals.produced_ms)
            # The runs before it may have taken minutes: then the next look sees what has become of it.
            known = self._shown.places()
            its = record(run, book.totals, known[run], state(known[run], known.values(), time.time()))
            if not its.state.is_over or self._session_of(run) != seen.session:
                return
            write_end_of_run(directory, choose(run, book, (), ()), its, edition, self._judgement(run, book), export)
        except UnreadableRunError as error:
            self._wait_for(run, error)
            return
        except SpilldeckError as error:
            self._refused.add((Product.END_OF_RUN, run, seen))
            self._note(Product.END_OF_RUN, run, metrics.KEEPER_FAILED)
            _log.error("no products of a run that has ended", run=run, why=str(error))
            return
        self._editions[run] = edition
        self._unreadable.discard(run)
        del self._due[run]
        name = f"{directory.name}/{directory_of(directory, run).name}"
        self._noted.note(run, Product.END_OF_RUN, [name], edition.produced_ms)
        self._note(Product.END_OF_RUN, run, metrics.KEEPER_WRITTEN)
        _log.info("products of a run that has ended", run=run, directory=name, book=edition.session)

    def _book(self, run: int) -> RunBook:
        return self._shown.run(run, ranges_of(ConditionsStore.from_settings(self._settings).for_run(run)))

    def _judged(self, run: int, book: RunBook) -> JudgedRun:
        """Return what is known to be wrong with a run; raises UsageError when it cannot be judged."""
        self._limits.look()
        found = StoredRuns(self._settings, self._redis).ended(run, book)
        return found.judged(self._limits.of(book.totals.run_type), self._settings.checks.spills_a_false_alarm)

    def _judgement(self, run: int, book: RunBook) -> dict[str, Any]:
        try:
            return self._judged(run, book).to_json()
        except UsageError as error:
            return {"problem": str(error)}

    def _wait_for(self, run: int, error: UnreadableRunError) -> None:
        """Say once that a run cannot be read yet."""
        if run not in self._unreadable:
            self._unreadable.add(run)
            _log.warning("nothing is written yet of a run that has ended", run=run, why=str(error))

    def _over(self, known: Mapping[int, Place]) -> dict[int, Place]:
        """Return the runs that have ended, and of which no part is being made again."""
        left = {run for its in self._live.progress().values() for run in its.repairs} | {NO_RUN}
        return {run: known[run] for run, its in states(known, time.time()).items() if its.is_over and run not in left}


def _newest(archive: Path, place: Place) -> int:
    """Return when the newest message of an archive was produced; a file of the DAQ does not say, and is believed."""
    return contents_of(archive).produced_ms if is_archive(archive) else place.produced_ms
