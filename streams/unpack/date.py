"""One spill's DATE events to raw hits."""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np

from schemas.columns import I4, U1
from schemas.records import MISSING
from schemas.wire import MAX_TRIGGERS
from streams.boards import (
    BOARD_NAMES,
    DBB,
    DBB_CHAIN,
    EI,
    V830,
    V977,
    V1290,
    V1495,
    V1724,
    V1731,
    VLSB,
    VLSB_C,
    VLSB_MASTER,
    PulseDefinitions,
)
from streams.errors import BadDataError
from streams.unpack.dbb import unpack_dbb
from streams.unpack.epics import unpack_epics
from streams.unpack.fadc import unpack_fadc
from streams.unpack.fragments import Boards, Equipment, equipments, fragments
from streams.unpack.framing import EQUIPPED, EventType, read_header
from streams.unpack.hits import BoardEvents, EngineTriggers, FadcHits, ProcessVariables, RawHits, TdcHits
from streams.unpack.registers import unpack_v830, unpack_v977
from streams.unpack.registry import BOARDS
from streams.unpack.v1290 import unpack_v1290
from streams.unpack.v1495 import unpack_v1495
from streams.unpack.vlsb import unpack_vlsb, unpack_vlsb_master


def unpack_date(payload: bytes | memoryview, pulses: PulseDefinitions = PulseDefinitions.SINCE_2013) -> RawHits:
    """Return the raw hits of a spill, given its DATE events one after the other.

    There must be exactly one physics event; its boards give the hits. The trigger receiver is read in all events. Every
    other equipment that is not empty is counted in `RawHits.skipped`: by its type, and if it is a known board outside
    the physics event, with the event's name. `pulses` are the definitions that the features of FADC pulses follow.

    Raises
    ------
    BadDataError
        When anything is not as it must be (step ``unpack``, byte within `payload`): a spill is good as a whole or not.
    """
    view = memoryview(payload)
    spill = _Spill()
    event_ldcs: list[tuple[int, set[int]]] = []
    at, run = 0, -1
    while at < len(view):
        header = read_header(view, at)
        if at + header.size > len(view):
            raise BadDataError("unpack", f"an event of {header.size} bytes where {len(view) - at} are left", at)
        if run not in (-1, header.run):
            raise BadDataError("unpack", f"an event of run {header.run} among those of run {run}", at)
        run = header.run
        if header.type is EventType.PHYSICS:
            spill.physics_events += 1
            if spill.physics_events > 1:
                raise BadDataError("unpack", "a second physics event in the spill", at)
        if header.type in EQUIPPED:
            parts = fragments(view, at, header)
            event_ldcs.append((at, {part.ldc for part in parts}))
            for part in parts:
                for equipment in equipments(view, part):
                    spill.take(equipment, header.type)
        at += header.size
    _check_ldcs(event_ldcs)
    if spill.physics_events == 0:
        raise BadDataError("unpack", f"no physics event in the {len(view)} bytes of the spill")
    return spill.hits(pulses)


def _check_ldcs(event_ldcs: list[tuple[int, set[int]]]) -> None:
    """Refuse a spill in which an LDC is missing from an event."""
    spill_ldcs = set().union(*(ldcs for _, ldcs in event_ldcs))
    for at, ldcs in event_ldcs:
        if ldcs != spill_ldcs:
            absent = ", ".join(map(str, sorted(spill_ldcs - ldcs)))
            reason = f"LDC {absent} lacks in an event: it has {sorted(ldcs)}, and the spill has {sorted(spill_ldcs)}"
            raise BadDataError("unpack", reason, at)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Counted:
    """How many particle events a board has; one without words has seen none, and tells no geo."""

    board: Equipment
    events: int
    geo: int

    def __str__(self) -> str:
        geo = f", geo {self.geo}" if self.events else ""
        return f"{self.board.name}{geo}"


@dataclass(slots=True, kw_only=True)
class _Spill:
    """The equipments of a spill."""

    physics_events: int = 0
    boards: dict[int, list[Equipment]] = field(default_factory=lambda: {V1290: [], V1724: [], V1731: []})
    """Those that have a block for each particle trigger, of the physics event, by their type."""
    scalers: dict[tuple[int, int], I4] = field(default_factory=dict)
    trigger_words: list[int] = field(default_factory=list)
    trigger_engines: dict[int, EngineTriggers] = field(default_factory=dict)
    """Of each LDC."""
    process_variables: dict[int, ProcessVariables] = field(default_factory=dict)
    """Of each LDC."""
    gathered: dict[int, list[Equipment]] = field(default_factory=dict)
    """Those of the EMR's and the trackers' boards, and of those that the experiment has added, by their type."""
    skipped: Counter[str] = field(default_factory=Counter)

    def take(self, equipment: Equipment, event: EventType) -> None:
        """Put an equipment where it belongs, or skip and count it."""
        if event is EventType.PHYSICS and equipment.type in self.boards:
            self.boards[equipment.type].append(equipment)
        elif len(equipment.words) == 0:
            pass
        elif equipment.type == V977:
            self.trigger_words.append(unpack_v977(equipment))
        elif event is EventType.PHYSICS and equipment.type == V830:
            geo, counts = unpack_v830(equipment)
            if (equipment.ldc, geo) in self.scalers:
                raise equipment.error(0, f"geo {geo} comes twice")
            self.scalers[equipment.ldc, geo] = counts
        elif event is EventType.PHYSICS and equipment.type == V1495:
            _once(self.trigger_engines, equipment)
            self.trigger_engines[equipment.ldc] = unpack_v1495(equipment)
        elif event is EventType.PHYSICS and equipment.type == EI:
            _once(self.process_variables, equipment)
            self.process_variables[equipment.ldc] = unpack_epics(equipment)
        elif event is EventType.PHYSICS and equipment.type in (DBB, DBB_CHAIN, VLSB, VLSB_C, VLSB_MASTER, *BOARDS):
            self.gathered.setdefault(equipment.type, []).append(equipment)
        else:
            name = str(equipment.type)
            self.skipped[f"{name} in {event.name.lower()}" if equipment.type in BOARD_NAMES else name] += 1

    def _gathered(self, *kinds: int) -> list[Equipment]:
        return [board for kind in kinds for board in self.gathered.get(kind, ())]

    def hits(self, pulses: PulseDefinitions) -> RawHits:
        """Unpack the boards."""
        tables, tdc, fadc = [], TdcHits.empty(), []
        samples: dict[tuple[int, int, int], U1] = {}
        counted: list[_Counted] = []
        for kind, found in self.boards.items():
            if not found:
                continue
            boards = Boards(found)
            if kind == V1290:
                events, counts, tdc = unpack_v1290(boards)
            else:
                events, counts, hits, kept = unpack_fadc(boards, pulses)
                fadc.append(hits)
                samples |= kept
            tables.append(events)
            counted += [
                _Counted(board=board, events=int(n), geo=int(events.geo[end - 1]) if n else MISSING)
                for board, n, end in zip(found, counts, np.cumsum(counts), strict=True)
            ]
        dbb_spills, dbb_hits = unpack_dbb(self._gathered(DBB, DBB_CHAIN))
        counted += [
            _Counted(board=board, events=unpack_vlsb_master(board), geo=board.number)
            for board in self._gathered(VLSB_MASTER)
        ]
        triggers = _triggers(counted)
        return RawHits(
            triggers=triggers,
            boards=BoardEvents.concat(tables),
            tdc=tdc,
            fadc=FadcHits.concat(fadc),
            samples=samples,
            scalers=self.scalers,
            trigger_words=tuple(self.trigger_words),
            trigger_engine=EngineTriggers.concat([*self.trigger_engines.values()]),
            process_variables=ProcessVariables.concat([*self.process_variables.values()]),
            dbb_spills=dbb_spills,
            dbb_hits=dbb_hits,
            vlsb=unpack_vlsb(self._gathered(VLSB, VLSB_C), triggers),
            added={
                BOARDS[kind].name: BOARDS[kind].unpack(found) for kind, found in self.gathered.items() if kind in BOARDS
            },
            skipped=dict(self.skipped),
        )


def _once(seen: Container[int], equipment: Equipment) -> None:
    """Refuse a second equipment of a kind that an LDC reads out once a spill."""
    if equipment.ldc in seen:
        raise equipment.error(0, "comes twice")


def _triggers(counted: list[_Counted]) -> int:
    """Return the particle events that all boards agree on."""
    seen: set[tuple[int, int, int]] = set()
    for one in counted:
        first = counted[0]
        if one.events != first.events:
            reason = f"trigger mismatch: {one} has {one.events} particle events, {first} has {first.events}"
            raise one.board.error(0, reason)
        if one.events > MAX_TRIGGERS:
            raise one.board.error(0, f"{one.events} particle events, more than {MAX_TRIGGERS}")
        address = (one.board.type, one.board.ldc, one.geo)
        if one.events and address in seen:
            raise one.board.error(0, f"{one} comes twice")
        seen.add(address)
    return counted[0].events if counted else 0
