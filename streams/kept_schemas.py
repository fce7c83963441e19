"""The topic of schemas: every schema that a message was ever written with, by its fingerprint, for whoever reads it.

A worker keeps those that it may write before it writes with them. The topic is compacted, so each stays for ever.
"""

from collections.abc import Mapping
from functools import cached_property

from confluent_kafka import KafkaError, Message

from schemas.known import MAX_SCHEMA_BYTES, Schema, WireError, kept_schema
from streams.errors import ServerError
from streams.kafka import ANSWER_S, asking, messages, span, writer
from streams.settings import Settings
from streams.topics import Topics


class KeptSchemas:
    """What the topic has, read when it is first asked for. Blocking: call it from a thread.

    Parameters
    ----------
    settings
        Brokers, and the prefix of the topics.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = Topics.of(settings).schemas
        self._parsed: dict[bytes, Schema] = {}

    def find(self, fingerprint: bytes) -> Schema | None:
        """Return the schema of a fingerprint; None if nobody has kept it.

        Raises
        ------
        ServerError
            When Kafka does not answer, or has no such topic.
        WireError
            When what was kept is no schema, or another one.
        """
        text = self._texts.get(fingerprint.hex())
        if text is None:
            return None
        if fingerprint not in self._parsed:
            self._parsed[fingerprint] = kept_schema(fingerprint, text)
        return self._parsed[fingerprint]

    @cached_property
    def _texts(self) -> Mapping[str, bytes]:
        with asking(self._settings) as consumer:
            there = messages(consumer, self._topic, 0, *span(consumer, self._topic, 0))
            return {(message.key() or b"").decode(errors="replace"): _text(message) for message in there}

    def keep(self, texts: Mapping[bytes, str]) -> None:
        """Write the schemas, as JSON by fingerprint, that the topic has not; return when Kafka has them.

        Raises
        ------
        ServerError
            When Kafka does not answer, or does not take them.
        """
        lacking = {each.hex(): text for each, text in texts.items() if not self._is_kept(each)}
        if not lacking:
            return
        refused: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            refused.extend([error] if error is not None else [])

        producer = writer(self._settings, message_timeout_ms=int(ANSWER_S * 1000))
        for fingerprint, text in lacking.items():
            producer.produce(self._topic, text.encode(), key=fingerprint, on_delivery=delivered)
        if producer.flush(ANSWER_S) or refused:
            why = refused[0].str() if refused else "Kafka does not answer"
            raise ServerError(f"the schemas cannot be kept in {self._topic}: {why}")

    def _is_kept(self, fingerprint: bytes) -> bool:
        try:
            return self.find(fingerprint) is not None
        except WireError:
            return False


def _text(message: Message) -> bytes:
    """Return what a message keeps; nothing of one that is too long to be a schema, as all are held at once."""
    text = message.value() or b""
    return text if len(text) <= MAX_SCHEMA_BYTES else b""
