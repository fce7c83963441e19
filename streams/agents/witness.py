"""A process beside a worker that outlives it: it leaves Kafka's group in the name of one that was killed.

Kafka moves the partitions of a member that says that it leaves at once, and those of one that says nothing when its
session has timed out. A worker that is killed, or ends itself where it cannot go on, says nothing. The witness hears
that by a pipe of which the worker has the only other end. It does nothing before, and ends after it.
"""

import asyncio
import ctypes
import os
import signal
from collections.abc import Callable
from contextlib import suppress

import structlog
from aiokafka.errors import KafkaError

from streams.agents.faust_private import leave
from streams.moving import WITNESS
from streams.settings import Settings
from streams.told import TOLD, told_later
from streams.topics import workers_group

_log = structlog.get_logger(__name__)

_PR_SET_NAME = 15
"""Of Linux's prctl.h."""
LEAVE_S = 5.0
"""Where Kafka does not answer within it, the session times out about as soon."""


def witnessed(settings: Settings) -> Callable[[str], None]:
    """Have a process watch this one; return what tells it by which name the group knows us, empty while by none.

    It must be called before there is a second thread.
    """
    worker, (read, write) = os.getpid(), os.pipe()
    with told_later():
        child = os.fork()
    if child == 0:
        # Its parent is not the worker, which would have to wait for its end, and so would the program of another
        # release that it becomes.
        if os.fork() == 0:
            os.close(write)
            try:
                _watch(settings, read, worker)
            finally:
                os._exit(0)
        os._exit(0)
    os.close(read)
    os.waitpid(child, 0)

    def tell(name: str) -> None:
        with suppress(BrokenPipeError):  # somebody ended the witness: the session times out, as without one
            os.write(write, f"{name}\n".encode())

    return tell


def _watch(settings: Settings, read: int, worker: int) -> None:
    # What a terminal or a supervisor tells all processes of a worker is not for this one: it is needed then.
    for told in TOLD:
        signal.signal(told, signal.SIG_IGN)
    with suppress(AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, WITNESS.encode())
    name = ""
    with os.fdopen(read) as names:
        for line in names:
            name = line.strip()
    if not name:
        return
    try:
        asyncio.run(asyncio.wait_for(leave(settings.kafka, workers_group(settings, settings.session), name), LEAVE_S))
    except (KafkaError, OSError, TimeoutError) as error:
        _log.warning(
            "a worker ended without a word; its partitions move when its session has timed out",
            worker=worker,
            error=f"{type(error).__name__}: {error}",
        )
    else:
        _log.warning("a worker ended without a word; its partitions move now", worker=worker)
