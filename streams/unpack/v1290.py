"""CAEN V1290 TDC: words to leading and trailing times."""

import numpy as np

from schemas.columns import I4, I8, Bools
from schemas.records import MISSING
from streams.unpack.fragments import Equipment
from streams.unpack.hits import CHANNELS, V1290, BoardEvents, TdcHits

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


def unpack_v1290(board: Equipment) -> tuple[BoardEvents, TdcHits]:
    """Return the events and hits of one board.

    An event is a global header, for each chip its header, measurements and trailer, one trigger time tag, and a global
    trailer; fillers may stand between events alone. Hits are sorted by trigger, channel and index.

    Raises
    ------
    BadDataError
        When a word does not exist or stands where it must not, counts or geo disagree, or the board reports an error.
    """
    words = board.words
    kind = words >> 27
    _check_kinds(board, kind)
    is_header = kind == GLOBAL_HEADER
    headers, trailers = np.flatnonzero(is_header), np.flatnonzero(kind == GLOBAL_TRAILER)
    events_begun = np.cumsum(is_header, dtype=np.int32)
    _check_blocks(board, kind, events_begun, len(trailers))
    _check_trailers(board, headers, trailers)

    trigger = events_begun - 1
    event_numbers = np.arange(len(headers), dtype=np.int32)
    tags = np.flatnonzero(kind == TIME_TAG)
    if not np.array_equal(trigger[tags], event_numbers):
        counts = np.bincount(trigger[tags], minlength=len(headers))
        event = int((counts != 1).argmax())
        raise board.error(headers[event], f"{counts[event]} trigger time tags in particle event {event}, not one")

    chips = np.flatnonzero(kind == TDC_HEADER)
    hits = np.flatnonzero(kind == MEASUREMENT)
    channel = (words[hits] >> 21 & 0x1F).astype(np.int32)
    _check_chips(board, chips, hits, channel, headers[trigger[hits]])
    hit_trigger, hit_channel, leading, trailing = zip_edges(
        trigger[hits],
        channel,
        (words[hits] >> 26 & 1).astype(np.bool_),
        (words[hits] & 0x1FFFFF).astype(np.int32),
    )
    geo, n_hits = words[headers[:1]] & 0x1F, len(hit_trigger)
    return (
        BoardEvents(
            equipment=np.full(len(headers), V1290),
            ldc=np.full(len(headers), board.ldc),
            geo=np.full(len(headers), geo),
            trigger=event_numbers,
            event_counter=words[headers] >> 5 & 0x3FFFFF,
            time_tag=words[tags] & 0x7FFFFFF,
            bunch_id=_bunch_ids(words[chips] & 0xFFF, trigger[chips], event_numbers),
        ),
        TdcHits(
            ldc=np.full(n_hits, board.ldc),
            geo=np.full(n_hits, geo),
            channel=hit_channel,
            trigger=hit_trigger,
            leading_time=leading,
            trailing_time=trailing,
        ),
    )


def _check_kinds(board: Equipment, kind: I4) -> None:
    unknown = ~_KNOWN[kind]
    if not unknown.any():
        return
    at = unknown.argmax()
    word = int(board.words[at])
    if kind[at] == TDC_ERROR:
        raise board.error(at, f"TDC error: chip {word >> 24 & 3}, flags {word & 0x7FFF:#06x}")
    raise board.error(at, f"unexpected word {word:#010x} (kind {int(kind[at]):#04x})")


def _check_blocks(board: Equipment, kind: I4, events_begun: I4, ended: int) -> None:
    """Refuse words outside the events, fillers inside, and events that do not begin or end."""
    is_trailer = kind == GLOBAL_TRAILER
    depth = events_begun - np.cumsum(is_trailer, dtype=np.int32) + is_trailer
    misplaced = depth != (kind != FILLER)
    if misplaced.any():
        at = misplaced.argmax()
        raise board.error(at, f"word {int(board.words[at]):#010x} where it must not stand: event blocks are broken")
    begun = int(events_begun[-1])
    if begun != ended:
        raise board.error(len(board.words) - 1, f"particle event {begun - 1} is cut short: it has no global trailer")


def _check_trailers(board: Equipment, headers: I8, trailers: I8) -> None:
    first, last = board.words[headers], board.words[trailers]
    counted, given = trailers - headers + 1, last >> 5 & 0xFFFF
    if (bad := counted != given).any():
        event = int(bad.argmax())
        reason = f"particle event {event} has {counted[event]} words, its trailer says {given[event]}"
        raise board.error(trailers[event], reason)
    if (bad := (first & 0x1F != first[:1] & 0x1F) | (last & 0x1F != first[:1] & 0x1F)).any():
        event = int(bad.argmax())
        reason = (
            f"geo {int(first[event]) & 0x1F} in the header and {int(last[event]) & 0x1F} in the trailer of particle "
            f"event {event} of geo {int(first[0]) & 0x1F}"
        )
        raise board.error(headers[event], reason)
    if (bad := last >> 24 & 7 != 0).any():
        event = int(bad.argmax())
        reason = f"status {int(last[event]) >> 24 & 7} in the trailer of particle event {event}, not 0"
        raise board.error(trailers[event], reason)


def _check_chips(board: Equipment, chips: I8, hits: I8, channel: I4, event_start: I8) -> None:
    """Refuse measurements that do not follow the header of their own chip."""
    before = np.searchsorted(chips, hits) - 1
    if len(chips) == 0:
        bad = np.ones(len(hits), np.bool_)
    else:
        chip = chips[before]
        bad = (before < 0) | (chip < event_start) | (board.words[chip] >> 24 & 3 != channel >> 3)
    if bad.any():
        hit = bad.argmax()
        raise board.error(hits[hit], f"a measurement of channel {channel[hit]} outside the data of its chip")


def _bunch_ids(bunch_id: I4, trigger: I4, event_numbers: I4) -> I4:
    """Return the bunch id that the first chip of each event gives, `MISSING` without one."""
    out = np.full(len(event_numbers), MISSING, np.int32)
    events, first = np.unique(trigger, return_index=True)
    out[events] = bunch_id[first]
    return out


def zip_edges(trigger: I4, channel: I4, is_trailing: Bools, time: I4) -> tuple[I4, I4, I4, I4]:
    """Pair the leading and trailing edges of each trigger and channel by their order.

    Parameters
    ----------
    trigger, channel, is_trailing, time
        (n_edges,), in the order of the read-out.

    Returns
    -------
    tuple
        Trigger, channel, leading and trailing time of each pair, (n_pairs,) int32, sorted by trigger, channel and
        index; `MISSING` where one edge has no partner.
    """
    group = trigger.astype(np.int64) * CHANNELS + channel
    leading, trailing = (_numbered(group[edge], time[edge]) for edge in (~is_trailing, is_trailing))
    if len(trailing[0]) == 0:
        pairs = leading[0]
    else:
        pairs = np.union1d(leading[0], trailing[0])
    times = []
    for numbered, edge_times in (leading, trailing):
        out = np.full(len(pairs), MISSING, np.int32)
        out[np.searchsorted(pairs, numbered)] = edge_times
        times.append(out)
    groups = pairs >> 32
    return (groups // CHANNELS).astype(np.int32), (groups % CHANNELS).astype(np.int32), times[0], times[1]


def _numbered(group: I8, time: I4) -> tuple[I8, I4]:
    """Return, sorted, ``group << 32 | index within the group`` of each edge, and its time."""
    order = np.argsort(group, kind="stable")
    group = group[order]
    index = np.arange(len(group)) - np.searchsorted(group, group)
    return group << 32 | index, time[order]
