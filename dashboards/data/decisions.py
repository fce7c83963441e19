"""What people decided, as the page knows it: Redis's copy, held against Kafka now and then, and never an older one."""

import threading

import structlog
from redis import Redis

from streams.books.actions import NoTopicError
from streams.books.connect import AWAY
from streams.books.decided import Copy, by_kafka, newest
from streams.books.decisions import Decisions
from streams.books.promotions import Promoted, Promotions
from streams.settings import Settings

LOOK_S = 2.0
"""How often Redis's copy is held against Kafka; at once when it is gone or has become older."""
FIRST_S = 1.0
"""So long the first look waits for it: a page that has just begun cannot know that the copy is an older one."""

_log = structlog.get_logger(__name__)


class DecisionsWatcher:
    """Reads Redis for one thread, and Kafka for another.

    Parameters
    ----------
    settings
        Where Kafka is.
    redis
        Client that returns bytes.
    """

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings, self._redis = settings, redis
        self._copy = Copy(redis, settings.redis.key_prefix)
        self._promotions = Promotions(redis, settings.redis.key_prefix)
        self._known: Decisions | None = None
        self._fault = "Kafka has not answered yet"
        """Why nobody has told; empty if there is nothing to tell."""
        self._refreshed, self.asked = threading.Event(), threading.Event()
        self._reading = threading.Lock()
        """Held from reading the copy to believing it: the other thread may have a newer one meanwhile."""
        self.promoted = Promoted()
        """What is promoted, as of the last look."""

    @property
    def known(self) -> Decisions:
        """What people decided, as far as anybody has told."""
        return self._known or Decisions()

    @property
    def warning(self) -> str:
        """What to say while nobody has told."""
        if self._known is not None or not self._fault:
            return ""
        return (
            f"Nobody can say whose book a run has: Redis does not know which replays were promoted, and {self._fault}. "
            f"The plots are those of live"
        )

    def look(self) -> Promoted:
        """Return what is promoted as Redis knows it, or as it did when it knew more; Redis's errors are passed on."""
        self._refreshed.wait(FIRST_S)
        self._refreshed.set()
        with self._reading:
            found, known = self._copy.read(), self._known
            if found is not None and (known is None or found.next >= known.next):
                self._known = found
            else:
                self.asked.set()
        self.promoted = self._promotions.of(self.known)
        return self.promoted

    def _ask(self) -> None:
        try:
            known = newest(self._settings, self._redis)
            with self._reading:
                self._known = known()
        except AWAY:
            # Kafka goes on telling what is an alarm: that Redis is away, too.
            if self._known is None:
                raise
            now = by_kafka(self._settings, self._known)
            with self._reading:
                self._known = max(self._known, now, key=lambda each: each.next)

    def refresh(self) -> None:
        """Hold Redis's copy against Kafka."""
        try:
            self._ask()
        except NoTopicError:
            self._fault = ""
        except Exception as error:  # noqa: BLE001 - whatever somebody wrote into Redis, the page goes on
            if self._fault != str(error):
                _log.warning("what people decided cannot be read", error=str(error))
            self._fault = str(error)
        self._refreshed.set()
