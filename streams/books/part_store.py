"""Parts of runs as a worker goes on with them: what Redis has of one, whole, or an error that says what is not."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from streams.books import layout
from streams.books.book import Book, Ranges
from streams.books.connect import is_other_type
from streams.books.stored import (
    StoredPart,
    is_retired,
    unpack_book,
    unpack_channel_counts,
    unpack_key_numbers,
    unpack_ledger,
    unpack_part,
    unpack_windows,
)
from streams.books.windows import Window


class DamagedPartError(Exception):
    """A part of a run is not whole in Redis, or none of what was written there.

    Parameters
    ----------
    run
        Which.
    why
        In words.
    """

    def __init__(self, run: int, why: str) -> None:
        self.run, self.why = run, why
        super().__init__(f"run {run}: {why}")


class RetiredPartError(DamagedPartError):
    """All but the totals of a part has left Redis, as somebody wanted it to.

    Parameters
    ----------
    run
        Which.
    """

    def __init__(self, run: int) -> None:
        super().__init__(run, "its books have left Redis")


@contextmanager
def _as_damage(run: int, key: str) -> Iterator[None]:
    """Say which key of a run it is that cannot be understood."""
    try:
        yield
    except layout.UNREADABLE as error:
        raise DamagedPartError(run, f"{key} cannot be read: {type(error).__name__}: {error}") from error
    except ResponseError as error:
        if not is_other_type(error):
            raise
        raise DamagedPartError(run, f"{key}, or one beside it, has another type: {error}") from error


class PartStore:
    """Reads the parts of a session's partitions.

    Parameters
    ----------
    redis
        Client that returns bytes.
    keys_of
        Gives the keys of a partition.
    """

    def __init__(self, redis: Redis, keys_of: Callable[[int], layout.Keys]) -> None:
        self._redis = redis
        self._keys_of = keys_of

    async def load(self, partition: int, run: int, ranges: Ranges) -> StoredPart | None:
        """Return a partition's part of a run; None if there is none.

        Raises
        ------
        DamagedPartError
            When something of it is gone or damaged, or its plots have other axes than they would have now; a
            `RetiredPartError` when all of it has left.
        """
        keys = self._keys_of(partition)
        with _as_damage(run, keys.run(run)):
            pipe = self._redis.pipeline(transaction=True)
            pipe.hgetall(keys.run(run))
            pipe.hget(keys.index, str(run))
            pipe.hgetall(keys.spills(run))
            for key in (keys.key_numbers(run), keys.channel_counts(run)):
                pipe.hget(key, layout.STAMP)
                pipe.hlen(key)
            pipe.hgetall(keys.book(run))
            pipe.hgetall(keys.windows(run))
            stored, place, spills, *of_spills, plots, windows = await pipe.execute()
            if not stored:
                return None
            if is_retired(stored):
                raise RetiredPartError(run)
            found = unpack_part(stored, ranges)
            found.place = layout.unpack_place(place) if place is not None else None
        spills, plots, windows = (
            self._checked(run, found, key, there)
            for key, there in ((keys.spills(run), spills), (keys.book(run), plots), (keys.windows(run), windows))
        )
        for key, stamp, there, kept in (
            (keys.key_numbers(run), *of_spills[:2], found.part.totals.filled),
            (keys.channel_counts(run), *of_spills[2:], found.with_channels),
        ):
            if self._checked(run, found, key, {layout.STAMP.encode(): stamp}):
                with _as_damage(run, key):
                    if there - 1 != kept:
                        raise ValueError(f"it has {there - 1} spills, and {kept} were filled")
        with _as_damage(run, keys.spills(run)):
            found.part.ledger = unpack_ledger(spills)
            if len(found.part.ledger) != found.part.totals.filled:
                raise ValueError(f"it has {len(found.part.ledger)} spills, and {found.part.totals.filled} were filled")
        with _as_damage(run, keys.book(run)):
            found.book = unpack_book(plots, ranges)
        with _as_damage(run, keys.windows(run)):
            found.windows = unpack_windows(windows)
        return found

    async def load_totals(self, partition: int, run: int, ranges: Ranges) -> StoredPart | None:
        """Return a partition's part of a run without ledger, plots and windows; raises as `load` does."""
        key = self._keys_of(partition).run(run)
        with _as_damage(run, key):
            stored = cast("dict[bytes, bytes]", await self._redis.hgetall(key))
            return unpack_part(stored, ranges) if stored else None

    async def load_window(self, partition: int, run: int, window: Window, stored: StoredPart) -> Book:
        """Return a partition's book of a window; raises as `load` does."""
        key = self._keys_of(partition).window(run, window)
        with _as_damage(run, key):
            plots = self._checked(run, stored, key, cast("dict[bytes, bytes]", await self._redis.hgetall(key)))
            return unpack_book(plots, stored.book.ranges)

    async def check_of_spills(self, partition: int, run: int) -> None:
        """Read what is kept of each spill of a run, which `load` counts alone; raises as it does."""
        keys = self._keys_of(partition)
        with _as_damage(run, keys.key_numbers(run)):
            unpack_key_numbers(cast("dict[bytes, bytes]", await self._redis.hgetall(keys.key_numbers(run))))
        with _as_damage(run, keys.channel_counts(run)):
            pipe = self._redis.pipeline(transaction=True)
            pipe.hgetall(keys.channel_counts(run))
            pipe.hgetall(keys.run(run))
            unpack_channel_counts(*await pipe.execute())

    @staticmethod
    def _checked(run: int, stored: StoredPart, key: str, found: Mapping[bytes, bytes]) -> Mapping[bytes, bytes]:
        """Return what a key holds if it has its stamp; nothing if it is none of the part's."""
        if key not in stored.stamps:
            return {}
        there = found.get(layout.STAMP.encode()) or b""
        if there.decode(errors="replace") != stored.stamps[key]:
            raise DamagedPartError(run, f"{key} is {'older than the rest' if there else 'gone'}")
        return found

    async def damaged(self, partition: int, runs: Sequence[int]) -> dict[int, str]:
        """Return those of some runs of which a key is gone or older than the others, and why; values are not read.

        A checkpoint may be written meanwhile: then this is no more than a suspicion.
        """
        keys = self._keys_of(partition)
        pipe = self._redis.pipeline(transaction=False)
        for run in runs:
            pipe.hget(keys.run(run), "unit")
            pipe.hget(keys.index, str(run))
        answers, found = await pipe.execute(raise_on_error=False), dict[int, str]()
        for run, stored, place in zip(runs, answers[::2], answers[1::2], strict=True):
            try:
                with _as_damage(run, keys.run(run)):
                    unit = layout.unpack_json(stored)
                    stamps = unit["stamps"]
                    listed = layout.unpack_place(place)
                    if not unit.get("is_whole", True):
                        found[run] = "it was not made again to its end"
                    elif listed.log == unit["log"] and listed.last + 1 != unit["upto"]:
                        found[run] = "it is not as far as the list of runs says"
                    pipe = self._redis.pipeline(transaction=False)
                    for key in stamps:
                        pipe.hget(key, layout.STAMP)
                    there = await pipe.execute()
                    for key, stamp in zip(stamps, there, strict=True):
                        if (stamp or b"").decode() != stamps[key]:
                            found[run] = f"{key} is {'older than the rest' if stamp else 'gone'}"
            except DamagedPartError as damage:
                found[run] = damage.why
        return found
