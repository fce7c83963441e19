"""The server's connections: how many there may be, and how long a request may take to come."""

import asyncio
import resource
from collections import Counter
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_S = 15.0
"""So long a request, head and body, may take to come whole."""
HEAD_BYTES = 65_536
FILES = 16_384
"""Open files that are asked of the system; connections are bounded by what it gives."""
OTHER_FILES = 128
"""Of them, not for connections."""


class Connection(HttpToolsProtocol):
    """A connection that is ended if no whole request comes, and refused where there are too many."""

    most: ClassVar[int] = FILES - OTHER_FILES
    """Of all peers together; one of them has half at most."""
    _peers: ClassVar[Counter[str]] = Counter()
    _head_bytes = 0
    _late: asyncio.TimerHandle | None = None
    _peer = ""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request, if there is room."""
        super().connection_made(transport)
        self._peer = self.client[0] if self.client else ""
        self._peers[self._peer] += 1
        if self._peers.total() > self.most or self._peers[self._peer] > self.most // 2:
            transport.abort()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._peers[self._peer] -= 1
        if not self._peers[self._peer]:
            del self._peers[self._peer]
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, if it can still be a request."""
        if self._late is None:
            self._expect()
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > HEAD_BYTES:
            self.transport.abort()

    def on_headers_complete(self) -> None:
        """Take what follows as a body."""
        self._head_bytes = -1 << 62  # what follows is a body, which has a bound of its own
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Wait for nothing: the answer is ours."""
        self._head_bytes = 0
        self._expect_nothing()
        super().on_message_complete()

    def _expect(self) -> None:
        self._expect_nothing()
        self._late = self.loop.call_later(REQUEST_S, self.transport.abort)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


def raise_file_limit() -> int:
    """Have as many files open as the system lets us, and return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return FILES if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
