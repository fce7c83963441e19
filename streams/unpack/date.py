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
    V830,
    V977,
    V1290,
    V1724,
    V1731,
    BoardEvents,
    FadcHits,
    RawHits,
    TdcHits,
)
from streams.unpack.registers import unpack_v830, unpack_v977
from streams.unpack.v1290 import unpack_v1290

_TRIGGER_DRIVEN = frozenset({V1290, V1724, V1731})


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
    triggers: int | None = None
    """Particle events of the first trigger-driven board."""
    counted_by: str = ""
    addresses: set[tuple[int, int, int]] = field(default_factory=set)
    """(equipment, ldc, geo) of the trigger-driven boards."""
    boards: list[BoardEvents] = field(default_factory=list)
    tdc: list[TdcHits] = field(default_factory=list)
    fadc: list[FadcHits] = field(default_factory=list)
    samples: dict[tuple[int, int, int], U1] = field(default_factory=dict)
    scalers: dict[tuple[int, int], I4] = field(default_factory=dict)
    trigger_words: list[int] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)

    def take(self, equipment: Equipment, event: EventType) -> None:
        """Unpack an equipment, or skip and count it."""
        if equipment.type == V977:
            if len(equipment.words):
                self.trigger_words.append(unpack_v977(equipment))
        elif event is EventType.PHYSICS and equipment.type in _TRIGGER_DRIVEN:
            self._take_board(equipment)
        elif len(equipment.words) == 0:
            pass
        elif event is EventType.PHYSICS and equipment.type == V830:
            self._take_scaler(equipment)
        else:
            name = str(equipment.type)
            self.skipped[f"{name} in {event.name.lower()}" if equipment.type in BOARD_NAMES else name] += 1

    def _take_scaler(self, board: Equipment) -> None:
        geo, counts = unpack_v830(board)
        if (board.ldc, geo) in self.scalers:
            raise board.error(0, f"geo {geo} comes twice")
        self.scalers[board.ldc, geo] = counts

    def _take_board(self, board: Equipment) -> None:
        """Unpack a board that has a block for each particle trigger; one without words has seen no trigger."""
        events, name = BoardEvents.empty(), board.name
        if len(board.words):
            if board.type == V1290:
                events, tdc = unpack_v1290(board)
                self.tdc.append(tdc)
            else:
                events, fadc, samples = unpack_fadc(board)
                self.fadc.append(fadc)
                self.samples.update({(board.ldc, int(events.geo[0]), c): s for c, s in samples.items()})
        if len(events):
            geo = int(events.geo[0])
            name = f"{name}, geo {geo}"
            if (board.type, board.ldc, geo) in self.addresses:
                raise board.error(0, f"geo {geo} comes twice")
            self.addresses.add((board.type, board.ldc, geo))
        if self.triggers is None:
            self.triggers, self.counted_by = len(events), name
        if len(events) != self.triggers:
            reason = f"trigger mismatch: {len(events)} particle events, {self.triggers} in {self.counted_by}"
            raise board.error(0, f"geo {geo}: {reason}" if len(events) else reason)
        if len(events) > MAX_TRIGGERS:
            raise board.error(0, f"{len(events)} particle events, more than {MAX_TRIGGERS}")
        self.boards.append(events)

    def hits(self) -> RawHits:
        """Return what was taken."""
        return RawHits(
            triggers=self.triggers or 0,
            boards=BoardEvents.concat(self.boards),
            tdc=TdcHits.concat(self.tdc),
            fadc=FadcHits.concat(self.fadc),
            samples=self.samples,
            scalers=self.scalers,
            trigger_words=tuple(self.trigger_words),
            skipped=dict(self.skipped),
        )
