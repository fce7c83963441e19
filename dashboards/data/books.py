"""The books of the runs that somebody looks at, as they were last read from Redis."""

import gc
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from dashboards.choices import LAST_MINUTE, LATELY, Beside, Choices
from dashboards.data.automatic import Automatic, Chooser
from dashboards.data.history import RUNS_SHOWN
from dashboards.data.one_run import NOTHING, OneRun, RunReader, Standing, Wanted, Whose
from dashboards.data.view import RunSummary, StoredRuns
from schemas.records import NO_RUN
from streams.books import situation
from streams.books.decisions import Decisions
from streams.books.kept_book import KeptBook
from streams.books.layout import Place
from streams.books.progress import Progress
from streams.books.promotions import Promoted
from streams.books.reader import BookReader
from streams.books.totals import Totals
from streams.errors import SpilldeckError, UsageError

GARBAGE = 20_000, 20, 20
"""So many objects more than before, and such looks, before Python looks for garbage among them, see `gc`."""


def collect_seldom() -> None:
    """Have this process look for garbage seldom: a look goes over the ledger of a run, which each spill makes anew."""
    gc.set_threshold(*GARBAGE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How far the books of a session are."""

    progress: Mapping[int, Progress] = field(default_factory=dict)
    places: Mapping[int, Place] = field(default_factory=dict)
    """Where its runs are."""
    came_ms: Mapping[int, int] = field(default_factory=dict)
    """When each came, see `BookReader`."""

    def left(self, run: int) -> tuple[int, ...]:
        """Return the partitions whose part of a run is being made again."""
        return tuple(partition for partition, its in self.progress.items() if run in its.repairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """How far the books are: what is read at the same place again is the same."""

    shown: Extent = Extent()
    """Of the books that are the runs'."""
    unreadable: Mapping[int, str] = field(default_factory=dict)
    """Runs that are not among them, and why."""
    sessions: Mapping[str, Extent] = field(default_factory=dict)
    """Of the sessions that somebody looks at."""
    promoted: Promoted = field(default_factory=Promoted)
    """The sessions of the replays whose books are those of runs."""

    def of(self, session: str | None) -> Extent:
        """Return how far the books of a session are; None are those that are the runs'."""
        return self.shown if session is None else self.sessions[session]


@dataclass(frozen=True, slots=True, kw_only=True)
class Books:
    """What was last read of Redis."""

    at: At = At()
    is_read: bool = False
    """Something was ever read."""
    runs: StoredRuns = field(default_factory=StoredRuns)
    """The runs that are stored, as they are listed."""
    current: int | None = None
    """The run that is being taken."""
    read: Mapping[tuple[int, str | None], OneRun] = field(default_factory=dict)
    """Those that somebody looks at, by number and session; `NOTHING` if the session has not got it."""
    unattributed: Totals = field(default_factory=Totals)
    """What could not be put down to a run."""
    unreadable: Mapping[int, str] = field(default_factory=dict)
    """Runs that are neither in the list nor in those totals, and why."""
    avoided: frozenset[int] = frozenset()
    """Runs that could not be read when somebody looked at them, and were not made again since."""
    compared: frozenset[tuple[int, str | None]] = frozenset()
    """Those of `read` that others are compared with alone: nobody wants to know what is wrong with them."""
    automatic: Mapping[int, Automatic] = field(default_factory=dict)
    """What runs that somebody looks at are compared with if nobody chooses."""

    def automatic_reference(self, run: int | None) -> Automatic:
        """Return what a run is compared with if nobody chooses; nothing of one that nobody has looked at."""
        return self.automatic.get(run, Automatic()) if run is not None else Automatic()

    def reference_of(self, choices: Choices) -> tuple[int | None, str | None]:
        """Return run and session of the book to compare with."""
        if not choices.compare or choices.reference is not None or choices.reference_file is not None:
            return choices.reference, choices.reference_session
        return self.automatic_reference(self.run_of(choices)).run, None

    def run_of(self, choices: Choices) -> int | None:
        """Return the run that somebody chose: the current one, unless it is another."""
        return self.current if choices.run is None else choices.run

    def part_beside(self, choices: Choices, beside: Beside | None) -> int | None:
        """Return which part of the run that somebody chose is shown beside it; None if none is."""
        if beside is Beside.LATELY:
            return LATELY if choices.window is None else choices.window
        is_current = choices.run in {None, self.current} and choices.session is None
        return LAST_MINUTE if beside is Beside.LAST_MINUTE and is_current and choices.window is None else None

    def same_type_before(self, run: int | None) -> Iterable[int]:
        """Return the runs of the type of one before it, the newest first."""
        ours = self.runs.get(run)
        return (each.run for each in self.runs.before(run) if ours is not None and each.run_type == ours.run_type)

    def one(self, run: int | None, session: str | None) -> OneRun:
        """Return a run, as far as it was read."""
        return self.read.get((run, session), NOTHING) if run is not None else NOTHING

    def earlier_references(self, run: int | None) -> dict[int, OneRun]:
        """Return the good runs before that which one is compared with if nobody chooses, the newest first."""
        found = ((each, self.one(each, None)) for each in self.automatic_reference(run).earlier)
        return {each: one for each, one in found if one is not NOTHING and not one.is_unreadable}

    def to_judge(self) -> dict[tuple[int, str | None], OneRun]:
        """Return the runs of which somebody wants to know what is wrong, as far as they could be read."""
        found = ((at, one) for at, one in self.read.items() if at not in self.compared)
        return {at: one for at, one in found if one is not NOTHING and not one.is_unreadable}

    @property
    def is_at_a_loss(self) -> bool:
        """Whether a book that was pinned was not to be had."""
        return any(each.lost for each in self.automatic.values())

    def has_read(self, wanted: Wanted) -> bool:
        """Return whether there is nothing more to be read of what somebody looks at."""
        run = self.current if wanted.run is None else wanted.run
        if run is None or (wanted.session is None and self.runs.get(run) is None):
            return True
        one = self.read.get((run, wanted.session))
        return one is not None and (one is NOTHING or one.is_unreadable or one.has([wanted]))


def nothing_pinned(sha256: str) -> KeptBook:
    """Say of any book that nobody pinned it; raises SpilldeckError."""
    raise SpilldeckError(f"the book {sha256} is not here")


class BooksReader:
    """Reads runs, and only what has changed.

    Parameters
    ----------
    shown
        Reads the books that are the runs'. Its errors are passed on.
    reader_of
        Gives what reads the books of a session, the same each time.
    promoted
        Gives the sessions of the replays whose books are those of runs.
    run_reader
        Reads a run.
    decisions
        Give what people decided.
    pinned
        Gives a book that was pinned, see `PinnedBooks`.
    """

    def __init__(
        self,
        shown: BookReader,
        reader_of: Callable[[str], BookReader],
        promoted: Callable[[], Promoted],
        run_reader: RunReader,
        decisions: Callable[[], Decisions] = Decisions,
        pinned: Callable[[str], KeptBook] = nothing_pinned,
    ) -> None:
        self._decisions, self._read_pinned = decisions, pinned
        self._shown = shown
        self._reader_of = reader_of
        self._promoted = promoted
        self._run_reader = run_reader
        self._chooser = Chooser(lambda run: shown.runs([run]).get(run), decisions)

    def look(self, wanted: Iterable[Wanted]) -> At:
        """Return how far the books are that somebody looks at."""
        sessions = {each.session for each in wanted if each.session is not None}
        promoted = self._promoted()  # before the rest: it may wait for Kafka
        shown = _extent(self._shown)
        return At(
            shown=shown,
            unreadable=self._shown.unreadable,
            sessions={session: _extent(self._reader_of(session)) for session in sorted(sessions)},
            promoted=promoted,
        )

    def read(self, last: Books, at: At, wanted: Iterable[Wanted], *, spread_over: int) -> Books:
        """Return what there is now.

        Parameters
        ----------
        last
            What was read before.
        at
            What `look` returned.
        wanted
            Runs that somebody looks at.
        spread_over
            How many partitions spills are spread over, while some are on their way; 0 if none are.
        """
        runs = _listed(last, at.shown)
        unattributed, unreadable = Totals(), dict(at.unreadable)
        if NO_RUN in at.shown.places:
            unattributed = self._shown.runs([NO_RUN]).get(NO_RUN, Totals())
            unreadable |= self._shown.unreadable
        new = replace(
            last,
            at=at,
            is_read=True,
            runs=runs,
            current=situation.current(at.shown.places, at.shown.came_ms),
            unattributed=unattributed,
            unreadable=unreadable,
        )
        looked_at: dict[tuple[int, str | None], list[Wanted]] = {}
        for each in wanted:
            run = new.current if each.run is None else each.run
            if run is not None and (each.session is not None or runs.get(run) is not None):
                looked_at.setdefault((run, each.session), []).append(each)
        read = {}
        for (run, session), asked in looked_at.items():
            extent, known = at.of(session), last.read.get((run, session))
            if run not in extent.places:
                read[run, session] = NOTHING
                continue
            promoted = at.promoted.shown.get(run) if session is None else None
            left = extent.left(run) if promoted is None else ()
            standing = Standing(
                place=extent.places[run],
                promoted=promoted,
                left=left,
                spread_over=spread_over if session is None and run == new.current and not left else 0,
            )
            if known is not None and known.standing == standing and not standing.left and known.has(asked):
                read[run, session] = known
                continue
            whose = Whose(
                run=run,
                session=session,
                reader=self._shown if session is None else self._reader_of(session),
                standing=standing,
                earlier=[*islice(new.same_type_before(run), RUNS_SHOWN - 1)][::-1],
                promoted=at.promoted.shown,
            )
            read[run, session] = self._run_reader.read(whose, asked, known)
        avoided = {run for run, one in ((run, read[run, s]) for run, s in read if s is None) if one.is_unreadable}
        avoided |= {run for run in last.avoided if (run, None) not in read and not at.shown.left(run)}
        compared = frozenset(at for at, asked in looked_at.items() if all(each.is_compared for each in asked))
        new = replace(new, read=read, avoided=frozenset(avoided), compared=compared)
        return replace(new, automatic=self._automatic(new, {run for run, _ in looked_at.keys() - compared}))

    def _automatic(self, books: Books, looked_at: Iterable[int]) -> dict[int, Automatic]:
        """Return what runs are compared with: as of now, earlier ones may have come since somebody looked first."""
        places, found = books.at.shown.places, dict[int, Automatic]()
        decisions = self._decisions()
        for run in looked_at:
            try:
                pinned = _pinned(decisions, run, places, self._read_pinned)
                if pinned is not None and pinned.run in books.avoided:
                    raise _lost(pinned.run, "cannot be read")
            except SpilldeckError as error:
                pinned = Automatic(is_pinned=True, lost=str(error))
            if pinned is not None:
                found[run] = pinned
            else:
                earlier = (each for each in books.same_type_before(run) if each not in books.avoided)
                found[run] = self._chooser.choose(earlier, places, _began_ms(places, run))
        return found


def automatic_of(
    reader: BookReader, run: int, decisions: Decisions, read_pinned: Callable[[str], KeptBook] = nothing_pinned
) -> Automatic:
    """Return what a run is compared with if nobody chooses; errors of Redis are passed on.

    Raises
    ------
    SpilldeckError
        When that was pinned, and is not to be had.
    """
    extent = _extent(reader)
    pinned = _pinned(decisions, run, extent.places, read_pinned)
    if pinned is not None:
        return pinned
    books = Books(at=At(shown=extent), runs=_listed(Books(), extent))
    chooser = Chooser(lambda each: reader.runs([each]).get(each), lambda: decisions)
    return chooser.choose(books.same_type_before(run), extent.places, _began_ms(extent.places, run))


def _began_ms(places: Mapping[int, Place], run: int) -> int:
    return places[run].first_ms if run in places else 0


def _pinned(
    decisions: Decisions, run: int, places: Mapping[int, Place], read: Callable[[str], KeptBook]
) -> Automatic | None:
    """Return what somebody decided a run to be compared with, if it is of another.

    Raises
    ------
    SpilldeckError
        When it is not to be had: no other takes its place, as nobody decided that.
    """
    place = places.get(run)
    pin = decisions.pinned(place.run_type, 1000 * place.produced_ms) if place is not None else None
    if pin is None or pin.run == run:
        return None
    if pin.book:
        return Automatic(book=read(pin.book), called=pin.called, is_pinned=True)
    if pin.run not in places:
        raise _lost(pin.run, "is not stored any more")
    return Automatic(run=pin.run, is_pinned=True)


def _lost(run: int | None, why: str) -> UsageError:
    return UsageError(f"run {run}, which is pinned for the runs of this type, {why}: pin another, or unpin it")


def _extent(reader: BookReader) -> Extent:
    progress, places = reader.progress(), reader.places()
    return Extent(progress=progress, places=places, came_ms=reader.came_ms)


def _listed(last: Books, shown: Extent) -> StoredRuns:
    """Return the runs in the order in which they began to come; the same list again if nothing of it has changed."""
    before, before_ms = last.at.shown.places, last.at.shown.came_ms
    places, came_ms = shown.places, shown.came_ms
    # Of thousands of runs one or two have changed, and mostly in what the list does not say.
    if places.keys() == before.keys() and all(
        (place is before[run] and came_ms is before_ms)
        or _line(run, place, came_ms) == _line(run, before[run], before_ms)
        for run, place in places.items()
    ):
        return last.runs
    lines = sorted(_line(run, place, came_ms) for run, place in places.items() if run != NO_RUN)
    return StoredRuns(summary for _, _, summary in lines)


def _line(run: int, place: Place, came_ms: Mapping[int, int]) -> tuple[int, int, RunSummary]:
    """Return what orders the runs, and what is listed of one."""
    return *situation.arrival(run, place, came_ms), RunSummary(
        run=run, run_type=place.run_type, begin_us=place.began_us, ended=place.ended, retired=bool(place.retired)
    )
