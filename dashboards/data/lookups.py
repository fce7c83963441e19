"""What takes long to find, found in a thread of its own, once for all browsers that ask."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import structlog

from streams.errors import SpilldeckError

KEPT = 64
"""That were found, those that were asked for last."""
MOST_WAITING = 8
"""What is asked for beyond it is found when somebody asks again: an open page asks each second."""
AGAIN_S = 10.0
"""What could not be found is looked for again after it."""

T = TypeVar("T")
_log = structlog.get_logger(__name__)


class Lookups(Generic[T]):
    """Finds one thing after the other, and keeps what it found.

    Parameters
    ----------
    name
        Of its thread.
    """

    def __init__(self, name: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._waiting: set[Hashable] = set()
        self._found: OrderedDict[Hashable, tuple[T | str, float]] = OrderedDict()
        """With the time, monotonic, until when it is kept."""

    def get(self, key: Hashable, find: Callable[[], T]) -> T | str | None:
        """Return what was found, or a sentence that says why it could not be; None as long as it is looked for."""
        with self._lock:
            found, until_s = self._found.get(key, (None, 0.0))
            if time.monotonic() < until_s:
                self._found.move_to_end(key)
                return found
            if key not in self._waiting and len(self._waiting) < MOST_WAITING:
                self._waiting.add(key)
                self._executor.submit(self._find, key, find)
            return found

    def close(self) -> None:
        """Wait for what is being found, and find nothing more."""
        self._executor.shutdown(cancel_futures=True)

    def _find(self, key: Hashable, find: Callable[[], T]) -> None:
        found: T | str
        until_s = float("inf")
        try:
            found = find()
        except Exception as error:  # noqa: BLE001 - it is said where it would stand
            if not isinstance(error, SpilldeckError):
                _log.warning("a look-up failed", what=key, error=f"{type(error).__name__}: {error}")
            found = str(error) if isinstance(error, SpilldeckError) else "The server failed: its log says why"
            until_s = time.monotonic() + AGAIN_S
        with self._lock:
            self._waiting.discard(key)
            self._found[key] = found, until_s
            self._found.move_to_end(key)
            while len(self._found) > KEPT:
                self._found.popitem(last=False)
