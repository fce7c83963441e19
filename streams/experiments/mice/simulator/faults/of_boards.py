"""Faults of detectors, cables and boards: they change the boards' words in a physics event."""

from collections.abc import Callable, Iterable
from functools import partial, reduce
from itertools import chain

import numpy as np

from streams.experiments.mice.boards import V977, VLSB
from streams.experiments.mice.conditions.addresses import Address
from streams.experiments.mice.simulator.faults.board import Board, Signals
from streams.experiments.mice.simulator.faults.crate import BOARDS, BoardAddress, Crate
from streams.experiments.mice.simulator.faults.model import Fault

NOISE_PROBABILITY = 0.2
"""Of a channel of a noisy plane to fire in a particle trigger."""
_CORRUPTED = 0xFFFFFFFF


def silence(_: np.random.Generator, crate: Crate, fault: Fault) -> None:
    """Take away all signals of the parts."""
    _change(crate, chain.from_iterable(fault.parts), lambda board, channel: board.silenced(channel))


def fire_always(rng: np.random.Generator, crate: Crate, fault: Fault) -> None:
    """Add noise to the parts in every particle trigger."""
    _fire(rng, crate, fault, 1.0)


def fire_often(rng: np.random.Generator, crate: Crate, fault: Fault) -> None:
    """Add noise to the parts, each in particle triggers of its own."""
    _fire(rng, crate, fault, NOISE_PROBABILITY)


def _fire(rng: np.random.Generator, crate: Crate, fault: Fault, probability: float) -> None:
    boards: dict[BoardAddress, Board] = {}
    for part in fault.parts:
        # All channels of a part see the noise: it comes from the part.
        trigger = np.flatnonzero(rng.random(crate.triggers) < probability)
        for ldc, geo, channel, kind in part:
            address = kind, ldc, geo
            boards[address] = (boards.get(address) or crate.board(address)).noisy(rng, channel, trigger)
    for address, board in boards.items():
        crate.put_words(address, board.words())


def _change(crate: Crate, addresses: Iterable[Address], change: Callable[[Board, int], Board]) -> None:
    """Change the boards of these addresses, each once, in all channels that are named of it."""
    channels: dict[BoardAddress, list[int]] = {}
    for ldc, geo, channel, kind in addresses:
        channels.setdefault((kind, ldc, geo), []).append(channel)
    for board, its in channels.items():
        crate.change(board, partial(reduce, change, its))


def swap(_: np.random.Generator, crate: Crate, fault: Fault) -> None:
    """Exchange the signals of two parts, channel by channel."""

    def connect(signals: Signals, board: Board, channel: int) -> Board:
        return board.replaced(channel, signals)

    for ends in zip(*fault.parts, strict=True):
        signals = [crate.board((kind, ldc, geo)).signals(channel) for ldc, geo, channel, kind in ends]
        for end, others in zip(ends, reversed(signals), strict=True):
            _change(crate, (end,), partial(connect, others))


def shift(_: np.random.Generator, crate: Crate, fault: Fault) -> None:
    """Delay the signals of the parts; boards that tell no times stay as they are."""

    def delay(counts: int, board: Board, channel: int) -> Board:
        return board.shifted(channel, counts)

    addresses = [*chain.from_iterable(fault.parts)]
    for kind, per_unit in fault.counts.items():
        if counts := round(fault.value * per_unit):
            _change(crate, (each for each in addresses if each[3] == kind), partial(delay, counts))


def near_wrap(_: np.random.Generator, crate: Crate, __: Fault) -> None:
    """Move the counters of all boards to where they wrap."""
    for address in crate.boards:
        kind = BOARDS.get(address[0])
        if kind is not None and kind.near_wrap is not Board.near_wrap:
            crate.change(address, lambda board: board.near_wrap())


def lose_trigger(_: np.random.Generator, crate: Crate, fault: Fault) -> None:
    """Take the last particle event of one board away."""
    if crate.triggers:
        crate.change(fault.board, lambda board: board.without_last_trigger())


def corrupt(_: np.random.Generator, crate: Crate, fault: Fault) -> None:
    """Set all bits of the first word of one board."""
    words = crate.words(fault.board)
    words[:1] = _CORRUPTED
    crate.put_words(fault.board, words)


def counting(kind: int) -> bool:
    """Say whether such a board tells how many particle events it has: a bank of the trackers does not."""
    return kind in BOARDS and kind != VLSB


def corruptible(kind: int) -> bool:
    """Say whether the first word of such a board can be told from a corrupted one.

    The V977's may be any, and so may that of a bank of the trackers, which may have none either.
    """
    return kind not in (V977, VLSB)
