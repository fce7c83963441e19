"""How many messages are on their way into the books, and for how long."""

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from streams.books.lag import behind
from streams.books.progress import Progress
from streams.kafka import Spans

SPANS_KEPT = 1000
"""Earlier spans of ``spills.raw`` that are remembered while the workers are behind them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What is on its way into the books."""

    messages: int = 0
    since_s: float = 0.0
    """When the oldest of them was first seen, seconds since 1970 UTC; 0 if there are none."""


class WaitingWatcher:
    """Remembers when what was seen to come.

    One thread says what came, another one how far the books are: what comes while nobody can say that waits, too.
    """

    def __init__(self) -> None:
        self._unprocessed: deque[tuple[float, Spans]] = deque()
        self._last: Spans = ()

    def came(self, spans: Spans) -> None:
        """Take note of what Kafka has."""
        if spans != self._last and len(self._unprocessed) < SPANS_KEPT:
            self._unprocessed.append((time.time(), spans))
        self._last = spans

    def look(self, spans: Spans, progress: Mapping[int, Progress]) -> Waiting:
        """Return what is on its way, given what Kafka has and how far the books are."""
        unprocessed, messages = self._unprocessed, behind(spans, progress)
        # Under a steady stream something is always under way: what counts is how long one message waits.
        while unprocessed and not behind(unprocessed[0][1], progress):
            unprocessed.popleft()
        if messages and not unprocessed:  # the books went back, as where Redis was restored
            unprocessed.append((time.time(), spans))
        return Waiting(messages=messages, since_s=unprocessed[0][0] if unprocessed else 0.0)
