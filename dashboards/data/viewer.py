"""The view of what somebody chose, made of what was last seen of Redis and Kafka."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from dashboards.choices import Beside, Choices, book_of
from dashboards.data.books import Books
from dashboards.data.broker import Broker
from dashboards.data.frozen import Frozen
from dashboards.data.history import History
from dashboards.data.one_run import NOTHING, OneRun, Wanted, sentence
from dashboards.data.replays import Replay
from dashboards.data.store import Store
from dashboards.data.view import Reference, View
from schemas.records import NO_RUN
from streams.books import situation
from streams.books.decisions import Decisions
from streams.books.duties import Agenda, Taken, agenda
from streams.books.imported import Imported, Imports
from streams.books.lag import behind
from streams.books.limits import TypeLimits
from streams.books.progress import Progress
from streams.books.promotions import Promoted
from streams.errors import SpilldeckError
from streams.freshness import LOSS_TOLD_S, Level, Observed, alarms, daq, pipeline, silence_s, span, stand
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was last seen, as of one time."""

    now_s: float
    """Seconds since 1970 UTC."""
    store: Store
    broker: Broker
    said: Decisions
    """What people said, and the checks."""
    undecided: str
    """What to say while nobody has told what people decided; else empty."""

    def observed(self) -> Observed:
        """Return what freshness follows from."""
        store, books, extent = self.store, self.store.books, self.store.books.at.shown
        progress, live = extent.progress, None if books.current is None else extent.places[books.current]
        return situation.observed(
            books.one(books.current, None).book.totals,
            live,
            now_s=self.now_s,
            produced_s=max((its.produced_ms for its in progress.values()), default=0) / 1000,
            raw_moved_s=self.broker.moved_s,
            caught_up=books.is_read and not store.fault and not behind(self.broker.spans, progress),
            behind=store.waiting.messages,
            behind_since_s=store.waiting.since_s,
            made_again=len({run for its in progress.values() for run in its.repairs if run != NO_RUN}),
            kafka_lost_s=self.broker.lost_s,
            store_lost_s=store.read_s if store.fault else 0.0,
            watchers=store.watching.at_work,
            not_told=store.watching.not_told,
            watched_s=store.watched_s,
        )

    def agenda(self, every_h: float) -> Agenda | None:
        """Return which checklists are due, given the hours after which one is; None if nobody can say."""
        books = self.store.books
        if self.undecided or not books.is_read:
            return None
        if books.current is None:
            return Agenda()
        runs = [*(each.run for each in islice(books.runs.before(books.current), 1)), books.current]
        places, came_ms = books.at.shown.places, books.at.shown.came_ms
        its = (Taken.of(run, places[run], came_ms.get(run, 0), is_current=run == books.current) for run in runs)
        return agenda([*its], every_h, self.said.checklists, round(self.now_s * 1e6))

    def warnings(self, of_what_is_shown: Iterable[str], lost_replays: Iterable[str]) -> Iterator[str]:
        """Yield what must not be overlooked, in its order."""
        store, broker = self.store, self.broker
        if store.fault:
            yield f"The store (Redis) {store.fault}, for {span(self.now_s - store.read_s)}: all numbers are old"
        if broker.lost_s:
            yield f"Kafka {broker.why}, for {span(self.now_s - broker.lost_s)}: nobody knows whether spills come"
        if (watched := alarms(self.observed())).level is Level.BAD:
            yield watched.text
        if self.undecided:
            yield self.undecided
        yield from broker.warnings
        yield from _losses(store.books.at.shown.progress, self.now_s)
        yield from of_what_is_shown
        yield from lost_replays
        if store.limits.problem:
            yield store.limits.told
        if store.replays_fault:
            yield f"What the store (Redis) holds of the replays cannot be read: {store.replays_fault}"
        yield from (f"What the store (Redis) holds is not safe: {risk}" for risk in store.risks)


class Viewer:
    """Makes views, and remembers what was frozen.

    Parameters
    ----------
    settings
        Expected rate, files to compare with, how often a checklist is due.
    """

    def __init__(self, settings: Settings) -> None:
        self._expected_rate = settings.dashboard.expected_rate
        self._every_h = settings.checklist.every_h
        self._imports = Imports.of(settings)
        self._frozen = Frozen()

    def view(self, seen: Seen, choices: Choices, plot: str | None, beside: Beside | None = None) -> View:
        """Return what there is to show of what somebody chose, of one plot its key number, and what is beside."""
        books, fault = seen.store.books, seen.store.fault
        run = books.current if choices.run is None else choices.run
        other, other_session = books.reference_of(choices)
        one, reference = books.one(run, choices.session), books.one(other, other_session)
        goes_on, is_frozen = None, False
        if choices.frozen is not None and run is not None and one is not NOTHING:
            goes_on = self.view(seen, choices.but(frozen=None), plot, beside)
            frozen = self._frozen.at(choices.frozen, run, choices.session, one, seen.now_s)
            one, is_frozen = frozen or one, frozen is not None
        part = None if choices.window is None else one.parts.get(choices.window)
        which = books.part_beside(choices, beside)
        its = one.parts.get(which) if which is not None else None
        observed = seen.observed()
        is_taken = run == books.current and choices.session is None and not observed.run_ended and not is_frozen
        stand_since_ms = one.book.totals.counted_ms if is_taken and not fault and stand(observed) else 0
        history = one.histories.get(plot) if plot is not None else None
        automatic, is_left = books.automatic_reference(run), choices.compare and choices.reference is None
        book = Reference.of_book(automatic) if is_left and choices.reference_file is None else None
        imports, file, why_no_file = self._imported(choices.reference_file if choices.compare else None)
        whys = ((run, part.unreadable if part else ""), (other, reference.unreadable), (run, one.unreadable))
        of_what_is_shown = (
            *_unreadable(books, history, whys),
            *dict.fromkeys((*one.warnings, *reference.warnings)),
            *why_no_file,
            *([sentence(automatic.lost)] if automatic.lost else ()),
        )
        limits = seen.store.limits.of(one.book.totals.run_type)
        shown = [each for each, session in ((run, choices.session), (other, other_session)) if session is None]
        wanted = Wanted(choices.run, choices.session, choices.window)
        is_loading = not fault and not is_frozen and not (books.is_read and books.has_read(wanted))
        version = [one.version or book_of(run, choices.session), choices.window if part else "", reference.version]
        earlier = () if other_session is not None else _earlier(books, run, other)
        version += [one.version for _, one in earlier]
        version += [plot] if history is not None else []
        version += [f"beside {which}"] if its is not None else []
        hits = (one.hits, reference.hits) if beside is Beside.LATELY else ()
        version += [str(each.version) for each in hits if each is not None]
        version += [file.name, file.imported_ms, file.sha256] if file is not None else []
        version += [book.its] if book is not None else []
        version += [repr(limits)] if limits != TypeLimits() else []
        known = tuple(each for each in seen.said.issues if run is not None and each.holds(run, round(seen.now_s * 1e6)))
        version += [each.words for each in known]
        version += ["loading"] if is_loading else []
        version += ["over"] if run != books.current else []
        version += [stand_since_ms] if stand_since_ms else []
        its_run = _reference(other, other_session, reference, chosen=choices.reference is not None, earlier=earlier)
        compared = book or (its_run if file is None else Reference.of_file(file))
        waited_s = seen.now_s - stand_since_ms / 1000 if stand_since_ms else silence_s(observed)
        return View(
            now_s=seen.now_s,
            run=run,
            session=choices.session,
            current=books.current,
            runs=books.runs,
            book=one.book,
            judgement=seen.store.judgements.get((run, choices.session)) if run is not None else None,
            shapes=seen.store.shapes.get((run, choices.session), {}) if run is not None else {},
            explained=seen.store.explained.get(run, {}) if run is not None and choices.session is None else {},
            flags=seen.said.flags,
            proposed=seen.said.proposed,
            alarms=seen.said.alarms,
            checklists=seen.said.checklists,
            agenda=seen.agenda(self._every_h),
            issues=seen.said.issues,
            known=known,
            limits=limits,
            filling=None,
            is_loading=is_loading,
            is_made_again=one.standing is not None and bool(one.standing.left),
            is_unreadable=one.is_unreadable,
            is_retired=bool(one.retired),
            is_kept=one.is_kept,
            absent=one.absent,
            notes=tuple(
                dict.fromkeys(sentence(note) for its in (one, reference) for note in (its.retired, *its.notes) if note)
            ),
            shown=part.book if part else one.book.book,
            spills=part.within(one.spills) if part else one.spills,
            run_spills=one.spills,
            settled=one.settled,
            disordered=one.disordered,
            waited_s=waited_s if is_taken else 0.0,
            is_frozen=is_frozen,
            goes_on=goes_on,
            stand_since_ms=stand_since_ms,
            window=choices.window if part else None,
            windows=one.windows,
            beside=its,
            beside_spills=its.within(one.spills) if its is not None else one.spills.rows(slice(0)),
            hits=one.hits,
            beyond_axis=one.beyond_axis,
            history=history or History(is_read=plot is None),
            reference=compared,
            imports=imports,
            automatic=automatic,
            automatic_faults=_faults(seen, run),
            expected_rate=self._expected_rate,
            unattributed=books.unattributed,
            version="|".join(map(str, version)),
            behind=seen.store.waiting.messages
            if choices.session is None
            else _left(choices.session, seen.store.replays),
            replays=seen.store.replays,
            warnings=tuple(seen.warnings(of_what_is_shown, _lost_replays(books.at.promoted, shown))),
            is_old=bool(fault),
            daq=daq(observed),
            pipeline=pipeline(observed),
            watching=alarms(observed),
            observed=observed,
        )

    def _imported(self, name: str | None) -> tuple[tuple[str, ...], Imported | None, tuple[str, ...]]:
        """Return the names of all that was imported, the one that somebody chose, and what cannot be read of them."""
        names: tuple[str, ...] = ()
        try:
            names = self._imports.names()
            return names, self._imports.read(name) if name is not None else None, ()
        except SpilldeckError as error:
            return names, None, (sentence(error),)


def _faults(seen: Seen, run: int | None) -> int:
    """Return what is known to be wrong with the run that one is compared with if nobody chooses."""
    other = seen.store.books.automatic_reference(run).run
    its = seen.store.judgements.get((other, None)) if other is not None else None
    return len(its.bad) if its is not None else 0


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


def _earlier(books: Books, run: int | None, other: int | None) -> Sequence[tuple[int, OneRun]]:
    """Return the good runs before the reference, if it is that which is taken if nobody chooses."""
    return [*books.earlier_references(run).items()] if other == books.automatic_reference(run).run else ()


def _reference(
    run: int | None, session: str | None, one: OneRun, *, chosen: bool, earlier: Sequence[tuple[int, OneRun]] = ()
) -> Reference | None:
    if run is None or one is NOTHING or (one.is_unreadable and not len(one.spills)):
        return None
    before = (_reference(each, None, its, chosen=False) for each, its in earlier)
    spills = None if one.is_kept else one.spills
    found = Reference.of_run(run, session, one.book, spills, chosen=chosen, hits=one.hits)
    return replace(found, earlier=tuple(filter(None, before)))


def _left(session: str, replays: tuple[Replay, ...]) -> int:
    """Return how many messages a session still has to read, if it is that of a replay."""
    return sum(each.plan.messages - each.read for each in replays if each.plan.session == session)
