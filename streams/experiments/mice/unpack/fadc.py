"""CAEN V1724 and V1731 FADCs: event blocks to samples to features of the pulses, all boards of an event at once."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from schemas.columns import I8, U1
from schemas.records import MISSING
from streams.arrays.stable_order import stable_order
from streams.date.fragments import U4, Boards, Integers
from streams.errors import BadDataError
from streams.experiments.mice.boards import V1724, V1731, PulseDefinitions
from streams.experiments.mice.unpack.hits import BoardEvents, FadcHits
from streams.experiments.mice.unpack.pulses import MIN_SAMPLES, Samples, pulse_features

HEADER_WORDS = 4
CHANNELS = 8
MAX_V1724_SAMPLE = (1 << 14) - 1
CHARGE_THRESHOLD = 100
"""ADC counts: a V1724 channel that the board has not suppressed itself is a hit if its charge_mm is above."""

NO_SUPPRESSION = 0
"""Zero-suppression code: a block's words are split equally between the enabled channels."""
CHANNEL_LENGTHS = 7
"""Zero-suppression code (V1724): each enabled channel has a length of its own, 0 if suppressed."""

_ENABLED = np.array([[mask >> channel & 1 for channel in range(CHANNELS)] for mask in range(256)], np.bool_)
"""(256, 8): the channels that each mask enables."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Blocks:
    """The event blocks of all boards, each column (n_blocks,)."""

    start: I8
    """Index of the first word."""
    stop: I8
    board: I8
    """Index of the board."""
    trigger: I8
    mask: Integers
    """Bits of the enabled channels."""
    pulses: PulseDefinitions
    """Of the features."""


def unpack_fadc(
    boards: Boards, pulses: PulseDefinitions
) -> tuple[BoardEvents, I8, FadcHits, dict[tuple[int, int, int], U1]]:
    """Return the events of the boards, how many each board has, (n_boards,), the hits, and the samples of V1731s.

    Samples are (n_events, n_samples) uint8 by LDC, geo and channel. The hits of a board are sorted by trigger and
    channel.

    Raises
    ------
    BadDataError
        When blocks are not complete or disagree, or a length cannot be.
    """
    starts = [_block_starts(boards, start, stop) for start, stop in pairwise(boards.firsts.tolist())]
    counts = np.array([len(s) - 1 for s in starts])
    first_event = np.cumsum(counts) - counts
    start = np.concatenate([s[:-1] for s in starts])
    board = np.repeat(np.arange(len(starts)), counts)
    heads = boards.words[start[:, None] + np.arange(HEADER_WORDS)]
    geo_and_code = heads[:, 1] >> 24
    if (bad := geo_and_code != geo_and_code[first_event[board]]).any():
        at = bad.argmax()
        raise boards.error(start[at] + 1, "geo or zero-suppression code differs from the first particle event's")
    blocks = _Blocks(
        start=start,
        stop=np.concatenate([s[1:] for s in starts]),
        board=board,
        trigger=np.arange(len(board)) - first_event[board],
        mask=heads[:, 1] & 0xFF,
        pulses=pulses,
    )
    events = BoardEvents(
        equipment=np.full(len(board), boards.type, np.uint8),
        ldc=boards.ldcs(board),
        geo=(heads[:, 1] >> 27).astype(np.uint8),
        trigger=blocks.trigger.astype(np.int32),
        event_counter=(heads[:, 2] & 0xFFFFFF).astype(np.int32),
        time_tag=heads[:, 3].astype(np.int64),
        bunch_id=np.full(len(board), MISSING, np.int32),
    )
    code = heads[:, 1] >> 24 & 7
    hits = _suppressed(boards, blocks, events, np.flatnonzero(code == CHANNEL_LENGTHS))
    samples: dict[tuple[int, int, int], U1] = {}
    for first, n in zip(first_event[counts > 0].tolist(), counts[counts > 0].tolist(), strict=True):
        if code[first] == NO_SUPPRESSION:
            more, kept = _unsuppressed(boards, blocks, events, slice(first, first + n))
            hits += more
            samples |= kept
        elif code[first] != CHANNEL_LENGTHS or boards.type != V1724:
            raise boards.error(start[first] + 1, f"zero-suppression code {code[first]}, not known for this board")
    return events, counts, FadcHits.concat(hits), samples


def _block_starts(boards: Boards, start: int, stop: int) -> I8:
    """Return where each block of one board's words ``[start, stop)`` begins, and the end, (n_blocks + 1,)."""
    words = boards.words[start:stop]
    if len(words) == 0:
        return np.array([start])
    first, length = int(words[0]), int(words[0]) & 0x0FFFFFFF
    if first >> 28 == 0xA and length >= HEADER_WORDS and len(words) % length == 0 and (words[::length] == first).all():
        return np.arange(start, stop + 1, length)
    # Python's own integers: numpy takes several times as long for one at a time.
    each, at, starts = boards.words.data, start, [start]
    while at < stop:
        length = each[at] - (0xA << 28)
        if not HEADER_WORDS <= length <= stop - at:
            raise _bad_block(boards, at, stop, len(starts) - 1)
        at += length
        starts.append(at)
    return np.array(starts)


def _bad_block(boards: Boards, at: int, stop: int, number: int) -> BadDataError:
    word = int(boards.words[at])
    if word >> 28 != 0xA:
        return boards.error(at, f"unexpected word {word:#010x} where particle event {number} should begin")
    return boards.error(at, f"particle event {number} of {word & 0x0FFFFFFF} words where {stop - at} are left")


def _unsuppressed(
    boards: Boards, blocks: _Blocks, events: BoardEvents, which: slice
) -> tuple[list[FadcHits], dict[tuple[int, int, int], U1]]:
    """Read the blocks `which` of one board, each split equally between its enabled channels."""
    start, mask = blocks.start[which], int(blocks.mask[which][0])
    lengths = blocks.stop[which] - start
    if (bad := (lengths != lengths[0]) | (blocks.mask[which] != mask)).any():
        at = bad.argmax()
        reason = f"{lengths[at]} words for channels {blocks.mask[which][at]:#04x} in particle event {at}"
        raise boards.error(start[at], f"{reason}, {lengths[0]} for {mask:#04x} in the first")
    channels = np.flatnonzero(_ENABLED[mask])
    n_blocks, n_words, n_channels = len(start), int(lengths[0]) - HEADER_WORDS, len(channels)
    if n_words % max(n_channels, 1) or (n_channels == 0) != (n_words == 0):
        raise boards.error(start[0], f"{n_words} words of samples cannot be split between {n_channels} channels")
    if n_channels == 0:
        return [], {}
    words = boards.words[start[0] : start[0] + n_blocks * int(lengths[0])].reshape(n_blocks, -1)
    rows = words[:, HEADER_WORDS:].reshape(n_blocks * n_channels, -1)
    block = np.repeat(np.arange(which.start, which.stop), n_channels)
    hits = _hits(boards, events, blocks.pulses, block, np.tile(channels, n_blocks), rows, int(start[0]))
    if boards.type == V1724:
        return [hits.rows(hits.charge_mm > CHARGE_THRESHOLD)], {}
    waves = rows.view("u1").reshape(n_blocks, n_channels, -1)
    ldc, geo = int(events.ldc[which.start]), int(events.geo[which.start])
    return [hits], {(ldc, geo, int(channel)): waves[:, i] for i, channel in enumerate(channels)}


def _suppressed(boards: Boards, blocks: _Blocks, events: BoardEvents, which: I8) -> list[FadcHits]:
    """Read the blocks `which`: of each enabled channel (channel << 12 | words), then so many words of samples."""
    found: list[tuple[I8, I8, I8, I8]] = []
    for mask in np.flatnonzero(np.bincount(blocks.mask[which])):
        same = which[blocks.mask[which] == mask]
        at, stop = blocks.start[same] + HEADER_WORDS, blocks.stop[same]
        for channel in np.flatnonzero(_ENABLED[mask]):
            if (bad := at >= stop).any():
                reason = f"particle event {blocks.trigger[same[bad.argmax()]]} ends before channel {channel}"
                raise boards.error(blocks.start[same[bad.argmax()]], reason)
            word = boards.words[at]
            length = (word & 0xFFF).astype(np.int64)
            if (bad := word >> 12 != channel).any():
                reason = f"unexpected word {word[bad.argmax()]:#010x} where the length of channel {channel} should be"
                raise boards.error(at[bad.argmax()], reason)
            at = at + 1
            if (hit := np.flatnonzero(length)).size:
                found.append((same[hit], np.full(len(hit), channel), at[hit], length[hit]))
                at += length
        if (bad := at != stop).any():
            begin = blocks.start[same[bad.argmax()]]
            reason = f"{at[bad.argmax()] - begin} words of channels and header in a particle event of "
            raise boards.error(begin, f"{reason}{stop[bad.argmax()] - begin}")
    if not found:
        return []
    block, channels, place, length = (np.concatenate(columns) for columns in zip(*found, strict=True))
    tables, order = [], []
    for n_words in np.flatnonzero(np.bincount(length)):
        alike = np.flatnonzero(length == n_words)
        rows = boards.words[place[alike, None] + np.arange(n_words)]
        tables.append(_hits(boards, events, blocks.pulses, block[alike], channels[alike], rows, int(place[alike[0]])))
        order.append(alike)
    into = np.concatenate(order)
    return [FadcHits.concat(tables).rows(stable_order(block[into] * CHANNELS + channels[into]))]


def _hits(
    boards: Boards, events: BoardEvents, definitions: PulseDefinitions, block: I8, channel: I8, rows: U4, at: int
) -> FadcHits:
    """Return a hit for each row of words, (n_hits, n_words); the first row is at index `at`."""
    samples: Samples = rows.view("u1" if boards.type == V1731 else "<u2")
    if samples.shape[1] < MIN_SAMPLES[definitions]:
        raise boards.error(at, f"a pulse of {samples.shape[1]} samples, fewer than {MIN_SAMPLES[definitions]}")
    if boards.type == V1724 and samples.max() > MAX_V1724_SAMPLE:
        raise boards.error(at, f"a sample of {samples.max()}, more than 14 bits hold")
    pulses = pulse_features(samples, negative=boards.type == V1731, definitions=definitions)
    return FadcHits(
        equipment=events.equipment[block],
        ldc=events.ldc[block],
        geo=events.geo[block],
        channel=channel.astype(np.uint8),
        trigger=events.trigger[block],
        pedestal=pulses.pedestal,
        charge_mm=pulses.charge_mm,
        charge_pm=pulses.charge_pm,
        pulse_area=pulses.pulse_area,
        position_min=pulses.position_min,
        position_max=pulses.position_max,
        arrival_time=pulses.arrival_time,
    )
