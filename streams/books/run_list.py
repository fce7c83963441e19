"""Where the runs of a session are, of which only what has changed is read again."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import cast

from redis import Redis
from redis.exceptions import ResponseError

from streams.books.connect import is_other_type
from streams.books.layout import UNREADABLE, Keys, Place, runs_among
from streams.books.stored import place_of, unpack_places
from streams.books.totals import earlier


@dataclass(slots=True, kw_only=True)
class _Partition:
    """What was read of one partition."""

    writer: str = ""
    number: int = 0
    """Of its last checkpoint."""
    is_whole: bool = False
    """All of the list could be read: then the checkpoints after it say what changes."""
    places: dict[int, Place] = field(default_factory=dict)
    came_ms: dict[int, int] = field(default_factory=dict)
    """When the first message of each came, see `_came`."""
    unreadable: dict[int, str] = field(default_factory=dict)


class RunList:
    """The runs of a session.

    Parameters
    ----------
    redis
        Client that returns bytes. Its errors are passed on.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._partitions: dict[int, _Partition] = {}
        self._sums: dict[int, Place] = {}
        self.came_ms: dict[int, int] = {}
        """When the first message of each run came, of those that were read last, see `_came`."""

    @property
    def unreadable(self) -> dict[int, str]:
        """Runs of which nothing tells where they are in some partition, and why."""
        return {run: why for its in self._partitions.values() for run, why in its.unreadable.items()}

    def has(self, run: int, partition: int) -> bool:
        """Say whether a partition had something of a run when the list was read."""
        return partition in self._partitions and run in self._partitions[partition].places

    def read(self, partitions: Sequence[Keys]) -> dict[int, Place]:
        """Return where every run is, over all partitions, by number."""
        changed, moved = set[int](), False
        for gone in self._partitions.keys() - {keys.partition for keys in partitions}:
            changed |= self._partitions.pop(gone).places.keys()
        for keys in partitions:
            found = self._look(keys)
            changed |= found
            moved |= self._order(self._partitions[keys.partition], found)
        if moved or changed - self.came_ms.keys():
            self.came_ms = self._came_of_all()
        is_new = False
        for run in changed:
            here = [its.places[run] for its in self._partitions.values() if run in its.places]
            is_new |= run not in self._sums
            if here:
                self._sums[run] = reduce(add, here)
            else:
                self._sums.pop(run, None)
        if is_new:
            self._sums = dict(sorted(self._sums.items()))
        return dict(self._sums)

    def _came_of_all(self) -> dict[int, int]:
        """Return when each run came first to a partition."""
        found: dict[int, int] = {}
        for its in self._partitions.values():
            for run, came_ms in its.came_ms.items():
                found[run] = earlier(found.get(run, 0), came_ms)
        return found

    def _order(self, its: _Partition, changed: Iterable[int]) -> bool:
        """Find anew when the runs of a partition came, if it may be otherwise now, and say whether it is."""
        before = its.came_ms
        places = its.places  # one that was changed may be gone
        if len(before) == len(places) and all(
            run in places and before.get(run) == places[run].first_ms for run in changed
        ):
            return False
        its.came_ms = _came(places)
        return its.came_ms != before

    def _look(self, keys: Keys) -> set[int]:
        """Read what is new in a partition, and return the runs that have changed there."""
        known = self._partitions.setdefault(keys.partition, _Partition())
        try:
            fence = (cast("bytes | None", self._redis.hget(keys.state, "fence")) or b"").decode(errors="replace")
            writer, _, number = fence.rpartition(":")
            return self._look_from(keys, known, writer, int(number or 0))
        except ResponseError as error:
            if not is_other_type(error):
                raise
        except ValueError:
            pass
        return set()  # rubbish, which its worker removes

    def _look_from(self, keys: Keys, known: _Partition, writer: str, number: int) -> set[int]:
        """Return the runs that were changed by the checkpoints after the one that is known, up to this one."""
        if not known.is_whole or known.writer != writer or number < known.number:
            return self._look_at_all(keys, writer, number)
        if known.number == number:
            return set()
        pipe = self._redis.pipeline(transaction=True)
        pipe.hlen(keys.index)
        pipe.zrangebyscore(keys.changed, known.number + 1, "+inf")
        length, runs = pipe.execute()
        stored = cast("list[bytes | None]", self._redis.hmget(keys.index, runs) if runs else [])
        places, _ = unpack_places({run: data for run, data in zip(runs, stored, strict=True) if data is not None})
        known.places |= places
        known.number = number
        if len(places) < len(runs) or len(known.places) != length - 1:  # not as it was left, or another list
            return self._look_at_all(keys, writer, number)
        return set(places)

    def _look_at_all(self, keys: Keys, writer: str, number: int) -> set[int]:
        before = self._partitions[keys.partition].places
        stored = cast("dict[bytes, bytes]", self._redis.hgetall(keys.index))
        places, stamp = unpack_places(stored)
        found = _Partition(writer=writer, number=number, is_whole=bool(stamp), places=places)
        if not stamp:
            listed = runs_among(stored)
            self._look_at_totals(keys, found, listed - places.keys())
        self._partitions[keys.partition] = found
        return before.keys() | places.keys()

    def _look_at_totals(self, keys: Keys, found: _Partition, runs: Iterable[int]) -> None:
        """Find from their totals where runs are of which the list has rubbish."""
        for run in runs:
            try:
                found.places[run] = place_of(
                    cast("dict[bytes, bytes]", self._redis.hgetall(keys.run(run))), keys.partition
                )
            except (ResponseError, *UNREADABLE) as error:
                if isinstance(error, ResponseError) and not is_other_type(error):
                    raise
                where, why = f"run {run} in partition {keys.partition}", f"{type(error).__name__}: {error}"
                found.unreadable[run] = (
                    f"{where} cannot be read: {keys.index} and {keys.run(run)} hold other things ({why})"
                )


def _came(places: Mapping[int, Place]) -> dict[int, int]:
    """Return when the first message of each run came to a partition, Unix milliseconds; 0 where nobody knows.

    The times are the producer's, whose clock may be set back. So of two runs of one log the one that lies later in it
    came later.
    """
    came = {run: place.first_ms for run, place in places.items()}
    logs: dict[str, list[int]] = {}
    for run, place in places.items():
        if place.first_ms and place.first <= place.last:
            logs.setdefault(place.log, []).append(run)
    for runs in logs.values():
        at, newest_ms = -1, 0
        for run in sorted(runs, key=lambda each: (places[each].first, places[each].first_ms)):
            newest_ms = max(came[run], newest_ms + (places[run].first > at))
            came[run], at = newest_ms, places[run].first
    return came
