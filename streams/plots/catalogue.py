"""All plots and trends, by name."""

from streams.plots import ckov, daq, tof
from streams.plots.model import Plot, Trend

PLOTS: dict[str, Plot] = {plot.name: plot for plot in (*tof.PLOTS, *ckov.PLOTS)}
TRENDS: dict[str, Trend] = {trend.name: trend for trend in daq.TRENDS}
DETECTORS: dict[str, str] = {"daq": "DAQ", "tof": "Time of flight", "ckov": "Cherenkov"}
"""Detector → its name on the page, in the page's order."""
