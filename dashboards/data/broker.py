"""How far ``spills.raw`` is, asked of Kafka again and again."""

import time
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, KafkaException

from streams.kafka import NO_TOPIC, ends, reader
from streams.settings import Settings
from streams.topics import Topics

LOOK_S = 1.0
"""How often Kafka is asked how far it is."""
ASK_S = 3.0
"""A broker that does not answer within it counts as away."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """What was last seen of ``spills.raw``."""

    ends: tuple[int, ...] = ()
    moved_s: float = 0.0
    lost_s: float = 0.0
    warnings: tuple[str, ...] = ()


class BrokerWatcher:
    """Asks for the ends of the partitions."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = Topics.of(settings).raw
        self._consumer: Consumer | None = None

    def look(self, last: Broker) -> Broker:
        """Return what there is now, given what was seen before."""
        self._consumer = self._consumer or reader(self._settings, reconnect_backoff_max_ms=round(LOOK_S * 1000))
        try:
            found = ends(self._consumer, self._topic, range(self._settings.kafka.partitions), ASK_S)
        except KafkaException as error:
            # After a loss of all brokers the library may take the topic for unknown, and asks no more for minutes.
            self._consumer.close()
            self._consumer = None
            if error.args[0].code() in NO_TOPIC:
                warning = f"Kafka has no topic {self._topic}: start a worker, or run spilldeck topics apply"
                return Broker(moved_s=last.moved_s, warnings=(warning,))
            return replace(last, lost_s=last.lost_s or time.time(), warnings=())
        # When it grew while nobody could look, nobody knows.
        moved = not last.lost_s and any(now > before for now, before in zip(found, last.ends, strict=False))
        return Broker(ends=found, moved_s=time.time() if moved else last.moved_s)
