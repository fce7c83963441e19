"""What is odd about the conditions of a run: channels that are mapped twice or not at all, or not calibrated."""

from collections.abc import Iterator

import numpy as np

from streams.experiments.mice.conditions.addresses import Address
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.conditions.read_out import cabled


def odd(conditions: Conditions) -> Iterator[tuple[bool, str]]:
    """Yield whether it is wrong, or lacking only, and what it is."""
    yield from ((True, each) for each in _mapped_twice(conditions))
    yield from ((True, each) for each in _not_mapped(conditions))
    yield from ((False, each) for each in _not_calibrated(conditions))


def _mapped_twice(conditions: Conditions) -> Iterator[str]:
    """Yield which channels two detectors claim, or one detector that the DAQ's map gives to another."""
    owners: dict[Address, list[str]] = {}
    for name, equipment, channels in cabled(conditions):
        for ldc, geo, channel in np.argwhere(channels).tolist():
            owners.setdefault((ldc, geo, channel, equipment), []).append(name)
    for address, names in sorted(owners.items()):
        its = conditions.detectors.get(address)
        where = "LDC {}, geo {}, channel {}, equipment type {}".format(*address)
        if len(names) > 1:
            yield f"{where} is mapped twice: {' and '.join(names)}"
        if conditions.detectors and (its is None or its.rstrip("0123456789") != names[0]):
            yield f"{where} is mapped to {names[0]}, and to {its or 'nothing'} in the table daq_channels"


def _not_mapped(conditions: Conditions) -> Iterator[str]:
    """Yield how many channels the DAQ's map gives to a detector whose own table leaves them out."""
    for name, equipment, channels in cabled(conditions):
        its = [
            place
            for (*place, kind), detector in conditions.detectors.items()
            if kind == equipment and detector.rstrip("0123456789") == name
        ]
        without = sum(not channels[tuple(place)] for place in its)
        if without:
            yield (
                f"{without} of {len(its)} channels of equipment type {equipment} that daq_channels maps to {name} are "
                "not in its own table"
            )


def _not_calibrated(conditions: Conditions) -> Iterator[str]:
    """Yield how many channels that are cabled have no calibration."""
    if conditions.tof_cabling is not None and conditions.tof_calibration is not None:
        pmts_there = np.unique(conditions.tof_cabling.tdc[conditions.tof_cabling.tdc >= 0])
        pmts = conditions.tof_calibration.pmts
        without = int(((pmts.t0_ps[pmts_there] == 0) | (pmts.time_walk[pmts_there] == 0).any(axis=1)).sum())
        if without:
            yield f"{without} of {len(pmts_there)} photomultipliers of tof are cabled and not calibrated"
    if conditions.tracker is not None:
        fibres = conditions.tracker.fibres >= 0
        without = int((fibres & (conditions.tracker.gain <= 0)).sum())
        if without:
            yield f"{without} of {int(fibres.sum())} channels of the trackers are cabled and not calibrated"
