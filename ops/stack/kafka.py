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
ARTIFACTS = f"org.apache.kafka:kafka_2.13:{VERSION}+org.slf4j:slf4j-simple:1.7.36"
"""The broker, and what writes its log: without a backend it would end without a word."""
OPTIONS = ("-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")
NAME = "kafka"
FORMAT_S = 60.0
"""Formatting takes 2 s on an idle machine."""


def class_path() -> str:
    """Return the class path of Kafka's jars; fetch them where they are not cached.

    jgo compares each jar with the checksum that the repository publishes.

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
        environment = jgo.build(ARTIFACTS)
    except Exception as error:  # whatever jgo, its HTTP client or its parser raises, the user can do but one thing
        raise ServerError(
            f"the jars of Kafka {VERSION} are not in the cache and cannot be fetched ({type(error).__name__}): connect "
            f"this machine to Maven's repository once, or name a Kafka of your own in kafka.bootstrap_servers"
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
    command: list[str | Path] = [java, *OPTIONS, "-cp", jars]
    if not (directory / "kafka-data" / "meta.properties").exists():
        _format(directory, [*command, "kafka.tools.StorageTool", "format", "-c", properties, "-t", _cluster_id()])
    return processes.start(NAME, [*command, "kafka.Kafka", properties], directory, port, keep=keep)


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
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FORMAT_S, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"Kafka's storage in {directory} cannot be formatted: {error}") from error
    if done.returncode:
        said = " ".join((done.stderr.strip() or done.stdout.strip()).split("\n", 1)[:1])
        raise ServerError(f"Kafka's storage in {directory} cannot be formatted: {said}")


def answers(port: int, seconds: float) -> bool:
    """Whether a broker answers at a port of this machine."""
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    try:
        return bool(admin.list_topics(timeout=seconds).brokers)
    except KafkaException:
        return False
