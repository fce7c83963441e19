"""Cabling, calibration and bad channels of the simulated trackers."""

import numpy as np

from streams.experiments.mice.boards import BANK_CHANNELS, BANKS_OF_BOARD
from streams.experiments.mice.conditions.tracker import BAD_CHANNELS, CALIBRATION, MAPPING, PLANES, STATIONS, TRACKERS

TRACKER_LDCS = (3, 4)
"""By tracker."""
CHANNELS_OF = (214, 214, 212)
"""Channels by plane."""
BANKS_OF_TRACKER = 32
"""Of its boards; 25 of them are cabled."""
FILES = {MAPPING: f"{MAPPING}.txt.gz", CALIBRATION: f"{CALIBRATION}.json.gz"}
"""Those that are compressed: they have a row a channel."""
_STRIDE = 37
"""From one channel of a plane to the next, within a bank."""
_NOT_CALIBRATED, _BAD = 0.002, 0.002
_SEED = 2013


def tracker_tables() -> dict[str, list[str]]:
    """Return kind → rows of the tables."""
    rng = np.random.default_rng(_SEED)
    mapping, calibration, bad = [], [], []
    for tracker in range(TRACKERS):
        places = (
            (station, plane, channel)
            for station in range(1, STATIONS + 1)
            for plane in range(PLANES)
            for channel in range(CHANNELS_OF[plane])
        )
        for number, (station, plane, channel) in enumerate(places):
            board, bank = divmod(tracker * BANKS_OF_TRACKER + number // BANK_CHANNELS, BANKS_OF_BOARD)
            on_bank = number * _STRIDE % BANK_CHANNELS
            mapping.append(f"{board} {bank} {on_bank} {tracker} {station} {plane} {channel} 0 0 0")
            gain = 0.0 if rng.random() < _NOT_CALIBRATED else round(rng.uniform(8.5, 10.5), 1)
            whole = board * BANKS_OF_BOARD + bank
            calibration.append(
                f'{{"bank": {whole}, "channel": {on_bank}, '
                f'"adc_pedestal": {rng.uniform(12, 49):.1f}, "adc_gain": {gain}, '
                '"tdc_pedestal": 0.0, "tdc_gain": 0.0}'
            )
            if rng.random() < _BAD:
                bad.append(f"{whole} {on_bank}")
    return {
        MAPPING: mapping,
        CALIBRATION: ["[", *(f"{entry}," for entry in calibration[:-1]), calibration[-1], "]"],
        BAD_CHANNELS: bad,
    }
