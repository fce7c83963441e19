"""Alarms of what is no verdict: the way of the spills itself, from the DAQ to the books, and spills that do not count.

A function of what is seen of the servers and of the current run, and of how long it has been so. What is wrong has to
last before it is an alarm, and to be over for longer before its alarm is cleared, so that nothing flaps. What nobody
knows raises and clears nothing. What comes first on the way masks what follows it: while no spill comes, or none can be
read back, whatever else is wrong further on waits.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from schemas.records import NO_RUN
from streams.books.alarming import LONGEST, Due
from streams.books.alarms import DATA_FLOW, Alarm, Alarms, New, Priority, is_shelved
from streams.books.plain_limits import TooMany
from streams.freshness import Observed, is_silent, is_stuck, refuses_all, silence_s, span
from streams.words import several

HOLDS_S = 30.0
"""For so long it has to be wrong: a server or a worker that is started anew is back by then."""
CLEARS_S = 120.0
"""For so long it has to be over. Longer than `DAQ_SILENT_S`: a spill every other minute does not end a silence."""

KAFKA, REDIS, DAQ, WORKERS, SPILLS = "Kafka", "Redis", "DAQ", "workers", "spills"
_ORDER = (KAFKA, REDIS, DAQ, WORKERS, SPILLS)
"""What is wrong with the first masks all that come after it."""
_OVER = {
    KAFKA: "Kafka answers again",
    REDIS: "Redis answers again",
    DAQ: "spills come again",
    WORKERS: "spills are processed in time again",
    SPILLS: "within the limits again",
}


class Advice(NamedTuple):
    """What stands beside an alarm for whoever is told."""

    action: str
    call: str
    why: str = ""
    """Why it matters; of a plot, what is normal."""


_KEEPER = "whoever keeps the servers"
_ADVICE = {
    KAFKA: Advice(
        "Look at Kafka's log and at the producers, which wait and send what came meanwhile; run spilldeck books.",
        _KEEPER,
        "While Kafka is away no spill comes, and no alarm can be raised.",
    ),
    REDIS: Advice(
        "Start Redis again; nothing is lost, the workers go on where it was.",
        _KEEPER,
        "While Redis is away all numbers on the page are old, and nothing can be judged.",
    ),
    DAQ: Advice(
        "Ask whether there is beam. If there is, look at the DAQ, then at what sends its files (spilldeck produce).",
        "DAQ expert on call",
        "A run is being taken, and nothing of it comes: data may be lost.",
    ),
    WORKERS: Advice(
        "Look whether the workers are at work (spilldeck books) and what their logs say; start them again, or more.",
        _KEEPER,
        "The plots are behind the beam: what goes wrong now is seen late. No spill is lost.",
    ),
    SPILLS: Advice(
        "List them by a click on the counters, and see why with spilldeck rejected list; look at the boards it names.",
        "DAQ expert on call",
        "These spills are in no plot, or not with all of their detectors.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Flow:
    """What is seen of the way of the spills."""

    session: str
    observed: Observed
    run: int | None
    """The one that is being taken."""
    is_over: bool = False
    last: int = NO_RUN
    """The last spill in its book."""
    too_many: Sequence[TooMany] | None = ()
    """What more of its spills have than the limits allow; None if nobody knows."""
    over: Collection[int] = ()
    """Other runs, which are over."""
    gone: Collection[int] = ()
    """Runs of alarms that are not in the books any more."""


class _Wrong(NamedTuple):
    part: str
    """One of `_ORDER`."""
    what: str
    """The same for as long as it is the same alarm."""
    words: str
    priority: Priority = Priority.HIGH
    detector: str = ""


def advice(new: New) -> Advice:
    """Return what to do about an alarm of the data flow, and whom to call; nothing of one of another version."""
    return _ADVICE.get(_part(new.of), Advice("", ""))


def unread(too_many: Sequence[TooMany] | None) -> set[str]:
    """Return the detectors that cannot be read: what else is wrong with them follows from that."""
    return {each.detector for each in too_many or () if each.detector}


class DataFlow:
    """Remembers since when what is wrong, to tell what lasts."""

    def __init__(self) -> None:
        self._wrong: dict[str, float] = {}
        """What is wrong → since when, seconds since 1970 UTC."""
        self._right: dict[str, float] = {}
        """What was an alarm → since when nothing is wrong with it."""
        self._outage: tuple[float, float] | None = None
        """Between which times Kafka was last away; nobody could note it then."""

    def due(self, flow: Flow, known: Alarms) -> Due:
        """Return which alarms are to be cleared and raised, where these are known."""
        now_s, unknown = flow.observed.now_s, _unknown(flow)
        self._note_outage(flow.observed)
        found = {f"{DATA_FLOW}{each.part}{each.what}": each for each in self._all(flow)}
        for of in {*self._wrong, *self._right, *found}:
            if _part(of) in unknown:
                self._wrong.pop(of, None)
                self._right.pop(of, None)
        for of in found:
            self._wrong.setdefault(of, now_s)
            self._right.pop(of, None)
        active = [each for each in known if each.is_active and each.new.session == flow.session and _is_ours(each)]
        for of in {*self._wrong, *(each.new.of for each in active)} - found.keys():
            self._wrong.pop(of, None)
            if _part(of) not in unknown:
                self._right.setdefault(of, now_s)
        cleared = [(alarm, why) for alarm in active if (why := self._why_clear(alarm.new, flow))]
        self._right = {of: since for of, since in self._right.items() if of in {each.new.of for each in active}}
        return Due(tuple(cleared), tuple(self._raised(found, flow, known)))

    def _note_outage(self, seen: Observed) -> None:
        if seen.kafka_lost_s:
            begin_s = self._outage[0] if self._outage and self._outage[1] == 0 else seen.kafka_lost_s
            self._outage = (begin_s, 0.0)
        elif self._outage and self._outage[1] == 0:
            self._outage = (self._outage[0], seen.now_s)

    def _all(self, flow: Flow) -> Iterator[_Wrong]:
        """Yield what is wrong now, as far as anybody knows, in the order in which it masks."""
        seen = flow.observed
        if seen.kafka_lost_s:
            return
        if self._outage and (kafka := _kafka(*self._outage, seen.now_s)):
            yield kafka
            self._wrong.setdefault(f"{DATA_FLOW}{KAFKA}", self._outage[0])
        if seen.store_lost_s:
            yield _Wrong(REDIS, "", f"Redis does not answer, or not with books, since {_time(seen.store_lost_s)}")
            return
        if flow.run is not None and not flow.is_over and is_silent(seen):
            since = seen.now_s - (silence_s(seen) or 0.0)
            yield _Wrong(DAQ, "", f"No spill of run {flow.run} since {_time(since)}: DAQ or beam")
        if is_stuck(seen):
            spills = several(seen.behind, "spill")
            yield _Wrong(WORKERS, "", f"{spills} wait to be processed, the first since {_time(seen.behind_since_s)}")
        if flow.run is not None and not flow.is_over:
            yield from _of_spills(seen, flow.too_many or ())

    def _raised(self, found: dict[str, _Wrong], flow: Flow, known: Alarms) -> Iterator[New]:
        first = min((_ORDER.index(each.part) for each in found.values()), default=0)
        now_us = round(flow.observed.now_s * 1e6)
        for of, its in found.items():
            since_s = self._wrong[of]
            if flow.observed.now_s - since_s < HOLDS_S or _ORDER.index(its.part) > first:
                continue
            run = flow.run if its.part in (DAQ, SPILLS) and flow.run is not None else NO_RUN
            # Another watcher may have raised and cleared it meanwhile.
            same = [each for each in known if (each.new.session, each.new.of) == (flow.session, of)]
            if is_shelved(known, flow.session, of, now_us) or any(
                (each.is_active and each.new.run == run) or each.at_us >= since_s * 1e6 for each in same
            ):
                continue
            spill = flow.last if run != NO_RUN else NO_RUN
            times = sum((each.new.run, each.new.spill) == (run, spill) for each in same)
            words = its.words[:LONGEST]
            yield New(flow.session, run, of, spill, spill, words, its.detector, "", its.priority, times)

    def _why_clear(self, new: New, flow: Flow) -> str:
        """Return why an alarm is none any more; empty if it still is, or nobody knows."""
        if new.run in flow.over or (new.run == flow.run and flow.is_over):
            return f"run {new.run} is over"
        if new.run in flow.gone:
            return f"run {new.run} is gone from the books"
        since_s = self._right.get(new.of)
        if since_s is None or flow.observed.now_s - since_s < CLEARS_S or new.run not in (NO_RUN, flow.run):
            return ""
        return _OVER[_part(new.of)]


def _unknown(flow: Flow) -> set[str]:
    """Return of which parts nobody knows how they are."""
    if flow.observed.kafka_lost_s:
        return {*_ORDER}
    if flow.observed.store_lost_s:  # nor whether the run has ended
        return {DAQ, WORKERS, SPILLS}
    return {SPILLS} if flow.too_many is None else set()


def _kafka(begin_s: float, end_s: float, now_s: float) -> _Wrong | None:
    """Return that Kafka was away, for a while after it has come back."""
    if end_s - begin_s < HOLDS_S or now_s - end_s > HOLDS_S:
        return None
    return _Wrong(KAFKA, "", f"Kafka did not answer for {span(end_s - begin_s)}, until {_time(end_s)}")


def _of_spills(seen: Observed, too_many: Sequence[TooMany]) -> Iterator[_Wrong]:
    """Yield what of the spills of a run does not count, or not in whole."""
    if refuses_all(seen):
        yield _Wrong(SPILLS, " rejected", f"No spill counted for {seen.refused:,}: {seen.refused_why}")
    has_detector = any(each.detector for each in too_many)
    for each in too_many:
        if each.what == "rejected" and refuses_all(seen):
            continue
        # The raw plots tell of each board that some detector has told of already.
        if each.detector or not each.what.startswith("with errors") or not has_detector:
            yield _Wrong(SPILLS, f" {each.what}", each.words, detector=each.detector)


def _is_ours(alarm: Alarm) -> bool:
    return not alarm.new.is_verdict and _part(alarm.new.of) in _ORDER


def _part(of: str) -> str:
    return of.removeprefix(DATA_FLOW).partition(" ")[0]


def _time(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%d %b %H:%M:%S} UTC"
