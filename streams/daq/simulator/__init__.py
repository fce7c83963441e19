"""A simulated beam line: particles, what the detectors make of them, and the DATE bytes that their boards send."""

from streams.daq.simulator.run import SimulatedRun, SimulatedSpill

__all__ = ["SimulatedRun", "SimulatedSpill"]
