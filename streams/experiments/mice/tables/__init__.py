"""What each detector makes of a spill, as tables."""
