"""A TCP proxy on loopback that can be told to hold back each answer for a while."""

import asyncio
import threading
from contextlib import suppress
from typing import Self

CHUNK_BYTES = 1 << 16


class SlowProxy:
    """Passes bytes between its port and a server's, in a thread of its own; in a ``with`` block.

    Parameters
    ----------
    port, server_port
        Where it listens, and where the server is; both on 127.0.0.1.

    Attributes
    ----------
    delay_s
        How long each piece of an answer is held back; may be changed at any time.
    """

    def __init__(self, port: int, server_port: int) -> None:
        self.delay_s = 0.0
        self._port, self._server_port = port, server_port
        self._ways: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="slow-proxy", daemon=True)
        self._thread.start()
        listening = asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._server = asyncio.run_coroutine_threadsafe(listening, self._loop).result(5)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _close(self) -> None:
        self._server.close()
        ways = list(self._ways)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)

    async def _serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        try:
            server, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            to_client.close()
            return
        for way in (self._pass_on(client, to_server, slow=False), self._pass_on(server, to_client, slow=True)):
            task = asyncio.create_task(way)
            self._ways.add(task)
            task.add_done_callback(self._ways.discard)

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, slow: bool) -> None:
        """Pass on what comes until either side closes; then close the other."""
        with suppress(OSError):
            while data := await source.read(CHUNK_BYTES):
                if slow and self.delay_s:
                    await asyncio.sleep(self.delay_s)
                target.write(data)
                await target.drain()
        target.close()
