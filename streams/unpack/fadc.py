"""CAEN V1724 and V1731 FADCs: event blocks to samples to features of the pulses."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from schemas.columns import I4, I8, U1
from schemas.records import MISSING
from streams.unpack.fragments import U4, Equipment
from streams.unpack.hits import V1724, V1731, BoardEvents, FadcHits
from streams.unpack.pulses import MIN_SAMPLES, Pulses, pulse_features

HEADER_WORDS = 4
CHANNELS = 8
MAX_V1724_SAMPLE = (1 << 14) - 1
CHARGE_THRESHOLD = 100
"""ADC counts: a V1724 channel that the board has not suppressed itself is a hit if its charge_mm is above."""

_NO_SUPPRESSION = 0
_ZERO_LENGTH = 7
"""Zero-suppression code: each channel has a length of its own, 0 if suppressed."""

_ENABLED = np.array([[mask >> channel & 1 for channel in range(CHANNELS)] for mask in range(256)], np.bool_)
_N_ENABLED = _ENABLED.sum(axis=1)
_NTH_ENABLED = np.argsort(~_ENABLED, axis=1, kind="stable")
"""(256, 8): the channels enabled by each mask in their order; what follows them means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Blocks:
    """The event blocks of a board."""

    starts: I8
    """(n_blocks,): index of each block's first word."""
    stops: I8
    masks: U4
    """(n_blocks,): bits of the enabled channels."""


def unpack_fadc(board: Equipment) -> tuple[BoardEvents, FadcHits, dict[int, U1]]:
    """Return the events, the hits, and for a V1731 the samples by channel, (n_events, n_samples) uint8.

    Hits are sorted by trigger and channel.

    Raises
    ------
    BadDataError
        When blocks are not complete or disagree, or a length cannot be.
    """
    starts = _block_starts(board)
    words = board.words
    heads = words[starts[:-1, None] + np.arange(HEADER_WORDS)]
    geo, code = heads[:, 1] >> 27, heads[:, 1] >> 24 & 7
    if (bad := (geo != geo[0]) | (code != code[0])).any():
        event = int(bad.argmax())
        reason = f"geo {geo[event]}, zero-suppression code {code[event]} in particle event {event} of geo {geo[0]}, "
        raise board.error(starts[event] + 1, f"{reason}code {code[0]}")
    blocks = _Blocks(starts=starts[:-1], stops=starts[1:], masks=heads[:, 1] & 0xFF)
    samples: dict[int, U1] = {}
    if code[0] == _NO_SUPPRESSION:
        hits, samples = _unsuppressed(board, blocks, int(geo[0]))
    elif code[0] == _ZERO_LENGTH and board.type == V1724:
        hits = _suppressed(board, blocks, int(geo[0]))
    else:
        raise board.error(1, f"zero-suppression code {code[0]}, which is not known for this board")
    n_events = len(heads)
    events = BoardEvents(
        equipment=np.full(n_events, board.type),
        ldc=np.full(n_events, board.ldc),
        geo=geo,
        trigger=np.arange(n_events),
        event_counter=heads[:, 2] & 0xFFFFFF,
        time_tag=heads[:, 3],
        bunch_id=np.full(n_events, MISSING),
    )
    return events, hits, samples


def _block_starts(board: Equipment) -> I8:
    """Return where each block begins, and where the last one ends, (n_blocks + 1,)."""
    words = board.words
    first, length = int(words[0]), int(words[0]) & 0x0FFFFFFF
    is_uniform = length > 0 and len(words) % length == 0 and bool((words[::length] == first).all())
    if is_uniform and first >> 28 == 0xA and length >= HEADER_WORDS:
        return np.arange(0, len(words) + 1, length)
    starts = [0]
    while (at := starts[-1]) < len(words):
        word = int(words[at])
        length = word & 0x0FFFFFFF
        if word >> 28 != 0xA:
            raise board.error(at, f"unexpected word {word:#010x} where particle event {len(starts) - 1} should begin")
        if not HEADER_WORDS <= length <= len(words) - at:
            reason = f"particle event {len(starts) - 1} has {length} words where {len(words) - at} are left"
            raise board.error(at, reason)
        starts.append(at + length)
    return np.array(starts)


def _unsuppressed(board: Equipment, blocks: _Blocks, geo: int) -> tuple[FadcHits, dict[int, U1]]:
    """Read blocks that are split equally between the enabled channels."""
    lengths = blocks.stops - blocks.starts
    if (bad := (lengths != lengths[0]) | (blocks.masks != blocks.masks[0])).any():
        event = int(bad.argmax())
        reason = (
            f"particle event {event} has {lengths[event]} words for channels {blocks.masks[event]:#04x}, the first one "
            f"{lengths[0]} for {blocks.masks[0]:#04x}"
        )
        raise board.error(blocks.starts[event], reason)
    mask, n_blocks = int(blocks.masks[0]), len(lengths)
    n_words, n_channels = int(lengths[0]) - HEADER_WORDS, int(_N_ENABLED[mask])
    if n_words % max(n_channels, 1) or (n_channels == 0) != (n_words == 0):
        raise board.error(0, f"{n_words} words of samples cannot be split between {n_channels} channels")
    if n_channels == 0:
        return FadcHits.empty(), {}
    channels = np.flatnonzero(_ENABLED[mask])
    rows = board.words.reshape(n_blocks, -1)[:, HEADER_WORDS:].reshape(n_blocks * n_channels, -1)
    pulses, waves = _pulses(board, rows, int(blocks.starts[0]))
    trigger, channel = np.repeat(np.arange(n_blocks), n_channels), np.tile(channels, n_blocks)
    hits = _hits(board, geo, trigger, channel, pulses)
    if board.type == V1724:
        return hits.rows(hits.charge_mm > CHARGE_THRESHOLD), {}
    by_channel = waves.reshape(n_blocks, n_channels, -1)
    return hits, {int(channels[i]): by_channel[:, i] for i in range(n_channels)}


def _suppressed(board: Equipment, blocks: _Blocks, geo: int) -> FadcHits:
    """Read blocks in which each enabled channel has a word (channel << 12 | words) and so many words of samples."""
    if _all_suppressed(board, blocks):
        return FadcHits.empty()
    words, at = board.words, blocks.starts + HEADER_WORDS
    found: list[tuple[I8, I8, I8, I8]] = []
    for step in range(int(_N_ENABLED[blocks.masks].max())):
        trigger = np.flatnonzero(_N_ENABLED[blocks.masks] > step)
        channel, place, stop = _NTH_ENABLED[blocks.masks[trigger], step], at[trigger], blocks.stops[trigger]
        if (bad := place >= stop).any():
            event = bad.argmax()
            reason = f"particle event {trigger[event]} ends before channel {channel[event]}"
            raise board.error(blocks.starts[trigger[event]], reason)
        word = words[place].astype(np.int64)
        length = word & 0xFFF
        if (bad := (word >> 12 != channel) | (place + 1 + length > stop)).any():
            event = bad.argmax()
            reason = (
                f"{word[event]:#010x} where particle event {trigger[event]} should have the length of channel "
                f"{channel[event]}, of at most {stop[event] - place[event] - 1} words"
            )
            raise board.error(place[event], reason)
        at[trigger] = place + 1 + length
        some = length > 0
        found.append((trigger[some], channel[some], place[some] + 1, length[some]))
    if (bad := at != blocks.stops).any():
        event = bad.argmax()
        raise board.error(at[event], f"{blocks.stops[event] - at[event]} words too many in particle event {event}")
    trigger, channel, place, length = (
        (np.concatenate(columns) for columns in zip(*found, strict=True)) if found else [np.empty(0, np.int64)] * 4
    )
    tables = []
    for n_words in np.unique(length):
        same = length == n_words
        rows = words[place[same, None] + np.arange(n_words)]
        pulses, _ = _pulses(board, rows, int(place[same][0]))
        tables.append(_hits(board, geo, trigger[same], channel[same], pulses))
    hits = FadcHits.concat(tables)
    return hits.rows(np.lexsort((hits.channel, hits.trigger)))


def _all_suppressed(board: Equipment, blocks: _Blocks) -> bool:
    """Whether no channel has samples, as on most boards of most spills: it is worth a look by itself."""
    mask = int(blocks.masks[0])
    channels = np.flatnonzero(_ENABLED[mask])
    if (blocks.masks != mask).any() or len(board.words) != len(blocks.masks) * (HEADER_WORDS + len(channels)):
        return False
    lengths = board.words.reshape(len(blocks.masks), -1)[:, HEADER_WORDS:]
    return bool((lengths == channels << 12).all())


def _pulses(board: Equipment, rows: U4, at: int) -> tuple[Pulses, npt.NDArray[np.uint8 | np.uint16]]:
    """Return features and samples of the pulses in `rows`, (n, n_words); the first of them is at index `at`."""
    waves: npt.NDArray[np.uint8 | np.uint16] = rows.view("u1" if board.type == V1731 else "<u2")
    if waves.shape[1] < MIN_SAMPLES:
        raise board.error(at, f"a pulse of {waves.shape[1]} samples, fewer than {MIN_SAMPLES}")
    if board.type == V1724 and waves.max() > MAX_V1724_SAMPLE:
        raise board.error(at, f"a sample of {waves.max()}, more than 14 bits hold")
    return pulse_features(waves, negative=board.type == V1731), waves


def _hits(board: Equipment, geo: int, trigger: I8 | I4, channel: I8 | I4, pulses: Pulses) -> FadcHits:
    n = len(trigger)
    return FadcHits(
        equipment=np.full(n, board.type),
        ldc=np.full(n, board.ldc),
        geo=np.full(n, geo),
        channel=channel,
        trigger=trigger,
        pedestal=pulses.pedestal,
        charge_mm=pulses.charge_mm,
        charge_pm=pulses.charge_pm,
        pulse_area=pulses.pulse_area,
        position_min=pulses.position_min,
        position_max=pulses.position_max,
        arrival_time=pulses.arrival_time,
    )
