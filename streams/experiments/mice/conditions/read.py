"""Table files to the conditions of a run, every row checked."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np

from schemas.columns import Bools
from streams.conditions.rows import once, rows
from streams.errors import UsageError
from streams.experiments.mice.boards import CHANNELS, GEOS, LDCS, V1290, V1731, PulseDefinitions
from streams.experiments.mice.conditions import emr, kl, tof, tracker
from streams.experiments.mice.conditions.addresses import Address, address
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.conditions.read_out import read_out
from streams.run_conditions import TableFiles, lacking

SIMULATED = Path(__file__).parent / "simulated"
"""Tables of the simulated beam line, for runs 900000 to 999999."""
KINDS = ("daq_channels", "plot_ranges", "pulse_definitions", *tof.KINDS, *kl.KINDS, *emr.KINDS, *tracker.KINDS)
"""Kinds of tables."""
NEEDED = {
    "tof": ("daq_channels", *tof.CABLING),
    "tof.space_points": tof.CALIBRATION,
    "ckov": ("daq_channels",),
    "kl": kl.KINDS,
    "emr": emr.KINDS,
    "tracker": tracker.NEEDED,
}
"""Detector, or ``detector.table`` → the kinds of tables without which it cannot be made."""


def make_conditions(tables: TableFiles, digest: str) -> Conditions:
    """Return the conditions that these tables give.

    Raises
    ------
    UsageError
        Says which line of which file is wrong.
    """
    for kind in {*chain.from_iterable(NEEDED.values())} & tables.keys():
        file, text = tables[kind]
        if not text.strip():  # it would cable or calibrate nothing, as if the detector were not there
            raise UsageError(f"{file}: there is no row in it")
    detectors = _daq_channels(tables)
    found = Conditions(
        digest=digest,
        detectors=detectors,
        trigger=_mask(detectors, "trigger"),
        trigger_request=_mask(detectors, "trigger_request"),
        tof_cabling=tof.read_cabling(tables),
        tof_calibration=tof.read_calibration(tables),
        ckov_channels=tuple(
            (ldc, geo, channel)
            for (ldc, geo, channel, equipment), detector in sorted(detectors.items())
            if detector == "ckov" and equipment == V1731
        ),
        kl_pmts=kl.read_pmts(tables),
        emr_cabling=emr.read_cabling(tables),
        tracker=tracker.read_channels(tables),
        lacking=lacking(NEEDED, tables),
        pulses=_pulse_definitions(tables),
        plot_ranges=_plot_ranges(tables),
    )
    return replace(found, read_out=read_out(found))


def _daq_channels(tables: TableFiles) -> Mapping[Address, str]:
    """``DAQChannelKey ldc geo channel equipment detector``."""
    found: dict[Address, str] = {}
    for row in rows(*tables["daq_channels"], 6, "DAQChannelKey") if "daq_channels" in tables else ():
        channel = address(row, 1)
        if channel in found:
            raise row.fail(f"the channel {channel} is cabled to {found[channel]} already")
        found[channel] = row.words[5]
    return found


def _mask(detectors: Mapping[Address, str], name: str) -> Bools:
    mask = np.zeros((LDCS, GEOS, CHANNELS), np.bool_)
    for (ldc, geo, channel, equipment), detector in detectors.items():
        if detector == name and equipment == V1290:
            mask[ldc, geo, channel] = True
    return mask


def _pulse_definitions(tables: TableFiles) -> PulseDefinitions:
    """One word, a `PulseDefinitions`; without the table the newest."""
    found = PulseDefinitions.SINCE_2013
    for row in once(rows(*tables["pulse_definitions"], 1), 0) if "pulse_definitions" in tables else ():
        if row.words[0] not in tuple(PulseDefinitions):
            raise row.fail(f"{row.words[0]!r} is none of {', '.join(PulseDefinitions)}")
        found = PulseDefinitions(row.words[0])
    return found


def _plot_ranges(tables: TableFiles) -> Mapping[str, tuple[int, float, float]]:
    """``plot bins low high``."""
    found = {}
    for row in once(rows(*tables["plot_ranges"], 4), 1) if "plot_ranges" in tables else ():
        low, high = row.real(2), row.real(3)
        if low >= high:
            raise row.fail(f"{low} to {high} is no range")
        found[row.words[0]] = (row.whole(1, 1, 100_000), low, high)
    return found
