"""Cabling, calibration and plot ranges by run."""

from streams.conditions.model import Conditions, PmtCalibration, TofCabling, TofCalibration
from streams.conditions.store import ConditionsStore

__all__ = ["Conditions", "ConditionsStore", "PmtCalibration", "TofCabling", "TofCalibration"]
