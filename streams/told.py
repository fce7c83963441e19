"""What tells a process to end, held back while it makes another."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

TOLD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def told_later() -> Iterator[None]:
    """Have it wait in a ``with`` block that forks.

    What comes meanwhile would be raised in what Python calls about a fork, and passed over: nobody would end, and
    whoever logs would wait for ever. To block signals is not enough: another thread takes them for the process.
    """
    if threading.current_thread() is not threading.main_thread():  # nothing is raised in others
        yield
        return
    ours, noted = os.getpid(), list[int]()
    before = {number: signal.signal(number, lambda number, _: noted.append(number)) for number in TOLD}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for told in noted if os.getpid() == ours else ():  # who was made was not told
            signal.raise_signal(told)
