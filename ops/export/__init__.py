"""A run for other programs: its histograms as files, and pictures of each canvas."""
