"""MIDAS event files: their events, and the banks in these, of whatever experiment."""
