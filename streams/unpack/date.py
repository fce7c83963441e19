"""One spill's DATE events to raw hits."""

from collections import Counter
from dataclasses import dataclass, field

from schemas.columns import I4, U1
from schemas.wire import MAX_TRIGGERS
from streams.errors import BadDataError
from streams.unpack.fadc import unpack_fadc
from streams.unpack.fragments import Equipment, equipments, fragments
from streams.unpack.framing import EQUIPPED, EventType, read_header
from streams.unpack.hits import (
    BOARD_NAMES,
    TRIGGER_RECEIVER,
    V830,
    V1290,
    BoardEvents,
    FadcHits,
    RawHits,
    TdcHits,
)
from streams.unpack.registers import unpack_trigger_receiver, unpack_v830
from streams.unpack.v1290 import unpack_v1290


def unpack_date(payload: bytes | memoryview) -> RawHits:
    """Return the raw hits of a spill, given its DATE events one after the other.

    There must be exactly one physics event; its boards give the hits. The trigger receiver is read in all events. Every
    other equipment that is not empty is counted in `RawHits.skipped`: by its type, and if it is a known board outside
    the physics event, with the event's name.

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
    return spill.hits()


def _check_ldcs(event_ldcs: list[tuple[int, set[int]]]) -> None:
    """Refuse a spill in which an LDC is missing from an event."""
    spill_ldcs = set().union(*(ldcs for _, ldcs in event_ldcs))
    for at, ldcs in event_ldcs:
        if ldcs != spill_ldcs:
            reason = f"{len(ldcs)} sub-events, of LDCs {sorted(ldcs)}; the spill has LDCs {sorted(spill_ldcs)}"
            raise BadDataError("unpack", reason, at)


@dataclass(slots=True, kw_only=True)
class _Spill:
    """What the equipments of a spill have given so far."""

    physics_events: int = 0
    counts: dict[tuple[int, int, int], int] = field(default_factory=dict)
    """(equipment, ldc, geo) of each trigger-driven board → its particle events."""
    boards: list[BoardEvents] = field(default_factory=list)
    tdc: list[TdcHits] = field(default_factory=list)
    fadc: list[FadcHits] = field(default_factory=list)
    samples: dict[tuple[int, int, int], U1] = field(default_factory=dict)
    scalers: dict[tuple[int, int], I4] = field(default_factory=dict)
    trigger_words: list[int] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def take(self, equipment: Equipment, event: EventType) -> None:
        """Unpack an equipment, or skip and count it."""
        is_empty = len(equipment.words) == 0
        if equipment.type == TRIGGER_RECEIVER and not is_empty:
            self.trigger_words.append(unpack_trigger_receiver(equipment))
        elif equipment.type not in BOARD_NAMES:
            self.skipped[str(equipment.type)] += not is_empty
        elif event is not EventType.PHYSICS:
            self.skipped[f"{equipment.type} in {event.name.lower()}"] += not is_empty
        elif equipment.type == V830:
            self._take_scaler(equipment)
        else:
            self._take_board(equipment)
