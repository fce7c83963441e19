"""TLS before the local Redis, as the one that comes in a package is built without: `python -m ops.stack.front PORT`.

It works in the stack's directory, and takes who shows a certificate of the stack's.
"""

import asyncio
import ssl
import sys

from ops.stack.access import CA, SERVER_FILE
from ops.stack.redis import SOCKET

_PIECE_BYTES = 1 << 18


async def serve(port: int) -> None:
    """Pass on what comes, until ended."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=CA)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(SERVER_FILE)
    server = await asyncio.start_server(_pass_on, "127.0.0.1", port, ssl=context)
    await server.serve_forever()


async def _pass_on(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    try:
        redis, to_redis = await asyncio.open_unix_connection(SOCKET)
        ways = [asyncio.ensure_future(_pump(client, to_redis)), asyncio.ensure_future(_pump(redis, to_client))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        to_redis.close()
    except OSError:  # Redis is away: who asked is told by the end of the connection
        pass
    finally:
        to_client.close()


async def _pump(here: asyncio.StreamReader, there: asyncio.StreamWriter) -> None:
    while piece := await here.read(_PIECE_BYTES):
        there.write(piece)
        await there.drain()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
