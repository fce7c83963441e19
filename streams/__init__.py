"""The way of a spill: daq → unpack → reco → plots → books."""

from importlib.metadata import version

__version__ = version("spilldeck")
