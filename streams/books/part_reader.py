"""One partition's part of a run, as Redis has it: read with what belongs together, or refused."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MappingProxyType

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from streams.books import layout
from streams.books.connect import is_other_type
from streams.books.progress import progress_of
from streams.books.stored import is_retired, unpack_windows
from streams.books.totals import NewerFormatError
from streams.books.windows import Window
from streams.errors import SpilldeckError

_STAMP = layout.STAMP.encode()


class UnreadableRunError(SpilldeckError):
    """What Redis holds of a run is none of what was written there. Others can be read."""


class RetiredRunError(UnreadableRunError):
    """All but the totals of a run has left Redis.

    Parameters
    ----------
    run
        Which.
    """

    def __init__(self, run: int) -> None:
        super().__init__(
            f"the plots of run {run} have left Redis, as old runs do; the keeper has written them to its directory. "
            f"spilldeck runs restore {run} brings them back"
        )


class PartReader:
    """Reads a part.

    Parameters
    ----------
    redis
        Client that returns bytes. Its errors (`redis.RedisError`) are passed on.
    keys
        Of the partition.
    run
        Whose part.
    is_listed
        Whether the list of runs says that the partition has something of it.
    """

    def __init__(self, redis: Redis, keys: layout.Keys, run: int, *, is_listed: bool) -> None:
        self._redis = redis
        self.keys = keys
        self._run = run
        self._is_listed = is_listed

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Say which run it is that cannot be read, as an `UnreadableRunError`, and have a worker look at it."""
        try:
            yield
        except RetiredRunError:
            raise
        except Exception as error:
            # Whatever else is raised is for want of sense in what was read.
            if isinstance(error, RedisError) and not is_other_type(error):
                raise
            where = f"run {self._run} in partition {self.keys.partition}"
            if isinstance(error, NewerFormatError):
                raise UnreadableRunError(f"{where} cannot be read: {error}") from error
            with suppress(ResponseError):  # whoever may only read asks in vain; a worker finds most by itself
                self._redis.sadd(self.keys.repair, self._run)
            raise UnreadableRunError(
                f"{where} cannot be read: what Redis holds of it is none of what was written there "
                f"({type(error).__name__}: {error}); a worker makes it again if Kafka still has it"
            ) from error

    def hashes(
        self, names: Sequence[str], some: Mapping[str, Sequence[str]] = MappingProxyType({})
    ) -> tuple[dict[bytes, bytes], list[dict[bytes, bytes]]]:
        """Return the totals of the part and some of its keys, which belong together.

        A key of which the part does not say which stamp it has is none of its, but for how spills were handled.

        Parameters
        ----------
        names
            Keys.
        some
            Of which of them only some fields are read, and which.

        Raises
        ------
        ValueError
            When one is gone, or older than the rest.
        """
        totals, handling = self.keys.run(self._run), self.keys.handling(self._run)
        pipe = self._redis.pipeline(transaction=True)
        for name in (totals, *names):
            if name in some:
                pipe.hmget(name, [layout.STAMP, *some[name]])
            else:
                pipe.hgetall(name)
        answers = dict(zip((totals, *names), pipe.execute(raise_on_error=False), strict=True))
        for name in answers.keys() & some.keys():
            if isinstance(answers[name], list):
                answers[name] = _there([layout.STAMP, *some[name]], answers[name])
        if is_other_type(answers.get(handling)):
            answers[handling] = {}  # no book lacks it
        for error in (answer for answer in answers.values() if isinstance(answer, Exception)):
            raise error
        stored, *there = answers.values()
        if not stored:
            self.check_absent()
            return {}, [{} for _ in names]
        if is_retired(stored):
            raise RetiredRunError(self._run)
        stamps = layout.unpack_json(stored[b"unit"])["stamps"] | {handling: None}
        return stored, [_checked(key, found, stamps) for key, found in zip(names, there, strict=True)]

    def fields(self, key: str, names: Sequence[str]) -> dict[bytes, bytes]:
        """Return some fields of a key of the part, as far as there are any; raises as `hashes` does."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(self.keys.run(self._run), "unit")
        pipe.hmget(key, [layout.STAMP, *names])
        unit, there = pipe.execute()
        if unit is None:
            self.check_absent()
            return {}
        found = _there([layout.STAMP, *names], there)
        if is_retired({b"unit": unit}):
            raise RetiredRunError(self._run)
        checked = _checked(key, found, layout.unpack_json(unit)["stamps"])
        return {name: value for name, value in checked.items() if name != _STAMP}

    def windows(self) -> dict[Window, int]:
        """Return its windows, and the spills in each; raises as `hashes` does."""
        _, (stored,) = self.hashes([self.keys.windows(self._run)])
        return unpack_windows(stored)

    def windows_within(self, window: Window) -> list[str]:
        """Return the keys of what it has of a window: that itself, or what is to be joined to it."""
        found = (each for each in self.windows() if window.start <= each.start and each.end <= window.end)
        return [self.keys.window(self._run, each) for each in found]

    def check_absent(self) -> None:
        """Refuse that there is nothing, though the list of runs says so, unless it is being made again."""
        if self._is_listed:
            its = progress_of(self._redis, self.keys)
            if its is not None and self._run not in its.repairs:
                raise ValueError("all of it is gone")


def _there(names: Sequence[str], values: Sequence[bytes | None]) -> dict[bytes, bytes]:
    """Return the fields that there are, as all of a hash are read."""
    return {name.encode(): value for name, value in zip(names, values, strict=True) if value is not None}


def _checked(key: str, found: dict[bytes, bytes], stamps: Mapping[str, str | None]) -> dict[bytes, bytes]:
    """Return what a key holds; nothing if it is none of the part's."""
    if key not in stamps:
        return {}
    stamp, wanted = found.get(_STAMP, b"").decode(errors="replace"), stamps[key]
    if wanted is not None and stamp != wanted:
        raise ValueError(f"{key} is {'older than the rest' if stamp else 'gone'}")
    return found
