"""Histograms and trends to figures: pure functions of a book, the catalogue, what somebody chose, and a theme."""
