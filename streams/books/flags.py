"""Flags: what people say of a run, or of a range of its spills; what holds follows from all of them in their order.

A newer flag cuts older ones of the same detector. One of all detectors holds for each that has none of its own there.
A flag is never removed: it is withdrawn, and what it cut holds again. What nobody flagged was not looked at.
"""

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from schemas.records import Action, ActionKind
from streams.plain import read_json

ALL = ""
"""In the place of a detector: all of them."""
END = 2**31 - 1
"""No spill has a higher number; a flag up to it holds for those that are still to come, too."""
KINDS = (ActionKind.FLAG, ActionKind.WITHDRAW_FLAG, ActionKind.VERIFY_FLAG)
_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
_DETECTOR = re.compile(r"[A-Za-z0-9_.-]{0,100}")


class Verdict(StrEnum):
    """What somebody says of spills."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"
    """Looked at, and nobody can tell."""


class NewFlag(NamedTuple):
    """What somebody wants to say."""

    id: str
    verdict: Verdict
    reason: str
    detector: str = ALL
    first: int = 0
    last: int = END


class Remark(NamedTuple):
    """What became of a flag, by whom."""

    id: str
    who: str
    at_us: int
    origin: str
    reason: str


class Flag(NamedTuple):
    """What somebody said, and what became of it."""

    id: str
    """Given by whoever set it, so that what is sent twice is one flag."""
    detector: str
    verdict: Verdict
    first: int
    last: int
    who: str
    at_us: int
    """Microseconds since 1970 UTC."""
    origin: str
    reason: str
    withdrawn: Remark | None = None
    verified: Remark | None = None

    @property
    def spills(self) -> str:
        """Its spills in words."""
        return spill_words(self.first, self.last)


class Interval(NamedTuple):
    """Spills of which one thing holds."""

    first: int
    last: int
    verdict: Verdict
    flags: tuple[str, ...]
    """Ids of those that say it."""


class Shares(NamedTuple):
    """How many spills are what."""

    good: int
    bad: int
    unknown: int
    unseen: int
    """Not looked at."""


Flags = tuple[Flag, ...]
"""Those of a run, in the order in which they were set."""
_ALL = TypeAdapter(dict[int, Flags])


def refusal(flags: Flags, action: Action) -> str:
    """Return why an action of `KINDS` on a run with these flags would not count; empty if it would.

    Raises
    ------
    ValueError, TypeError, KeyError
        When it cannot be read.
    """
    if not names_run(action.subject):
        return "its subject is no run"
    said = read_json(action.after)
    if why := refuse_id(said["id"]):
        return why
    if has(flags, said["id"]):
        return "it was noted already"
    if action.kind == ActionKind.FLAG:
        return _refuse_flag(_flag(action))
    found = [flag for flag in flags if flag.id == said["flag"]]
    if not found:
        return f"run {action.subject} has no flag {said['flag']}: see spilldeck flags list {action.subject}"
    return _refuse_remark(found[0], action)


def is_action_id(text: str) -> bool:
    """Say whether it can be the id by which an action that is sent twice is one."""
    return _ID.fullmatch(text) is not None


def refuse_id(text: str) -> str:
    """Return why an action of this id does not count; empty if it does."""
    return "" if is_action_id(text) else "its id has other than 8 to 64 letters, digits and -"


def names_run(subject: str) -> bool:
    """Say whether the subject of an action is a run."""
    return subject.isascii() and subject.isdigit() and int(subject) <= END


def _refuse_flag(flag: Flag) -> str:
    if not 0 <= flag.first <= flag.last <= END:
        return f"there are no spills {flag.first} to {flag.last}"
    if not _DETECTOR.fullmatch(flag.detector):
        return "there is no such detector"
    return "" if flag.verdict is Verdict.GOOD or flag.reason.strip() else f"say why it is {flag.verdict}"


def _refuse_remark(flag: Flag, action: Action) -> str:
    if flag.withdrawn is not None:
        return f"this flag was withdrawn by {flag.withdrawn.who}"
    if action.kind != ActionKind.VERIFY_FLAG:
        return ""
    if flag.verified is not None:
        return f"this flag was verified by {flag.verified.who}"
    is_same = person(flag.who) == person(action.who)
    return f"{flag.who} set this flag: somebody else is to verify it" if is_same else ""


def after(flags: Flags, action: Action) -> Flags:
    """Return the flags of a run with an action that counts."""
    if action.kind == ActionKind.FLAG:
        return (*flags, _flag(action))
    said = read_json(action.after)
    remark = Remark(said["id"], action.who, action.at_us, action.origin, action.reason)
    return tuple(_with(flag, action, remark) if flag.id == said["flag"] else flag for flag in flags)


def _with(flag: Flag, action: Action, remark: Remark) -> Flag:
    if action.kind == ActionKind.WITHDRAW_FLAG:
        return flag._replace(withdrawn=remark)
    return flag._replace(verified=remark)


def has(flags: Flags, action_id: str) -> bool:
    """Say whether an action of this id counted."""
    return any(action_id == each.id for flag in flags for each in (flag, flag.withdrawn, flag.verified) if each)


def has_counted(flags: Flags, action: Action) -> bool:
    """Say whether the same action of the same person counted before: it was sent twice."""
    said = read_json(action.after)
    for flag in flags:
        if action.kind == ActionKind.FLAG and flag.id == said["id"]:
            return (flag_text(flag), flag.reason, flag.who) == (action.after, action.reason, action.who)
        remark = flag.withdrawn if action.kind == ActionKind.WITHDRAW_FLAG else flag.verified
        if remark is not None and remark.id == said["id"]:
            return (flag.id, remark.reason, remark.who) == (said.get("flag"), action.reason, action.who)
    return False


def until(flags: Flags, until_us: int | None) -> Flags:
    """Return the flags of a run as they were at a time; None for now."""
    if until_us is None:
        return flags
    return tuple(
        flag._replace(withdrawn=flag.withdrawn if flag.withdrawn and flag.withdrawn.at_us <= until_us else None)
        for flag in flags
        if flag.at_us <= until_us
    )


def intervals(flags: Flags, detector: str = ALL) -> list[Interval]:
    """Return what holds for a detector, in the order of the spills; for all of them what was said of all alone."""
    lanes = dict.fromkeys((ALL, detector))
    # Each holds where none stands after it: of those that have begun, the last in this order.
    said = [flag for lane in lanes for flag in flags if flag.withdrawn is None and flag.detector == lane]
    begins = sorted((flag.first, -at) for at, flag in enumerate(said))
    edges = sorted({edge for flag in said for edge in (flag.first, flag.last + 1)})
    begun: list[int] = []
    found: list[Interval] = []
    taken = 0
    for first, behind in pairwise(edges):
        while taken < len(begins) and begins[taken][0] <= first:
            heappush(begun, begins[taken][1])
            taken += 1
        while begun and said[-begun[0]].last < first:
            heappop(begun)
        if not begun:
            continue
        flag = said[-begun[0]]
        if found and found[-1].last == first - 1 and found[-1].flags == (flag.id,):
            found[-1] = found[-1]._replace(last=behind - 1)
        else:
            found.append(Interval(first, behind - 1, flag.verdict, (flag.id,)))
    return found


def of_run(flags: Flags) -> list[Interval]:
    """Return what holds for the run as a whole: the worst of all detectors; good only if that was said of all."""
    lanes = {detector: intervals(flags, detector) for detector in {ALL, *(flag.detector for flag in flags)}}
    edges = sorted({edge for lane in lanes.values() for each in lane for edge in (each.first, each.last + 1)})
    found: list[Interval] = []
    for first, behind in pairwise(edges):
        here = {detector: its for detector, lane in lanes.items() if (its := _at(lane, first)) is not None}
        verdict = _worst(here)
        if verdict is None:
            continue
        saying = tuple(sorted({name for its in here.values() if its.verdict is verdict for name in its.flags}))
        if found and found[-1].last == first - 1 and found[-1][2:] == (verdict, saying):
            found[-1] = found[-1]._replace(last=behind - 1)
        else:
            found.append(Interval(first, behind - 1, verdict, saying))
    return found


def shares(found: Iterable[Interval], spills: Sequence[int]) -> Shares:
    """Return how many of these spills are what; their numbers are in order."""
    counts = dict.fromkeys(Verdict, 0)
    for each in found:
        counts[each.verdict] += bisect_right(spills, each.last) - bisect_left(spills, each.first)
    good, bad, unknown = (counts[verdict] for verdict in (Verdict.GOOD, Verdict.BAD, Verdict.UNKNOWN))
    return Shares(good, bad, unknown, len(spills) - good - bad - unknown)


def person(who: str) -> str:
    """Return who somebody is, wherever: two machines make no second person of one."""
    return who.partition("@")[0].casefold()


def spill_words(first: int, last: int) -> str:
    """Return a range of spills in words."""
    if (first, last) == (0, END):
        return "whole run"
    if last == END:
        return f"spills {first} and later"
    return f"spill {first}" if first == last else f"spills {first}–{last}"


def flag_text(flag: NewFlag | Flag) -> str:
    """Return what an action that sets this flag has after it."""
    said = {"id": flag.id, "verdict": flag.verdict.value, "detector": flag.detector}
    return json.dumps({**said, "first": flag.first, "last": flag.last})


def remark_text(remark_id: str, flag_id: str) -> str:
    """Return what an action on a flag has after it."""
    return json.dumps({"id": remark_id, "flag": flag_id})


def cut_text(flags: Flags, new: NewFlag) -> str:
    """Return what a new flag cuts, as its action has it before it."""
    there = [
        [max(each.first, new.first), min(each.last, new.last), each.verdict.value]
        for each in intervals(flags, new.detector)
        if each.first <= new.last and each.last >= new.first
    ]
    return json.dumps(there) if there else ""


def plain(flags: Mapping[int, Flags]) -> dict[str, Any]:
    """Return all flags as JSON has them."""
    return {str(run): its for run, its in flags.items()}


def from_plain(values: Mapping[str, Any]) -> dict[int, Flags]:
    """Return what `plain` returned, read from JSON; raises ValueError when it is none of it."""
    return _ALL.validate_python(values)


def _flag(action: Action) -> Flag:
    said = read_json(action.after)
    first, last, detector = said["first"], said["last"], said["detector"]
    if type(first) is not int or type(last) is not int or not isinstance(detector, str):
        raise TypeError("it has no spills or no detector")
    verdict = Verdict(said["verdict"])
    return Flag(said["id"], detector, verdict, first, last, action.who, action.at_us, action.origin, action.reason)


def _at(lane: Sequence[Interval], spill: int) -> Interval | None:
    at = bisect_right(lane, spill, key=lambda each: each.first) - 1
    return lane[at] if at >= 0 and spill <= lane[at].last else None


def _worst(here: Mapping[str, Interval]) -> Verdict | None:
    said = {its.verdict for its in here.values()}
    for verdict in (Verdict.BAD, Verdict.UNKNOWN):
        if verdict in said:
            return verdict
    return Verdict.GOOD if ALL in here else None
