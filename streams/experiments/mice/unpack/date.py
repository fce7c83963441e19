"""One spill's DATE events to raw hits."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from streams.date.fragments import Equipment, Fragment, equipments, fragments
from streams.date.framing import EQUIPPED, EventHeader, EventType, read_header
from streams.errors import BadDataError
from streams.experiments.mice.boards import BOARD_NAMES, V977, PulseDefinitions
from streams.experiments.mice.read_out import ANY, Place, ReadOut
from streams.experiments.mice.unpack.added import Boards, names_with
from streams.experiments.mice.unpack.hits import RawHits
from streams.experiments.mice.unpack.losses import Losses
from streams.experiments.mice.unpack.registers import unpack_v977
from streams.experiments.mice.unpack.spill_boards import unpack_boards

_MOST_BOARDS = 512
"""Of one type in a spill: there are no more addresses."""


def unpack_date(
    payload: bytes | memoryview,
    pulses: PulseDefinitions = PulseDefinitions.SINCE_2013,
    read_out: ReadOut | None = None,
    added: Boards = MappingProxyType({}),
) -> RawHits:
    """Return the raw hits of a spill, given its DATE events one after the other.

    There must be exactly one physics event; its boards give the hits. The trigger receiver is read in all events. Every
    other equipment that is not empty is counted in `RawHits.skipped`: by its type, and if it is a known board outside
    the physics event, with the event's name. `pulses` are the definitions that the features of FADC pulses follow,
    `added` are boards besides those of the experiment.

    A board that cannot be read costs the detectors that read it, by `read_out`, and no others, see `RawHits.failed`; so
    does an LDC that is missing, or whose equipments cannot be told apart. The spill has as many particle triggers as
    most of its boards; a board that has another number of them cannot be read.

    Raises
    ------
    BadDataError
        When the spill's frame, its identity or the number of its particle triggers cannot be known (step ``unpack``,
        byte within `payload`).
    """
    view = memoryview(payload)
    spill = _Spill(losses=Losses(read_out=read_out or ReadOut(), added=added))
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
            spill.take_event(view, at, header)
        at += header.size
    if spill.physics_events == 0:
        raise BadDataError("unpack", f"no physics event in the {len(view)} bytes of the spill")
    spill.lose_ldcs()
    spill.lose_unread()
    return spill.hits(pulses)


@dataclass(slots=True, kw_only=True)
class _Spill:
    """The equipments of a spill."""

    losses: Losses
    physics_events: int = 0
    events: list[tuple[int, EventType, set[int]]] = field(default_factory=list)
    """Byte, type and LDCs of each."""
    broken: list[tuple[int, BadDataError]] = field(default_factory=list)
    """LDCs of the physics event of which nothing can be read."""
    trigger_words: list[int] = field(default_factory=list)
    unread: list[Equipment] = field(default_factory=list)
    """Those of the physics event with words that no type of board that is known explains."""
    boards: dict[int, list[Equipment]] = field(default_factory=lambda: defaultdict(list))
    """Those of the physics event that are known, by their type."""
    skipped: Counter[str] = field(default_factory=Counter)

    def take_event(self, payload: memoryview, at: int, header: EventHeader) -> None:
        """Put the equipments of the event at byte `at` where they belong."""
        parts = fragments(payload, at, header)
        self.events.append((at, header.type, {part.ldc for part in parts if part.ldc != ANY}))
        for part in parts:
            self._take_fragment(payload, part, header.type)

    def _take_fragment(self, payload: memoryview, part: Fragment, event: EventType) -> None:
        """Take all equipments of a fragment, or none if one of them cannot be."""
        found: list[Equipment] = []
        fault = part.fault
        try:
            found = list(equipments(payload, part, self.names))
        except BadDataError as error:
            fault = fault or error
        if fault is None:
            for equipment in found:
                self._take(equipment, event)
        elif event is not EventType.PHYSICS:
            said = f"in the event {event.name.lower()}: {fault.reason}"
            self.losses.lose_nothing_else(BadDataError(fault.step, said, fault.byte))
        elif part.ldc != ANY:
            self.broken.append((part.ldc, fault))
        else:  # its boards tell which detectors' they may be
            self.losses.lose_nothing_else(fault)
            for equipment in found:
                if equipment.type in BOARD_NAMES and equipment.type != V977:
                    self.losses.lose(equipment, fault)

    def _take(self, equipment: Equipment, event: EventType) -> None:
        kind = equipment.type
        if kind == V977:
            read = self.losses.each([equipment] if len(equipment.words) else [], unpack_v977)
            self.trigger_words += [word for _, word in read]
            if len(equipment.words) and not read and event is EventType.PHYSICS:
                self.unread.append(equipment)
        elif event is EventType.PHYSICS and kind in self.names:
            if len(self.boards[kind]) == _MOST_BOARDS:
                raise equipment.error(0, f"there are more than {_MOST_BOARDS} of them")
            self.boards[kind].append(equipment)
        elif len(equipment.words):
            self.skipped[f"{kind} in {event.name.lower()}" if kind in BOARD_NAMES else str(kind)] += 1
            if event is EventType.PHYSICS:
                self.unread.append(equipment)

    @property
    def names(self) -> Mapping[int, str]:
        """Type of a known board → what it is called."""
        return names_with(self.losses.added)

    @property
    def places(self) -> set[Place]:
        """The boards of the physics event, by the geo that their equipments' headers tell."""
        return {(kind, board.ldc, board.number) for kind, boards in self.boards.items() for board in boards}

    def lose_ldcs(self) -> None:
        """Take note of the LDCs that an event lacks; only in the physics event have they what a detector needs."""
        for ldc, error in self.broken:
            self.losses.lose_ldc(ldc, self.places, error)
        ldcs = set().union(*(there for _, _, there in self.events)) - self._told_wrong()
        for at, event, there in self.events:
            for ldc in sorted(ldcs - there):
                reason = f"LDC {ldc} lacks in an event: it has {sorted(there)}, and the spill has {sorted(ldcs)}"
                error = BadDataError("unpack", reason, at)
                if event is EventType.PHYSICS:
                    self.losses.lose_ldc(ldc, self.places, error)
                else:
                    self.losses.lose_nothing_else(error)

    def lose_unread(self) -> None:
        """Take note of what stands, as nothing that is known, at the place of a cabled board that is not there."""
        self.losses.see(self.places)
        for board in self.unread:
            if names := " or ".join(BOARD_NAMES[kind] for kind in sorted(self.losses.in_place_of(board))):
                self.losses.lose(board, board.error(0, f"unexpected type {board.type} in place of the cabled {names}"))

    def _told_wrong(self) -> set[int]:
        """Return the LDCs that one event alone has, in place of one that the physics event has: there are none such."""
        physics = [there for _, event, there in self.events if event is EventType.PHYSICS]
        others = [there for _, event, there in self.events if event is not EventType.PHYSICS]
        times = Counter(ldc for there in others for ldc in there)
        wrong = [there - physics[0] for there in others if physics and physics[0] - there and len(others) > 1]
        return {ldc for there in wrong for ldc in there if times[ldc] == 1}

    def hits(self, pulses: PulseDefinitions) -> RawHits:
        """Unpack the boards.

        A detector is there if either the header of a board's equipment or the words of the board tell its place.
        """
        hits = unpack_boards(
            self.boards,
            self.losses,
            pulses,
            trigger_words=tuple(self.trigger_words),
            skipped=dict(self.skipped),
        )
        first = hits.boards.rows(hits.boards.trigger == 0)
        told = zip(first.equipment.tolist(), first.ldc.tolist(), first.geo.tolist(), strict=True)
        absent = self.losses.read_out.absent(self.places.union(told))
        return replace(hits, absent=absent - self.losses.failed.keys())
