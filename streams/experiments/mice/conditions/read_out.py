"""Which boards each detector reads, from the tables of its cabling."""

from collections.abc import Iterator

import numpy as np

from schemas.columns import Bools
from streams.experiments.mice.boards import DBB, DBB_CHAIN, V1290, V1724, V1731, VLSB
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.read_out import ANY, Place, ReadOut


def read_out(conditions: Conditions) -> ReadOut:
    """Return the boards of the detectors; of one that no table cables, all boards of the types that it is read by."""
    boards: dict[str, set[Place]] = {
        detector: {(kind, ANY, ANY) for kind in kinds}
        for detector, kinds in (("tof", (V1290,)), ("ckov", (V1731,)), ("kl", (V1724,)), ("emr", (DBB, DBB_CHAIN)))
    }
    of_tables: dict[str, set[Place]] = {}
    for detector, kind, channels in cabled(conditions):
        its = {(kind, ldc, geo) for ldc, geo in np.argwhere(channels.any(axis=2)).tolist()}
        of_tables.setdefault(detector, set()).update(its)
    if conditions.ckov_channels:
        of_tables["ckov"] = {(V1731, ldc, geo) for ldc, geo, _ in conditions.ckov_channels}
    if (emr := conditions.emr_cabling) is not None:
        # A chain tells the geos of its six boards in their words alone.
        ldcs = np.flatnonzero((emr.dbb >= 0).any(axis=(1, 2))).tolist()
        of_tables["emr"] |= {(kind, ldc, ANY) for kind in (DBB, DBB_CHAIN) for ldc in ldcs}
    boards |= of_tables
    named = {(kind, ldc, geo) for ldc, geo, _, kind in conditions.detectors}.union(*boards.values())
    named = {place for place in named if ANY not in place}
    if emr is not None:
        named |= {(DBB, ldc, geo) for ldc, geo in np.argwhere((emr.dbb >= 0).any(axis=2)).tolist()}
    if conditions.tracker is not None:
        named |= {(VLSB, ANY, bank) for bank in np.flatnonzero((conditions.tracker.fibres >= 0).any(axis=1)).tolist()}
    return ReadOut(boards={detector: frozenset(places) for detector, places in boards.items()}, named=frozenset(named))


def cabled(conditions: Conditions) -> Iterator[tuple[str, int, Bools]]:
    """Yield detector, equipment type and which channels (LDCs, geos, channels) its own table maps."""
    if conditions.tof_cabling is not None:
        yield "tof", V1290, conditions.tof_cabling.tdc >= 0
        yield "tof", V1724, conditions.tof_cabling.fadc >= 0
    if conditions.kl_pmts is not None:
        yield "kl", V1724, conditions.kl_pmts.fadc >= 0
    if conditions.emr_cabling is not None:
        yield "emr", V1731, conditions.emr_cabling.fadc >= 0
