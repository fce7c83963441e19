"""Detector or calibration: whether a plot is bad because of the conditions that its run has."""
