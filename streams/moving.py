"""A worker that was started through the releases' link `current` moves to the release that this names now.

It hands its partitions to the others, and becomes a process of that release under the same process id, so that whoever
supervises it sees none end. One worker after the other: the one that moves is named in Redis until it has joined the
others again. If it never does, nobody follows it.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from streams.errors import ServerError
from streams.settings import Settings

CURRENT = "current"
WITNESS = "witness"
"""What the system calls the process beside a worker that outlives it (`streams/agents/witness.py`)."""
WAITS_S = 120.0
"""A worker that moves has joined the others again within it, on a busy machine too."""
START_S = 60.0
"""So long it waits for a server: less than a watchdog does, and than the others do for it."""
_PAUSE_S = 0.5
_MOVES = "_SPILLDECK_MOVES"
"""In the environment of a process that was another release just now."""


def hand_over(settings: Settings) -> str:
    """Return the key that names the worker that moves."""
    return f"{settings.redis.key_prefix}:hand-over"


def myself() -> str:
    """Return what names this process on all machines, and goes on to do so when it has become another program."""
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(slots=True, kw_only=True)
class Start:
    """How this process was started."""

    words: Sequence[str] = field(default_factory=lambda: tuple(sys.argv))
    prefix: Path = field(default_factory=lambda: Path(sys.prefix))
    """Of the environment that its interpreter is of."""

    @property
    def link(self) -> Path | None:
        """The link that it was started through, if it was."""
        link = Path(self.words[0]).absolute().parent.parent
        return link if link.name == CURRENT and link.is_symlink() else None

    def moved_to(self) -> Path | None:
        """Return the release that the link names if that is another one, with a command."""
        link = self.link
        if link is None or not (link / "bin" / Path(self.words[0]).name).is_file():
            return None
        target = link.resolve()
        return target if target != self.prefix.resolve() else None

    def become(self) -> None:
        """Have this process be what the same command starts now.

        Raises
        ------
        OSError
            When it cannot be started.
        """
        os.environ[_MOVES] = "1"
        os.execv(self.words[0], [*self.words])  # noqa: S606 - our own command


def start_patiently(step: Callable[[], object]) -> None:
    """Do what a worker begins with; do it again while a server is away, if this process was another release just now.

    One that ended would come back under another process id, and nobody would have its turn.

    Raises
    ------
    ServerError
        When a server is away, and was for `START_S` if we move.
    """
    ends_s = time.monotonic() + (START_S if os.environ.pop(_MOVES, "") else 0)
    while True:
        try:
            step()
        except ServerError:
            if time.monotonic() > ends_s:
                raise
            time.sleep(_PAUSE_S)
        else:
            return
