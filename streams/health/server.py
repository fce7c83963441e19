"""Serves /metrics, /live and /ready from a thread of its own, so that they answer while the process hangs.

Whatever comes in is bounded: a head, the time that a connection has in all, and how many there are. When too many are
open, the oldest is ended for the newest: who opens a thousand and says nothing keeps nobody out.
"""

import asyncio
import socket
import threading
from collections import OrderedDict
from contextlib import suppress
from http import HTTPStatus

import structlog

from streams.health.answers import Answer, answer
from streams.health.state import Health
from streams.settings import MetricsSettings, Settings

HEAD_BYTES = 8192
CONNECTION_S = 10.0
"""All that a connection has, from its begin to its end."""
MOST = 64
"""Connections at once."""
PORTS = 16
"""The first free port of so many is taken: a host may have several processes."""

_log = structlog.get_logger(__name__)


class HealthServer:
    """Serves how a process is, until that ends.

    Parameters
    ----------
    health
        Says it.
    listening
        Socket.
    """

    def __init__(self, health: Health, listening: socket.socket) -> None:
        self._health, self._listening = health, listening
        self.port: int = listening.getsockname()[1]
        self._open: OrderedDict[asyncio.StreamWriter, None] = OrderedDict()

    def begin(self) -> None:
        """Begin to serve, in a thread that ends with the process."""
        threading.Thread(target=self._run, daemon=True, name="metrics").start()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._listening, limit=HEAD_BYTES)
        async with server:
            await server.serve_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[writer] = None
        if len(self._open) > MOST:
            oldest, _ = self._open.popitem(last=False)
            oldest.transport.abort()
        try:
            async with asyncio.timeout(CONNECTION_S):
                await self._answer(reader, writer)
        except (TimeoutError, OSError, EOFError, asyncio.LimitOverrunError):
            writer.transport.abort()
        finally:
            self._open.pop(writer, None)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            found = _words(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"A head has at most {HEAD_BYTES:,} bytes.\n")
            is_head = False
        else:
            found, is_head = self._answer_to(head)
        reason = HTTPStatus(found.status).phrase
        lines = [
            f"HTTP/1.1 {found.status} {reason}",
            f"Content-Type: {found.media}",
            f"Content-Length: {len(found.body)}",
            "Cache-Control: no-store",
            "Connection: close",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode() + (b"" if is_head else found.body))
        await writer.drain()
        writer.write_eof()
        # The end of the other side: were the socket closed while something of it is unread, the answer would be lost.
        await reader.read(HEAD_BYTES)

    def _answer_to(self, head: bytes) -> tuple[Answer, bool]:
        """Return the answer to a request, and whether its body is left out."""
        first, *fields = head.decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        target, _, protocol = rest.partition(" ")
        if not protocol.startswith("HTTP/1."):
            return _words(HTTPStatus.BAD_REQUEST, "This is no request.\n"), False
        if method not in {"GET", "HEAD"}:
            return _words(HTTPStatus.METHOD_NOT_ALLOWED, "It is answered to GET and HEAD alone.\n"), False
        named = (field.partition(":") for field in fields)
        accept = next((value for name, _, value in named if name.strip().lower() == "accept"), "")
        return answer(self._health, target.partition("?")[0], accept), method == "HEAD"


def _words(status: HTTPStatus, words: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", words.encode())


def serve(settings: Settings, health: Health) -> HealthServer | None:
    """Have a process tell how it is: systemd, and whoever asks at the port of the settings, if they name one.

    What cannot be served is logged, and stops nothing: a spill is worth more than a number about it.
    """
    health.begin()
    listening = _listen(settings.metrics)
    if listening is None:
        return None
    server = HealthServer(health, listening)
    server.begin()
    _log.info("metrics are served", host=settings.metrics.host, port=server.port)
    return server


def _listen(its: MetricsSettings) -> socket.socket | None:
    if its.port is None:
        return None
    why = ""
    for port in range(its.port, min(its.port + PORTS, 65_536)):
        try:
            family, *_, address = socket.getaddrinfo(its.host, port, type=socket.SOCK_STREAM)[0]
            with suppress(OSError):
                return socket.create_server(address[:2], family=family, backlog=MOST)
            why = f"ports {its.port} to {port} are taken, or none of ours: choose another metrics.port"
        except OSError as error:
            why = f"metrics.host is no address of this machine ({error.strerror})"
            break
    _log.error("no metrics are served", host=its.host, port=its.port, why=why)
    return None
