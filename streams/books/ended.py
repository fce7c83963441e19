"""Connections of an event loop that have ended say so as those to a Redis that is away do."""

from functools import cache
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError


class SaysSo:
    """A connection of the library's, of any kind.

    One that somebody else has ended since it was taken is written to all the same. Then uvloop raises RuntimeError, by
    which a worker ended; with asyncio's own loop the answer does not come.
    """

    _writer: Any

    async def send_packed_command(self, *what: Any, **its: Any) -> None:
        """Send what is packed; raises ``redis.ConnectionError`` if the connection has ended."""
        writer = self._writer
        try:
            await super().send_packed_command(*what, **its)  # type: ignore[misc]
        except RuntimeError as error:
            if writer is None or not writer.transport.is_closing():
                raise
            raise RedisConnectionError(f"the connection has ended: {error}") from error


@cache
def saying_so(kind: Any) -> Any:
    """Return the kind of connections that say so."""
    return type(kind.__name__, (SaysSo, kind), {})
