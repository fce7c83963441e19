"""How often somebody may try to log in."""

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

MOST, WITHIN_S = 10, 60.0
"""So many within so long, of a peer and of a user's name."""
KEPT = 10_000
"""Peers and names that are remembered."""


class Attempts:
    """Counts attempts; whether they were right is no matter, so that nobody learns of it by the count."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._made: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, *whose: str) -> float:
        """Count an attempt of these, if each may have one more; return after how long they may else try again."""
        with self._lock:
            return self._wait_s(self._clock(), whose)

    def _wait_s(self, now_s: float, whose: tuple[str, ...]) -> float:
        made = [self._made.get(each, deque()) for each in whose]
        for times in made:
            while times and now_s - times[0] >= WITHIN_S:
                times.popleft()
        if full := [times[0] + WITHIN_S - now_s for times in made if len(times) >= MOST]:
            return max(full)
        # What is refused leaves no trace: names that somebody invents would push out those that are counted.
        for each, times in zip(whose, made, strict=True):
            times.append(now_s)
            self._made[each] = times
            self._made.move_to_end(each)
        while len(self._made) > KEPT:
            self._made.popitem(last=False)
        return 0.0
