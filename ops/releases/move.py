"""The link `current` is switched, and the workers of this machine that were started through it follow."""

import os
import time
from collections.abc import Callable

import psutil
from redis.exceptions import RedisError

from ops.releases.shelf import PREVIOUS, Shelf
from streams.books.connect import COMMAND_S, connect, no_redis
from streams.errors import SpilldeckError, UsageError
from streams.moving import CURRENT, WAITS_S, hand_over
from streams.settings import load_settings

LOOK_S = 0.2
"""Time between two looks at which workers have moved."""


def move(shelf: Shelf, name: str, say: Callable[[str], object]) -> None:
    """Have a release be current, and wait until the workers have moved to it.

    Raises
    ------
    SpilldeckError
        When the release does not run with these settings; or the link is switched, and a worker does not follow, or
        nobody here sees whether any does.
    """
    shelf.get(name)
    shelf.ask(name, "config", "show", "--json")
    settings = load_settings()
    try:
        there = _workers(shelf)
    except UsageError:
        _switch(shelf, name, say)
        raise
    if not there:
        _switch(shelf, name, say)
        _tell_of_others(shelf, name, say)
        return
    key = hand_over(settings)
    try:
        with connect(settings, COMMAND_S) as redis:
            left = redis.get(key)  # by a worker that did not come back when another release was to be used
            _switch(shelf, name, say)
            if left is not None and redis.get(key) == left:
                redis.delete(key)
            _wait(shelf, name, there, lambda: bool(redis.exists(key)), say)
            _tell_of_others(shelf, name, say)
    except RedisError as error:
        _switch(shelf, name, say)
        raise no_redis(settings, error) from error


def _switch(shelf: Shelf, name: str, say: Callable[[str], object]) -> None:
    """Switch the link; whoever goes back from a release is able to, whatever is away or hidden: workers follow it."""
    if shelf.linked(CURRENT) == name:
        return
    shelf.use(name)
    before = shelf.linked(PREVIOUS)
    say(f"{name} is current" + (f", {before} is what `release back` goes back to" if before is not None else ""))


def _workers(shelf: Shelf) -> dict[int, str]:
    """Return the workers of this machine that follow the link: process id → its release."""
    return {part.process: part.release for part in shelf.parts() if part.follows and part.does == "worker"}


def _tell_of_others(shelf: Shelf, name: str, say: Callable[[str], object]) -> None:
    for part in shelf.parts():
        if part.follows and part.release != name and part.process != os.getpid():
            say(f"process {part.process} ({part.does}) is of {part.release} still: start it anew when it suits")


def _wait(
    shelf: Shelf, name: str, there: dict[int, str], is_moving: Callable[[], bool], say: Callable[[str], object]
) -> None:
    """Wait until each worker has moved or ended, and say so of each."""
    left = {process for process, its in there.items() if its != name}
    moved_s = time.monotonic()
    while left or is_moving():
        now = _workers(shelf)
        # While it becomes another program, it is there and has no name.
        for process in [each for each in left if now.get(each) == name or not psutil.pid_exists(each)]:
            left.remove(process)
            moved_s = time.monotonic()
            say(f"worker {process}: from {there[process]} to {name}" if process in now else f"worker {process} ended")
        if time.monotonic() - moved_s > WAITS_S:
            stay = f"the workers {', '.join(map(str, sorted(left)))} stay" if left else "none is left behind"
            raise SpilldeckError(
                f"{name} is {CURRENT}, and no worker has moved for {WAITS_S:.0f} s, {stay}: look at their logs, then "
                f"`spilldeck release back`, or `release use {name}` to try again"
            )
        time.sleep(LOOK_S)
