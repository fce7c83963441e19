"""What is seen of Redis: the books, what is on its way into them, the replays, and how safe all of it is."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial

import structlog
from redis import Redis
from redis.exceptions import NoPermissionError

from dashboards.data.books import Books, BooksReader
from dashboards.data.decisions import DecisionsWatcher
from dashboards.data.explaining import Explainer, Explanations
from dashboards.data.judging import Judgements, Judges
from dashboards.data.one_run import RunReader, Wanted
from dashboards.data.replays import Replay, ReplayWatcher
from dashboards.data.shapes import ShapeJudges, Shapes
from dashboards.data.waiting import Waiting, WaitingWatcher
from streams.books.connect import AWAY, refusal, risks_of
from streams.books.kept_run import KeptRuns
from streams.books.limits import LimitsFile
from streams.books.pinned_books import PinnedBooks
from streams.books.reader import BookReader
from streams.books.replays import Replays
from streams.books.watchers import Watching, watching
from streams.conditions.store import ConditionsStore
from streams.freshness import WATCHER_SILENT_S
from streams.kafka import Spans
from streams.settings import Settings

RISKS_S = 30.0
"""Time between two looks at how Redis is set."""
SAME_S = 0.5
"""So near to one another two times at which a watcher spoke are one, seen twice: it speaks every second at most."""
READERS_KEPT = 64
"""Sessions of which the list of runs is remembered."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """What was last seen of Redis."""

    books: Books = field(default_factory=Books)
    judgements: Judgements = field(default_factory=dict)
    """What is wrong with the runs that somebody looks at."""
    shapes: Shapes = field(default_factory=dict)
    """What is known of the shapes of their plots."""
    explained: Explanations = field(default_factory=dict)
    """Whether their conditions explain what is off."""
    limits: LimitsFile = field(default_factory=lambda: LimitsFile(None))
    """By run type."""
    waiting: Waiting = Waiting()  # noqa: RUF009 - frozen
    """What was on its way into them then."""
    replays: tuple[Replay, ...] = ()
    """All that there are, the newest first."""
    replays_fault: str = ""
    """What of them cannot be read; empty if all can."""
    watching: Watching = Watching()  # noqa: RUF009 - frozen
    """Who watched for alarms when it was last read."""
    watched_s: float = 0.0
    """When any of them last said so, by our clock; 0 if none ever did."""
    risks: tuple[str, ...] = ()
    """Why what Redis holds is not safe, a clause each."""
    read_s: float = field(default_factory=time.time)
    """When it was last read, seconds since 1970 UTC."""
    fault: str = "has not answered yet"
    """What is wrong since then: goes on after "The store"; empty if nothing is."""


class StoreWatcher:
    """Looks at Redis.

    Parameters
    ----------
    settings
        Session, prefix of keys, conditions.
    redis
        Client that returns bytes.
    decisions
        What people decided.
    explains
        Whether to look for what explains plots that are off, which takes a process of its own.
    """

    def __init__(self, settings: Settings, redis: Redis, decisions: DecisionsWatcher, *, explains: bool = True) -> None:
        self._redis = redis
        self._settings = settings
        prefix = settings.redis.key_prefix
        self._watching = partial(watching, redis, prefix, settings.session, WATCHER_SILENT_S)
        shown = BookReader(redis, prefix, settings.session, lambda: decisions.promoted.shown)
        # Each remembers the list of its session's runs; a browser may name any session.
        reader_of = lru_cache(READERS_KEPT)(partial(BookReader.of, redis, settings))
        run_reader = RunReader(
            shown, ConditionsStore.from_settings(settings), KeptRuns(settings.keeper.products, settings.session)
        )
        pinned = PinnedBooks(settings, redis)
        self._books = BooksReader(shown, reader_of, decisions.look, run_reader, lambda: decisions.known, pinned.read)
        self._judges = Judges(lambda session: shown if session is None else reader_of(session))
        self._limits = LimitsFile(settings.checks.limits)
        self._shapes = ShapeJudges(self._limits)
        self._explainer, self._explains = Explainer(settings, self._limits), explains
        self._replays = ReplayWatcher(Replays(redis, prefix, lambda: decisions.known), reader_of)
        self._waiting = WaitingWatcher()
        self._risks_s = float("-inf")
        """When Redis was last asked how it is set, monotonic."""

    def came(self, spans: Spans) -> None:
        """Take note of what Kafka has, from another thread: Redis may not answer."""
        self._waiting.came(spans)

    def look(self, last: Store, spans: Spans, wanted: Sequence[Wanted]) -> Store:
        """Return what there is now, given what was seen before; whatever goes wrong becomes a state.

        Parameters
        ----------
        spans
            What Kafka has of ``spills.raw``.
        wanted
            Runs that somebody looks at.
        """
        now = last
        try:
            now = self._with_books(now, spans, wanted)
            self._limits.look()
            now = replace(
                now,
                judgements=self._judges.look(now.books, now.judgements),
                shapes=self._shapes.look(now.books, now.shapes),
                limits=self._limits,
            )
            if self._explains:
                now = replace(now, explained=self._explainer.look(now.books, now.shapes, now.explained))
            now = self._with_replays(now, now.books.at.promoted.all)
            now = _with_watching(self._with_risks(now), self._watching())
        except (*AWAY, NoPermissionError) as error:
            refused = refusal(self._settings, error)
            return _without(now, f"lets nobody in from here ({refused})" if refused else "does not answer", error)
        except Exception as error:  # noqa: BLE001 - whatever somebody wrote into Redis, the page goes on
            return _without(now, "holds what cannot be read", error)
        return replace(now, read_s=time.time(), fault="")

    def close(self) -> None:
        """End what is at work."""
        self._explainer.close()

    def _with_books(self, last: Store, spans: Spans, wanted: Sequence[Wanted]) -> Store:
        at, books = self._books.look(wanted), last.books
        waiting = self._waiting.look(spans, at.shown.progress)
        if not books.is_read or at != books.at or books.is_at_a_loss or not all(map(books.has_read, wanted)):
            spread_over = len(spans) if waiting.messages else 0
            books = self._books.read(books, at, wanted, spread_over=spread_over)
        return replace(last, books=books, waiting=waiting)

    def _with_replays(self, last: Store, promoted: Mapping[int, str]) -> Store:
        try:
            replays = self._replays.look(promoted)
        except AWAY:
            raise
        except Exception as error:  # noqa: BLE001 - nothing that somebody wrote about replays may stop live
            return replace(last, replays=(), replays_fault=f"{type(error).__name__}: {error}")
        unreadable = "; ".join(f"{name}: {why}" for name, why in self._replays.unreadable.items())
        return replace(last, replays=replays, replays_fault=unreadable)

    def _with_risks(self, last: Store) -> Store:
        if time.monotonic() - self._risks_s < RISKS_S:
            return last
        now = replace(last, risks=risks_of(self._redis).all)
        self._risks_s = time.monotonic()
        return now


def _with_watching(last: Store, watching: Watching) -> Store:
    watched_s = 0.0 if watching.silent_s is None else time.time() - watching.silent_s
    # What was said once must not be told as of another second each time.
    is_same = abs(watched_s - last.watched_s) < SAME_S
    return replace(last, watching=watching, watched_s=last.watched_s if is_same else watched_s)


def _without(last: Store, fault: str, error: Exception) -> Store:
    if last.fault != fault:
        _log.warning(f"the store {fault}", error=f"{type(error).__name__}: {error}")
    return replace(last, fault=fault)
