"""What tells a process to end, held back while it makes another."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

TOLD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def told_later() -> Iterator[None]:
    """Have them wait in a ``with`` block that forks, of this process and of the one that is made.

    What comes meanwhile would be raised in what Python calls about a fork, and passed over: nobody would end, and
    whoever logs would wait for ever.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, TOLD)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def tell_me() -> None:
    """Have a process that was made in such a block be told again, before it becomes another program."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD)
