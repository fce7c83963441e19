"""A simulated beam line: particles, what the detectors make of them, and the DATE bytes that their boards send."""

from streams.experiments.mice.simulator.faults.kinds import KINDS
from streams.experiments.mice.simulator.faults.places import DETECTORS
from streams.experiments.mice.simulator.run import SimulatedRun, SimulatedSpill

__all__ = ["SimulatedRun", "SimulatedSpill", "explained"]

_EXPLAINED = ("name", "syntax", "does", "look", "place", "value", "spills")


def explained() -> tuple[list[dict[str, str]], list[str]]:
    """Return all faults, and lines about how they are asked for and what names their places."""
    places = ", ".join(name + detector.syntax for name, detector in DETECTORS.items())
    lines = [
        f"DETECTOR/NUMBER: {places}; fewer numbers name all that is below them.",
        "BOARD/LDC/GEO: as V1290/1/2.",
        "FIRST, LAST: numbers of spills, from 0 through the whole file; without them, all spills.",
        "Example: --fault dead_pmt:tof1/0/3/1@20-80 --fault shifted_timing:tof0=1.5 --fault lost_spills@7",
    ]
    return [{name: str(getattr(kind, name)) for name in _EXPLAINED} for kind in KINDS.values()], lines
