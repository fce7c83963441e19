"""How the local stack's servers are reached: written when they start, for their user alone; every command reads it."""

import json
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ops.stack.processes import own_file
from streams.errors import ServerError
from streams.files import read_secret
from streams.settings import LOCAL_SERVERS, KafkaSettings, Mechanism, Protocol, RedisSettings

USER = "spilldeck"
_HOST = "127.0.0.1"
SERVER = "server"
"""Common name of the servers' certificate."""
CA, SERVER_FILE = Path("certificates/ca.pem"), Path("certificates/server.pem")
"""In the stack's directory, in which the servers work; the latter with its key."""
_CLIENT, _CLIENT_KEY = Path("certificates/client.pem"), Path("certificates/client.key")


@dataclass(frozen=True, slots=True)
class Access:
    """The settings of both servers that say how they are reached."""

    kafka: KafkaSettings
    redis: RedisSettings

    @property
    def is_secured(self) -> bool:
        """Whether by TLS, with certificates on both sides."""
        return self.kafka.protocol.is_encrypted


def find(directory: Path) -> Access | None:
    """Return how the servers of a directory are reached; None if nobody has started any there.

    Raises
    ------
    ServerError
        When that cannot be read, or others may read it.
    """
    file = directory / LOCAL_SERVERS
    if not file.exists():
        return None
    try:
        there = tomllib.loads(read_secret(file, "the local stack's"))
        return Access(KafkaSettings(**there["kafka"]), RedisSettings(**there["redis"]))
    except (ValueError, KeyError, TypeError) as error:
        raise ServerError(f"{file} is not as spilldeck up writes it ({error}): run spilldeck down, then up") from None


def make(directory: Path, kafka_port: int, redis_port: int, *, secure: bool) -> Access:
    """Make new passwords and, where it is to be secured, certificates; write how the servers are reached."""
    kafka = {"bootstrap_servers": f"{_HOST}:{kafka_port}", "protocol": Protocol.PLAINTEXT.value}
    scheme = "rediss" if secure else "redis"
    redis = {"url": f"{scheme}://{_HOST}:{redis_port}/0", "user": USER, "password": secrets.token_urlsafe()}
    if secure:
        files = _make_certificates(directory)
        kafka |= files | {"protocol": Protocol.SASL_SSL.value, "mechanism": Mechanism.PLAIN.value}
        kafka |= {"user": USER, "password": secrets.token_urlsafe()}
        redis |= files
    sections = {"kafka": kafka, "redis": redis}
    lines = ["# How the servers of the local stack are reached, while it runs; spilldeck up wrote it."]
    for section, values in sections.items():
        lines += ["", f"[{section}]", *(f"{name} = {json.dumps(value)}" for name, value in values.items())]
    write_own(directory / LOCAL_SERVERS, "\n".join([*lines, ""]).encode())
    return Access(KafkaSettings(**kafka), RedisSettings(**redis))  # type: ignore[arg-type]  # pydantic makes them so


def write_own(path: Path, content: bytes) -> None:
    """Write a file that its user alone reads."""
    with own_file(path) as file:
        file.write(content)


def _make_certificates(directory: Path) -> dict[str, str]:
    """Return the settings of TLS."""
    from ops.stack.certificates import Authority  # noqa: PLC0415 - it takes a while, and is seldom needed

    (directory / CA.parent).mkdir(mode=0o700, exist_ok=True)
    authority = Authority.new("Spilldeck's local stack")
    server, client = authority.sign(SERVER, [_HOST]), authority.sign(USER)
    for file, content in (
        (CA, authority.pem),
        (SERVER_FILE, server.key + server.certificate),
        (_CLIENT, client.certificate),
        (_CLIENT_KEY, client.key),
    ):
        write_own(directory / file, content)
    files = {"ca": CA, "certificate": _CLIENT, "key": _CLIENT_KEY}
    return {name: str(directory / file) for name, file in files.items()}
