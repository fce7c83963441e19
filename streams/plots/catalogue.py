"""All detectors' plots and trends, in the page's order."""

from streams.plots.ckov import CKOV
from streams.plots.daq import DAQ
from streams.plots.model import DetectorPlots, Plot, Trend
from streams.plots.raw import RAW
from streams.plots.scalers import SCALERS
from streams.plots.tof import TOF

DETECTORS: dict[str, DetectorPlots] = {detector.name: detector for detector in (DAQ, SCALERS, TOF, CKOV, RAW)}
PLOTS: dict[str, Plot] = {plot.name: plot for detector in DETECTORS.values() for plot in detector.plots}
TRENDS: dict[str, Trend] = {trend.name: trend for detector in DETECTORS.values() for trend in detector.trends}
