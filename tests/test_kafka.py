"""What is read of a partition is all that Kafka had, or it is said what is missing."""

import gc
import socket
import ssl
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from ops.stack.certificates import Authority
from ops.topics import ensure_topics
from streams import kafka
from streams.errors import ServerError
from streams.kafka import Spans, spans
from streams.kafka.probe import Probe
from streams.kafka.records import Records
from streams.settings import KafkaSettings, Protocol, Settings
from streams.topics import Topics
from tests.kafka import ANSWER_S, reached
from tests.kafka import admin as admin_of

pytestmark = pytest.mark.servers


@pytest.fixture
def consumer(settings: Settings) -> Iterator[Consumer]:
    ensure_topics(settings)
    with closing(kafka.reader(settings)) as consumer:
        yield consumer


def send(settings: Settings, *values: str, **changes: object) -> None:
    producer = Producer(reached(settings) | changes)
    for value in values:
        producer.produce(Topics.of(settings).raw, value, partition=0)
    assert producer.flush(ANSWER_S) == 0


def send_in_transactions(settings: Settings, *transactions: tuple[str, bool]) -> None:
    """Send each value in a transaction of its own, which is committed or aborted."""
    producer = Producer(reached(settings) | {"transactional.id": settings.kafka.topic_prefix})
    producer.init_transactions(ANSWER_S)
    for value, is_committed in transactions:
        producer.begin_transaction()
        producer.produce(Topics.of(settings).raw, value, partition=0)
        producer.flush(ANSWER_S)
        (producer.commit_transaction if is_committed else producer.abort_transaction)(ANSWER_S)


def values(settings: Settings, consumer: Consumer, start: int, stop: int) -> Iterator[str]:
    for message in kafka.messages(consumer, Topics.of(settings).raw, 0, start, stop, ANSWER_S):
        yield (message.value() or b"").decode()


def span_of(settings: Settings, consumer: Consumer) -> tuple[int, int]:
    there: Spans = spans(consumer, Topics.of(settings).raw, ANSWER_S)
    return there[0]


def test_what_a_new_leader_does_not_show_yet_is_waited_for(settings: Settings, consumer: Consumer) -> None:
    send(settings, "a", "b")
    later = threading.Timer(1.5, send, (settings, "c", "d", "e"))
    later.start()
    assert list(values(settings, consumer, 0, 4)) == ["a", "b", "c", "d"]
    later.join()


@pytest.mark.parametrize(("start", "read"), [(0, ["a", "b", "c"]), (2, ["c"]), (3, []), (5, [])])
def test_what_is_not_shown_is_said_and_nothing_is_read_in_its_place(
    settings: Settings, consumer: Consumer, monkeypatch: pytest.MonkeyPatch, start: int, read: list[str]
) -> None:
    monkeypatch.setattr(kafka, "SHOWN_S", 1.0)
    send(settings, "a", "b", "c")
    found: list[str] = []
    with pytest.raises(ServerError, match=rf"up to offset 7 and has shown none from {max(start, 3)} on for 1 s"):
        found.extend(values(settings, consumer, start, 8))
    assert found == read


def test_what_has_no_message_is_not_waited_for(settings: Settings, consumer: Consumer) -> None:
    send(settings, "a")
    send_in_transactions(settings, ("b", False), ("c", True), ("d", False))
    # A transaction's last marker is written after the answer to its end.
    until_s, stop = time.monotonic() + ANSWER_S, 7
    while span_of(settings, consumer) != (0, stop):
        assert time.monotonic() < until_s
    began_s = time.monotonic()
    assert list(values(settings, consumer, 0, stop)) == ["a", "c"]
    assert list(values(settings, consumer, 5, stop)) == []
    assert time.monotonic() - began_s < 5


def test_messages_that_retention_took_are_no_reason_to_wait(settings: Settings, consumer: Consumer) -> None:
    send(settings, "a", "b", "c", "d")
    admin = admin_of(settings)
    for low, left in ((2, ["c", "d"]), (4, [])):
        (deleted,) = admin.delete_records([TopicPartition(Topics.of(settings).raw, 0, low)]).values()
        deleted.result(ANSWER_S)
        assert list(values(settings, consumer, 0, 4)) == left


@contextmanager
def silent_by_tls(directory: Path) -> Iterator[tuple[str, Path]]:
    """Have somebody take a connection by TLS, say nothing, and end it a little after the other end does."""
    authority = Authority.new("ours")
    signed = authority.sign("server", ["127.0.0.1"])
    ca, own = directory / "ca.pem", directory / "own.pem"
    ca.write_bytes(authority.pem)
    own.write_bytes(signed.key + signed.certificate)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(own)

    def serve(taken: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(taken, server_side=True) as there:
            while there.recv(1000):
                pass
            time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=lambda: serve(server.accept()[0]))
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", ca
        thread.join()


def test_who_gives_up_while_a_connection_is_made_leaves_none_open(tmp_path: Path) -> None:
    with silent_by_tls(tmp_path) as (there, ca), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with pytest.raises(ServerError, match="Kafka does not answer"):
            Records(KafkaSettings(bootstrap_servers=there, protocol=Protocol.SSL, ca=ca), [there], "a", 0, 0, 1.0)
        gc.collect()
    assert [str(each.message) for each in said] == []


class Leaderless(AdminClient):
    """Answers as a broker does while the partitions that it is asked about have no leader."""

    def list_offsets(self, asked: Any, **how: Any) -> dict[TopicPartition, Future[Any]]:
        return {place: _silent(super(Leaderless, self).list_offsets({place: of}, **how)) for place, of in asked.items()}

    def describe_topics(self, topics: Any, **how: Any) -> dict[str, Future[Any]]:
        return {name: _silent({name: its}) for name, its in super().describe_topics(topics, **how).items()}


class NoLeaderYet(AdminClient):
    """Answers once as a broker does that does not know yet that it leads a partition."""

    asked = 0

    def list_offsets(self, asked: Any, **how: Any) -> dict[TopicPartition, Future[Any]]:
        NoLeaderYet.asked += 1
        if NoLeaderYet.asked > 1:
            return super().list_offsets(asked, **how)
        refused: Future[Any] = Future()
        refused.set_exception(KafkaException(KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION)))
        return dict.fromkeys(asked, refused)


class Connected(AdminClient):
    """Asks no broker for a leader's offsets before one has answered it."""

    has_answer = False

    def describe_topics(self, topics: Any, **how: Any) -> dict[str, Future[Any]]:
        answer = super().describe_topics(topics, **how)
        for each in answer.values():
            each.add_done_callback(lambda _: setattr(self, "has_answer", True))
        return answer

    def list_offsets(self, asked: Any, **how: Any) -> dict[TopicPartition, Future[Any]]:
        assert self.has_answer
        return super().list_offsets(asked, **how)


def test_a_client_that_nobody_has_answered_yet_is_not_asked_who_leads(
    settings: Settings, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = reached(settings)
    monkeypatch.setattr("streams.kafka.probe.admin", lambda _kafka: Connected(servers))
    probe = Probe(settings, Topics.of(settings).raw)
    assert probe.epoch(0) >= 0
    assert probe.epoch(0) >= 0


def test_who_leads_a_partition_that_was_just_made_is_asked_again(
    settings: Settings, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    servers = reached(settings)
    monkeypatch.setattr("streams.kafka.probe.admin", lambda _kafka: NoLeaderYet(servers))
    assert Probe(settings, Topics.of(settings).raw).epoch(0) >= 0
    assert NoLeaderYet.asked > 1


def _silent(answer: dict[Any, Future[Any]]) -> Future[Any]:
    (said,) = (each.result() for each in answer.values())
    silent: Future[Any] = Future()
    silent.set_result(SimpleNamespace(**dict.fromkeys([name for name in dir(said) if name[0] != "_"])))
    return silent


def test_what_kafka_leaves_out_of_an_answer_is_asked_for_again_and_ends_no_worker(
    settings: Settings, consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    probe = Probe(settings, Topics.of(settings).raw)
    assert probe.epoch(0) >= 0
    assert probe.id()
    servers = reached(settings)
    monkeypatch.setattr("streams.kafka.probe.admin", lambda _kafka: Leaderless(servers))
    with pytest.raises(ServerError, match=r"Kafka does not say it of .*spills\.raw\[0\]"):
        probe.epoch(0)
    with pytest.raises(ServerError, match=r"Kafka does not say it of .*spills\.raw\[its id\]"):
        Probe(settings, Topics.of(settings).raw).id()
