"""Cabling and gains of the simulated calorimeter (KL)."""

from collections.abc import Iterator

import numpy as np

from streams.experiments.mice.conditions.kl import CELLS, PMTS

KL_BOARDS = range(12, 18)
"""Geos of its V1724 boards."""
_CHANNELS = 8
_SEED = 2008


def kl_tables(ldc: int) -> dict[str, list[str]]:
    """Return kind → rows of the tables of a calorimeter that this LDC reads out; of the DAQ's channels only its own."""
    rng = np.random.default_rng(_SEED)
    rows: dict[str, list[str]] = {"daq_channels": [], "kl_channels": [], "kl_gains": []}
    for cell, pmt, geo, channel in _cabled():
        name, fadc = f"KLChannelKey {cell} {pmt} kl", f"DAQChannelKey {ldc} {geo} {channel} 120 kl"
        rows["daq_channels"].append(fadc)
        rows["kl_channels"].append(f"{name} {fadc}")
        rows["kl_gains"].append(f"{name} {rng.uniform(0.8, 1.25):.3f}")
    return rows


def _cabled() -> Iterator[tuple[int, int, int, int]]:
    """Yield cell, photomultiplier, and geo and channel of its FADC."""
    for number in range(CELLS * PMTS):
        board, channel = divmod(number, _CHANNELS)
        yield *divmod(number, PMTS), KL_BOARDS[board], channel
