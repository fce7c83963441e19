"""An Apache Kafka of one node, broker and controller in one, from the artifacts in Maven's repository."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from ops.stack import jars, processes
from ops.stack.java import find_java
from schemas.wire import MAX_MESSAGE_BYTES
from streams.errors import ServerError

OPTIONS = ("-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")
NAME = "kafka"
FORMAT_S = 60.0
"""Formatting takes 2 s on an idle machine."""


def start(directory: Path, port: int, controller_port: int, *, keep: bool) -> processes.Process:
    """Start the broker; format its storage the first time.

    Raises
    ------
    ServerError
        When the jars or Java are lacking, or it ends at once.
    """
    java, path = find_java(), jars.class_path()
    properties = directory / "server.properties"
    properties.write_text("".join(f"{k}={v}\n" for k, v in _properties(directory, port, controller_port).items()))
    command: list[str | Path] = [java, *OPTIONS, "-cp", path]
    if not (directory / "kafka-data" / "meta.properties").exists():
        tool = [*command, "kafka.tools.StorageTool", "format", "-c", properties, f"--cluster-id={_cluster_id()}"]
        _format(directory, tool)
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
    """Return a random id; it may begin with a dash, so it must be given as ``--option=value``."""
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
