"""What people decided of replays, references and runs: one pure function of the actions in the topic of quality.

The order decides what counts. Of two commands at once, each judges by what it knows; then the topic has an order, and
an action that is impossible where it lies is passed over by everybody in the same way. Nobody needs a lock.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, Self

import structlog

from schemas.known import WireError
from schemas.records import NO_RUN, Action, ActionKind
from schemas.wire import decode
from streams.books import alarms as run_alarms
from streams.books import checklists as run_checklists
from streams.books import flags as run_flags
from streams.books import issues as known_issues
from streams.books import notes as run_notes
from streams.books import proposals
from streams.books.alarms import Alarms
from streams.books.checklists import Checklists
from streams.books.flags import Flags, Verdict
from streams.books.issues import Issues
from streams.books.notes import Notes
from streams.books.plan import PREFIX, Plan
from streams.books.proposals import Proposal
from streams.errors import ServerError
from streams.plain import read_json

FORMAT = 7
"""Of what is stored; it grows when actions that were passed over are understood."""
TAIL = 32
"""The last actions by which one log of the topic is told from another: more than a power cut takes."""
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError)
"""What is raised where a text is not what it should be."""

_OF_RUNS = {ActionKind.END_RUN, ActionKind.PROPOSE_FLAGS, ActionKind.CHECKLIST, *run_notes.KINDS, *run_flags.KINDS}
"""Actions of which the subject is a run."""

_SHA256 = re.compile(r"[0-9a-f]{64}")

_log = structlog.get_logger(__name__)


class Pin(NamedTuple):
    """From when on runs of a type are compared with which run."""

    at_us: int
    """Microseconds since 1970 UTC."""
    run: int | None
    """None where it is left to the page again."""
    book: str = ""
    """SHA-256 of the book of that run that was pinned; empty where it is the run's own."""
    called: str = ""
    """Whence that book is: ``replay new-t0``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What follows from the actions up to an offset."""

    next: int = 0
    """The first offset of the topic that is not in it."""
    tail: tuple[str, ...] = ()
    """Digests of the last messages before it."""
    since: int = 0
    """The actions from this offset on give all of it."""
    promoted: Mapping[int, str] = field(default_factory=dict)
    """Run → session of the replay whose book is that of the run."""
    plans: Mapping[str, Plan] = field(default_factory=dict)
    """Session → what the replay was asked to do."""
    pins: Mapping[str, tuple[Pin, ...]] = field(default_factory=dict)
    """Type of runs → what they are compared with, in the order in which it was decided."""

    flags: Mapping[int, Flags] = field(default_factory=dict)
    """Run → what people said of it, in the order in which they did."""
    proposed: Mapping[int, Proposal] = field(default_factory=dict)
    """Run that is over → what the checks say of its newest book."""
    alarms: Alarms = ()
    """The newest ones, and what became of each."""
    issues: Issues = ()
    """All that were ever known, and what became of each."""
    notes: Notes = ()
    """The newest ones."""
    checklists: Checklists = ()
    """The newest ones."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is promoted, replayed, pinned, flagged, proposed, told, known, noted or checked."""
        said = self.flags, self.proposed, self.alarms, self.issues, self.notes, self.checklists
        return not any((self.promoted, self.plans, self.pins, *said))

    @property
    def pinned_books(self) -> tuple[str, ...]:
        """The SHA-256 of each book that was ever pinned: older runs are compared with what held then."""
        return tuple(dict.fromkeys(pin.book for pins in self.pins.values() for pin in pins if pin.book))

    def pinned(self, run_type: str, until_us: int) -> Pin | None:
        """Return what a run of a type is compared with; None if that is left to the page.

        Parameters
        ----------
        until_us
            When its newest message was produced: what is decided later says nothing of it.
        """
        before = [pin for pin in self.pins.get(run_type, ()) if pin.at_us <= until_us]
        return before[-1] if before and before[-1].run is not None else None

    def bad(self, run: int, until_us: int | None = None) -> str:
        """Return why a run is bad by what people said of it, or else by what the checks propose; empty if it is not.

        Parameters
        ----------
        until_us
            What came later is not asked; None asks all.
        """
        said = run_flags.until(self.flags.get(run, ()), until_us)
        held = run_flags.of_run(said)
        reasons = {flag.id: flag.reason for flag in said}
        for each in held:
            if each.verdict is Verdict.BAD:
                return f"flagged bad: {reasons[each.flags[0]]}"
        if any(each.verdict is Verdict.GOOD and (each.first, each.last) == (0, run_flags.END) for each in held):
            return ""  # who looked knows more than the checks
        proposal = self.proposed.get(run)
        if proposal is None or not proposal.bad or (until_us is not None and proposal.at_us > until_us):
            return ""
        return f"the checks: {proposal.bad}"

    def has_counted(self, offset: int, message: bytes) -> bool:
        """Say whether this is the message that was at an offset, if it is one of the tail."""
        at = offset - self.next + len(self.tail)
        return 0 <= at < len(self.tail) and self.tail[at] == _digest(message)

    def after(self, offset: int, message: bytes) -> Self:
        """Return what follows with the message at this offset, too."""
        before = self.tail if offset == self.next else ()
        moved = replace(self, next=offset + 1, tail=(*before, _digest(message))[-TAIL:])
        try:
            action = decode(message)
        except WireError as error:
            _log.warning("an action cannot be read", offset=offset, why=str(error))
            return moved
        if not isinstance(action, Action) or self.refusal(offset, action):
            return moved
        return moved._with(offset, action)

    def refusal(self, offset: int, action: Action) -> str:
        """Return why an action would not count at an offset; empty if it would, or is of a kind that says nothing here.

        Who decides asks before it is written; `after` asks again where it came to lie.
        """
        try:
            match action.kind:
                case ActionKind.PLAN_REPLAY:
                    return self._refuse_plan(action)
                case ActionKind.DROP_REPLAY:
                    return self._refuse_drop(action)
                case ActionKind.PROMOTE:
                    return self._refuse_promotion(action)
                case ActionKind.RESTORE:
                    return self._refuse_restoring(action)
                case ActionKind.PIN_REFERENCE | ActionKind.PIN_BOOK:
                    return self._refuse_pin(action)
                case ActionKind.TAKE_OVER:
                    taken_over(action)
                    return "" if action.subject == str(offset) else "others have decided since"
                case _:
                    return self._refuse_said(action)
        except UNREADABLE as error:
            return f"what it says cannot be read: {type(error).__name__}: {error}"

    def has_said(self, action: Action) -> bool:
        """Say whether the same action of the same person on what people say counted before: it was sent twice."""
        if action.kind in known_issues.KINDS:
            return known_issues.has_counted(self.issues, action)
        if action.kind in run_notes.KINDS:
            return run_notes.has_counted(self.notes, action)
        if action.kind == ActionKind.CHECKLIST:
            return run_checklists.has_counted(self.checklists, action)
        if action.kind in run_alarms.KINDS:
            return run_alarms.has_counted(self.alarms, action)
        return run_flags.has_counted(self.flags.get(int(action.subject), ()), action)

    def runs_of(self, action: Action) -> tuple[int, ...]:
        """Return the runs that an action says something of, as far as it can be read."""
        try:
            match action.kind:
                case ActionKind.PLAN_REPLAY:
                    return _plan(action.after).runs
                case ActionKind.DROP_REPLAY:
                    return self.plans[action.subject].runs
                case ActionKind.PROMOTE | ActionKind.RESTORE:
                    return tuple(sessions_of(action.after))
                case ActionKind.PIN_REFERENCE | ActionKind.PIN_BOOK:
                    run = pin_of(action).run
                    return () if run is None else (run,)
                case _ if action.kind in _OF_RUNS:
                    return (int(action.subject),)
                case ActionKind.RAISE_ALARM:
                    return _of_runs([int(read_json(action.after)["run"])])
                case ActionKind.TELL_ALARM:
                    told = read_json(action.after)["times"]
                    return _of_runs(each.new.run for each in self.alarms if each.id in told)
                case _ if action.kind in run_alarms.KINDS:
                    return _of_runs(each.new.run for each in self.alarms if each.id == action.subject)
        except UNREADABLE:
            pass
        return ()

    def _refuse_said(self, action: Action) -> str:
        """Refuse what people and the checks say of runs."""
        if action.kind in run_flags.KINDS:
            return run_flags.refusal(self.flags.get(int(action.subject), ()), action)
        if action.kind == ActionKind.PROPOSE_FLAGS:
            return proposals.refusal(self.proposed.get(int(action.subject)), action)
        if action.kind in known_issues.KINDS:
            return known_issues.refusal(self.issues, action)
        if action.kind in run_notes.KINDS:
            return run_notes.refusal(self.notes, action)
        if action.kind == ActionKind.CHECKLIST:
            return run_checklists.refusal(self.checklists, action)
        return run_alarms.refusal(self.alarms, action) if action.kind in run_alarms.KINDS else ""

    def _refuse_plan(self, action: Action) -> str:
        plan = _plan(action.after)
        if plan.session != action.subject or not plan.session.startswith(PREFIX):
            return f"{action.subject} is no replay"
        if plan.session in self.plans:
            return f"there is a replay {plan.name}: --resume it, give --name, or spilldeck replays drop {plan.name}"
        return ""

    def _refuse_drop(self, action: Action) -> str:
        if action.subject not in self.plans:
            return _no_replay(action.subject)
        promoted = [run for run, session in sorted(self.promoted.items()) if session == action.subject]
        if promoted:
            return (
                f"the book of run {promoted[0]} is that of this replay: spilldeck replays restore {promoted[0]} first"
            )
        return ""

    def _refuse_promotion(self, action: Action) -> str:
        plan, runs = self.plans.get(action.subject), sessions_of(action.after)
        if plan is None:
            return _no_replay(action.subject)
        if {*runs.values()} != {action.subject} or not runs.keys() <= {*plan.runs}:
            return f"the replay {plan.name} is not of the runs {', '.join(map(str, runs))}"
        return ""

    def _refuse_restoring(self, action: Action) -> str:
        runs = sessions_of(action.after)
        if any(session is not None for session in runs.values()):
            return "what is restored is live's"
        if not runs.keys() & self.promoted.keys():
            return f"the book of run {action.subject} is that of live: no replay of it was promoted"
        return ""

    def _refuse_pin(self, action: Action) -> str:
        pin, now = pin_of(action), self.pins.get(action.subject, ())
        if pin.run is None and (not now or now[-1].run is None):
            return f"no reference is pinned for the runs of type {action.subject}"
        return "it was pinned already" if pin.book and pin in now else ""

    def _with(self, offset: int, action: Action) -> Self:
        """Return what follows with an action that counts."""
        match action.kind:
            case ActionKind.PLAN_REPLAY:
                return replace(self, plans={**self.plans, action.subject: _plan(action.after)})
            case ActionKind.DROP_REPLAY:
                return replace(self, plans={name: plan for name, plan in self.plans.items() if name != action.subject})
            case ActionKind.PROMOTE | ActionKind.RESTORE:
                shown = {**self.promoted, **sessions_of(action.after)}
                return replace(self, promoted={run: its for run, its in shown.items() if its is not None})
            case ActionKind.TAKE_OVER:
                return replace(self, **taken_over(action), since=offset)
            case ActionKind.PIN_REFERENCE | ActionKind.PIN_BOOK:
                pins = (*self.pins.get(action.subject, ()), pin_of(action))
                return replace(self, pins={**self.pins, action.subject: pins})
        return self._with_said(action)

    def _with_said(self, action: Action) -> Self:
        """Return what follows with what people and the checks say of runs."""
        match action.kind:
            case ActionKind.FLAG | ActionKind.WITHDRAW_FLAG | ActionKind.VERIFY_FLAG:
                run = int(action.subject)
                return replace(self, flags={**self.flags, run: run_flags.after(self.flags.get(run, ()), action)})
            case ActionKind.PROPOSE_FLAGS:
                return replace(self, proposed={**self.proposed, int(action.subject): proposals.of(action)})
            case _ if action.kind in run_notes.KINDS:
                return replace(self, notes=run_notes.after(self.notes, action))
            case ActionKind.CHECKLIST:
                return replace(self, checklists=run_checklists.after(self.checklists, action))
            case ActionKind.RAISE_ALARM:
                alarms = run_alarms.after(self.alarms, action)
                issues = known_issues.hit(self.issues, alarms[-1])
                return replace(self, alarms=known_issues.masked(issues, alarms), issues=issues)
            case _ if action.kind in run_alarms.KINDS:
                return replace(self, alarms=run_alarms.after(self.alarms, action))
            case _ if action.kind in known_issues.KINDS:
                issues = known_issues.after(self.issues, action)
                return replace(self, alarms=known_issues.masked(issues, self.alarms), issues=issues)
        return self

    def to_json(self) -> str:
        """Return it as it is stored."""
        return json.dumps({"format": FORMAT, "next": self.next, "tail": self.tail, "since": self.since, **_state(self)})

    def state_json(self) -> str:
        """Return what is promoted and replayed alone, as an action that takes it over has it."""
        return json.dumps(_state(self))

    @classmethod
    def from_json(cls, text: bytes) -> Self | None:
        """Return what `to_json` stored; None if it was an older version's, or is damaged.

        Raises
        ------
        ServerError
            When it was a newer version's.
        """
        try:
            values = read_json(text)
            written = int(values["format"])
            if written > FORMAT:
                raise ServerError(
                    f"what Redis knows of decisions was written by a newer version (format {written}, here {FORMAT}): "
                    f"update this one"
                )
            if written < FORMAT:
                return None
            tail = tuple(map(str, values["tail"]))
            return cls(next=int(values["next"]), tail=tail, since=int(values["since"]), **_parts(values))
        except UNREADABLE:
            return None


def _of_runs(runs: Iterable[int]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(run for run in runs if run != NO_RUN))


def sessions_of(text: str) -> dict[int, str | None]:
    """Return the sessions whose books are those of runs, from what was before or after an action.

    Raises
    ------
    ValueError
        When it is none of it.
    """
    found = read_json(text)
    if not isinstance(found, dict) or not all(isinstance(each, str | None) for each in found.values()):
        message = "no sessions by run"
        raise ValueError(message)
    return {int(run): session for run, session in found.items()}


def taken_over(action: Action) -> dict[str, Any]:
    """Return what an action of this kind takes over, by the names of `Decisions`."""
    return _parts(read_json(action.after))


def _state(decisions: Decisions) -> dict[str, Any]:
    plans = {session: asdict(replace(plan, done=False)) for session, plan in decisions.plans.items()}
    promoted = {str(run): session for run, session in decisions.promoted.items()}
    return {
        "promoted": promoted,
        "plans": plans,
        "pins": decisions.pins,
        "flags": run_flags.plain(decisions.flags),
        "proposed": proposals.plain(decisions.proposed),
        "alarms": run_alarms.plain(decisions.alarms),
        "issues": known_issues.plain(decisions.issues),
        "notes": run_notes.plain(decisions.notes),
        "checklists": run_checklists.plain(decisions.checklists),
    }


def _parts(values: dict[str, Any]) -> dict[str, Any]:
    # What an older version took over lacks what it did not know: pins, flags, and all that follows.
    promoted = {int(run): str(session) for run, session in values["promoted"].items()}
    plans = {str(session): _plan(json.dumps(plan)) for session, plan in values["plans"].items()}
    pins = {str(its): tuple(map(_pin, its_pins)) for its, its_pins in values.get("pins", {}).items()}
    flags = run_flags.from_plain(values.get("flags", {}))
    proposed = proposals.from_plain(values.get("proposed", {}))
    alarms = run_alarms.from_plain(values.get("alarms", ()))
    issues = known_issues.from_plain(values.get("issues", ()))
    notes = run_notes.from_plain(values.get("notes", ()))
    checklists = run_checklists.from_plain(values.get("checklists", ()))
    return {
        "promoted": promoted,
        "plans": plans,
        "pins": pins,
        "flags": flags,
        "proposed": proposed,
        "alarms": alarms,
        "issues": issues,
        "notes": notes,
        "checklists": checklists,
    }


def _pin(values: Sequence[Any]) -> Pin:
    at_us, run, *book = values  # what an older version took over has no book
    return Pin(int(at_us), None if run is None else int(run), *map(str, book))


def pin_of(action: Action) -> Pin:
    """Return what an action pins; raises what `UNREADABLE` names when it cannot be read."""
    its = read_json(action.after)
    is_book = action.kind == ActionKind.PIN_BOOK
    run, book = its["run"], its["sha256"] if is_book else ""
    if (run is not None or is_book) and (not isinstance(run, int) or isinstance(run, bool)):
        message = "no run"
        raise TypeError(message)
    if is_book and not _SHA256.fullmatch(book):
        message = "no SHA-256"
        raise ValueError(message)
    return Pin(at_us=action.at_us, run=run, book=book, called=str(its["called"]) if is_book else "")


def _plan(text: str) -> Plan:
    return replace(Plan.from_json(text), done=False)


def _no_replay(session: str) -> str:
    return f"there is no replay {session.removeprefix(PREFIX)}: see spilldeck replays list"


def _digest(message: bytes) -> str:
    return hashlib.blake2b(message, digest_size=8).hexdigest()
