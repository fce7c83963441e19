"""Hits to the words of the VME boards (layouts: CAEN V1290, V1724, V1731, V830)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from schemas.columns import I4, I8, U1, U2, Bools
from streams.experiments.mice.boards import DBB_MAX_EDGES

Words = npt.NDArray[np.uint32]
CHIPS = 4
_CHANNELS_PER_CHIP = 8
_ZERO_SUPPRESSED = 7
_SPILL_WIDTH = 1_280_000
"""Of a DBB: 3.2 ms in its counts."""


def v1290_words(geo: int, first_event: int, bunch_id: I8, time_tag: I8, trigger: I4, channel: I4, leading: I8) -> Words:
    """Return the words of a V1290: one block a trigger, every chip with header and trailer.

    Parameters
    ----------
    bunch_id, time_tag
        (triggers,) counts of 25 ns (12 bits) and of 800 ns (27 bits).
    trigger, channel, leading
        (hits,) in any order; leading edges, counts of 25 ps (21 bits). Hits of a channel keep their order.
    """
    n = len(bunch_id)
    triggers = np.arange(n)
    event = (first_event + triggers) & 0xFFF
    chip = channel // _CHANNELS_PER_CHIP
    per_chip = np.bincount(trigger * CHIPS + chip, minlength=n * CHIPS).reshape(n, CHIPS)
    count = 3 + 2 * CHIPS + per_chip.sum(axis=1)
    # Each kind of word with its place within the block: (trigger, place, words).
    parts = [
        (triggers, 0, 0x08 << 27 | ((first_event + triggers) & 0x3FFFFF) << 5 | geo),
        (triggers, 100, 0x11 << 27 | (time_tag & 0x7FFFFFF)),
        (triggers, 101, 0x10 << 27 | count << 5 | geo),
    ]
    for c in range(CHIPS):
        parts.append((triggers, 1 + 3 * c, 0x01 << 27 | c << 24 | event << 12 | (bunch_id & 0xFFF)))
        parts.append((triggers, 3 + 3 * c, 0x03 << 27 | c << 24 | event << 12 | (2 + per_chip[:, c])))
    words = [np.asarray(w, np.int64) for _, _, w in parts]
    place = [t * 1000 + at for t, at, _ in parts]
    # The hits of a chip stand in the order of its channels, wherever they come from.
    by_channel = np.argsort(channel, kind="stable")
    words.append((channel.astype(np.int64) << 21 | (leading & 0x1FFFFF))[by_channel])
    place.append((trigger.astype(np.int64) * 1000 + 2 + 3 * chip)[by_channel])
    order = np.argsort(np.concatenate(place), kind="stable")
    return np.concatenate(words)[order].astype("<u4")


def _fadc_headers(geo: int, code: int, words: npt.NDArray[np.int64], time_tag: I8) -> npt.NDArray[np.int64]:
    """Return (triggers, 4) headers; event counters start at 1 in each spill."""
    n = len(time_tag)
    return np.stack(
        [0xA << 28 | words, np.full(n, geo << 27 | code << 24 | 0xFF), 1 + np.arange(n), time_tag & 0x7FFFFFFF], axis=1
    )


def v1724_words(geo: int, time_tag: I8, trigger: I4, channel: I4, samples: U2) -> Words:
    """Return the words of a zero-suppressed V1724: of each channel a length, and its samples if it has a hit.

    Parameters
    ----------
    samples
        (hits, samples) 14 bits each, an even number; two to a word, the earlier in the low half.
    """
    n, length = len(time_tag), samples.shape[1] // 2
    body = np.zeros((n, 8, 1 + length), np.int64)
    there = np.zeros((n, 8, 1 + length), np.bool_)
    body[:, :, 0] = np.arange(8) << 12
    there[:, :, 0] = True
    body[trigger, channel, 0] |= length
    body[trigger, channel, 1:] = samples[:, 0::2].astype(np.int64) | samples[:, 1::2].astype(np.int64) << 16
    there[trigger, channel, 1:] = True
    body, there = body.reshape(n, 8 * (1 + length)), there.reshape(n, 8 * (1 + length))
    headers = _fadc_headers(geo, _ZERO_SUPPRESSED, 4 + there.sum(axis=1), time_tag)
    everywhere = np.concatenate([np.ones((n, 4), np.bool_), there], axis=1)
    words: Words = np.concatenate([headers, body], axis=1)[everywhere].astype("<u4")
    return words


def v1731_words(geo: int, time_tag: I8, samples: U1) -> Words:
    """Return the words of a V1731 without zero suppression.

    Parameters
    ----------
    samples
        (triggers, 8, samples) uint8, a multiple of four; four to a word, the earliest in the low byte.
    """
    n = len(time_tag)
    body = np.ascontiguousarray(samples).reshape(n, samples.shape[1] * samples.shape[2]).view("<u4")
    headers = _fadc_headers(geo, 0, np.full(n, 4 + body.shape[1]), time_tag).astype("<u4")
    return np.concatenate([headers, body], axis=1).reshape(-1)


def v830_words(geo: int, counts: Sequence[int]) -> Words:
    """Return the words of a V830: one read-out, a count of 26 bits a channel."""
    header = geo << 27 | 1 << 26 | len(counts) << 18
    return np.array([header, *(channel << 27 | count & 0x3FFFFFF for channel, count in enumerate(counts))], "<u4")


def dbb_words(geo: int, spill: int, triggers: int, channel: I4, is_trailing: Bools, time: I8) -> Words:
    """Return the words of a digitiser buffer board (DBB) of one spill.

    Parameters
    ----------
    channel, is_trailing, time
        (edges,) in the order of the read-out; counts of 2.5 ns (22 bits).

    Raises
    ------
    ValueError
        When there are more edges than the board can count.
    """
    if len(channel) > DBB_MAX_EDGES:
        raise ValueError(f"a DBB tells of {DBB_MAX_EDGES} edges at most, not {len(channel)}")
    head = [0xD << 28 | geo << 22 | spill & 0xFFFF, triggers << 16 | len(channel)]
    edges = np.where(is_trailing, 0x2, 0x3) << 28 | channel.astype(np.int64) << 22 | time & 0x3FFFFF
    return np.concatenate([head, edges, [0xE << 28, _SPILL_WIDTH]]).astype("<u4")
