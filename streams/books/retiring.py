"""Old runs leave Redis: which are asked to, and which somebody wants back.

A keeper asks it of a run of which all is in files. The worker that has a partition does it, in one of its checkpoints:
all of the run's part goes but totals and place, unless something of it came meanwhile. Another spill of the run brings
it back from Kafka, as it does a part that is lost; so does `restore`.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from redis import Redis

from streams.books import layout


def unpack_request(member: bytes) -> tuple[int, int] | None:
    """Return the run that is to leave, and its last offset as somebody saw it; None where that cannot be read."""
    with suppress(ValueError):
        run, _, last = member.partition(b":")
        return int(run), int(last)
    return None


class Retiring:
    """Asks for it.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    prefix, session
        Part of the keys' names, see `layout`.
    """

    def __init__(self, redis: Redis, prefix: str, session: str) -> None:
        self._redis = redis
        self._prefix, self._session = prefix, session
        self._restored = layout.restored_runs(prefix, session)

    def ask(self, run: int, lasts: Mapping[int, int]) -> None:
        """Ask that a run leaves; `lasts` is partition → its last offset, as far as all of it is in files."""
        for partition, last in lasts.items():
            self._redis.sadd(layout.Keys(self._prefix, self._session, partition).retire, f"{run}:{last}")

    def restore(self, run: int, partitions: Iterable[int], now_s: float) -> None:
        """Ask that a run comes back from Kafka, and take note of when somebody did."""
        self._redis.hset(self._restored, str(run), str(now_s))
        for partition in partitions:
            self._redis.sadd(layout.Keys(self._prefix, self._session, partition).repair, run)

    def restored_s(self, run: int) -> float:
        """Return when somebody wanted a run back, Unix seconds; 0 if nobody did."""
        stored = self._redis.hget(self._restored, str(run))
        with suppress(ValueError):
            return float(stored or 0)
        return 0.0
