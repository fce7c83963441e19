"""Persons who act while harm is done: they ask again until it is noted, as the page does; nothing of it may be lost."""

import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self

from redis import RedisError

from schemas.records import Action, ActionKind
from streams.books.actions import ActionLog, new_action
from streams.books.alarm_actions import acknowledge_action
from streams.books.alarms import New, Priority
from streams.books.checklists import KEPT, Answer, Line
from streams.books.connect import connect
from streams.books.decided import Copy, decide, newest
from streams.books.decisions import Decisions
from streams.books.duties import Duty
from streams.books.flagging import flag_action, remark_action
from streams.books.flags import NewFlag, Verdict
from streams.books.noting import checklist_action
from streams.errors import ServerError, UsageError
from streams.settings import Settings
from tests.chaos.daq import FIRST_RUN
from tests.wire import decode

WHO = ("anna", "boris", "chen")
RUNS, DETECTORS = 6, ("tof", "kl", "tracker")
PAUSE_S = 0.3
STOP_S = 120.0
"""Nobody waits longer for an answer once all servers are there again."""
CHECKLIST_US = 7_200_000_000
"""Between two checklists of a run."""
ORIGIN = "a person in chaos"

_OF_CHECKS = {ActionKind.RAISE_ALARM, ActionKind.CLEAR_ALARM}
"""They have no id of their own: an alarm is raised once, and cleared once."""
_OF_WATCHERS = {*_OF_CHECKS, ActionKind.TELL_ALARM}
"""So has what watchers alone write."""

Choice = Callable[[Decisions], Action | None]
"""Gives what somebody does, given what is known; None if that is not possible."""


class Persons:
    """Several at once, each with a connection of its own, in a ``with`` block.

    Two watchers raise the same alarms; whoever comes second is passed over.
    """

    def __init__(self, settings: Settings, seed: int) -> None:
        self._settings, self._ended = settings, threading.Event()
        self.noted: list[Action] = []
        """What they were told is noted: each must be there in the end, once."""
        self.passed_over: int = 0
        """What came too late: another had done it."""
        self._threads = [
            threading.Thread(target=self._act, args=(who, random.Random(f"{seed} {who}")), name=who) for who in WHO
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(STOP_S)
        assert not any(thread.is_alive() for thread in self._threads), "somebody waits for an answer for ever"

    def _act(self, who: str, rng: random.Random) -> None:
        number = 0
        while not self._ended.wait(rng.uniform(0, 2 * PAUSE_S)):
            number += 1
            self._until_noted(_choice(who, f"{who}-{number:06}", rng))

    def _until_noted(self, choice: Choice) -> None:
        """Ask for the same again and again, as whoever got no answer does."""
        deadline = time.monotonic() + STOP_S
        while True:
            with suppress(ServerError, RedisError):
                with connect(self._settings) as redis:
                    known = newest(self._settings, redis)()
                    action = choice(known)
                    if action is None:
                        return
                    try:
                        if action.kind in _OF_CHECKS or not known.has_said(action):
                            decide(self._settings, redis, action)
                    except UsageError:
                        self.passed_over += 1
                    else:
                        self.noted.append(action)
                return
            if time.monotonic() > deadline:
                return
            time.sleep(0.2)


def _choice(who: str, act_id: str, rng: random.Random) -> Choice:
    """Return what somebody does next: the same however often it is asked for."""
    run, detector, what = FIRST_RUN + rng.randrange(RUNS), rng.choice(DETECTORS), rng.random()
    first, pick = rng.randrange(50), rng.random()
    verdict = rng.choice([Verdict.BAD, Verdict.GOOD, Verdict.UNKNOWN])
    reason, by = f"seen by {who}: {act_id}", {"origin": ORIGIN, "who": who}

    def flag(known: Decisions) -> Action:
        new = NewFlag(act_id, verdict, reason, detector, first, first + 9)
        return flag_action(known.flags.get(run, ()), run, new=new, **by)

    def remark(kind: ActionKind) -> Choice:
        chosen: list[str] = []

        def new(known: Decisions) -> Action | None:
            there = known.flags.get(run, ())
            chosen[:] = chosen or [there[int(pick * len(there))].id] if there else []
            ids = (act_id, chosen[0]) if chosen else None
            return remark_action(there, run, kind=kind, ids=ids, reason=reason, **by) if ids else None

        return new

    def raise_alarm(_: Decisions) -> Action:
        its = New("live", run, f"{detector}//fewer", first, first, f"{detector} silent", detector, "", Priority.HIGH)
        return new_action(ActionKind.RAISE_ALARM, its.id, after=its.to_json(), **by)

    def clear(known: Decisions) -> Action | None:
        active = [alarm for alarm in known.alarms if alarm.is_active]
        its = active[int(pick * len(active))] if active else None
        return (
            new_action(ActionKind.CLEAR_ALARM, its.id, before=its.new.to_json(), reason=reason, **by) if its else None
        )

    def acknowledge(known: Decisions) -> Action | None:
        open_ones = [
            alarm.id for alarm in known.alarms if alarm.acknowledged is None or alarm.acknowledged.id == act_id
        ]
        mine = [alarm.id for alarm in known.alarms if alarm.acknowledged and alarm.acknowledged.id == act_id]
        found = mine or open_ones
        return acknowledge_action(known.alarms, found[int(pick * len(found))], act_id=act_id, **by) if found else None

    def checklist(_: Decisions) -> Action:
        # Of few that are due, so that several send the same one.
        duty = Duty(run, CHECKLIST_US * (1 + first // 5), is_end=pick < 0.2)
        lines = (
            Line("daq", "Does the DAQ run?", Answer.YES, "", Answer.NO, reason),
            Line("beam", "Beam?", Answer.YES, ""),
        )
        return checklist_action(duty, first, lines, act_id=act_id, **by)

    if what < 0.35:
        return flag
    if what < 0.45:
        return checklist
    if what < 0.65:
        return remark(ActionKind.WITHDRAW_FLAG if what < 0.5 else ActionKind.VERIFY_FLAG)
    return raise_alarm if what < 0.8 else clear if what < 0.87 else acknowledge


def judge_persons(settings: Settings, persons: Persons) -> list[str]:
    """Return what is other than it must be of what they did: lost, twice, or not what Redis has."""
    with connect(settings) as redis:
        newest(settings, redis)
        copy = Copy(redis, settings.redis.key_prefix).read()
    with ActionLog(settings) as log:
        low, end = log.span()
        messages = [*log.read(low, end)]
    folded, counted = Decisions(), list[Action]()
    for offset, message in messages:
        action = decode(message)
        if isinstance(action, Action) and not folded.refusal(offset, action):
            counted.append(action)
        folded = folded.after(offset, message)
    found = []
    if low:
        found.append(f"Kafka has lost the first {low} actions")
    if copy is None or copy.to_json() != folded.to_json():
        found.append("Redis has other decisions than those that follow from Kafka")
    times: dict[tuple[str, str], int] = {}
    for action in counted:
        times[_what(action)] = times.get(_what(action), 0) + 1
    noted = dict.fromkeys(map(_what, persons.noted))
    found += [f"{kind} {its} is there {count} times" for (kind, its), count in times.items() if count > 1]
    found += [f"{kind} {its} was noted and is not there" for kind, its in noted if (kind, its) not in times]
    return found + _not_in_force(folded, counted)


def _not_in_force(folded: Decisions, counted: list[Action]) -> list[str]:
    """Return flags, checklists and alarms that counted and are not in what follows from all actions."""
    flags = {flag.id for its in folded.flags.values() for flag in its}
    checklists = {its.id: its for its in folded.checklists}
    alarms = {alarm.id: alarm for alarm in folded.alarms}
    found = []
    for action in counted:
        its: Mapping[str, Any] = json.loads(action.after or "{}")
        if action.kind == ActionKind.FLAG and its["id"] not in flags:
            found.append(f"flag {its['id']} is in no list")
        if action.kind == ActionKind.CHECKLIST and len(checklists) < KEPT:
            sent = checklists.get(str(its["id"]))
            if sent is None or (sent.who, sent.lines[0].remark) != (action.who, _remark(its)):
                found.append(f"the checklist {its['id']} is not as it was sent")
        if action.kind == ActionKind.ACKNOWLEDGE_ALARM:
            known = alarms[action.subject].acknowledged if action.subject in alarms else None
            if known is None or known.id != its["id"]:
                found.append(f"the acknowledgement {its['id']} is of no alarm")
    return found


def _remark(its: Mapping[str, Any]) -> str:
    return Line(*its["lines"][0]).remark


def _what(action: Action) -> tuple[str, str]:
    """Return what an action is, whoever asked for it how often: its kind, and its id or its alarm."""
    its = action.subject if action.kind in _OF_WATCHERS else str(json.loads(action.after)["id"])
    return str(action.kind), its
