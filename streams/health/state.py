"""Whether a process lives and is ready, with reasons in words: of what was last known and of how old that is.

So who asks is answered at once, also while Kafka, Redis or the process itself hang.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import structlog

from streams import __version__, metrics
from streams.health.notify import notify
from streams.metrics import Part, Value
from streams.settings import Settings

LIVE_S = 20.0
"""A loop that has not turned for so long does not live: it turns every second, but one answer may take a while."""
TELL_S = 1.0
"""Time between two words to systemd."""

_log = structlog.get_logger(__name__)


class Verdict(NamedTuple):
    """An answer to whoever asks."""

    is_so: bool
    words: tuple[str, ...]
    """Why not; if it is so, what it does."""


@dataclass(slots=True)
class Known:
    """What was last known of one thing, and when that was.

    Parameters
    ----------
    what
        Goes before "nothing is known".
    late_s
        What is older than that is not known any more.
    """

    what: str
    late_s: float
    clock: Callable[[], float] = time.monotonic
    _said: tuple[float, str] | None = field(default=None, init=False)

    def say(self, why: str = "") -> None:
        """Say what is wrong with it now; nothing if it is well."""
        self._said = self.clock(), why

    @property
    def is_of_now(self) -> bool:
        """Whether something was said of it lately."""
        return self._said is not None and self.clock() - self._said[0] <= self.late_s

    @property
    def faults(self) -> tuple[str, ...]:
        """Why a process cannot be ready."""
        said = self._said  # it may be said anew meanwhile
        if said is None:
            return (f"{self.what}: not known yet",)
        at_s, why = said
        age_s = self.clock() - at_s
        if age_s > self.late_s:
            return (f"{self.what}: nothing is known for {age_s:.0f} s",)
        return (f"{self.what}: {why}",) if why else ()


class Health:
    """How a process is.

    Parameters
    ----------
    part
        What it is.
    settings
        Session and experiment, which the metrics name.
    faults
        Gives why it is not ready; as the next ones it waits for nothing.
    does
        Gives in words what it does, for systemd's status.
    figures
        Gives its figures, besides those of all parts.
    live_s
        A loop that has not turned for so long does not live.
    """

    def __init__(
        self,
        part: Part,
        settings: Settings,
        *,
        faults: Callable[[], Iterable[str]],
        does: Callable[[], str] = lambda: "at work",
        figures: Callable[[], Iterable[Value]] = tuple,
        live_s: float = LIVE_S,
    ) -> None:
        self.part = part
        self._settings, self._faults, self._does, self._its, self._live_s = settings, faults, does, figures, live_s
        self._turned_s = time.monotonic()
        self._stopped = threading.Event()
        metrics.tell(part, self._figures)  # in place of those of one before it in this process

    def turn(self) -> None:
        """Take note that the loop has turned."""
        self._turned_s = time.monotonic()

    def progress(self) -> None:
        """Feed systemd's watchdog: something has moved, or there is nothing to move, or a server is away."""
        notify("WATCHDOG=1")

    def live(self) -> Verdict:
        """Say whether the loop turns."""
        age_s = time.monotonic() - self._turned_s
        if age_s > self._live_s:
            return Verdict(False, (f"the loop has not turned for {age_s:.0f} s",))
        return Verdict(True, ("the loop turns",))

    def ready(self) -> Verdict:
        """Say whether it does its work."""
        live, faults = self.live(), tuple(self._faults())
        if live.is_so and not faults:
            return Verdict(True, (self._does(),))
        return Verdict(False, (*(() if live.is_so else live.words), *faults))

    def begin(self) -> None:
        """Begin to tell systemd, if it wants to know, when it is ready and what it does."""
        threading.Thread(target=self._tell, daemon=True, name="health").start()

    def end(self) -> None:
        """Tell it that this is the end."""
        self._stopped.set()
        notify("STOPPING=1")

    def _tell(self) -> None:
        was_ready, said = False, ""
        while not self._stopped.is_set():
            now = self.ready()
            words = "; ".join(now.words)
            if now.is_so and not was_ready:
                _log.info("ready", does=words)
                notify("READY=1")
            was_ready |= now.is_so
            if words != said:
                notify(f"STATUS={words if now.is_so else f'not ready: {words}'}")
                said = words
            self._stopped.wait(TELL_S)

    def _figures(self) -> Iterable[Value]:
        its = self._settings
        yield Value(metrics.INFO, 1, (self.part, __version__, its.session, its.experiment))
        yield Value(metrics.READY, self.ready().is_so)
        yield from self._its()
