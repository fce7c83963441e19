"""Plug-ins that have a worker be another than it is."""

LONGEST_TIME_OUT_S = 12.0
"""Of a worker that has short ones."""
