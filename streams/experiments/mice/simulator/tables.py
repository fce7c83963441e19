"""Cabling and calibration of the simulated beam line, in the formats of the experiment's tables.

``python -m streams.experiments.mice.simulator.tables`` writes them to the folder ``simulated`` of the conditions; a
test compares.
"""

import gzip
from collections.abc import Iterator

import numpy as np

from streams.experiments.mice.conditions.read import SIMULATED
from streams.experiments.mice.conditions.tof import PLANES, PMTS, STATIONS
from streams.experiments.mice.simulator.emr_tables import emr_tables
from streams.experiments.mice.simulator.kl_tables import kl_tables
from streams.experiments.mice.simulator.tracker_tables import FILES, tracker_tables

FIRST_RUN, LAST_RUN = 900_000, 999_999
SLABS_OF = (10, 7, 10)
"""Slabs of a plane, by station."""
TRIGGER_STATION = 1
REFERENCE_SLAB = (4, 3, 4)
TDC_BOARDS = (1, 2, 3, 4)
"""Geos of the V1290 boards, all on LDC 1; channel 0 has the trigger, channel 1 the trigger request."""
TDC_CHANNELS = range(2, 32)
CKOV_GEO = 9
LDC_UPSTREAM, LDC_DOWNSTREAM = 1, 0
"""TOF2's FADC boards and the scalers are read out by LDC 0, all else by LDC 1."""
FADC_BOARDS = {LDC_UPSTREAM: range(9), LDC_DOWNSTREAM: range(18, 23)}
FADC_CHANNELS = 8
_SEED = 2010


def _photomultipliers() -> Iterator[tuple[int, int, int, int]]:
    """Yield station, plane, slab, photomultiplier."""
    for station in range(STATIONS):
        for plane in range(PLANES):
            for slab in range(SLABS_OF[station]):
                for pmt in range(PMTS):
                    yield station, plane, slab, pmt


def _cabled() -> Iterator[tuple[tuple[int, int, int, int], tuple[int, int, int], tuple[int, int, int]]]:
    """Yield each photomultiplier with (ldc, geo, channel) of its FADC and of its TDC."""
    on_ldc = {LDC_UPSTREAM: 0, LDC_DOWNSTREAM: 0}
    for number, key in enumerate(_photomultipliers()):
        ldc = LDC_DOWNSTREAM if key[0] == STATIONS - 1 else LDC_UPSTREAM
        board, channel = divmod(on_ldc[ldc], FADC_CHANNELS)
        on_ldc[ldc] += 1
        tdc_board, tdc_channel = divmod(number, len(TDC_CHANNELS))
        fadc = (ldc, FADC_BOARDS[ldc][board], channel)
        yield key, fadc, (LDC_UPSTREAM, TDC_BOARDS[tdc_board], TDC_CHANNELS[tdc_channel])


def tables() -> dict[str, str]:
    """Return file → text of every table and of the index; a file with the ending ``.gz`` holds it compressed."""
    rng = np.random.default_rng(_SEED)
    daq = [
        f"DAQChannelKey {LDC_UPSTREAM} {geo} {channel} 102 {detector}"
        for channel, detector in ((0, "trigger"), (1, "trigger_request"))
        for geo in TDC_BOARDS
    ]
    daq += [f"DAQChannelKey {LDC_UPSTREAM} {CKOV_GEO} {channel} 121 ckov" for channel in range(8)]
    tof, t0, walk = [], [], []
    for (station, plane, slab, pmt), fadc, tdc in _cabled():
        name = f"TOFChannelKey {station} {plane} {slab} {pmt} tof{station}"
        fadc_key, tdc_key = " ".join(map(str, fadc)), " ".join(map(str, tdc))
        daq += [f"DAQChannelKey {fadc_key} 120 tof{station}", f"DAQChannelKey {tdc_key} 102 tof{station}"]
        tof.append(f"{name} DAQChannelKey {fadc_key} 120 tof{station} DAQChannelKey {tdc_key} 102 tof{station}")
        # Cables of some tens of nanoseconds, and the walk of a leading-edge discriminator over some hundred ps.
        t0.append(f"{name} {rng.uniform(-80_000, -40_000):.1f} {REFERENCE_SLAB[station]}")
        p0, p1 = rng.uniform(80, 120), rng.uniform(250, 350)
        p2, p3 = rng.uniform(-9e5, -7e5), rng.uniform(3e7, 5e7)
        walk.append(f"{name} {p0:.3f} {p1:.3f} {p2:.1f} {p3:.1f}")
    reference, slabs = REFERENCE_SLAB[TRIGGER_STATION], range(SLABS_OF[TRIGGER_STATION])
    delays = [
        f"TOFPixelKey {TRIGGER_STATION} {x} {y} tof{TRIGGER_STATION} "
        + ("0" if x == y == reference else f"{rng.uniform(-500, 500):.0f}")
        for x in slabs
        for y in slabs
    ]
    kl, emr = kl_tables(LDC_DOWNSTREAM), emr_tables()
    files = {
        "daq_channels": daq + kl.pop("daq_channels") + emr.pop("daq_channels"),
        "tof_channels": tof,
        "tof_t0": t0,
        "tof_time_walk": walk,
        "tof_trigger_delay": delays,
        **kl,
        **emr,
        **tracker_tables(),
    }
    names = {kind: FILES.get(kind, f"{kind}.txt") for kind in files}
    index = "# Tables of the simulated beam line; simulator/tables.py writes them.\n" + "".join(
        f'\n[[table]]\nkind = "{kind}"\nfile = "{name}"\nfirst_run = {FIRST_RUN}\nlast_run = {LAST_RUN}\n'
        for kind, name in names.items()
    )
    return {"index.toml": index} | {names[kind]: "\n".join(rows) + "\n" for kind, rows in files.items()}


def write() -> None:
    """Write all tables to where the conditions are loaded from."""
    SIMULATED.mkdir(exist_ok=True)
    for name, content in tables().items():
        text = content.encode()
        (SIMULATED / name).write_bytes(gzip.compress(text, mtime=0) if name.endswith(".gz") else text)


if __name__ == "__main__":
    write()
