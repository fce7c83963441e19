"""Alarms: what the checks tell, and what people do about it; each follows from all actions on it in their order.

An alarm is active until the checks clear it, and waits until somebody has acknowledged it; these may come in either
order, and when both have come it is over. What is shelved is told again when that has expired.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.records import Action, ActionKind
from streams.books.flags import Remark, refuse_id
from streams.plain import read_json

KINDS = (
    ActionKind.RAISE_ALARM,
    ActionKind.CLEAR_ALARM,
    ActionKind.ACKNOWLEDGE_ALARM,
    ActionKind.SHELVE_ALARM,
    ActionKind.TELL_ALARM,
)
KEPT = 500
"""Alarms that are remembered, the newest ones."""
LONGEST_SHELF_S = 7 * 86_400
REPEATS = 3
"""So often an alarm is told again if nobody acknowledges it."""
BUNDLED = 3
"""Of more that are told at once the rest is only counted."""
STEADY_S, UPSET_S = 600, 8 * 3600
"""The times over which EEMUA 191 has alarms counted, and over which the worst of them is looked for."""
STEADY_MOST = 1
"""Alarms in `STEADY_S` that one person can bear for long, as EEMUA 191 has it."""
UPSET_MOST = 10
"""And in the first of an upset."""
CHATTER, CHATTER_S = 3, 3600
"""What raises so many alarms in that time chatters: it tells nothing new, and hides what does."""
DATA_FLOW = "data flow: "
"""So begins what an alarm is of that is no verdict, see `data_flow`."""
_US = 1_000_000


class Priority(StrEnum):
    """How much depends on it, the most first."""

    HIGH = "high"
    """A detector, or a part of one; the way of all spills."""
    MEDIUM = "medium"
    """One channel, or a peak."""
    LOW = "low"
    """A plot."""


class Way(StrEnum):
    """How somebody is told outside."""

    WEBHOOK = "webhook"
    MAIL = "mail"


class New(NamedTuple):
    """What the checks tell."""

    session: str
    run: int
    """`NO_RUN` of what is of none."""
    of: str
    """What it is of: group, channel and side of a cause, or a plot. One that is active is there once in a run."""
    spill: int
    """Number of the spill after which it was told; `NO_RUN` where there is none."""
    since: int
    """The first spill of which it holds; that after which it was told, if nobody knows."""
    words: str
    detector: str
    plot: str
    """Shows it; in the catalogue stands what to do, and whom to call."""
    priority: Priority
    again: int = 0
    """So often the same was told of this spill before, and taken back."""

    @property
    def is_verdict(self) -> bool:
        """Whether a check of the spills themselves tells it."""
        return not self.of.startswith(DATA_FLOW)

    @property
    def id(self) -> str:
        """The same for all who decide the same."""
        what = json.dumps([self.session, self.run, self.of, self.spill, self.again])
        return hashlib.blake2b(what.encode(), digest_size=8).hexdigest()

    def to_json(self) -> str:
        """Return it as an action has it after it."""
        return json.dumps(self._asdict())


class Shelf(NamedTuple):
    """Until when nobody wants to hear of something."""

    id: str
    who: str
    at_us: int
    origin: str
    reason: str
    until_us: int


class Mask(NamedTuple):
    """The known issue by which an alarm is known: it waits for nobody."""

    issue: str
    words: str
    until_us: int | None


class Alarm(NamedTuple):
    """What the checks told, and what became of it."""

    id: str
    new: New
    at_us: int
    """When it was raised, microseconds since 1970 UTC."""
    cleared: Remark | None = None
    acknowledged: Remark | None = None
    shelved: Shelf | None = None
    told_us: tuple[int, ...] = ()
    """When the webhook was told."""
    mailed_us: tuple[int, ...] = ()
    """When it was mailed."""
    known: Mask | None = None

    @property
    def is_active(self) -> bool:
        """Whether it is so still."""
        return self.cleared is None

    @property
    def is_over(self) -> bool:
        """Whether it is no more so, and somebody knows that it was."""
        return self.cleared is not None and (self.acknowledged is not None or self.is_known(self.cleared.at_us))

    def is_known(self, now_us: int) -> bool:
        """Say whether it stands under a known issue at a time."""
        return self.known is not None and (self.known.until_us is None or now_us < self.known.until_us)

    def is_shelved(self, now_us: int) -> bool:
        """Say whether nobody wants to hear of it at a time."""
        return self.shelved is not None and now_us < self.shelved.until_us

    def told_by(self, way: Way) -> tuple[int, ...]:
        """Return when it was told in a way."""
        return self.mailed_us if way is Way.MAIL else self.told_us

    def waits(self, now_us: int) -> bool:
        """Say whether it is active, and somebody has to acknowledge it."""
        is_quiet = self.is_shelved(now_us) or self.is_known(now_us)
        return self.is_active and self.acknowledged is None and not is_quiet


Alarms = tuple[Alarm, ...]
"""In the order in which they were raised."""
_NEW = TypeAdapter(New)
_ALL = TypeAdapter(Alarms)


class Figures(NamedTuple):
    """How the alarms are, by EEMUA 191."""

    lately: int
    """Raised in the last `STEADY_S`."""
    worst: int
    """Most of them in any `STEADY_S` of the last `UPSET_S`."""
    standing: int
    """Active, acknowledged or not."""


def find(alarms: Alarms, alarm_id: str) -> Alarm | None:
    """Return an alarm; None if there is none of this id."""
    return next((each for each in reversed(alarms) if each.id == alarm_id), None)


def refusal(alarms: Alarms, action: Action) -> str:
    """Return why an action of `KINDS` would not count where these alarms are known; empty if it would.

    Raises
    ------
    ValueError, TypeError, KeyError
        When it cannot be read.
    """
    if action.kind == ActionKind.TELL_ALARM:
        return "" if any(_is_told(each, action) for each in alarms) else "it was told already"
    if action.kind == ActionKind.RAISE_ALARM:
        return _refuse_raise(alarms, action)
    found = find(alarms, action.subject)
    if found is None:
        return f"there is no alarm {action.subject}: see spilldeck alarms list --all"
    if action.kind == ActionKind.CLEAR_ALARM:
        return "" if found.cleared is None else "it was cleared already"
    said = read_json(action.after)
    if why := refuse_id(said["id"]):
        return why
    if action.kind == ActionKind.SHELVE_ALARM:
        return _refuse_shelf(said["until_us"], action)
    if found.acknowledged is not None:
        return f"{found.acknowledged.who} acknowledged it already"
    return ""


def _refuse_raise(alarms: Alarms, action: Action) -> str:
    new = _new(action)
    if new.id != action.subject:
        return "its id does not follow from what it is of"
    if find(alarms, new.id) is not None:
        return "it was raised already"
    if any(each.is_active and each.new[:3] == new[:3] for each in alarms):
        return "it is an alarm already"
    return "nobody wants to hear of it until later" if is_shelved(alarms, new.session, new.of, action.at_us) else ""


def _refuse_shelf(until_us: Any, action: Action) -> str:
    if type(until_us) is not int:
        raise TypeError("it does not say until when")
    if not action.reason.strip():
        return "say why it is shelved"
    if not 0 < until_us - action.at_us <= LONGEST_SHELF_S * _US:
        return f"an alarm is shelved for at most {LONGEST_SHELF_S // 86_400} days"
    return ""


def is_shelved(alarms: Alarms, session: str, of: str, at_us: int) -> bool:
    """Say whether nobody wants to hear of something at a time, whatever run it is in."""
    return any(each.is_shelved(at_us) and (each.new.session, each.new.of) == (session, of) for each in alarms)


def after(alarms: Alarms, action: Action) -> Alarms:
    """Return the alarms with an action that counts."""
    if action.kind == ActionKind.RAISE_ALARM:
        return (*alarms, Alarm(action.subject, _new(action), action.at_us))[-KEPT:]
    if action.kind == ActionKind.TELL_ALARM:
        return tuple(_told(each, action) if _is_told(each, action) else each for each in alarms)
    return tuple(_with(each, action) if each.id == action.subject else each for each in alarms)


def _with(alarm: Alarm, action: Action) -> Alarm:
    said: dict[str, Any] = read_json(action.after) if action.kind != ActionKind.CLEAR_ALARM else {"id": ""}
    remark = Remark(said["id"], action.who, action.at_us, action.origin, action.reason)
    if action.kind == ActionKind.CLEAR_ALARM:
        return alarm._replace(cleared=remark)
    if action.kind == ActionKind.ACKNOWLEDGE_ALARM:
        return alarm._replace(acknowledged=remark)
    return alarm._replace(shelved=Shelf(**remark._asdict(), until_us=said["until_us"]))


def _is_told(alarm: Alarm, action: Action) -> bool:
    """Say whether an action tells of an alarm once more than was known."""
    said = read_json(action.after)
    return bool(said["times"].get(alarm.id) == len(alarm.told_by(_way(said))))


def _told(alarm: Alarm, action: Action) -> Alarm:
    way = _way(read_json(action.after))
    its = (*alarm.told_by(way), action.at_us)
    return alarm._replace(mailed_us=its) if way is Way.MAIL else alarm._replace(told_us=its)


def _way(said: Any) -> Way:
    return Way(said.get("way", Way.WEBHOOK))  # an earlier version knew no other


def has_counted(alarms: Alarms, action: Action) -> bool:
    """Say whether the same action of the same person counted before: it was sent twice."""
    found, said = find(alarms, action.subject), read_json(action.after)
    if found is None:
        return False
    its = found.shelved if action.kind == ActionKind.SHELVE_ALARM else found.acknowledged
    return its is not None and (its.id, its.who, its.reason) == (said["id"], action.who, action.reason)


def remark_text(action_id: str) -> str:
    """Return what an action that acknowledges has after it."""
    return json.dumps({"id": action_id})


def shelf_text(action_id: str, until_us: int) -> str:
    """Return what an action that shelves has after it."""
    return json.dumps({"id": action_id, "until_us": until_us})


def told_text(alarms: Sequence[Alarm], way: Way = Way.WEBHOOK) -> str:
    """Return what an action that tells has after it: in which way, and how often each was told so before."""
    return json.dumps({"times": {each.id: len(each.told_by(way)) for each in alarms}, "way": way})


def telling_id(alarms: Sequence[Alarm], way: Way = Way.WEBHOOK) -> str:
    """Return the id of what is told: that of its alarm, and how often it was told before; of several, of all these."""
    ids = [f"{each.id}-{len(each.told_by(way))}" for each in alarms]
    return ids[0] if len(ids) == 1 else hashlib.blake2b(",".join(ids).encode(), digest_size=16).hexdigest()


def to_tell(alarms: Alarms, now_us: int, repeat_us: int, way: Way = Way.WEBHOOK) -> list[Alarm]:
    """Return what is to be told now in a way, what matters most first: once, and again while nobody knows of it."""
    due = [
        each
        for each in alarms
        if each.waits(now_us)
        and len(told_us := each.told_by(way)) <= REPEATS
        and (not told_us or told_us[-1] + repeat_us <= now_us)
    ]
    return sorted(due, key=by_priority)


def by_priority(alarm: Alarm) -> tuple[int, int]:
    """Return what sorts alarms: what matters most first, then what was raised first."""
    return [*Priority].index(alarm.new.priority), alarm.at_us


def bundle(alarms: Sequence[Alarm]) -> str:
    """Return several alarms in words."""
    more = [f"and {len(alarms) - BUNDLED} more"] if len(alarms) > BUNDLED else []
    return "; ".join([*(each.new.words for each in alarms[:BUNDLED]), *more])


def figures(alarms: Alarms, now_us: int) -> Figures:
    """Return how many there are, and were."""
    at = sorted(each.at_us for each in alarms if now_us - UPSET_S * _US < each.at_us <= now_us)
    spans = (sum(first <= each < first + STEADY_S * _US for each in at) for first in at)
    lately = sum(each > now_us - STEADY_S * _US for each in at)
    return Figures(lately, max(spans, default=0), sum(each.is_active for each in alarms))


def chattering(alarms: Alarms, now_us: int) -> int:
    """Return of how many things `CHATTER` alarms or more were raised in the last `CHATTER_S`, in whatever run."""
    lately = (each.new.of for each in alarms if now_us - CHATTER_S * _US < each.at_us <= now_us)
    return sum(times >= CHATTER for times in Counter(lately).values())


def plain(alarms: Alarms) -> Any:
    """Return them as JSON has them."""
    return _ALL.dump_python(alarms, mode="json")


def from_plain(values: Any) -> Alarms:
    """Return what `plain` returned, read from JSON; raises ValueError when it is none of it."""
    return _ALL.validate_python(values)


def _new(action: Action) -> New:
    values = read_json(action.after)
    if any(type(values[name]) is not int for name in ("run", "spill", "since", "again")):
        raise TypeError("it has no run or no spills")
    return _NEW.validate_python(values)
