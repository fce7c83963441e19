"""Books: the histograms and totals of a run or a window, their partials, and the checkpoint in Redis."""
