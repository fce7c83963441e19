"""Cabling of the simulated electron-muon ranger (EMR)."""

from collections.abc import Iterator

import numpy as np

from streams.experiments.mice.boards import DBB, DBB_CHANNELS, V1731
from streams.experiments.mice.conditions.emr import BARS, PLANES, TRIGGER_BAR
from streams.experiments.mice.unpack.dbb import TRIGGER_CHANNEL

EMR_LDC = 2
FADC_BOARDS = range(6)
"""Geos of its V1731 boards; the DBB of a plane has the plane's number."""
FADC_CHANNELS = 8
_SEED = 2013


def emr_tables() -> dict[str, list[str]]:
    """Return kind → rows of the tables; of the DAQ's channels only its own, which are those of the FADC boards."""
    rows: dict[str, list[str]] = {"daq_channels": [], "emr_channels": []}
    for plane, bar, geo, channel, equipment in _cabled():
        address = f"DAQChannelKey {EMR_LDC} {geo} {channel} {equipment} emr"
        rows["emr_channels"].append(f"EMRChannelKey {plane} {plane % 2} {bar} emr {address}")
        if equipment == V1731:
            rows["daq_channels"].append(address)
    return rows


def _cabled() -> Iterator[tuple[int, int, int, int, int]]:
    """Yield plane, bar, and geo, channel and equipment type: of a plane's FADC, then of all its bars."""
    # Fibres come to the photomultiplier in another order than the bars', the same in all planes.
    channels = np.random.default_rng(_SEED).permutation(np.delete(np.arange(DBB_CHANNELS), TRIGGER_CHANNEL))[:BARS]
    for plane in range(PLANES):
        board, channel = divmod(plane, FADC_CHANNELS)
        yield plane, 0, FADC_BOARDS[board], channel, V1731
        for bar, fibre in enumerate(channels.tolist()):
            yield plane, bar, plane, fibre, DBB
        yield plane, TRIGGER_BAR, plane, TRIGGER_CHANNEL, DBB
