"""Cabling, calibration and plot ranges of the experiment's detectors."""
