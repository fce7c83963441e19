"""Cabling, calibration and plot ranges by run."""
