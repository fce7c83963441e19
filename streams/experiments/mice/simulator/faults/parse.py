"""What is asked for on a command line to faults: ``NAME[:PLACE][=VALUE][@FIRST[-LAST]]``, every part checked."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from streams.errors import UsageError
from streams.experiments.mice.boards import BOARD_NAMES
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.simulator.faults.crate import BoardAddress
from streams.experiments.mice.simulator.faults.kinds import KINDS
from streams.experiments.mice.simulator.faults.model import Fault, FaultKind, PlaceKind, SpillsKind
from streams.experiments.mice.simulator.faults.of_boards import corrupt, corruptible, counting, shift
from streams.experiments.mice.simulator.faults.places import DETECTORS, Part
from streams.experiments.mice.simulator.tables import LAST_RUN

MAX_VALUE = 1e9
"""No delay and no clock is off by more, in whatever unit."""
_ASKED = re.compile(
    r"(?P<name>[^:=@]+)(:(?P<place>[^=@]*))?(=(?P<value>[^@]*))?(@(?P<first>[0-9]{1,9})(-(?P<last>[0-9]{1,9}))?)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """What a simulated run has that faults can act on."""

    conditions: Conditions
    run: int
    spills: int
    boards: Sequence[BoardAddress]
    ldcs: Sequence[int]


def parse_faults(asked: Sequence[str], possible: Possible) -> tuple[Fault, ...]:
    """Return the faults, in the order in which they act.

    Raises
    ------
    UsageError
        Says which is wrong, and what is possible.
    """
    faults = sorted((_parse(text, possible) for text in asked), key=lambda fault: [*KINDS].index(fault.kind.name))
    changes = [fault.first for fault in faults if fault.kind.spills is SpillsKind.ONE]
    if possible.run + len(changes) > LAST_RUN:
        raise UsageError(f"run {possible.run} and {len(changes)} after it: the last simulated run is {LAST_RUN}")
    if len(set(changes)) < len(changes):
        raise UsageError(f"the run changes twice at spill {max(changes, key=changes.count)}")
    for fault in faults:
        if fault.kind.spills in (SpillsKind.NEEDED, SpillsKind.SEVERAL):
            for first in (0, *changes):
                if fault.covers(first):
                    raise UsageError(f"fault {fault.text!r}: spill {first} is the first of its run: leave it out")
    return tuple(faults)


def _parse(text: str, possible: Possible) -> Fault:
    found = _ASKED.fullmatch(text)
    if found is None or found["name"] not in KINDS:
        said = f"there is no fault {found['name']!r}" if found is not None else "it is none"
        raise _error(text, f"{said}; NAME[:PLACE][=VALUE][@FIRST[-LAST]] with the names {', '.join(KINDS)}")
    kind = KINDS[found["name"]]
    first, last = _spills(text, kind, found["first"], found["last"], possible.spills)
    return Fault(
        kind=kind,
        text=text,
        first=first,
        last=last,
        value=_value(text, kind, found["value"]),
        **_place(text, kind, found["place"], possible),
    )


def _error(text: str, reason: str) -> UsageError:
    return UsageError(f"fault {text!r}: {reason}")


def _spills(text: str, kind: FaultKind, first: str | None, last: str | None, spills: int) -> tuple[int, int]:
    if kind.spills is SpillsKind.RUN and first is not None:
        raise _error(text, "it is one of the whole run and takes no range of spills")
    needed = kind.spills in (SpillsKind.NEEDED, SpillsKind.SEVERAL, SpillsKind.ONE)
    if (first is None and needed) or (last is None and kind.spills is SpillsKind.SEVERAL):
        raise _error(text, f"it needs spills: {kind.syntax}")
    if last is not None and kind.spills is SpillsKind.ONE:
        raise _error(text, f"it takes one spill: {kind.syntax}")
    if first is None:
        return 0, spills - 1
    low, high = int(first), int(last or first)
    if kind.spills is SpillsKind.ONE and low == 0:
        raise _error(text, "the run begins with spill 0")
    if not low <= high < spills:
        raise _error(text, f"spills {low} to {high} are no range of the run's, 0 to {spills - 1}")
    return low, high


def _value(text: str, kind: FaultKind, value: str | None) -> float:
    if not kind.value:
        if value is not None:
            raise _error(text, f"it takes no value: {kind.syntax}")
        return 0.0
    try:
        number = float(value or "")
    except ValueError:
        number = math.nan
    if not abs(number) <= MAX_VALUE:
        raise _error(text, f"its value must be a number, the {kind.value}: {kind.syntax}")
    return number


def _place(text: str, kind: FaultKind, place: str | None, possible: Possible) -> dict[str, Any]:
    """Return what the fault's place gives: parts, board or LDC."""
    if kind.place is PlaceKind.NONE:
        if place is not None:
            raise _error(text, f"it takes no place: {kind.syntax}")
        return {}
    if not place:
        raise _error(text, f"it needs a place: {kind.syntax}")
    if kind.place is PlaceKind.LDC:
        if place not in map(str, possible.ldcs):
            raise _error(text, f"there is no LDC {place}: {_listed(possible.ldcs)}")
        return {"ldc": int(place)}
    if kind.place is PlaceKind.BOARD:
        return {"board": _board(text, kind, place, possible)}
    if kind.place is PlaceKind.TWO_PARTS:
        return {"parts": _two_parts(text, kind, place.split(","), possible.conditions)}
    parts, detector = _parts(text, place, possible.conditions), DETECTORS[place.split("/")[0]]
    if kind.on_crate is shift and not detector.counts:
        raise _error(
            text, f"no plot has times of this detector; {_listed([n for n, d in DETECTORS.items() if d.counts])}"
        )
    return {"parts": tuple(parts), "counts": detector.counts}


def _board(text: str, kind: FaultKind, place: str, possible: Possible) -> BoardAddress:
    """Return the board ``BOARD/LDC/GEO``, BOARD in any case."""
    taken = corruptible if kind.on_crate is corrupt else counting
    names = {
        f"{BOARD_NAMES.get(equipment, str(equipment)).upper()}/{ldc}/{geo}": (equipment, ldc, geo)
        for equipment, ldc, geo in possible.boards
        if taken(equipment)
    }
    if place.upper() not in names:
        raise _error(text, f"there is no board {place}: {_listed([*names])}")
    return names[place.upper()]


def _two_parts(text: str, kind: FaultKind, places: Sequence[str], conditions: Conditions) -> tuple[Part, Part]:
    if len(places) != 2:
        raise _error(text, f"it needs two places: {kind.syntax}")
    found = [_parts(text, place, conditions) for place in places]
    if any(len(parts) != 1 for parts in found) or places[0] == places[1]:
        raise _error(text, "it needs two single parts, each with all its numbers")
    (one,), (other,) = found
    if [address[3] for address in one] != [address[3] for address in other]:
        raise _error(text, "the two are read out by other kinds of boards: their cables cannot be swapped")
    return one, other


def _parts(text: str, place: str, conditions: Conditions) -> list[Part]:
    """Return the parts that a place names: those whose path begins with its numbers."""
    name, *numbers = place.split("/")
    if name not in DETECTORS:
        raise _error(text, f"there is no detector {name!r}: {_listed([n + d.syntax for n, d in DETECTORS.items()])}")
    named = DETECTORS[name]
    parts, at = named.parts(conditions), name
    for level, number in enumerate(numbers):
        if level >= len(named.levels):
            raise _error(text, f"{place} has too many numbers: {name}{named.syntax}")
        there = sorted({path[level] for path in parts})
        if number not in map(str, there):
            raise _error(text, f"{at} has no {named.levels[level]} {number!r}: {_listed(there)}")
        parts = {path: part for path, part in parts.items() if path[level] == int(number)}
        at = f"{at}/{number}"
    return [parts[path] for path in sorted(parts)]


def _listed(names: Sequence[object]) -> str:
    return f"there are {', '.join(map(str, names))}" if len(names) > 1 else f"there is {', '.join(map(str, names))}"
