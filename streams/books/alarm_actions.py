"""Actions on alarms, as the checks and people write them."""

import time

from schemas.records import Action, ActionKind
from streams.books.actions import new_action
from streams.books.alarming import Due
from streams.books.alarms import Alarm, Alarms, Way, find, remark_text, shelf_text, told_text
from streams.books.alarms import telling_id as id_of
from streams.books.proposals import CHECKS

ORIGIN = "alarms watch"


def due_actions(due: Due) -> list[Action]:
    """Return what the checks write: first what is no alarm any more."""
    cleared = [
        new_action(ActionKind.CLEAR_ALARM, alarm.id, before=alarm.new.to_json(), origin=ORIGIN, reason=why, who=CHECKS)
        for alarm, why in due.cleared
    ]
    raised = [
        new_action(ActionKind.RAISE_ALARM, new.id, after=new.to_json(), origin=ORIGIN, who=CHECKS) for new in due.raised
    ]
    return [*cleared, *raised]


def tell_action(alarms: list[Alarm], way: Way) -> Action:
    """Return what notes that these were told outside in a way."""
    after = told_text(alarms, way)
    return new_action(ActionKind.TELL_ALARM, id_of(alarms, way), after=after, origin=ORIGIN, who=CHECKS)


def acknowledge_action(there: Alarms, alarm_id: str, *, act_id: str, origin: str, who: str = "") -> Action:
    """Return the action that acknowledges an alarm."""
    after = remark_text(act_id)
    return new_action(
        ActionKind.ACKNOWLEDGE_ALARM, alarm_id, before=_before(there, alarm_id), after=after, origin=origin, who=who
    )


def shelve_action(
    there: Alarms, alarm_id: str, *, act_id: str, for_s: int, reason: str, origin: str, who: str = ""
) -> Action:
    """Return the action that shelves an alarm from now on."""
    after = shelf_text(act_id, time.time_ns() // 1000 + for_s * 1_000_000)
    return new_action(
        ActionKind.SHELVE_ALARM,
        alarm_id,
        before=_before(there, alarm_id),
        after=after,
        origin=origin,
        reason=reason,
        who=who,
    )


def _before(there: Alarms, alarm_id: str) -> str:
    alarm = find(there, alarm_id)
    return alarm.new.to_json() if alarm is not None else ""
