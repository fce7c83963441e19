"""Work beside the page, in a process of its own below all else: it may take its time, and it may die."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

NICENESS = 19


class Aside:
    """A process that sends what it finds, until it ends; end it.

    Parameters
    ----------
    work
        Takes what it sends with, and the arguments: a function of a module, as the process begins anew.
    """

    def __init__(self, work: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.found, send = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(work, send, NICENESS, *arguments), daemon=True)
        self._process.start()
        send.close()  # so that a process that dies ends the pipe

    def end(self) -> None:
        """End it, if it has not."""
        self._process.kill()
        self._process.join()
        self._process.close()
        self.found.close()


def _run(work: Callable[..., None], send: Connection, niceness: int, *arguments: Any) -> None:
    os.nice(niceness)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # our parent is asked too, and ends us
    with suppress(BrokenPipeError):  # nobody waits for it any more
        work(send, *arguments)
