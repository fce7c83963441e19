"""Faults on demand: what goes wrong in a beam line, at its boards, on its wires and in its files."""
