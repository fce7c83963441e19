"""Which runs are shown from the books of a replay in place of those of live: the replay was promoted."""

from typing import cast

from redis import Redis


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
        self._redis = redis
        self._key = f"{prefix}:promoted"

    def all(self) -> dict[int, str]:
        """Return the session whose book is that of the run, of each run of which a replay was promoted."""
        stored = cast("dict[bytes, bytes]", self._redis.hgetall(self._key))
        return {int(run): session.decode() for run, session in stored.items()}

    def promote(self, runs: tuple[int, ...], session: str) -> None:
        """Have the books of a session be those of these runs."""
        self._redis.hset(self._key, mapping={str(run): session for run in runs})

    def take_back(self, run: int) -> bool:
        """Have the book of live be that of a run again; return whether it was another."""
        return bool(self._redis.hdel(self._key, str(run)))
