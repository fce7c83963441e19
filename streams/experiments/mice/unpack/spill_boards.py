"""All boards of a spill's physics event to raw hits; one that cannot be read takes nothing from the others."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from schemas.columns import U1, Table
from streams.date.fragments import Boards, Equipment
from streams.errors import BadDataError
from streams.experiments.mice.boards import (
    DBB,
    DBB_CHAIN,
    EI,
    V830,
    V1290,
    V1495,
    V1724,
    V1731,
    VLSB,
    VLSB_BOARD,
    VLSB_C,
    VLSB_MASTER,
    PulseDefinitions,
)
from streams.experiments.mice.unpack.added import Board
from streams.experiments.mice.unpack.dbb import unpack_dbb
from streams.experiments.mice.unpack.epics import unpack_epics
from streams.experiments.mice.unpack.fadc import unpack_fadc
from streams.experiments.mice.unpack.hits import (
    BoardEvents,
    EngineTriggers,
    FadcHits,
    ProcessVariables,
    RawHits,
    TdcHits,
)
from streams.experiments.mice.unpack.losses import RAW, Losses
from streams.experiments.mice.unpack.registers import unpack_v830
from streams.experiments.mice.unpack.triggers import Counted, agreed, outvoted
from streams.experiments.mice.unpack.v1290 import unpack_v1290
from streams.experiments.mice.unpack.v1495 import unpack_v1495
from streams.experiments.mice.unpack.vlsb import unpack_lengths, unpack_vlsb_master
from streams.experiments.mice.unpack.vlsb_boards import TrackerBoards

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
_TRIGGER_DRIVEN = (V1290, V1724, V1731)
"""Boards that have a block for each particle trigger."""


@dataclass(slots=True, kw_only=True)
class _Blocks:
    """The boards of one trigger-driven type that can be read."""

    kind: int
    pulses: PulseDefinitions
    boards: list[Equipment]
    counted: list[Counted] = field(default_factory=list)
    """In the order of the boards."""
    events: BoardEvents = field(default_factory=BoardEvents.empty)
    tdc: TdcHits = field(default_factory=TdcHits.empty)
    fadc: FadcHits = field(default_factory=FadcHits.empty)
    samples: dict[tuple[int, int, int], U1] = field(default_factory=dict)

    def read(self, losses: Losses) -> None:
        """Unpack them; those that cannot be read are left out."""
        self.boards, _ = losses.together(self.boards, self._unpack)

    def _unpack(self, boards: Sequence[Equipment]) -> None:
        if not boards:
            self.events, self.tdc, self.fadc = BoardEvents.empty(), TdcHits.empty(), FadcHits.empty()
            self.counted, self.samples = [], {}
            return
        joined = Boards(boards)
        if self.kind == V1290:
            self.events, counts, self.tdc = unpack_v1290(joined)
        else:
            self.events, counts, self.fadc, self.samples = unpack_fadc(joined, self.pulses)
        self.counted = [
            Counted(board=board, events=int(n), geo=int(self.events.geo[end - 1]) if n else board.number)
            for board, n, end in zip(boards, counts, np.cumsum(counts), strict=True)
        ]

    def keep(self, triggers: int, all_counted: Sequence[Counted], losses: Losses) -> None:
        """Leave out the boards that have another number of particle triggers, and those that come twice."""
        places = Counter((one.board.ldc, one.geo) for one in self.counted if one.events)
        kept = []
        for one in self.counted:
            if not one.events and triggers and losses.read_out.is_idle(self.kind, one.board.ldc, one.board.number):
                continue
            if one.events != triggers:
                losses.lose(one.board, outvoted(one, triggers, all_counted), one.geo)
            elif places[one.board.ldc, one.geo] > 1:
                losses.lose(one.board, one.board.error(0, "comes twice"), one.geo)
            else:
                kept.append(one.board)
        if len(kept) < len(self.boards):
            self.boards = kept
            self.read(losses)


def unpack_boards(
    boards: Mapping[int, Sequence[Equipment]], losses: Losses, pulses: PulseDefinitions, **rest: Any
) -> RawHits:
    """Return the raw hits of a spill's boards, by their type; `rest` are columns that are not of the boards.

    What cannot be read is noted in `losses`.

    Raises
    ------
    BadDataError
        When the number of particle triggers cannot be known.
    """

    def of(*kinds: int) -> list[Equipment]:
        return [board for kind in kinds for board in boards.get(kind, ()) if len(board.words)]

    scalers = _once(losses, of(V830), unpack_v830, lambda board, found: (board.ldc, found[0]))
    engines = _once(losses, of(V1495), unpack_v1495, lambda board, _: board.ldc)
    variables = _once(losses, of(EI), unpack_epics, lambda board, _: board.ldc)
    added = {board.name: _added(board, of(kind), losses) for kind, board in losses.added.items() if of(kind)}
    dbbs, (dbb_spills, dbb_hits) = losses.together(of(DBB, DBB_CHAIN), unpack_dbb)
    blocks = [_Blocks(kind=kind, pulses=pulses, boards=[*boards.get(kind, ())]) for kind in _TRIGGER_DRIVEN]
    for one in blocks:
        one.read(losses)
    trackers = TrackerBoards(
        masters=losses.each(of(VLSB_MASTER), unpack_vlsb_master),
        lengths=losses.each(of(VLSB_BOARD), unpack_lengths),
        banks=of(VLSB, VLSB_C),
        are_read_out=any(boards.get(kind) for kind in (VLSB, VLSB_C, VLSB_BOARD)),
    )
    trackers.check_lengths(losses)
    if driven := [one for found in blocks for one in found.counted]:
        counted = [*driven, *trackers.counted]
        triggers = agreed(counted)
        if not triggers and any(events for _, events in trackers.masters):
            # Trackers alone were triggered: boards that saw nothing know nothing of it.
            triggers = trackers.triggers(losses) or 0
        for found in blocks:
            found.keep(triggers, counted, losses)
        trackers.check_masters(triggers, counted, losses)
    elif (n := trackers.triggers(losses)) is not None:
        triggers = n
    elif len(dbb_spills):
        triggers = agreed(
            [
                Counted(board=dbbs[0], events=n, geo=geo)
                for n, geo in zip(dbb_spills.trigger_count.tolist(), dbb_spills.geo.tolist(), strict=True)
            ]
        )
    elif RAW in losses.failed:
        error = losses.failed[RAW]
        raise BadDataError(error.step, f"the particle triggers cannot be known: {error.reason}", error.byte)
    else:
        triggers = 0
    vlsb = trackers.hits(triggers, losses)
    return RawHits(
        triggers=triggers,
        boards=BoardEvents.concat([found.events for found in blocks]),
        tdc=TdcHits.concat([found.tdc for found in blocks]),
        fadc=FadcHits.concat([found.fadc for found in blocks]),
        samples={place: waves for found in blocks for place, waves in found.samples.items()},
        scalers={place: counts for place, (_, counts) in scalers.items()},
        trigger_engine=EngineTriggers.concat([*engines.values()]),
        process_variables=ProcessVariables.concat([*variables.values()]),
        dbb_spills=dbb_spills,
        dbb_hits=dbb_hits,
        vlsb=vlsb,
        added={name: table for name, table in added.items() if table is not None},
        failed=losses.failed,
        **rest,
    )


def _added(board: Board, found: Sequence[Equipment], losses: Losses) -> Table | None:
    """Unpack boards of a type that the experiment has added; None if none of them can be read."""
    return losses.together(found, lambda boards: board.unpack(boards) if boards else None)[1]


def _once(
    losses: Losses,
    boards: Sequence[Equipment],
    unpack: Callable[[Equipment], _Value],
    key_of: Callable[[Equipment, _Value], _Key],
) -> dict[_Key, _Value]:
    """Unpack boards of which each place has one: key → what is in it; of those that come twice, none."""
    found = [(key_of(board, value), board, value) for board, value in losses.each(boards, unpack)]
    places = Counter(key for key, _, _ in found)
    for key, board, _ in found:
        if places[key] > 1:
            losses.lose(board, board.error(0, "comes twice"))
    return {key: value for key, _, value in found if places[key] == 1}
