"""Every client of Kafka is made here, or with what is made here: one block of settings says how brokers are reached."""

from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from schemas.wire import MAX_MESSAGE_BYTES
from streams import tls
from streams.settings import KafkaSettings, Settings

SECTION = "kafka"
"""Where the settings stand."""


class Reader(Consumer):  # type: ignore[misc]  # the library has no types
    """A consumer of no group, which knows how its Kafka is reached."""

    def __init__(self, kafka: KafkaSettings, configuration: dict[str, Any]) -> None:
        super().__init__(configuration)
        self.kafka = kafka


def reader(settings: Settings, **changes: Any) -> Reader:
    """Return a consumer of no group that is asked what there is; its messages are read with `streams.kafka.messages`.

    `changes` are settings of the library, with ``_`` for the dots in their names.
    """
    own = {"group.id": "spilldeck-reader", "enable.auto.commit": False}  # asked for by the library, joined by nobody
    return Reader(settings.kafka, configuration(settings.kafka) | own | _dotted(changes))


def writer(settings: Settings, **changes: Any) -> Producer:
    """Return a producer that loses nothing that it has acknowledged, and writes nothing twice.

    `changes` are settings of the library, with ``_`` for the dots in their names.
    """
    own = {
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "zstd",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        # A message that is larger than the whole queue would wait for room for ever.
        "queue.buffering.max.kbytes": max(settings.producer.queue_kib, MAX_MESSAGE_BYTES // 1024),
    }
    return Producer(configuration(settings.kafka) | own | _dotted(changes))


def admin(kafka: KafkaSettings, **changes: Any) -> AdminClient:
    """Return a client that looks after topics and groups; keep it until what was asked is answered.

    `changes` are as those of `reader`.
    """
    return AdminClient(configuration(kafka) | _dotted(changes))


def aio_consumer(kafka: KafkaSettings, servers: list[str], **own: Any) -> Any:
    """Return a consumer of no group in Python, for the event loop that runs, at some servers of the settings' Kafka."""
    return AIOKafkaConsumer(bootstrap_servers=servers, **_secured(kafka), **own)


def aio_admin(kafka: KafkaSettings) -> Any:
    """Return a client in Python that can say what that of `admin` cannot; for the event loop that runs."""
    return AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap_servers, **_secured(kafka))


def _secured(kafka: KafkaSettings) -> dict[str, Any]:
    """Return how a client in Python says who it is."""
    secured: dict[str, Any] = {"security_protocol": kafka.protocol.upper()}
    if kafka.protocol.is_encrypted:
        secured |= {"ssl_context": tls.context(kafka, SECTION)}
    if kafka.protocol.has_user:
        secured |= {
            "sasl_mechanism": kafka.mechanism.value,
            "sasl_plain_username": kafka.user,
            "sasl_plain_password": kafka.password.get_secret_value(),
        }
    return secured


def faust_broker(kafka: KafkaSettings) -> dict[str, Any]:
    """Return the settings of a Faust application that say how the brokers are reached."""
    import faust  # noqa: PLC0415 - it takes a second, and a worker alone needs it

    urls = ";".join(f"kafka://{server.strip()}" for server in kafka.bootstrap_servers.split(","))
    context = tls.context(kafka, SECTION) if kafka.protocol.is_encrypted else None
    who: faust.Credentials | None = faust.SSLCredentials(context) if context is not None else None
    if kafka.protocol.has_user:
        who = faust.SASLCredentials(
            username=kafka.user,
            password=kafka.password.get_secret_value(),
            ssl_context=context,
            mechanism=kafka.mechanism.value,
        )
    return {"broker": urls, "broker_credentials": who}


def configuration(kafka: KafkaSettings) -> dict[str, Any]:
    """Return how librdkafka reaches the brokers."""
    found: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.protocol.value,
        "log_level": 0,
    }
    if kafka.protocol.is_encrypted:
        tls.context(kafka, SECTION)  # says what is wrong with a file, in words
        files = {"ca": kafka.ca, "certificate": kafka.certificate, "key": kafka.key}
        found |= {f"ssl.{name}.location": str(path) for name, path in files.items() if path is not None}
        if password := kafka.key_password.get_secret_value():
            found["ssl.key.password"] = password
    if kafka.protocol.has_user:
        found |= {
            "sasl.mechanism": kafka.mechanism.value,
            "sasl.username": kafka.user,
            "sasl.password": kafka.password.get_secret_value(),
        }
    return found


def _dotted(changes: dict[str, Any]) -> dict[str, Any]:
    return {name if callable(value) else name.replace("_", "."): value for name, value in changes.items()}
