"""What the page shows, read from Redis and Kafka: whatever fails there becomes a state here, never an exception.

One thread reads each server, however many browsers look, and Redis when a checkpoint is announced; a page takes what
was last read, and waits only for a run that nobody has looked at yet.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Self

import structlog
from redis.exceptions import RedisError

from dashboards.choices import LAST_MINUTE, Beside, Choices
from dashboards.data.books import Books
from dashboards.data.broker import LOOK_S, Broker, BrokerWatcher
from dashboards.data.decisions import LOOK_S as DECISIONS_S
from dashboards.data.decisions import DecisionsWatcher
from dashboards.data.one_run import Wanted
from dashboards.data.spills import ShownSpill, SpillAddress, Spills
from dashboards.data.store import Store, StoreWatcher
from dashboards.data.told import of_alarms, of_books
from dashboards.data.view import View
from dashboards.data.viewer import Seen, Viewer
from streams.books import layout
from streams.books.connect import connect
from streams.books.decided import DECIDED
from streams.books.decisions import Decisions
from streams.books.notes import Notes
from streams.health.state import Known
from streams.metrics import Value
from streams.settings import LIVE, Settings

FIRST_READ_S = 2.0
"""How long a page waits for the first read of a run's books, once."""
LOOK_LATE_S = 30.0
"""Redis and Kafka are looked at every second; a whole run may have to be judged between two looks."""
WANTED_S = 15.0
"""A run that no browser has asked for for so long is not read any more."""
WANTED_RUNS, WANTED = 64, 256
"""The most runs that are read again and again, and the most of all that is read of them: thirty browsers that look at
as many plots want a hundred of those."""
CHANGE_S = 0.25
"""The least time between two changes: many checkpoints in a row are read together."""

_log = structlog.get_logger(__name__)


class Data:
    """Reads for all browsers together, from when it is entered until it is left.

    Parameters
    ----------
    settings
        Servers, session, topics.
    explains
        See `StoreWatcher`.
    """

    def __init__(self, settings: Settings, *, explains: bool = True) -> None:
        self._redis = connect(settings)
        self._channel = layout.changed_channel(settings.redis.key_prefix, settings.session)
        self._session = settings.session
        self._refresh_s = settings.dashboard.refresh_s
        self._decisions = DecisionsWatcher(settings, self._redis)
        self._store_watcher = StoreWatcher(settings, self._redis, self._decisions, explains=explains)
        self._broker_watcher = BrokerWatcher(settings)
        # Each is written by one thread alone and replaced as a whole: a page needs no lock to read it.
        self._store, self._broker = Store(), Broker()
        self._viewer = Viewer(settings)
        self._spills = Spills(settings)
        self.changes = 0
        """Grows with each change of what there is to show, the clock aside."""
        self.on_change: Callable[[], object] = lambda: None
        """Called by one of our threads after each change."""
        self._counting = threading.Lock()
        self._said, self.has_decisions = Decisions(), False
        """What people decided; and whether that was read, or all is still to come."""
        self._looked = threading.Condition()
        self._wanted: dict[Wanted, float] = {Wanted(): float("inf")}
        self._ask, self._stopped = threading.Event(), threading.Event()
        self._has_looked = False
        self._redis_known, self._kafka_known = Known("Redis", LOOK_LATE_S), Known("Kafka", LOOK_LATE_S)
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
        self._spills.close()
        self._store_watcher.close()
        self._redis.close()

    def view(
        self,
        choices: Choices = Choices(),  # noqa: B008 - frozen
        plot: str | None = None,
        beside: Beside | None = None,
    ) -> View:
        """Return what there is to show now of what somebody chose, of one plot its key number, and what is beside."""
        self._want(choices, plot, beside)
        changes = self.changes
        view = replace(self._viewer.view(self._seen(), choices, plot, beside), changes=changes)
        return view if plot is None else replace(view, filling=self._spills.filling(view, plot))

    def _seen(self) -> Seen:
        return Seen(
            now_s=time.time(),
            store=self._store,
            broker=self._broker,
            said=self._said,
            undecided=self._decisions.warning,
        )

    def faults(self) -> Iterator[str]:
        """Yield why what there is to show is not of now."""
        yield from self._redis_known.faults
        yield from self._kafka_known.faults

    def has_looked_lately(self) -> bool:
        """Say whether the threads go on that read Redis and Kafka, whatever they found."""
        return self._redis_known.is_of_now and self._kafka_known.is_of_now

    def told(self) -> Iterator[Value]:
        """Yield what Prometheus is told."""
        seen = self._seen()
        yield from of_books(seen)
        yield from of_alarms(seen)

    @property
    def read_s(self) -> float | None:
        """When the books were last read, seconds since 1970 UTC; None if they never were."""
        return self._store.read_s if self._store.books.is_read else None

    @property
    def notes(self) -> Notes:
        """The newest notes, as of the last look at what people decided."""
        return self._said.notes

    def has_run(self, run: int) -> bool:
        """Say whether a run is stored, as far as was read."""
        return self._store.books.runs.get(run) is not None

    def spill(self, address: SpillAddress, choices: Choices) -> ShownSpill | str | None:
        """Return a spill of the run that was chosen; None as long as it is looked for."""
        return self._spills.shown(self.view(choices), address)

    def _want(self, choices: Choices, plot: str | None, beside: Beside | None) -> None:
        """Have the runs read that somebody chose, and wait for those that were not yet."""
        with self._looked:
            # Which run to compare with is known only when the totals of all are.
            for _ in range(2):
                wanted = _wanted(choices, plot, beside, self._store.books)
                self._wanted |= dict.fromkeys(wanted - {Wanted()}, time.monotonic())
                if self._has_looked and not all(map(self._store.books.has_read, wanted)):
                    self._ask.set()
                worth = {each for each in wanted if each.session is None or each.session in self._sessions()}
                self._looked.wait_for(partial(self._are_read, worth), FIRST_READ_S)

    def _sessions(self) -> set[str]:
        """Return those that somebody is known to have made; of another a page is told when its books were found."""
        return {LIVE, self._session, *(each.plan.session for each in self._store.replays)}

    def _are_read(self, wanted: set[Wanted]) -> bool:
        return self._has_looked and (bool(self._store.fault) or all(map(self._store.books.has_read, wanted)))

    def _still_wanted(self) -> list[Wanted]:
        oldest = time.monotonic() - WANTED_S
        with self._looked:
            newest = sorted(self._wanted.items(), key=lambda each: -each[1])
            wanted = [(what, asked) for what, asked in newest if asked > oldest]
            runs = [*dict.fromkeys((what.run, what.session) for what, _ in wanted)][:WANTED_RUNS]
            self._wanted = dict([each for each in wanted if (each[0].run, each[0].session) in runs][:WANTED])
            return list(self._wanted)

    def _read_books(self) -> None:
        while not self._stopped.is_set():
            before = self.changes
            self._look_at_redis()
            if self.changes != before:
                self._tell()
                self._stopped.wait(CHANGE_S)
            if not any(each.left > each.late for each in self._store.judgements.values()):
                self._ask.wait(self._refresh_s)
            self._ask.clear()

    def _tell(self) -> None:
        try:
            self.on_change()
        except Exception as error:  # noqa: BLE001 - who listens may fail, the books are read all the same
            _log.warning("a change cannot be told", error=f"{type(error).__name__}: {error}")

    def _count(self, changed: bool) -> None:
        with self._counting:
            self.changes += changed

    def _take_said(self) -> bool:
        """Take over what people said of runs, and the checks; return whether it is new."""
        is_read, said, last = not self._decisions.warning, self._decisions.known, self._said
        with self._counting:
            new, old = ((each.flags, each.proposed, each.alarms, each.issues, each.checklists) for each in (said, last))
            is_new = new != old
            self._said = said
            self.has_decisions |= is_read
            self.changes += is_new
        return is_new

    def _look_at_redis(self) -> None:
        last = self._store
        self._store = now = self._store_watcher.look(last, self._broker.spans, self._still_wanted())
        self._redis_known.say(now.fault)
        read, before = ((each.books, each.judgements, each.shapes, each.explained) for each in (now, last))
        is_read = any(one is not other for one, other in zip(read, before, strict=True))
        # Before who waits for it goes on: what it gets is no news to it then.
        self._take_said()
        self._count(is_read or now.replays != last.replays or now.fault != last.fault)
        with self._looked:
            self._has_looked = True
            self._looked.notify_all()

    def _hear_announcements(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._redis.pubsub(ignore_subscribe_messages=True) as announced:  # type: ignore[no-untyped-call]
                    announced.subscribe(self._channel)
                    # What was announced before is not told again.
                    self._ask.set()
                    self._decisions.asked.set()
                    while not self._stopped.is_set():
                        if told := announced.get_message(timeout=CHANGE_S):
                            self._ask.set()
                            if told["data"] == DECIDED:
                                self._decisions.asked.set()
            except RedisError:  # the books' own thread says so
                self._stopped.wait(self._refresh_s)
            except Exception as error:  # noqa: BLE001 - without announcements the books are read every `refresh_s`
                _log.warning("announcements are not heard", error=f"{type(error).__name__}: {error}")
                self._stopped.wait(self._refresh_s)

    def _watch_kafka(self) -> None:
        while not self._stopped.is_set():
            now = self._broker_watcher.look(self._broker)
            self._store_watcher.came(now.spans)
            self._broker = now
            self._kafka_known.say(now.why if now.lost_s else "; ".join(now.warnings))
            self._stopped.wait(LOOK_S)

    def _watch_decisions(self) -> None:
        while not self._stopped.is_set():
            self._decisions.asked.clear()
            known = self._decisions.known
            self._decisions.refresh()
            if self._decisions.known != known:
                self._ask.set()
            # The books' own thread may be judging, which takes its time.
            if self._take_said():
                self._tell()
            self._stopped.wait(CHANGE_S)
            self._decisions.asked.wait(DECISIONS_S)


def _wanted(choices: Choices, plot: str | None, beside: Beside | None, books: Books) -> set[Wanted]:
    """Return what to read."""
    is_changed = beside is Beside.LATELY
    chosen = books.reference_of(choices)
    automatic = books.automatic_reference(books.run_of(choices))
    others = {chosen, (automatic.run, None)}
    earlier = {Wanted(each, is_compared=True) for each in automatic.earlier}
    reference = {
        Wanted(other, session, hits=is_changed and choices.against_reference and (other, session) == chosen)
        for other, session in others
        if other is not None
    }
    part = books.part_beside(choices, beside)
    beside_it = {Wanted(choices.run, choices.session, part, hits=is_changed)} if part is not None else set()
    # It is judged, and kept of what is frozen, of which it goes by.
    last_minute = {Wanted(choices.run, choices.session, LAST_MINUTE)}
    return {Wanted(choices.run, choices.session, choices.window, plot)} | reference | earlier | last_minute | beside_it
