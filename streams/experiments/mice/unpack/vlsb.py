"""VLSB, the trackers' boards, and their master: words to the light of fibres, all banks of a spill at once.

A bank is known by its number in the cabling and the calibration, 0 to 63, four to a board. That number is taken to be
the equipment's id, of a board in the cosmic format, whose ids begin at 1, four times those of the boards before it and
on, and the lengths of its banks to be in words; the layouts do not say so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from schemas.columns import I8
from schemas.wire import MAX_TRIGGERS
from streams.arrays.stable_order import stable_order
from streams.date.fragments import Boards, Equipment, Integers
from streams.experiments.mice.boards import BANK_CHANNELS, BANKS, BANKS_OF_BOARD, COSMIC_GEOS, VLSB_C
from streams.experiments.mice.unpack.hits import VlsbHits

MASTER = 0xA
"""Kind of the master's words, bits 31-28."""
ERROR_WORD = 0xDEADBEEF
_LENGTH_BITS = 18
_MASTER_WORDS = 2
"""Of the older layout."""
_EVENT_PERIOD = 256


def unpack_vlsb_master(board: Equipment) -> int:
    """Return the particle triggers that the master counted.

    Until the middle of 2015 it has two plain registers, the triggers and a time; since then one word of a kind of its
    own with both. That word twice is what simulated spills of before have.

    Raises
    ------
    BadDataError
        When there is another number of words, or a word that cannot be.
    """
    words: list[int] = board.words.tolist()
    if len(words) not in (1, _MASTER_WORDS):
        raise board.error(0, f"{len(words)} words, not 1 or {_MASTER_WORDS}")
    if len(words) == 1 or words[0] >> 28 == MASTER:
        for at, word in enumerate(words):
            if word >> 28 != MASTER:
                raise board.error(at, f"unexpected word {word:#010x}, not of kind {MASTER:#x}")
            if word != words[0]:
                raise board.error(at, f"{word >> 16 & 0xFFF} triggers, its first word says {words[0] >> 16 & 0xFFF}")
        return words[0] >> 16 & 0xFFF
    if words[0] > MAX_TRIGGERS:
        raise board.error(0, f"unexpected word {words[0]:#010x}: no spill has as many particle triggers")
    return words[0]


def unpack_lengths(board: Equipment) -> list[int]:
    """Return how many words a board says that its four banks have, (4,).

    Raises
    ------
    BadDataError
        When its words are no status register and four lengths.
    """
    words: list[int] = board.words.tolist()
    lengths = words[1:]
    if len(lengths) != BANKS_OF_BOARD:
        raise board.error(
            0, f"{1 + len(lengths)} words, not a status register and the lengths of {BANKS_OF_BOARD} banks"
        )
    _check_lengths(board, lengths, 1)
    return lengths


def _check_lengths(board: Equipment, lengths: Sequence[int], first: int) -> None:
    """Refuse lengths of banks with other bits in their words, the first of which is at index `first`."""
    for at, length in enumerate(lengths, first):
        if length >> _LENGTH_BITS:
            raise board.error(at, f"unexpected word {length:#010x} where the length of a bank should be")


def unpack_vlsb(equipments: Sequence[Equipment], triggers: int) -> VlsbHits:
    """Return the hits of all banks, in the order of banks, particle triggers and channels.

    A word holds the board's event number, from 1 and modulo 256, discriminator, channel, TDC and ADC. A bank's words
    are in the order of the events, so where the number falls it has wrapped. A bank without a word in 256 events on
    end, or in the first 256, would be misread, and nothing in its words could tell.

    Parameters
    ----------
    equipments
        VLSB and VLSB_C, none of them empty.
    triggers
        Particle triggers of the spill, as its other boards have counted them.

    Raises
    ------
    BadDataError
        When a bank's number cannot be or comes twice, a board reports an error, a channel comes twice in a particle
        event, or a particle event is none of the spill's.
    """
    banks = [bank for equipment in equipments for bank in _banks(equipment)]
    _check_banks(banks)
    if not banks:
        return VlsbHits.empty()
    boards = Boards(banks)
    words = boards.words
    of = boards.of(np.arange(len(words)))
    if (bad := words == ERROR_WORD).any():
        raise boards.error(bad.argmax(), f"error word {ERROR_WORD:#010x} in bank {banks[of[bad.argmax()]].number}")
    event = _unwrapped((words >> 24).astype(np.int64), of, boards.firsts[:-1]) - 1
    if (bad := (event < 0) | (event >= triggers)).any():
        at = bad.argmax()
        reason = f"trigger mismatch: a hit of particle event {event[at]} in bank {banks[of[at]].number}, "
        raise boards.error(at, f"{reason}the spill has {triggers}")
    bank = np.array([one.number for one in banks])[of]
    channel = (words >> 16 & 0x7F).astype(np.int64)
    order, twice = in_order(bank, event, channel)
    if twice >= 0:
        reason = f"channel {channel[twice]} of bank {bank[twice]} comes twice in particle event {event[twice]}"
        raise boards.error(twice, reason)
    return VlsbHits(
        ldc=boards.ldcs(of[order]).astype(np.int32),
        bank=bank[order].astype(np.uint8),
        channel=channel[order].astype(np.uint8),
        trigger=event[order].astype(np.int32),
        adc=(words[order] & 0xFF).astype(np.uint8),
        tdc=(words[order] >> 8 & 0xFF).astype(np.uint8),
        discriminator=(words[order] >> 23 & 1).astype(np.uint8),
    )


def in_order(bank: Integers, trigger: Integers, channel: Integers) -> tuple[I8, int]:
    """Return the order of hits by bank, trigger and channel, and one whose channel comes twice in it, or -1."""
    span = int(trigger.max(initial=0)) + 1
    key = (bank.astype(np.int64) * span + trigger) * BANK_CHANNELS + channel
    order = stable_order(key)
    same = np.diff(key[order]) == 0
    return order, int(order[same.argmax() + 1]) if same.any() else -1


def _banks(equipment: Equipment) -> Iterator[Equipment]:
    """Yield the banks of an equipment, each with its words and number."""
    if equipment.type != VLSB_C:
        yield equipment
        return
    if equipment.number not in COSMIC_GEOS:
        raise equipment.error(0, f"boards in the cosmic format are numbered from {COSMIC_GEOS[0]} to {COSMIC_GEOS[-1]}")
    lengths, words = equipment.words[:BANKS_OF_BOARD].tolist(), equipment.words[BANKS_OF_BOARD:]
    if len(lengths) < BANKS_OF_BOARD:
        raise equipment.error(0, f"{len(lengths)} words, too few for the lengths of {BANKS_OF_BOARD} banks")
    _check_lengths(equipment, lengths, 0)
    if sum(lengths) != len(words):
        raise equipment.error(0, f"{len(words)} words in its banks, their lengths {lengths} make {sum(lengths)}")
    first = 0
    for at, length in enumerate(lengths):
        yield replace(
            equipment,
            at=equipment.at + 4 * (BANKS_OF_BOARD + first),
            words=words[first : first + length],
            number=COSMIC_GEOS.index(equipment.number) * BANKS_OF_BOARD + at,
        )
        first += length


def _check_banks(banks: Sequence[Equipment]) -> None:
    seen: set[int] = set()
    for bank in banks:
        if bank.number >= BANKS:
            raise bank.error(0, f"bank {bank.number}: banks are numbered from 0 to {BANKS - 1}")
        if bank.number in seen:
            raise bank.error(0, f"bank {bank.number} comes twice")
        seen.add(bank.number)


def _unwrapped(number: I8, bank: I8, firsts: I8) -> I8:
    """Return the event numbers without their wraps, which are counted in each bank from event 1."""
    before = np.append([1], number[:-1])
    first_words = firsts[np.unique(bank)]  # of banks that have words
    before[first_words] = 1
    falls = number < before
    wraps = np.cumsum(falls)
    start = np.zeros(len(firsts), np.int64)
    start[bank[first_words]] = (wraps - falls)[first_words]
    return number + _EVENT_PERIOD * (wraps - start[bank])
