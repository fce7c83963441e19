"""CAEN V1290 TDC: words to leading and trailing times, all boards of an event at once."""

import numpy as np

from schemas.columns import I4, I8, U1, Bools
from schemas.records import MISSING
from streams.arrays.equal_runs import equal_runs
from streams.arrays.stable_order import stable_order
from streams.date.fragments import Boards, Integers
from streams.experiments.mice.boards import CHANNELS, V1290
from streams.experiments.mice.unpack.hits import BoardEvents, TdcHits

# Kinds of words, bits 31-27.
MEASUREMENT = 0x00
TDC_HEADER = 0x01
TDC_TRAILER = 0x03
TDC_ERROR = 0x04
GLOBAL_HEADER = 0x08
GLOBAL_TRAILER = 0x10
TIME_TAG = 0x11
FILLER = 0x18

_KNOWN = np.zeros(32, np.bool_)
_KNOWN[[MEASUREMENT, TDC_HEADER, TDC_TRAILER, GLOBAL_HEADER, GLOBAL_TRAILER, TIME_TAG, FILLER]] = True


def unpack_v1290(boards: Boards) -> tuple[BoardEvents, I8, TdcHits]:
    """Return the events of the boards, how many each board has, (n_boards,), and the hits.

    An event is a global header, for each chip its header, measurements and trailer, one trigger time tag, and a global
    trailer; fillers stand between events alone. Hits are sorted by board, trigger, channel and index.

    Raises
    ------
    BadDataError
        When a word does not exist or stands where it must not, counts or geo disagree, or a board reports an error.
    """
    words = boards.words
    kind = words >> 27
    _check_kinds(boards, kind)
    is_header = kind == GLOBAL_HEADER
    event = np.cumsum(is_header, dtype=np.int32) - 1
    headers, trailers = np.flatnonzero(is_header), np.flatnonzero(kind == GLOBAL_TRAILER)
    _check_blocks(boards, kind, event, headers, trailers)

    board = boards.of(headers)
    counts = np.bincount(board, minlength=len(boards.boards))
    first_event = np.cumsum(counts) - counts
    trigger = np.arange(len(headers)) - first_event[board]
    geo = (words[headers] & 0x1F).astype(np.uint8)
    _check_ends(boards, headers, trailers, geo, geo[first_event[board]])

    tags = np.flatnonzero(kind == TIME_TAG)
    if not np.array_equal(event[tags], np.arange(len(headers))):
        n_tags = np.bincount(event[tags], minlength=len(headers))
        at = int((n_tags != 1).argmax())
        raise boards.error(headers[at], f"{n_tags[at]} trigger time tags in a particle event, not one")

    chips, hits = np.flatnonzero(kind == TDC_HEADER), np.flatnonzero(kind == MEASUREMENT)
    channel = (words[hits] >> 21 & 0x1F).astype(np.int32)
    _check_chips(boards, chips, hits, channel, headers[event[hits]])
    place, leading, trailing = zip_edges(
        event[hits].astype(np.int64) * CHANNELS + channel,
        (words[hits] >> 26 & 1).astype(np.bool_),
        (words[hits] & 0x1FFFFF).astype(np.int32),
    )
    hit_event, hit_channel = place // CHANNELS, place % CHANNELS
    ldc = boards.ldcs(board)
    events = BoardEvents(
        equipment=np.full(len(headers), V1290, np.uint8),
        ldc=ldc,
        geo=geo,
        trigger=trigger.astype(np.int32),
        event_counter=(words[headers] >> 5 & 0x3FFFFF).astype(np.int32),
        time_tag=(words[tags] & 0x7FFFFFF).astype(np.int64),
        bunch_id=_bunch_ids(words[chips] & 0xFFF, event[chips], len(headers)),
    )
    tdc = TdcHits(
        ldc=ldc[hit_event],
        geo=geo[hit_event],
        channel=hit_channel.astype(np.uint8),
        trigger=events.trigger[hit_event],
        leading_time=leading,
        trailing_time=trailing,
    )
    return events, counts, tdc


def _check_kinds(boards: Boards, kind: Integers) -> None:
    unknown = ~_KNOWN[kind]
    if not unknown.any():
        return
    at = int(unknown.argmax())
    word = int(boards.words[at])
    if kind[at] == TDC_ERROR:
        raise boards.error(at, f"TDC error: chip {word >> 24 & 3}, flags {word & 0x7FFF:#06x}")
    raise boards.error(at, f"unexpected word {word:#010x} (kind {int(kind[at]):#04x})")


def _check_blocks(boards: Boards, kind: Integers, event: I4, headers: I8, trailers: I8) -> None:
    """Refuse words outside the events, fillers inside, and events that do not begin or end."""
    is_trailer = kind == GLOBAL_TRAILER
    depth = event + 1 - np.cumsum(is_trailer, dtype=np.int32) + is_trailer
    misplaced = depth != (kind != FILLER)
    if misplaced.any():
        at = int(misplaced.argmax())
        raise boards.error(at, f"word {int(boards.words[at]):#010x} where it must not stand: broken event blocks")
    if len(headers) != len(trailers):
        raise boards.error(headers[-1], "a particle event without its global trailer")
    if (spans := boards.of(headers) != boards.of(trailers)).any():
        raise boards.error(headers[spans.argmax()], "a particle event without its global trailer")


def _check_ends(boards: Boards, headers: I8, trailers: I8, geo: U1, board_geo: U1) -> None:
    """Refuse events whose header and trailer disagree with what is between them, or with the board's first event."""
    last = boards.words[trailers]
    counted, told = trailers - headers + 1, last >> 5 & 0xFFFF
    if (bad := counted != told).any():
        at = bad.argmax()
        raise boards.error(trailers[at], f"a particle event of {counted[at]} words, its trailer says {told[at]}")
    if (bad := (geo != board_geo) | (last & 0x1F != board_geo)).any():
        at = bad.argmax()
        reason = f"geo {geo[at]} in a header, {last[at] & 0x1F} in its trailer, {board_geo[at]} in the first event"
        raise boards.error(headers[at], reason)
    if (bad := last >> 24 & 7 != 0).any():
        at = bad.argmax()
        raise boards.error(trailers[at], f"status {last[at] >> 24 & 7} in a global trailer, not 0")


def _check_chips(boards: Boards, chips: I8, hits: I8, channel: I4, event_start: I8) -> None:
    """Refuse measurements that do not follow the header of their own chip."""
    before = np.searchsorted(chips, hits) - 1
    if len(chips) == 0:
        bad = np.ones(len(hits), np.bool_)
    else:
        chip = chips[before]
        bad = (before < 0) | (chip < event_start) | (boards.words[chip] >> 24 & 3 != channel >> 3)
    if bad.any():
        at = bad.argmax()
        raise boards.error(hits[at], f"a measurement of channel {channel[at]} outside the data of its chip")


def _bunch_ids(bunch_id: Integers, event: I4, n_events: int) -> I4:
    """Return the bunch id that the first chip of each event gives, `MISSING` without one."""
    out = np.full(n_events, MISSING, np.int32)
    out[event[::-1]] = bunch_id[::-1]  # of several for one event, the first is written last
    return out


def zip_edges(group: I8, is_trailing: Bools, time: I4) -> tuple[I8, I4, I4]:
    """Pair the leading and trailing edges of each group (one channel of one event) by their order.

    Parameters
    ----------
    group, is_trailing, time
        (n_edges,), in the order of the read-out.

    Returns
    -------
    tuple
        Group, leading and trailing time of each pair, (n_pairs,), sorted by group and index; `MISSING` where one edge
        has no partner.
    """
    order = stable_order(group)
    group, is_trailing, time = group[order], is_trailing[order], time[order]
    begins, of_edge = equal_runs(group)
    trailing = np.bincount(of_edge[is_trailing], minlength=len(begins))
    pairs = np.maximum(trailing, np.bincount(of_edge, minlength=len(begins)) - trailing)
    # Within the edge's group: how many edges come before it, and how many of them are trailing ones.
    before: I8 = np.arange(len(group)) - begins[of_edge]
    trailing_before: I8 = np.cumsum(is_trailing) - is_trailing
    trailing_before -= trailing_before[begins][of_edge]
    index = np.where(is_trailing, trailing_before, before - trailing_before)
    place = (np.cumsum(pairs) - pairs)[of_edge] + index
    times = np.full((2, pairs.sum()), MISSING, np.int32)
    times[is_trailing.astype(np.intp), place] = time
    return np.repeat(group[begins], pairs), times[0], times[1]
