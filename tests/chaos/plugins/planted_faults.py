"""A worker in whose code faults were planted."""

from tests.chaos.planted import plant

PLANTED = plant()
