"""Run a command with a wall clock that is off: python -m tests.chaos.shifted_clock SECONDS worker.

What reads ``time.time`` or ``time.time_ns`` is off: our own Python code, Faust, mode and aiokafka, which take their
time stamps, their commit intervals and the age of what they know of the cluster from them. What reads another clock is
not: ``time.monotonic`` and the event loop (a wrong wall clock does not move them either), and ``datetime.now``, which
only the time stamps of the log take.
"""

import runpy
import sys
import time


def shift(seconds: float) -> None:
    """Set this process's wall clock forth by so many seconds, or back."""
    now, now_ns = time.time, time.time_ns
    time.time = lambda: now() + seconds
    time.time_ns = lambda: now_ns() + round(seconds * 1e9)


if __name__ == "__main__":
    # Before anything else is imported, so that it is also the clock of what says ``from time import time``.
    shift(float(sys.argv[1]))
    sys.argv = ["ops", *sys.argv[2:]]
    runpy.run_module("ops", run_name="__main__")
