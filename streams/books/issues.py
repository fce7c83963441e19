"""Known issues: what is wrong with a plot or a channel, and known; each follows from all actions on it in their order.

A known issue changes no verdict. What the checks tell of it is counted as a hit, and waits for nobody. It ends with its
last run or at a time, and then asks whether it is still so.
"""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.records import Action, ActionKind
from streams.books.alarms import Alarm, Alarms, Mask
from streams.books.flags import END, Remark, refuse_id
from streams.plain import read_json
from streams.words import calendar_time, several

KINDS = (ActionKind.ADD_ISSUE, ActionKind.EXTEND_ISSUE, ActionKind.WITHDRAW_ISSUE)
LONGEST_TEXT, LONGEST_NAME = 300, 100


class NewIssue(NamedTuple):
    """What somebody knows."""

    id: str
    of: str
    """``plot: NAME``, ``GROUP/CHANNEL`` or ``GROUP`` for all channels of it, as alarms name them."""
    text: str
    owner: str
    """Who sees to it."""
    first: int = 0
    last: int = END
    """Runs in which it is so; both are in it."""
    until_us: int | None = None
    """From when on it is not so, or has to be looked at again, microseconds since 1970 UTC."""


class Hit(NamedTuple):
    """The last time that the checks told it."""

    run: int
    spill: int
    at_us: int


class Issue(NamedTuple):
    """What somebody knows, and what became of it."""

    id: str
    of: str
    text: str
    owner: str
    first: int
    last: int
    until_us: int | None
    who: str
    at_us: int
    origin: str
    extended: Remark | None = None
    """By whom it was last said to be still so."""
    withdrawn: Remark | None = None
    hits: int = 0
    hit: Hit | None = None

    def holds(self, run: int, at_us: int) -> bool:
        """Say whether it is known of a run at a time."""
        is_before = self.until_us is None or at_us < self.until_us
        return self.withdrawn is None and self.first <= run <= self.last and is_before

    def asks(self, run: int | None, at_us: int) -> bool:
        """Say whether it is past its end while nobody has said that it is over; `run` is the current one."""
        is_past = self.until_us is not None and at_us >= self.until_us
        return self.withdrawn is None and (is_past or (run is not None and run > self.last))

    def covers(self, of: str) -> bool:
        """Say whether it is of what an alarm is of."""
        return of == self.of or of.startswith(f"{self.of}/")

    @property
    def ends(self) -> str:
        """For which runs and until when it is, in words."""
        runs = "" if (self.first, self.last) == (0, END) else f"runs {self.first}–{self.last}"
        runs = f"from run {self.first} on" if self.last == END and self.first else runs
        until = f"until {calendar_time(self.until_us / 1000, '%d %b %Y %H:%M')} UTC" if self.until_us else ""
        return ", ".join(filter(None, [runs, until]))

    @property
    def words(self) -> str:
        """It as a shifter is told of it."""
        return f"known: {self.text} ({self.owner})"

    @property
    def seen(self) -> str:
        """How often the checks told it, in words."""
        if self.hit is None:
            return "not seen since"
        return f"{several(self.hits, 'hit')}, the last in run {self.hit.run} after spill {self.hit.spill}"


Issues = tuple[Issue, ...]
"""In the order in which they were added."""
_ALL = TypeAdapter(Issues)


def find(issues: Issues, issue_id: str) -> Issue | None:
    """Return an issue; None if there is none of this id."""
    return next((each for each in issues if each.id == issue_id), None)


def known_of(issues: Iterable[Issue], of: str) -> Issue | None:
    """Return the issue by which something is known: the oldest of several."""
    return next((each for each in issues if each.covers(of)), None)


def refusal(issues: Issues, action: Action) -> str:
    """Return why an action of `KINDS` would not count where these issues are known; empty if it would.

    Raises
    ------
    ValueError, TypeError, KeyError
        When it cannot be read.
    """
    said = read_json(action.after)
    if why := refuse_id(said["id"]):
        return why
    if any(said["id"] in _ids(each) for each in issues):
        return "it was noted already"
    if action.kind == ActionKind.ADD_ISSUE:
        return "its subject is not its id" if action.subject != said["id"] else _refuse_new(_new(action), action.at_us)
    found = find(issues, action.subject)
    if found is None:
        return f"there is no known issue {action.subject}: see spilldeck known-issues list"
    if found.withdrawn is not None:
        return f"this known issue was withdrawn by {found.withdrawn.who}"
    if action.kind == ActionKind.EXTEND_ISSUE:
        return _refuse_end(found.first, said["last"], said["until_us"], action.at_us)
    return ""


def _refuse_new(new: NewIssue, at_us: int) -> str:
    if not new.of.strip() or len(new.of) > LONGEST_NAME * 2:
        return "say of what it is"
    if not new.text.strip() or len(new.text) > LONGEST_TEXT:
        return f"say what is known, in at most {LONGEST_TEXT} characters"
    if not new.owner.strip() or len(new.owner) > LONGEST_NAME:
        return "say who sees to it"
    return _refuse_end(new.first, new.last, new.until_us, at_us)


def _refuse_end(first: int, last: Any, until_us: Any, at_us: int) -> str:
    if type(first) is not int or type(last) is not int or not (until_us is None or type(until_us) is int):
        raise TypeError("it has no runs or no time")
    if not 0 <= first <= last <= END:
        return f"there are no runs {first} to {last}"
    if until_us is not None and until_us <= at_us:
        return "it would be over already"
    return "say up to which run, or until when" if last == END and until_us is None else ""


def after(issues: Issues, action: Action) -> Issues:
    """Return the issues with an action that counts."""
    if action.kind == ActionKind.ADD_ISSUE:
        return (*issues, Issue(*_new(action), action.who, action.at_us, action.origin))
    return tuple(_with(each, action) if each.id == action.subject else each for each in issues)


def _with(issue: Issue, action: Action) -> Issue:
    said = read_json(action.after)
    remark = Remark(said["id"], action.who, action.at_us, action.origin, action.reason)
    if action.kind == ActionKind.WITHDRAW_ISSUE:
        return issue._replace(withdrawn=remark)
    return issue._replace(extended=remark, last=said["last"], until_us=said["until_us"])


def has_counted(issues: Issues, action: Action) -> bool:
    """Say whether the same action of the same person counted before: it was sent twice."""
    found, said = find(issues, action.subject), read_json(action.after)
    if found is None:
        return False
    if action.kind == ActionKind.ADD_ISSUE:
        return (tuple(said.values()), found.who) == (tuple(issue_values(found).values()), action.who)
    its = found.withdrawn if action.kind == ActionKind.WITHDRAW_ISSUE else found.extended
    return its is not None and (its.id, its.who, its.reason) == (said["id"], action.who, action.reason)


def hit(issues: Issues, alarm: Alarm) -> Issues:
    """Return the issues where an alarm was raised: it is a hit of the one by which it is known."""
    new = alarm.new
    found = known_of((each for each in issues if each.holds(new.run, alarm.at_us)), new.of)
    counted = Hit(new.run, new.spill, alarm.at_us)
    return tuple(each._replace(hits=each.hits + 1, hit=counted) if each is found else each for each in issues)


def masked(issues: Issues, alarms: Alarms) -> Alarms:
    """Return the alarms, each active one with the issue by which it is known."""
    return tuple(each._replace(known=_mask(issues, each)) if each.is_active else each for each in alarms)


def _mask(issues: Issues, alarm: Alarm) -> Mask | None:
    # Whether its time is over is for whoever asks: nothing is folded when it is.
    found = known_of((each for each in issues if each.holds(alarm.new.run, 0)), alarm.new.of)
    return Mask(found.id, found.words, found.until_us) if found is not None else None


def issue_values(issue: NewIssue | Issue) -> dict[str, Any]:
    """Return what an action that adds this issue has after it, as plain values."""
    return {name: getattr(issue, name) for name in NewIssue._fields}


def end_text(action_id: str, last: int, until_us: int | None) -> str:
    """Return what an action that extends an issue has after it."""
    return json.dumps({"id": action_id, "last": last, "until_us": until_us})


def plain(issues: Issues) -> Any:
    """Return them as JSON has them."""
    return _ALL.dump_python(issues, mode="json")


def from_plain(values: Any) -> Issues:
    """Return what `plain` returned, read from JSON; raises ValueError when it is none of it."""
    return _ALL.validate_python(values)


def _new(action: Action) -> NewIssue:
    said = read_json(action.after)
    new = NewIssue(**{name: said[name] for name in NewIssue._fields})
    if not all(isinstance(each, str) for each in (new.of, new.text, new.owner)):
        raise TypeError("it does not say of what it is, what, or whose")
    return new


def _ids(issue: Issue) -> set[str]:
    return {issue.id, *(each.id for each in (issue.extended, issue.withdrawn) if each is not None)}
