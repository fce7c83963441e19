"""How far ``spills.raw`` is, asked of Kafka again and again."""

import time
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog
from confluent_kafka import Consumer, KafkaException

from streams.kafka import NO_ANSWER, NO_TOPIC, Spans, other_server, reader, refused, spans
from streams.settings import Settings
from streams.topics import Topics

LOOK_S = 1.0
"""How often Kafka is asked how far it is."""
ASK_S = 3.0
"""A broker that does not answer within it counts as away."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """What was last seen of ``spills.raw``."""

    spans: Spans = ()
    moved_s: float = 0.0
    lost_s: float = 0.0
    why: str = ""
    """What is wrong since then: goes on after "Kafka"."""
    warnings: tuple[str, ...] = ()


class BrokerWatcher:
    """Asks for the ends of the partitions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = Topics.of(settings).raw
        self._consumer: Consumer | None = None

    def look(self, last: Broker) -> Broker:
        """Return what there is now, given what was seen before; whatever goes wrong becomes a state."""
        try:
            self._consumer = self._consumer or reader(self._settings, reconnect_backoff_max_ms=round(LOOK_S * 1000))
            found = spans(self._consumer, self._topic, ASK_S)
        except Exception as error:  # noqa: BLE001 - who watches must go on, whatever it meets
            # After a loss of all brokers the library may take the topic for unknown, and asks no more for minutes.
            consumer, self._consumer = self._consumer, None
            if consumer is not None:
                with suppress(Exception):
                    consumer.close()
            return self._without(last, error)
        # When it grew while nobody could look, nobody knows.
        moved = not last.lost_s and any(now > before for (_, now), (_, before) in zip(found, last.spans, strict=False))
        return Broker(spans=found, moved_s=time.time() if moved else last.moved_s)

    def _silent(self, last: Broker) -> str:
        """Say what is wrong with a Kafka that gives no answer."""
        if refuses := refused(self._settings):
            return f"lets nobody in from here ({refuses})"
        # Of one that answered before, it is not how it is asked.
        other = other_server(self._settings) if not last.spans else ""
        return f"does not answer ({other})" if other else "does not answer"

    def _without(self, last: Broker, error: Exception) -> Broker:
        """Return what there is when Kafka has not said how far it is."""
        why = f"cannot be asked ({type(error).__name__}: {error})"
        if isinstance(error, KafkaException):
            said = error.args[0]
            if said.code() in NO_TOPIC:
                warning = f"Kafka has no topic {self._topic}: start a worker, or run spilldeck topics apply"
                return Broker(moved_s=last.moved_s, warnings=(warning,))
            why = f"cannot be asked ({said.str()})"
            if said.code() in NO_ANSWER:
                why = self._silent(last)
        return replace(last, lost_s=last.lost_s or time.time(), why=why, warnings=())
