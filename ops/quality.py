"""The alarms as the topic of quality has them, and what is written there: also while Redis is away, by Kafka alone."""

from redis import Redis

from schemas.records import Action
from streams.books.alarms import Alarms
from streams.books.connect import AWAY
from streams.books.decided import by_kafka, decide, decide_by_kafka, newest
from streams.books.decisions import Decisions
from streams.settings import Settings


class Quality:
    """What is known, for one thread: that Redis is away has to be told while it is.

    Parameters
    ----------
    settings
        Where Kafka is.
    redis
        Client that returns bytes.
    """

    def __init__(self, settings: Settings, redis: Redis) -> None:
        self._settings, self._redis = settings, redis
        self._known = Decisions()

    def alarms(self) -> Alarms:
        """Return the alarms that Kafka knows.

        Raises
        ------
        ServerError
            When it does not answer.
        """
        try:
            self._known = newest(self._settings, self._redis)()
        except AWAY:
            self._known = by_kafka(self._settings, self._known)
        return self._known.alarms

    def decide(self, action: Action) -> None:
        """Write an action.

        Raises
        ------
        UsageError
            When it does not count, with the reason.
        ServerError
            When Kafka does not answer.
        """
        try:
            decide(self._settings, self._redis, action)
        except AWAY:
            decide_by_kafka(self._settings, self._known, action)
