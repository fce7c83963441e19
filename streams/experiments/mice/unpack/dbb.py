"""DBB, the EMR's digitiser buffer board: words of a whole spill to leading and trailing times."""

from collections.abc import Sequence

import numpy as np

from streams.arrays.stable_order import stable_order
from streams.date.fragments import Boards, Equipment
from streams.experiments.mice.boards import DBB_CHAIN, DBB_CHANNELS, DBB_GEOS, DBB_MAX_EDGES
from streams.experiments.mice.unpack.hits import DbbHits, DbbSpills
from streams.experiments.mice.unpack.v1290 import zip_edges

# Kinds of words, bits 31-28.
TRAILING = 0x2
LEADING = 0x3
HEADER = 0xD
TRAILER = 0xE

TRIGGER_CHANNEL = 4
"""It records the particle triggers."""
CHAINED = 6
"""Boards of a chain."""
_ENDS = 2
"""Words of the header, and of the trailer."""


def unpack_dbb(equipments: Sequence[Equipment]) -> tuple[DbbSpills, DbbHits]:
    """Return what the boards say of the spill, and their hits, sorted by LDC, geo, channel and index.

    A board is a header of two words (its geo and spill number; how many triggers and edges it has), a word an edge, and
    a trailer and the spill's width. A chain is six boards, one after the other. Of the header's second word and of
    the width the other bits are not known, so that nothing in them can be checked.

    Raises
    ------
    BadDataError
        When a word is of another kind than belongs there, a board has fewer words than it says or comes twice, or a
        chain has not six.
    """
    if not equipments:
        return DbbSpills.empty(), DbbHits.empty()
    boards = Boards(equipments)
    words = boards.words
    starts = np.array([at for number in range(len(equipments)) for at in _starts(boards, number)])
    counts = words[starts + 1]
    edges = (counts & DBB_MAX_EDGES).astype(np.int64)
    board_ldc, board_geo = boards.ldcs(boards.of(starts)), (words[starts] >> 22 & 0x3F).astype(np.uint8)
    address = board_ldc.astype(np.int64) * DBB_GEOS + board_geo
    _check_addresses(boards, starts, address)

    board = np.repeat(np.arange(len(starts)), edges)
    at = np.arange(len(board)) + np.repeat(starts + _ENDS - (np.cumsum(edges) - edges), edges)
    kind = words[at] >> 28
    if (bad := (kind != LEADING) & (kind != TRAILING)).any():
        word = at[bad.argmax()]
        raise boards.error(word, f"unexpected word {int(words[word]):#010x} where an edge should be")
    channel = (words[at] >> 22 & 0x3F).astype(np.int64)
    time = (words[at] & 0x3FFFFF).astype(np.int32)
    place, leading, trailing = zip_edges(board * DBB_CHANNELS + channel, kind == TRAILING, time)
    board, channel = place // DBB_CHANNELS, place % DBB_CHANNELS
    order = stable_order(address[board])
    hits = DbbHits(
        ldc=board_ldc[board],
        geo=board_geo[board],
        channel=channel.astype(np.uint8),
        leading_time=leading,
        trailing_time=trailing,
    )
    spills = DbbSpills(
        ldc=board_ldc,
        geo=board_geo,
        spill_number=(words[starts] & 0xFFFF).astype(np.int32),
        spill_width=words[starts + edges + _ENDS + 1].astype(np.int64),
        trigger_count=(counts >> 16 & 0x3FF).astype(np.int32),
        hit_count=edges.astype(np.int32),
    )
    return spills.rows(stable_order(address)), hits.rows(order)


def _starts(boards: Boards, number: int) -> list[int]:
    """Return the index of each board's first word in one equipment, from header to header."""
    at, stop = int(boards.firsts[number]), int(boards.firsts[number + 1])
    most = CHAINED if boards.boards[number].type == DBB_CHAIN else 1
    starts: list[int] = []
    while at < stop:
        if len(starts) == most:
            raise boards.error(at, f"{stop - at} words follow the last of {most} boards")
        word = int(boards.words[at])
        if word >> 28 != HEADER:
            raise boards.error(at, f"unexpected word {word:#010x} where a header should be")
        edges = int(boards.words[at + 1]) & DBB_MAX_EDGES if at + 1 < stop else 0
        trailer = at + _ENDS + edges
        if trailer + _ENDS > stop:
            raise boards.error(at, f"a board of {edges} edges where {stop - at} words are left")
        word = int(boards.words[trailer])
        if word >> 28 != TRAILER:
            raise boards.error(trailer, f"unexpected word {word:#010x} where the trailer should be after {edges} edges")
        starts.append(at)
        at = trailer + _ENDS
    if len(starts) != most:
        raise boards.error(int(boards.firsts[number]), f"{len(starts)} boards, not {most}")
    return starts


def _check_addresses(boards: Boards, starts: np.ndarray, address: np.ndarray) -> None:
    _, first = np.unique(address, return_index=True)
    if len(first) != len(address):
        twice = np.setdiff1d(np.arange(len(address)), first)[0]
        raise boards.error(int(starts[twice]), f"geo {address[twice] % DBB_GEOS} comes twice")
