"""The EMR's branch of a JSON spill: an object of digitiser buffer boards, once a spill, and of FADC hits."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from schemas.records import MISSING
from streams.errors import BadDataError
from streams.experiments.mice.boards import DBB_CHANNELS, DBB_GEOS, LDCS
from streams.experiments.mice.unpack.dbb import TRIGGER_CHANNEL
from streams.experiments.mice.unpack.hits import DbbHits, DbbSpills
from streams.experiments.mice.unpack.json_values import number, short, spelled

_UINT32 = 2**32 - 1
_BOARD = {
    "spill_number": (1 << 16) - 1,
    "spill_width": _UINT32,
    "trigger_count": (1 << 10) - 1,
    "hit_count": (1 << 13) - 1,
}
"""What a board says of the spill, and the largest number of it that the board's words have room for."""
_MAX_TIME = (1 << 22) - 1
_BRANCH = ("dbb", "V1731")
_GEO = ("geo", "dbb_id")
_LISTS = {"trigger_count": ("triggers", "dbb_triggers"), "hit_count": ("hits", "dbb_hits")}
"""Count of a board → spellings of the list of what it counts: documentation and files differ, as they do below."""
_TIMES = (("l_time", "leading_edge_time"), ("t_time", "trailing_edge_time"))
_NO_EDGES = ("time_stamp", "trigger_time_tag")
"""Other keys of a hit that speak of a time."""


def fadc_events(branch: Mapping[str, Any]) -> list[Any]:
    """Return the branch's FADC hits as other detectors have theirs: for each particle event, its boards.

    Raises
    ------
    BadDataError
        When they are no list of particle events, or the branch has what no file is known to have.
    """
    for key in branch:
        if key not in _BRANCH:
            raise BadDataError("json", f"unknown key {short(key)} of emr, which has {' and '.join(_BRANCH)}")
    events = branch.get("V1731")
    if events is not None and not isinstance(events, list):
        raise BadDataError("json", f"V1731 of emr is {short(events)}, not a list of particle events")
    return [{"V1731": hits} for hits in events or ()]


def read_dbb(branch: Mapping[str, Any]) -> tuple[DbbSpills, DbbHits]:
    """Return boards and hits, in the order that they have in DATE bytes.

    A board's hits and triggers are objects with channel, leading and trailing time; its ``spill_number`` has the old
    spelling ``spill_num`` too.

    Raises
    ------
    BadDataError
        When anything is not as it must be.
    """
    boards = _objects(branch, "dbb", "emr")
    rows: list[tuple[int, ...]] = []
    hits: list[tuple[int, ...]] = []
    for board in boards:
        geo = number(board, spelled(board, *_GEO), low=0, high=DBB_GEOS - 1)
        place = number(board, "ldc_id", low=0, high=LDCS - 1), geo
        named = {**board, "spill_number": board[spelled(board, "spill_number", "spill_num")]}
        rows.append((*place, *(number(named, key, low=0, high=high) for key, high in _BOARD.items())))
        for count, channel in (("trigger_count", TRIGGER_CHANNEL), ("hit_count", None)):
            if not board[count] and not any(key in board for key in _LISTS[count]):
                continue
            for hit in _objects(board, spelled(board, *_LISTS[count]), f"DBB {geo}"):
                at = number(hit, "channel", channel, low=0, high=DBB_CHANNELS - 1)
                hits.append((*place, at, *_times(hit)))
    columns = _columns(rows, 2 + len(_BOARD))
    address = columns[0] * DBB_GEOS + columns[1]
    if len(np.unique(address)) != len(address):
        raise BadDataError("json", f"DBB {np.bincount(address).argmax() % DBB_GEOS} comes twice")
    ldc, geo, channel, leading, trailing = _columns(hits, 5)
    spills = DbbSpills(ldc=columns[0], geo=columns[1], **dict(zip(_BOARD, columns[2:], strict=True)))
    found = DbbHits(ldc=ldc, geo=geo, channel=channel, leading_time=leading, trailing_time=trailing)
    return spills.rows(np.argsort(address)), found.rows(np.lexsort((channel, geo, ldc)))


def _times(hit: Mapping[str, Any]) -> Iterator[int]:
    """Yield leading and trailing time; one of them may be absent, if no other spelling may be its."""
    known = [key for keys in _TIMES for key in keys]
    spelled(hit, *known)
    is_told_otherwise = any("time" in key and key not in (*known, *_NO_EDGES) for key in hit)
    for keys in _TIMES:
        key = next((key for key in keys if key in hit), "")
        if not key and is_told_otherwise:
            spelled(hit, *keys)
        yield number(hit, key, low=0, high=_MAX_TIME) if hit.get(key, MISSING) != MISSING else MISSING


def _objects(document: Mapping[str, Any], key: str, where: str) -> Sequence[Mapping[str, Any]]:
    found = document.get(key)
    if found is None:
        return ()
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadDataError("json", f"{key} of {where} is no list of objects")
    return found


def _columns(rows: Sequence[tuple[int, ...]], n: int) -> Any:
    return np.array(rows, np.int64).reshape(-1, n).T
