"""What the conditions of a run are, as arrays that reconstruction can index."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.columns import Bools
from streams.experiments.mice.boards import PulseDefinitions
from streams.experiments.mice.conditions.emr import EmrCabling
from streams.experiments.mice.conditions.kl import KlPmts
from streams.experiments.mice.conditions.tof import TofCabling, TofCalibration
from streams.experiments.mice.conditions.tracker import TrackerChannels
from streams.experiments.mice.read_out import ReadOut
from streams.run_conditions import RunConditions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conditions(RunConditions):
    """All that reconstruction and plots need to know of a run."""

    detectors: Mapping[tuple[int, int, int, int], str]
    """(ldc, geo, channel, equipment type) → name of the detector, from the DAQ channel map."""
    trigger: Bools
    """(LDCS, GEOS, CHANNELS): the V1290 channels that record the particle trigger."""
    trigger_request: Bools
    """(LDCS, GEOS, CHANNELS): the V1290 channels that record the trigger request."""
    tof_cabling: TofCabling | None = None
    tof_calibration: TofCalibration | None = None
    ckov_channels: tuple[tuple[int, int, int], ...] = ()
    """(ldc, geo, channel) of the eight V1731 channels in the order of the counters' photomultipliers, 0 to 7."""
    kl_pmts: KlPmts | None = None
    emr_cabling: EmrCabling | None = None
    tracker: TrackerChannels | None = None
    pulses: PulseDefinitions = PulseDefinitions.SINCE_2013
    """By which the features of FADC pulses are made from the samples."""
    read_out: ReadOut = field(default_factory=ReadOut)
    """Which boards each detector reads."""
