"""Harm done at random to real servers, and every bin compared with the pure calculation."""
