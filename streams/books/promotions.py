"""Which runs are shown from the books of a replay in place of those of live: the replay was promoted."""

from collections.abc import Mapping

from redis import Redis

from streams.books.changing import ChangingHash


class Promotions:
    """Kept in Redis beside the books; both books stay whole, so that a promotion can be taken back.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    prefix
        Of all keys.
    """

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._hash = ChangingHash(redis, f"{prefix}:promoted", _unpack)

    def all(self) -> Mapping[int, str]:
        """Return the session whose book is that of the run, of each run of which a replay was promoted."""
        return self._hash.read()

    def promote(self, runs: tuple[int, ...], session: str) -> None:
        """Have the books of a session be those of these runs."""
        self._hash.set({str(run): session for run in runs})

    def take_back(self, run: int) -> bool:
        """Have the book of live be that of a run again; return whether it was another."""
        return self._hash.remove(str(run))


def _unpack(stored: Mapping[bytes, bytes]) -> Mapping[int, str]:
    return {int(run): session.decode() for run, session in stored.items()}
