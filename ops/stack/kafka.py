"""An Apache Kafka on this machine, of one node or of several, from the artifacts in Maven's repository."""

import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from confluent_kafka import KafkaException

from ops.stack import jars, processes
from ops.stack.access import CA, SERVER, SERVER_FILE, write_own
from ops.stack.java import find_java
from schemas.wire import MAX_MESSAGE_BYTES
from streams.errors import ServerError
from streams.kafka.clients import admin
from streams.settings import KafkaSettings, Mechanism

# Java's second compiler takes longer than it saves: with the first alone a start and a gigabyte cost 40 % less.
OPTIONS = (
    *("-Xmx512m", "-XX:TieredStopAtLevel=1"),
    *("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"),
)
NAME = "kafka"
DATA = "kafka-data"
LOOPBACK = "127.0.0.1"
FORMAT_S = 60.0
"""Formatting takes 2 s on an idle machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node of a cluster, broker and controller in one."""

    directory: Path
    host: str = LOOPBACK
    """The address of this machine that it listens at."""
    port: int
    controllers: Mapping[int, str]
    """Of all nodes, by their numbers: host and port."""
    number: int = 1
    cluster_id: str

    @classmethod
    def alone(cls, directory: Path, port: int, controller_port: int) -> Self:
        """Return the one node of a cluster."""
        controllers = {1: f"{LOOPBACK}:{controller_port}"}
        return cls(directory=directory, port=port, controllers=controllers, cluster_id=new_cluster_id())

    @property
    def address(self) -> str:
        """Host and port of the broker."""
        return f"{self.host}:{self.port}"


def start(node: Node, *, keep: bool, reached: KafkaSettings | None = None) -> processes.Process:
    """Start a node; format its storage the first time.

    Parameters
    ----------
    reached
        Who may ask it by TLS; without it, or where it says so, whoever is on this machine may.

    Raises
    ------
    ServerError
        When the jars or Java are lacking, or it ends at once.
    """
    java, path, directory = find_java(), jars.class_path(), node.directory
    properties = directory / "server.properties"
    secured = _secured(reached) if reached is not None and reached.protocol.is_encrypted else {}
    lines = [
        f"{name}={value}\n"
        for name, value in (_properties(node, "SASL_SSL" if secured else "PLAINTEXT") | secured).items()
    ]
    write_own(properties, "".join(lines).encode())
    command: list[str | Path] = [java, *OPTIONS, "-cp", path]
    if not (directory / DATA / "meta.properties").exists():
        tool = [*command, "kafka.tools.StorageTool", "format", "-c", properties, f"--cluster-id={node.cluster_id}"]
        _format(directory, tool)
    return processes.start(NAME, [*command, "kafka.Kafka", properties], directory, node.port, keep=keep)


def _properties(node: Node, protocol: str) -> dict[str, object]:
    copies = min(len(node.controllers), 3)
    return {
        "process.roles": "broker,controller",
        "node.id": node.number,
        "controller.quorum.voters": ",".join(f"{n}@{address}" for n, address in node.controllers.items()),
        "listeners": f"{protocol}://{node.address},CONTROLLER://{node.controllers[node.number]}",
        "advertised.listeners": f"{protocol}://{node.address}",
        "controller.listener.names": "CONTROLLER",
        "listener.security.protocol.map": f"CONTROLLER:PLAINTEXT,{protocol}:{protocol}",
        "inter.broker.listener.name": protocol,
        "log.dirs": DATA,  # in the working directory: the path may have a comma, or letters that Java reads wrong
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "auto.create.topics.enable": "false",
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": 1,
        # Written twice a second it is a fifth to a half of what a broker does that nobody asks for anything.
        "metadata.max.idle.interval.ms": 10_000,
        # A worker that starts need not wait for others that may come.
        "group.initial.rebalance.delay.ms": 0,
    }


def _secured(reached: KafkaSettings) -> dict[str, object]:
    """Return what else there is to a broker by TLS, with certificates on both sides and passwords."""
    user, password = reached.user, reached.password.get_secret_value()
    logins = "org.apache.kafka.common.security"
    scram = f"{logins}.scram.ScramLoginModule required;"
    return {
        "listener.security.protocol.map": "CONTROLLER:SSL,SASL_SSL:SASL_SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": SERVER_FILE,
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": CA,
        "listener.name.controller.ssl.client.auth": "required",
        "listener.name.sasl_ssl.ssl.client.auth": "required",
        # The stack's user has PLAIN; others, with SCRAM, may be made by an administrator.
        "sasl.enabled.mechanisms": ",".join(Mechanism),
        "sasl.mechanism.inter.broker.protocol": Mechanism.PLAIN,
        "listener.name.sasl_ssl.plain.sasl.jaas.config": (
            f'{logins}.plain.PlainLoginModule required username="{user}" password="{password}" '
            f'user_{user}="{password}";'
        ),
        "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": scram,
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{user};User:CN={SERVER}",
    }


def new_cluster_id() -> str:
    """Return a random id; it may begin with a dash, so it must be given as ``--option=value``."""
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _format(directory: Path, command: list[str | Path]) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the command is ours
            command,
            cwd=directory,
            env=processes.environment(),
            umask=processes.OWN,
            capture_output=True,
            text=True,
            timeout=FORMAT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServerError(f"Kafka's storage in {directory} cannot be formatted: {error}") from error
    if done.returncode:
        said = " ".join((done.stderr.strip() or done.stdout.strip()).split("\n", 1)[:1])
        raise ServerError(f"Kafka's storage in {directory} cannot be formatted: {said}")


def answers(port: int, seconds: float, reached: KafkaSettings | None = None) -> bool:
    """Whether a broker answers at a port of this machine, to whoever or to who is reached so."""
    settings = KafkaSettings(bootstrap_servers=f"{LOOPBACK}:{port}") if reached is None else reached
    try:
        return bool(admin(settings).list_topics(timeout=seconds).brokers)
    except KafkaException:
        return False
