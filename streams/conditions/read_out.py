"""Which boards each detector reads, from the tables of its cabling."""

import numpy as np
import numpy.typing as npt

from streams.boards import DBB, DBB_CHAIN, V1290, V1724, V1731
from streams.conditions.model import Conditions
from streams.read_out import ANY, Place, ReadOut


def read_out(conditions: Conditions) -> ReadOut:
    """Return the boards of the detectors; of one that no table cables, all boards of the types that it is read by."""
    boards: dict[str, set[Place]] = {
        detector: {(kind, ANY, ANY) for kind in kinds}
        for detector, kinds in (("tof", (V1290,)), ("ckov", (V1731,)), ("kl", (V1724,)), ("emr", (DBB, DBB_CHAIN)))
    }
    if (tof := conditions.tof_cabling) is not None:
        boards["tof"] = _boards(V1290, tof.tdc) | _boards(V1724, tof.fadc)
    if conditions.ckov_channels:
        boards["ckov"] = {(V1731, ldc, geo) for ldc, geo, _ in conditions.ckov_channels}
    if (kl := conditions.kl_pmts) is not None:
        boards["kl"] = _boards(V1724, kl.fadc)
    if (emr := conditions.emr_cabling) is not None:
        # A chain tells the geos of its six boards in their words alone.
        ldcs = {ldc for _, ldc, _ in _boards(DBB, emr.dbb)}
        boards["emr"] = _boards(V1731, emr.fadc) | {(kind, ldc, ANY) for kind in (DBB, DBB_CHAIN) for ldc in ldcs}
    named = {(kind, ldc, geo) for ldc, geo, _, kind in conditions.detectors}.union(*boards.values())
    return ReadOut(
        boards={detector: frozenset(places) for detector, places in boards.items()},
        named=frozenset(place for place in named if ANY not in place),
    )


def _boards(kind: int, cabled: npt.NDArray[np.int32]) -> set[Place]:
    """Return the boards of which a channel is cabled: (LDC, geo, channel) → its index, below 0 if it is not."""
    return {(kind, ldc, geo) for ldc, geo in np.argwhere((cabled >= 0).any(axis=2)).tolist()}
