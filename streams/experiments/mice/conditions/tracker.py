"""Cabling, calibration and bad channels of the scintillating-fibre trackers."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.columns import F8, I4, Bools
from streams.conditions.rows import Row, rows
from streams.errors import UsageError
from streams.experiments.mice.boards import BANK_CHANNELS, BANKS, BANKS_OF_BOARD
from streams.run_conditions import TableFiles

TRACKERS, STATIONS, PLANES, CHANNELS = 2, 5, 3, 214
NOT_CABLED = -1
STATION_Z_MM: F8 = np.outer([-1.0, 1.0], [0.0, 200.0, 450.0, 750.0, 1100.0])
"""(TRACKERS, STATIONS) along the beam, from the tracker's first station, which is the one next to the other tracker."""
_MAX_COUNTS = 1e6
"""Above all ADC counts, and those a photo-electron."""
APART_MM = 2733.0
"""Along the beam, from the first station upstream to the first one downstream."""

MAPPING, CALIBRATION, BAD_CHANNELS = KINDS = ("scifi_mapping", "scifi_calibration", "scifi_bad_channels")
NEEDED = (MAPPING, CALIBRATION)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrackerChannels:
    """What is known of each channel of the boards; all arrays are (BANKS, BANK_CHANNELS).

    A channel of a plane is known by its index ``plane_index * CHANNELS + channel`` with ``plane_index = (tracker *
    STATIONS + station - 1) * PLANES + plane``, so that a sort by it is one by tracker, station, plane and channel.
    """

    fibres: I4
    """Index of the channel of a plane, or `NOT_CABLED`."""
    pedestal: F8
    """ADC counts."""
    gain: F8
    """ADC counts a photo-electron; 0: not calibrated."""
    good: Bools


def read_channels(tables: TableFiles) -> TrackerChannels | None:
    """Return cabling and calibration, if there are both tables; without one of bad channels all are good.

    Mapping: ``board bank channel tracker station plane channel waveguide waveguide waveguide``, the bank one of the
    board's four. Calibration: a JSON list of objects with ``bank``, ``channel``, ``adc_pedestal``, ``adc_gain``; a gain
    of 0 stands for none. Bad channels: ``bank channel``.
    """
    if not {*NEEDED} <= tables.keys():
        return None
    fibres = np.full((BANKS, BANK_CHANNELS), NOT_CABLED, np.int32)
    seen: set[int] = set()
    for row in rows(*tables[MAPPING], 10):
        bank = row.whole(0, 0, BANKS // BANKS_OF_BOARD - 1) * BANKS_OF_BOARD + row.whole(1, 0, BANKS_OF_BOARD - 1)
        place, fibre = (bank, row.whole(2, 0, BANK_CHANNELS - 1)), _fibre(row)
        if fibres[place] != NOT_CABLED:
            raise row.fail(f"channel {place[1]} of bank {bank} is cabled already")
        if fibre in seen:
            raise row.fail("the channel of the plane is cabled already")
        seen.add(fibre)
        fibres[place] = fibre
    good = np.ones((BANKS, BANK_CHANNELS), np.bool_)
    for row in rows(*tables[BAD_CHANNELS], 2) if BAD_CHANNELS in tables else ():
        good[row.whole(0, 0, BANKS - 1), row.whole(1, 0, BANK_CHANNELS - 1)] = False
    pedestal, gain = (np.zeros((BANKS, BANK_CHANNELS)) for _ in range(2))
    for place, values in _calibrations(tables):
        pedestal[place], gain[place] = values
    return TrackerChannels(fibres=fibres, pedestal=pedestal, gain=gain, good=good)


def _fibre(row: Row) -> int:
    """Return the index of the channel of a plane that words 3 to 6 name."""
    plane = row.whole(3, 0, TRACKERS - 1) * STATIONS + row.whole(4, 1, STATIONS) - 1
    return (plane * PLANES + row.whole(5, 0, PLANES - 1)) * CHANNELS + row.whole(6, 0, CHANNELS - 1)


def _calibrations(tables: TableFiles) -> Iterator[tuple[tuple[int, int], tuple[float, float]]]:
    """Yield bank and channel, pedestal and gain of each entry of the calibration."""
    file, text = tables[CALIBRATION]
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file} is no JSON: {error}") from error
    if not isinstance(entries, list):
        raise UsageError(f"{file} is no JSON list")
    if not entries:  # no channel would be calibrated, and no light seen
        raise UsageError(f"{file}: there is no entry in it")
    seen: set[tuple[int, int]] = set()
    for number, entry in enumerate(entries):
        where = f"{file}, entry {number}"
        if not isinstance(entry, dict):
            raise UsageError(f"{where} is no object")
        place = (_whole(where, entry, "bank", BANKS), _whole(where, entry, "channel", BANK_CHANNELS))
        if place in seen:
            raise UsageError(f"{where}: channel {place[1]} of bank {place[0]} is calibrated already")
        seen.add(place)
        gain = _real(where, entry, "adc_gain")
        if gain < 0:
            raise UsageError(f"{where}: the gain {gain} is below 0")
        yield place, (_real(where, entry, "adc_pedestal"), gain)


def _whole(where: str, entry: dict[str, Any], key: str, bound: int) -> int:
    value = entry.get(key)
    if type(value) is not int or not 0 <= value < bound:
        raise UsageError(f"{where}: {key} is {value!r:.40}, not a whole number from 0 to {bound - 1}")
    return value


def _real(where: str, entry: dict[str, Any], key: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_COUNTS:
        raise UsageError(f"{where}: {key} is {value!r:.40}, not a number of ADC counts")
    return float(value)
