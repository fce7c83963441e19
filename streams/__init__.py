"""The way of a spill: daq → unpack → reco → plots → books."""
