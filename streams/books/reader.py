"""What is in the books, summed over the partitions: read only, for the page and the command line."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from redis import Redis

from streams.books import layout, spill_numbers, uhi
from streams.books.book import Book, Histogram, Ranges
from streams.books.promotions import Promotions
from streams.books.run import Handling, Ledger, RunBook
from streams.books.store import NO_OFFSET
from streams.books.totals import Totals
from streams.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far one partition is in the books."""

    offset: int
    """Last offset of ``spills.reco`` in them; `NO_OFFSET` without a checkpoint."""
    raw_end: int
    """The first offset of ``spills.raw`` that is not in them: after a rebalance, later ones may be in already."""
    produced_ms: int
    """When the newest message in them was produced, Unix milliseconds; 0 without one."""
    lost: tuple[layout.Loss, ...]
    """What Kafka no longer had when it was needed."""


class BookReader:
    """Sums of partials.

    Parameters
    ----------
    redis
        Client that returns bytes. Its errors (`redis.RedisError`) are passed on.
    prefix, session
        Part of the keys' names, see `layout`.
    partitions
        How many there are.
    promoted
        Gives the sessions whose books are read in place of this one's, by run.
    """

    def __init__(
        self,
        redis: Redis,
        prefix: str,
        session: str,
        partitions: int,
        promoted: Callable[[], Mapping[int, str]] = dict,
    ) -> None:
        self._redis = redis
        self._prefix, self._partitions = prefix, partitions
        self._keys = self._keys_of(session)
        self._promoted = promoted

    @classmethod
    def of(cls, redis: Redis, settings: Settings, session: str | None = None) -> Self:
        """Return what reads the books of a session, without a name that of the settings."""
        return cls(redis, settings.redis.key_prefix, session or settings.session, settings.kafka.partitions)

    @classmethod
    def shown(cls, redis: Redis, settings: Settings) -> Self:
        """Return what reads the books that are shown: those of replays where they were promoted."""
        prefix = settings.redis.key_prefix
        return cls(redis, prefix, settings.session, settings.kafka.partitions, Promotions(redis, prefix).all)

    def _keys_of(self, session: str) -> list[layout.Keys]:
        return [layout.Keys(self._prefix, session, p) for p in range(self._partitions)]

    def _keys_with(self, run: int) -> list[layout.Keys]:
        """Return the keys that have the book of a run."""
        session = self._promoted().get(run)
        return self._keys if session is None else self._keys_of(session)

    def progress(self) -> tuple[Progress, ...]:
        """Return how far each partition is. Equal progress means equal books."""
        found = []
        for state in self._hashes([keys.state for keys in self._keys]):
            raw = list(layout.unpack_ranges(state[b"raw"])) if state else []
            found.append(
                Progress(
                    offset=int(state.get(b"offset", NO_OFFSET)),
                    raw_end=raw[0][1] if raw else 0,
                    produced_ms=int(state.get(b"produced_ms", 0)),
                    lost=layout.unpack_losses(state[b"lost"]) if state else (),
                )
            )
        return tuple(found)

    def runs(self) -> dict[int, Totals]:
        """Return the totals of every run, by its number. `NO_RUN` holds what could not be put down to a run."""
        found = self._totals(self._keys)
        promoted = self._promoted()
        for session in set(promoted.values()):
            there = self._totals(self._keys_of(session))
            found |= {run: there[run] for run in there if promoted.get(run) == session}
        return dict(sorted(found.items()))

    def _totals(self, keys: list[layout.Keys]) -> dict[int, Totals]:
        found: dict[int, Totals] = {}
        for stored in self._hashes([each.runs for each in keys]):
            for run, totals in stored.items():
                found.setdefault(int(run), Totals()).__iadd__(layout.unpack_totals(totals))
        return found

    def run(self, run: int, ranges: Ranges, *, key_numbers: bool = True) -> RunBook:
        """Return all of a run; empty books if there is no such run.

        Parameters
        ----------
        key_numbers
            Whether those of its spills, too.
        """
        pipe = self._redis.pipeline(transaction=True)
        partitions = self._keys_with(run)
        for keys in partitions:
            pipe.hget(keys.runs, str(run))
            pipe.hgetall(keys.spills(run))
            pipe.hgetall(keys.handling(run))
            pipe.hgetall(keys.book(run))
        for keys in partitions if key_numbers else ():
            pipe.hgetall(keys.key_numbers(run))
        answers = pipe.execute()
        of_spills = answers[4 * len(partitions) :]
        totals, ledger, book = Totals(), Ledger(), Book(ranges)
        handling: dict[int, Handling] = {}
        for stored_totals, stored_ledger, stored_handling, stored_book in zip(
            *[iter(answers[: 4 * len(partitions)])] * 4, strict=True
        ):
            if stored_totals is not None:
                totals += layout.unpack_totals(stored_totals)
            ledger |= {int(spill): layout.unpack_ledger_entry(entry) for spill, entry in stored_ledger.items()}
            handling |= {int(spill): layout.unpack_handling(data) for spill, data in stored_handling.items()}
            book += _decode_book(stored_book, ranges)
        numbers = {int(spill): spill_numbers.check(data) for each in of_spills for spill, data in each.items()}
        return RunBook(totals=totals, ledger=ledger, book=book, handling=handling, key_numbers=numbers)

    def key_numbers(self, run: int, spills: Sequence[int]) -> dict[int, bytes]:
        """Return the key numbers of spills of a run, see `spill_numbers`; none where they were not kept."""
        found = dict.fromkeys(spills, b"")
        if not found:
            return found
        pipe = self._redis.pipeline(transaction=True)
        for keys in self._keys_with(run):
            pipe.hmget(keys.key_numbers(run), [*map(str, spills)])
        for stored in pipe.execute():
            found |= {s: spill_numbers.check(data) for s, data in zip(spills, stored, strict=True) if data is not None}
        return found

    def windows(self, run: int) -> dict[int, int]:
        """Return the windows kept of a run: start, s since 1970 UTC → spills in it, in order."""
        found: dict[int, int] = {}
        for stored in self._hashes([keys.windows(run) for keys in self._keys_with(run)]):
            for start, spills in stored.items():
                found[int(start)] = found.get(int(start), 0) + int(spills)
        return dict(sorted(found.items()))

    def window(self, run: int, start: int, ranges: Ranges) -> Book:
        """Return the book of a window of a run."""
        total = Book(ranges)
        for stored in self._hashes([keys.window(run, start) for keys in self._keys_with(run)]):
            total += _decode_book(stored, ranges)
        return total

    def plot(self, name: str, run: int, ranges: Ranges, start: int | None = None) -> Histogram:
        """Return one histogram of a run, or of the window of it that starts then; empty if there is none."""
        pipe = self._redis.pipeline(transaction=True)
        for keys in self._keys_with(run):
            pipe.hget(keys.book(run) if start is None else keys.window(run, start), name)
        total = Book(ranges)
        for stored in pipe.execute():
            if stored is not None:
                total += _decode_book({name.encode(): stored}, ranges)
        return total[name]

    def _hashes(self, keys: list[str]) -> list[Mapping[bytes, bytes]]:
        pipe = self._redis.pipeline(transaction=True)
        for key in keys:
            pipe.hgetall(key)
        return list(pipe.execute())


def _decode_book(stored: Mapping[bytes, bytes], ranges: Ranges) -> Book:
    book = Book(ranges)
    for name, data in stored.items():
        book[name.decode()] = uhi.decode(data)
    return book
