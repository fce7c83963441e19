"""Raw hits to digits and hits: one file per detector."""

from streams.errors import SpilldeckError


class DetectorError(SpilldeckError):
    """A detector cannot be reconstructed in a spill; the others go on."""
