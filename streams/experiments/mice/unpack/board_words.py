"""What each word of a board says, in words: for an expert who looks at a spill's bytes.

A reader takes a board's words and yields a text for each, in their order, as far as it understands them. It refuses
nothing: whether a spill is good is the unpacker's to say, which shares the layouts with it.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence

from streams.experiments.mice.boards import (
    BANKS_OF_BOARD,
    DBB,
    DBB_CHAIN,
    DBB_MAX_EDGES,
    EI,
    V830,
    V977,
    V1290,
    V1495,
    V1724,
    V1731,
    VLSB,
    VLSB_BOARD,
    VLSB_C,
)
from streams.experiments.mice.boards import VLSB_MASTER as MASTER_BOARD
from streams.experiments.mice.unpack import dbb, epics, v1290, v1495, vlsb
from streams.experiments.mice.unpack.fadc import CHANNEL_LENGTHS, CHANNELS, HEADER_WORDS, NO_SUPPRESSION

Words = Sequence[int]
Texts = Iterator[str]

_BLOCK = 0xA
"""Kind of the first word of an FADC's block, bits 31-28."""


def _v1290(words: Words) -> Texts:
    event = -1
    for word in words:
        kind, chip = word >> 27, word >> 24 & 3
        event += kind == v1290.GLOBAL_HEADER
        if kind == v1290.GLOBAL_HEADER:
            yield f"particle event {event}: event count {word >> 5 & 0x3FFFFF}, geo {word & 0x1F}"
        elif kind == v1290.TDC_HEADER:
            yield f"chip {chip} begins: event id {word >> 12 & 0xFFF}, bunch id {word & 0xFFF}"
        elif kind == v1290.MEASUREMENT:
            edge = "trailing" if word >> 26 & 1 else "leading"
            yield f"channel {word >> 21 & 0x1F} {edge}, time {word & 0x1FFFFF}"
        elif kind == v1290.TDC_TRAILER:
            yield f"chip {chip} ends: event id {word >> 12 & 0xFFF}, {word & 0xFFF} words"
        elif kind == v1290.TDC_ERROR:
            yield f"error of chip {chip}: flags {word & 0x7FFF:#06x}"
        elif kind == v1290.TIME_TAG:
            yield f"trigger time tag {word & 0x7FFFFFF}"
        elif kind == v1290.GLOBAL_TRAILER:
            status, count = word >> 24 & 7, word >> 5 & 0xFFFF
            yield f"particle event ends: {count} words, status {status}, geo {word & 0x1F}"
        else:
            yield "filler" if kind == v1290.FILLER else "unknown"


def _fadc(words: Words, bits: int) -> Texts:
    at = event = 0
    while at + HEADER_WORDS <= len(words):
        first, second, third, tag = words[at : at + HEADER_WORDS]
        length, mask, code = first & 0x0FFFFFFF, second & 0xFF, second >> 24 & 7
        if first >> 28 != _BLOCK or not HEADER_WORDS <= length <= len(words) - at:
            return
        channels = [channel for channel in range(CHANNELS) if mask >> channel & 1]
        enabled = ", ".join(map(str, channels)) or "none"
        yield f"particle event {event}: {length} words"
        yield f"geo {second >> 27}, zero suppression {code}, channels {enabled}"
        yield f"event count {third & 0xFFFFFF}"
        yield f"trigger time tag {tag}"
        inside = words[at + HEADER_WORDS : at + length]
        if code == NO_SUPPRESSION and channels and len(inside) % len(channels) == 0:
            each = len(inside) // len(channels)
            for i, channel in enumerate(channels):
                yield from _samples(channel, inside[i * each : (i + 1) * each], bits)
        elif code == CHANNEL_LENGTHS and bits == 16:
            yield from _with_lengths(inside)
        else:
            yield from ("unknown" for _ in inside)
        at += length
        event += 1


def _with_lengths(inside: Words) -> Texts:
    at = 0
    while at < len(inside):
        channel, count = inside[at] >> 12, inside[at] & 0xFFF
        if channel >= CHANNELS or at + 1 + count > len(inside):
            yield from ("unknown" for _ in inside[at:])
            return
        yield f"channel {channel}: {count} words" if count else f"channel {channel}: suppressed"
        yield from _samples(channel, inside[at + 1 : at + 1 + count], 16)
        at += 1 + count


def _samples(channel: int, words: Words, bits: int) -> Texts:
    per_word = 32 // bits
    for i, word in enumerate(words):
        values = " ".join(str(word >> bits * k & (1 << bits) - 1) for k in range(per_word))
        yield f"channel {channel}, samples {i * per_word}-{(i + 1) * per_word - 1}: {values}"


def _v830(words: Words) -> Texts:
    header = words[0]
    yield f"geo {header >> 27}, {header >> 18 & 0x3F} channels, trigger count {header & 0xFFFF}"
    for word in words[1:]:
        yield f"channel {word >> 27}: {word & 0x3FFFFFF}"


def _v977(words: Words) -> Texts:
    for word in words:
        yield f"input register {word >> 16:#06x}, flip-flop register {word & 0xFFFF:#06x}"


def _vlsb_master(words: Words) -> Texts:
    if len(words) > 1 and words[0] >> 28 != vlsb.MASTER:
        yield f"{words[0]} particle triggers"
        yield f"TDC {words[1]}"
        return
    for word in words:
        if word >> 28 != vlsb.MASTER:
            return
        yield f"{word >> 16 & 0xFFF} particle triggers, TDC {word & 0xFFFF}"


def _vlsb_board(words: Words) -> Texts:
    yield f"status {words[0]:#010x}"
    yield from (f"bank {bank}: {length} words" for bank, length in enumerate(words[1 : 1 + BANKS_OF_BOARD]))


def _vlsb(words: Words) -> Texts:
    for word in words:
        if word == vlsb.ERROR_WORD:
            yield "error word of the board"
            continue
        hit = f"event {word >> 24}, channel {word >> 16 & 0x7F}"
        yield f"{hit}, ADC {word & 0xFF}, TDC {word >> 8 & 0xFF}, discriminator {word >> 23 & 1}"


def _vlsb_c(words: Words) -> Texts:
    lengths, at = words[:BANKS_OF_BOARD], BANKS_OF_BOARD
    yield from (f"bank {bank}: {length} words" for bank, length in enumerate(lengths))
    for bank, length in enumerate(lengths):
        if at + length > len(words):
            return
        yield from (f"bank {bank}: {text}" for text in _vlsb(words[at : at + length]))
        at += length


def _dbb(words: Words) -> Texts:
    at = 0
    while at + 1 < len(words) and words[at] >> 28 == dbb.HEADER:
        edges = words[at + 1] & DBB_MAX_EDGES
        yield f"geo {words[at] >> 22 & 0x3F}, spill {words[at] & 0xFFFF}"
        yield f"{words[at + 1] >> 16 & 0x3FF} triggers, {edges} edges"
        at += 2
        for word in words[at : at + edges]:
            if word >> 28 not in (dbb.LEADING, dbb.TRAILING):
                return
            edge = "leading" if word >> 28 == dbb.LEADING else "trailing"
            yield f"channel {word >> 22 & 0x3F} {edge}, time {word & 0x3FFFFF}"
        at += edges
        if at + 1 >= len(words) or words[at] >> 28 != dbb.TRAILER:
            return
        yield f"board ends: status {words[at] >> 16 & 0x3F:#04x}"
        yield f"spill width {words[at + 1]}"
        at += 2


def _v1495(words: Words) -> Texts:
    if words[0] >> 28 != v1495.HEADER:
        return
    yield "header"
    at = 1
    while at + 2 < len(words) and words[at] >> 28 == v1495.TRIGGER:
        first, second, third = words[at : at + 3]
        yield f"trigger {at // 3}: TOF2 slabs {first >> 8 & 0xFFFFF:#07x}"
        yield f"TOF1 slabs {(first & 0xFF) << 12 | second >> 20:#07x}, TOF0 slabs {second & 0xFFFFF:#07x}"
        yield f"count {third >> 22}, time {third & 0x3FFFFF}"
        at += 3
    if at == len(words) - 1 and words[at] >> 28 == v1495.TRAILER:
        yield f"board ends: {words[at] >> 17 & 0x3FF} triggers"


def _epics(words: Words) -> Texts:
    if words[0] >> 28 != epics.HEADER:
        return
    yield f"{words[0] & 0x0FFFFFFF} variables"
    for at in range(1, len(words) - 2, 3):
        kind, low, high = words[at : at + 3]
        if kind >> 24 & 0xF != epics.DOUBLE:
            return
        (value,) = struct.unpack("<d", struct.pack("<2I", low, high))
        yield f"variable {kind & 0xFF}, a double"
        yield "its low half"
        yield f"its high half: {value:.12g}"


READERS: Mapping[int, Callable[[Words], Texts]] = {
    V977: _v977,
    V1290: _v1290,
    V830: _v830,
    V1724: lambda words: _fadc(words, 16),
    V1731: lambda words: _fadc(words, 8),
    DBB: _dbb,
    DBB_CHAIN: _dbb,
    MASTER_BOARD: _vlsb_master,
    VLSB_BOARD: _vlsb_board,
    VLSB: _vlsb,
    VLSB_C: _vlsb_c,
    V1495: _v1495,
    EI: _epics,
}
"""Equipment type → what reads its words, of which there is at least one."""
