"""What is odd about the tables of all indices: every table read, and what no single one of them can know."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from streams.conditions.model import Conditions
from streams.conditions.read import NEEDED
from streams.conditions.read_out import cabled
from streams.conditions.rows import Address
from streams.conditions.store import LAST_RUN, Entry, load, problems
from streams.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Oddity:
    """Something that whoever keeps the tables should know."""

    first_run: int
    last_run: int
    is_wrong: bool
    """It cannot be; else runs only lack something."""
    what: str


def check(entries: Sequence[Entry], plots: Collection[str]) -> list[Oddity]:
    """Return what is odd, in the order of the runs; of runs for which it is the same, once.

    Parameters
    ----------
    plots
        Names of all plots.
    """
    found = [
        Oddity(first_run=first, last_run=last, is_wrong=True, what=what) for first, last, what in problems(entries)
    ]
    good = [entry for entry in entries if not entry.fault]
    for first, last in _ranges(good):
        its = {entry.kind: entry for entry in good if entry.is_for(first)}
        if its:
            found += [
                Oddity(first_run=first, last_run=last, is_wrong=is_wrong, what=what)
                for is_wrong, what in _odd([its[kind] for kind in sorted(its)], plots)
            ]
    return sorted(_joined(found), key=lambda each: (each.first_run, each.last_run))


def _ranges(entries: Sequence[Entry]) -> Iterator[tuple[int, int]]:
    """Yield first and last run of the ranges that have the same tables throughout."""
    begins = sorted({0, LAST_RUN + 1} | {run for entry in entries for run in (entry.first_run, entry.last_run + 1)})
    for begin, end in pairwise(begins):
        yield begin, end - 1


def _odd(entries: Sequence[Entry], plots: Collection[str]) -> Iterator[tuple[bool, str]]:
    """Yield whether it is wrong, and what it is, of tables that serve the same runs."""
    missing = sorted({kind for kinds in NEEDED.values() for kind in kinds} - {entry.kind for entry in entries})
    for kind in missing:
        without = " and ".join(name for name, kinds in NEEDED.items() if kind in kinds)
        yield False, f"no table of the kind {kind}: no {without.replace('.', ' ').replace('_', ' ')}"
    try:
        conditions = load(entries)
    except UsageError as error:
        yield True, str(error)
        return
    yield from ((True, f"there is no plot {n}, which has a range") for n in conditions.plot_ranges if n not in plots)
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


def _joined(found: Sequence[Oddity]) -> list[Oddity]:
    """Return one of those that say the same of runs that follow each other."""
    joined: dict[tuple[bool, str], list[Oddity]] = {}
    for each in found:
        same = joined.setdefault((each.is_wrong, each.what), [])
        follows = bool(same) and same[-1].last_run + 1 == each.first_run
        same.append(replace(each, first_run=same.pop().first_run) if follows else each)
    return [each for same in joined.values() for each in same]
