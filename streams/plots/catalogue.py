"""All detectors' plots and trends, in the page's order."""

from streams.plots.across import ACROSS
from streams.plots.ckov import CKOV
from streams.plots.daq import DAQ
from streams.plots.emr import EMR
from streams.plots.kl import KL
from streams.plots.model import DetectorPlots, Plot, Trend
from streams.plots.raw import RAW
from streams.plots.scalers import SCALERS
from streams.plots.tof import TOF
from streams.plots.tracker import TRACKER

DETECTORS: dict[str, DetectorPlots] = {}
PLOTS: dict[str, Plot] = {}
TRENDS: dict[str, Trend] = {}


def add(detector: DetectorPlots) -> None:
    """Add a detector's plots and trends.

    Raises
    ------
    ValueError
        When a name is taken, or cannot be stored.
    """
    names = [detector.name, *(plot.name for plot in detector.plots), *(trend.name for trend in detector.trends)]
    for name in names:
        if not (name and name.isprintable()):
            raise ValueError(f"{name!r} is no name")
        if names.count(name) > 1 or name in DETECTORS or name in PLOTS or name in TRENDS:
            raise ValueError(f"the name {name} is taken in the catalogue")
    DETECTORS[detector.name] = detector
    PLOTS.update({plot.name: plot for plot in detector.plots})
    TRENDS.update({trend.name: trend for trend in detector.trends})


for _detector in (DAQ, SCALERS, TOF, CKOV, KL, TRACKER, EMR, ACROSS, RAW):
    add(_detector)
