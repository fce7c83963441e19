"""What the page shows, read from Redis and Kafka: whatever fails there becomes a state here, never an exception.

One thread reads each server, however many browsers look, and Redis when a checkpoint is announced; a page takes what
was last read, and waits only for a run that nobody has looked at yet.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Self

import structlog
from redis.backoff import NoBackoff
from redis.client import PubSub
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from dashboards.choices import LAST_MINUTE, Choices, book_of
from dashboards.data.books import Books, BooksReader
from dashboards.data.broker import LOOK_S, Broker, BrokerWatcher
from dashboards.data.decisions import LOOK_S as DECISIONS_S
from dashboards.data.decisions import DecisionsWatcher
from dashboards.data.frozen import Frozen
from dashboards.data.history import History
from dashboards.data.one_run import NOTHING, OneRun, Part, RunReader, Wanted, sentence
from dashboards.data.replays import Replay, ReplayWatcher
from dashboards.data.view import Reference, View
from dashboards.data.waiting import Waiting, WaitingWatcher
from schemas.records import NO_RUN
from streams.books import layout, situation
from streams.books.connect import connect, risks_of
from streams.books.imported import Imported, Imports
from streams.books.lag import behind
from streams.books.promotions import Promoted
from streams.books.reader import BookReader, Progress
from streams.books.replays import Replays
from streams.conditions.store import ConditionsStore
from streams.errors import SpilldeckError
from streams.freshness import Observed, daq, pipeline, silence_s, span, stand
from streams.plots.spillfacts import SpillFacts
from streams.settings import LIVE, Settings

FIRST_READ_S = 2.0
"""How long a page waits for the first read of a run's books, once."""
WANTED_S = 15.0
"""A run that no browser has asked for for so long is not read any more."""
WANTED_RUNS = 32
"""The most runs, parts of runs and plots of them that are read again and again."""
CHANGE_S = 0.25
"""The least time between two changes: many checkpoints in a row are read together."""
LOSS_TOLD_S = 86_400.0
"""For so long the page tells what Kafka lost: each shift hears of it. The runs' missing spills stay in their books."""
RISKS_S = 30.0
"""Time between two looks at how Redis is set."""
READERS_KEPT = 64
"""Sessions of which the list of runs is remembered."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was last seen of the store."""

    books: Books = field(default_factory=Books)
    waiting: Waiting = Waiting()  # noqa: RUF009 - frozen
    """What was on its way into them then."""


class Data:
    """Reads for all browsers together, from when it is entered until it is left.

    Parameters
    ----------
    settings
        Servers, session, topics.
    """

    def __init__(self, settings: Settings) -> None:
        self._redis = connect(settings)
        # Asked again soon in any case; retries would only delay the word that it is away.
        self._redis.set_retry(Retry(NoBackoff(), 0))
        self._channel = layout.changed_channel(settings.redis.key_prefix, settings.session)
        self._session = settings.session
        self._expected_rate = settings.dashboard.expected_rate
        self._refresh_s = settings.dashboard.refresh_s
        prefix = settings.redis.key_prefix
        self._decisions = decisions = DecisionsWatcher(settings, self._redis)
        shown = BookReader(self._redis, prefix, settings.session, lambda: decisions.promoted.shown)
        # Each remembers the list of its session's runs; a browser may name any session.
        reader_of = lru_cache(READERS_KEPT)(partial(BookReader.of, self._redis, settings))
        run_reader = RunReader(shown, ConditionsStore.from_settings(settings))
        self._books_reader = BooksReader(shown, reader_of, decisions.look, run_reader)
        self._replay_watcher = ReplayWatcher(Replays(self._redis, prefix, lambda: decisions.known), reader_of)
        self._broker_watcher, self._waiting_watcher = BrokerWatcher(settings), WaitingWatcher()
        # Each is written by one thread alone and replaced as a whole: a page needs no lock to read it.
        self._seen, self._broker = Seen(), Broker()
        self._replays: tuple[Replay, ...] = ()
        self._replays_fault = ""
        self._frozen = Frozen()
        self._imports = Imports.of(settings)
        self._risks: tuple[str, ...] = ()
        self._risks_s = float("-inf")
        """When Redis was last asked how it is set, monotonic."""
        self._read_s = time.time()
        self._fault = "has not answered yet"
        self.changes = 0
        """Grows with each change of what there is to show, the clock aside."""
        self.on_change: Callable[[], object] = lambda: None
        """Called by one of our threads after each change."""
        self._looked = threading.Condition()
        self._wanted: dict[Wanted, float] = {Wanted(): float("inf")}
        self._ask, self._stopped = threading.Event(), threading.Event()
        self._has_looked = False
        self._threads = [
            threading.Thread(target=target, daemon=True, name=name)
            for name, target in (
                ("books", self._read_books),
                ("announcements", self._hear_announcements),
                ("kafka-ends", self._watch_kafka),
                ("decisions", self._watch_decisions),
            )
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._ask.set()
        self._decisions.asked.set()
        for thread in self._threads:
            thread.join()
        self._redis.close()

    def view(self, choices: Choices = Choices(), plot: str | None = None) -> View:  # noqa: B008 - frozen
        """Return what there is to show now of what somebody chose, and of one plot its key number."""
        self._want(choices, plot)
        now_s, seen, broker, fault = time.time(), self._seen, self._broker, self._fault
        books = seen.books
        run = books.current if choices.run is None else choices.run
        automatic, (other, other_session) = books.automatic_reference(run), _reference_of(choices, books)
        one, reference = books.one(run, choices.session), books.one(other, other_session)
        goes_on, is_frozen = None, False
        if choices.frozen is not None and run is not None and one is not NOTHING:
            goes_on = self.view(choices.but(frozen=None), plot)
            frozen = self._frozen.at(choices.frozen, run, choices.session, one, now_s)
            one, is_frozen = frozen or one, frozen is not None
        part = None if choices.window is None else one.parts.get(choices.window)
        observed = self._observed(now_s, seen, broker, fault)
        is_taken = run == books.current and choices.session is None and not observed.run_ended and not is_frozen
        stand_since_ms = one.book.totals.counted_ms if is_taken and not fault and stand(observed) else 0
        history = one.histories.get(plot) if plot is not None else None
        whys = ((run, part.unreadable if part else ""), (other, reference.unreadable), (run, one.unreadable))
        unreadable = _unreadable(books, history, whys)
        losses = _losses(books.at.shown.progress, now_s)
        warnings = (*broker.warnings, *losses, *unreadable)
        warnings = (*warnings, *dict.fromkeys((*one.warnings, *reference.warnings)))
        imports, file, why_no_file = self._imported(choices.reference_file if choices.compare else None)
        warnings = (*warnings, *why_no_file)
        shown = [each for each, session in ((run, choices.session), (other, other_session)) if session is None]
        warnings = (*warnings, *_lost_replays(books.at.promoted, shown))
        if self._decisions.warning:
            warnings = (self._decisions.warning, *warnings)
        if self._replays_fault:
            warnings = (*warnings, f"What the store (Redis) holds of the replays cannot be read: {self._replays_fault}")
        if broker.lost_s:
            lost = span(now_s - broker.lost_s)
            warnings = (f"Kafka {broker.why}, for {lost}: nobody knows whether spills come", *warnings)
        warnings = (*warnings, *(f"What the store (Redis) holds is not safe: {risk}" for risk in self._risks))
        if fault:
            ago = span(now_s - self._read_s)
            warnings = (f"The store (Redis) {fault}, for {ago}: all numbers are old", *warnings)
        version = [one.version or book_of(run, choices.session), choices.window if part else "", reference.version]
        version += [plot] if history is not None else []
        version += [file.name, file.imported_ms, file.sha256] if file is not None else []
        wanted = Wanted(choices.run, choices.session, choices.window)
        is_loading = not fault and not is_frozen and not (books.is_read and books.has_read(wanted))
        version += ["loading"] if is_loading else []
        version += [stand_since_ms] if stand_since_ms else []
        return View(
            now_s=now_s,
            run=run,
            session=choices.session,
            current=books.current,
            runs=books.runs,
            book=one.book,
            is_loading=is_loading,
            is_made_again=one.standing is not None and bool(one.standing.left),
            is_unreadable=one.is_unreadable,
            shown=part.book if part else one.book.book,
            spills=_within(one.spills, part) if part else one.spills,
            run_spills=one.spills,
            disordered=one.disordered,
            waited_s=now_s - stand_since_ms / 1000 if stand_since_ms else (silence_s(observed) or 0.0) * is_taken,
            is_frozen=is_frozen,
            goes_on=goes_on,
            stand_since_ms=stand_since_ms,
            window=choices.window if part else None,
            windows=one.windows,
            beyond_axis=one.beyond_axis,
            history=history or History(is_read=plot is None),
            reference=_reference(other, other_session, reference, chosen=choices.reference is not None)
            if file is None
            else Reference.of_file(file),
            imports=imports,
            automatic=automatic,
            expected_rate=self._expected_rate,
            unattributed=books.unattributed,
            version="|".join(map(str, version)),
            behind=seen.waiting.messages if choices.session is None else _left(choices.session, self._replays),
            replays=self._replays,
            warnings=warnings,
            is_old=bool(fault),
            daq=daq(observed),
            pipeline=pipeline(observed),
        )

    def _imported(self, name: str | None) -> tuple[tuple[str, ...], Imported | None, tuple[str, ...]]:
        """Return the names of all that was imported, the one that somebody chose, and what cannot be read of them."""
        names: tuple[str, ...] = ()
        try:
            names = self._imports.names()
            return names, self._imports.read(name) if name is not None else None, ()
        except SpilldeckError as error:
            return names, None, (sentence(error),)

    def _observed(self, now_s: float, seen: Seen, broker: Broker, fault: str) -> Observed:
        books, extent = seen.books, seen.books.at.shown
        progress, live = extent.progress, None if books.current is None else extent.places[books.current]
        return situation.observed(
            books.one(books.current, None).book.totals,
            live,
            now_s=now_s,
            produced_s=max((its.produced_ms for its in progress.values()), default=0) / 1000,
            raw_moved_s=broker.moved_s,
            caught_up=books.is_read and not fault and not behind(broker.spans, progress),
            behind=seen.waiting.messages,
            behind_since_s=seen.waiting.since_s,
            made_again=len({run for its in progress.values() for run in its.repairs if run != NO_RUN}),
            kafka_lost_s=broker.lost_s,
            store_lost_s=self._read_s if fault else 0.0,
        )

    def _want(self, choices: Choices, plot: str | None) -> None:
        """Have the runs read that somebody chose, and wait for those that were not yet."""
        with self._looked:
            # Which run to compare with is known only when the totals of all are.
            for _ in range(2):
                wanted = _wanted(choices, plot, self._seen.books)
                self._wanted |= dict.fromkeys(wanted - {Wanted()}, time.monotonic())
                if self._has_looked and not all(map(self._seen.books.has_read, wanted)):
                    self._ask.set()
                worth = {each for each in wanted if each.session is None or each.session in self._sessions()}
                self._looked.wait_for(partial(self._are_read, worth), FIRST_READ_S)

    def _sessions(self) -> set[str]:
        """Return those that somebody is known to have made; of another a page is told when its books were found."""
        return {LIVE, self._session, *(each.plan.session for each in self._replays)}

    def _are_read(self, wanted: set[Wanted]) -> bool:
        return self._has_looked and (bool(self._fault) or all(map(self._seen.books.has_read, wanted)))

    def _read_books(self) -> None:
        while not self._stopped.is_set():
            books, replays, fault = self._seen.books, self._replays, self._fault
            self._look_at_redis()
            if self._seen.books is not books or self._replays != replays or self._fault != fault:
                self.changes += 1
                try:
                    self.on_change()
                except Exception as error:  # noqa: BLE001 - who listens may fail, the books are read all the same
                    _log.warning("a change cannot be told", error=f"{type(error).__name__}: {error}")
                self._stopped.wait(CHANGE_S)
            self._ask.wait(self._refresh_s)
            self._ask.clear()

    def _hear_announcements(self) -> None:
        while not self._stopped.is_set():
            try:
                with PubSub(self._redis.connection_pool, ignore_subscribe_messages=True) as announced:
                    announced.subscribe(self._channel)
                    while not self._stopped.is_set():
                        if announced.get_message(timeout=CHANGE_S):
                            self._ask.set()
            except RedisError:  # the books' own thread says so
                self._stopped.wait(self._refresh_s)
            except Exception as error:  # noqa: BLE001 - without announcements the books are read every `refresh_s`
                _log.warning("announcements are not heard", error=f"{type(error).__name__}: {error}")
                self._stopped.wait(self._refresh_s)

    def _watch_kafka(self) -> None:
        while not self._stopped.is_set():
            self._broker = self._broker_watcher.look(self._broker)
            self._stopped.wait(LOOK_S)

    def _watch_decisions(self) -> None:
        while not self._stopped.is_set():
            self._decisions.asked.clear()
            known = self._decisions.known
            self._decisions.refresh()
            if self._decisions.known != known:
                self._ask.set()
            self._stopped.wait(CHANGE_S)
            self._decisions.asked.wait(DECISIONS_S)

    def _look_at_redis(self) -> None:
        wanted = self._still_wanted()
        try:
            at, books = self._books_reader.look(wanted), self._seen.books
            spans = self._broker.spans
            waiting = self._waiting_watcher.look(spans, at.shown.progress)
            if not books.is_read or at != books.at or not all(map(books.has_read, wanted)):
                spread_over = len(spans) if waiting.messages else 0
                books = self._books_reader.read(books, at, wanted, spread_over=spread_over)
            self._seen = Seen(books=books, waiting=waiting)
            self._look_at_replays(at.promoted.all)
            self._look_at_risks()
        except (RedisConnectionError, RedisTimeoutError) as error:
            self._fail("does not answer", error)
        except Exception as error:  # noqa: BLE001 - whatever somebody wrote into Redis, the page goes on
            self._fail("holds what cannot be read", error)
        else:
            self._read_s, self._fault = time.time(), ""
        with self._looked:
            self._has_looked = True
            self._looked.notify_all()

    def _look_at_replays(self, promoted: Mapping[int, str]) -> None:
        try:
            self._replays = self._replay_watcher.look(promoted)
            self._replays_fault = "; ".join(f"{name}: {why}" for name, why in self._replay_watcher.unreadable.items())
        except (RedisConnectionError, RedisTimeoutError):
            raise
        except Exception as error:  # noqa: BLE001 - nothing that somebody wrote about replays may stop live
            self._replays, self._replays_fault = (), f"{type(error).__name__}: {error}"

    def _look_at_risks(self) -> None:
        if time.monotonic() - self._risks_s >= RISKS_S:
            self._risks, self._risks_s = risks_of(self._redis).all, time.monotonic()

    def _still_wanted(self) -> list[Wanted]:
        oldest = time.monotonic() - WANTED_S
        with self._looked:
            newest = sorted(self._wanted.items(), key=lambda each: -each[1])[:WANTED_RUNS]
            self._wanted = {what: asked for what, asked in newest if asked > oldest}
            return list(self._wanted)

    def _fail(self, fault: str, error: Exception) -> None:
        if self._fault != fault:
            _log.warning(f"the store {fault}", error=f"{type(error).__name__}: {error}")
        self._fault = fault


def _losses(progress: Mapping[int, Progress], now_s: float) -> tuple[str, ...]:
    """Return what Kafka lost of late, in one warning."""
    found = [
        f"partition {partition}: {loss.what}"
        for partition, p in progress.items()
        for loss in p.lost
        if now_s - loss.at_s < LOSS_TOLD_S
    ]
    return (f"Kafka no longer has what was needed: {'; '.join(found)}",) if found else ()


def _unreadable(books: Books, history: History | None, whys: Iterable[tuple[int | None, str]]) -> tuple[str, ...]:
    """Return a sentence for each run of which something that is shown cannot be read."""
    found = dict(history.unreadable) if history is not None else {}
    found |= {run: why for run, why in whys if run is not None and why}
    return tuple(map(sentence, {**found, **books.unreadable}.values()))


def _lost_replays(promoted: Promoted, runs: Iterable[int | None]) -> Iterator[str]:
    """Yield what to say of runs that are shown from live's book for want of the one that was promoted."""
    for run in dict.fromkeys(runs):
        if run is not None and (loss := promoted.loss(run)):
            yield f"Run {run}: showing live’s book: {loss}"


def _within(spills: SpillFacts, part: Part) -> SpillFacts:
    return spills.rows((spills.time_us >= part.since_us) & (spills.time_us < part.until_us))


def _reference_of(choices: Choices, books: Books) -> tuple[int | None, str | None]:
    """Return run and session of the book to compare with."""
    if not choices.compare or choices.reference is not None or choices.reference_file is not None:
        return choices.reference, choices.reference_session
    return books.automatic_reference(books.current if choices.run is None else choices.run).run, None


def _wanted(choices: Choices, plot: str | None, books: Books) -> set[Wanted]:
    """Return what to read."""
    other, session = _reference_of(choices, books)
    reference = {Wanted(other, session)} if other is not None else set()
    # What is frozen is kept with its last minute, which goes by.
    last_minute = {Wanted(choices.run, choices.session, LAST_MINUTE)} if choices.frozen is not None else set()
    return {Wanted(choices.run, choices.session, choices.window, plot)} | reference | last_minute


def _reference(run: int | None, session: str | None, one: OneRun, *, chosen: bool) -> Reference | None:
    if run is None or one is NOTHING:
        return None
    return Reference.of_run(run, session, one.book, one.spills, chosen=chosen)


def _left(session: str, replays: tuple[Replay, ...]) -> int:
    """Return how many messages a session still has to read, if it is that of a replay."""
    return sum(each.plan.messages - each.read for each in replays if each.plan.session == session)
