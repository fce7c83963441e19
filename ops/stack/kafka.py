"""An Apache Kafka of one node, broker and controller in one, from the artifacts in Maven's repository."""

import logging
import os
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.stack import processes
from ops.stack.java import find_java
from schemas.wire import MAX_MESSAGE_BYTES
from streams.errors import ServerError

VERSION = "4.4.0"
ARTIFACT = f"org.apache.kafka:kafka_2.13:{VERSION}"
HEAP = "-Xmx512m"
NAME = "kafka"


def class_path() -> str:
    """Return the class path of Kafka's jars; fetch them, their checksums compared, where they are not cached.

    Raises
    ------
    ServerError
        When they can be had neither from the cache nor from the repository.
    """
    try:
        import jgo  # noqa: PLC0415 - optional, like all of the local stack
    except ImportError:
        raise ServerError("no package jgo to fetch Kafka with: pip install spilldeck[local]") from None
    logging.getLogger("jgo").setLevel(logging.ERROR)
    try:
        environment = jgo.build(ARTIFACT)
    except Exception as error:  # whatever jgo, its HTTP client or its parser raises, the user can do but one thing
        raise ServerError(
            f"Kafka's jars ({ARTIFACT}) cannot be fetched, and are not in the cache: connect this machine to Maven's "
            f"repository once, or name a Kafka of your own in kafka.bootstrap_servers ({error})"
        ) from error
    # jgo puts a jar into either folder, by whether it declares a module.
    return os.pathsep.join(str(environment.path / folder / "*") for folder in ("jars", "modules"))


def is_cached() -> bool:
    """Whether the jars were fetched before, as far as can be told without asking."""
    return any((Path.home() / ".cache" / "jgo" / "envs").glob("org/apache/kafka/kafka_2.13/*/jgo.lock.toml"))


def start(directory: Path, port: int, controller_port: int, *, keep: bool) -> processes.Process:
    """Start the broker; format its storage the first time.

    Raises
    ------
    ServerError
        When the jars or Java are lacking, or it ends at once.
    """
    java, jars = find_java(), class_path()
    properties = directory / "server.properties"
    properties.write_text("".join(f"{k}={v}\n" for k, v in _properties(directory, port, controller_port).items()))
    command = [java, HEAP, "-cp", jars]
    if not (directory / "kafka-data" / "meta.properties").exists():
        _format(directory, [*command, "kafka.tools.StorageTool", "format", "-c", properties, "-t", _cluster_id()])
    return processes.start(NAME, [*command, "kafka.Kafka", properties], directory, keep=keep)


def _properties(directory: Path, port: int, controller_port: int) -> Mapping[str, object]:
    return {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": directory / "kafka-data",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        # A worker that starts need not wait for others that may come.
        "group.initial.rebalance.delay.ms": 0,
    }


def _cluster_id() -> str:
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _format(directory: Path, command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    if done.returncode:
        raise ServerError(f"Kafka's storage in {directory} cannot be formatted: {done.stderr.strip() or done.stdout}")


def answers(port: int, seconds: float) -> bool:
    """Whether a broker answers at a port of this machine."""
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=seconds).brokers)
    except KafkaException:
        return False
