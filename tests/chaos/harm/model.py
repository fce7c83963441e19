"""What harm is."""

import random
from collections.abc import Callable

from tests.chaos.cluster import Cluster

Mended = Callable[[], bool]
"""Says whether harm is mended of which the partitions' progress does not tell."""
Harm = Callable[[Cluster, random.Random], Mended | None]
"""Does something to a cluster; what it takes away it gives back."""
