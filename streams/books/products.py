"""Which files were written of each run, beside the books in Redis."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from redis import Redis

from streams.books.changing import ChangingHash
from streams.books.layout import UNREADABLE
from streams.plain import read_json


class Product(StrEnum):
    """What is written of a run that has ended."""

    ARCHIVE = "archive"
    """Its messages of ``spills.raw``."""
    END_OF_RUN = "end_of_run"
    """Its book, pictures and summary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Files of a run."""

    names: tuple[str, ...]
    produced_ms: int
    """When the newest message of the run had been produced, Unix milliseconds: a newer one is not in the files."""


class Products:
    """The files' names.

    Parameters
    ----------
    redis
        Client that returns bytes; its errors are passed on.
    prefix, session
        Part of the key's name.
    """

    def __init__(self, redis: Redis, prefix: str, session: str) -> None:
        self.key = f"{prefix}:{session}:written"
        """Name of the hash, run and product → files."""
        self._hash = ChangingHash(redis, self.key, _unpack)

    def all(self) -> Mapping[int, Mapping[Product, Written]]:
        """Return what was written of each run."""
        return self._hash.read()

    def names(self) -> dict[int, list[str]]:
        """Return the names of all files of each run."""
        return {run: [name for one in written.values() for name in one.names] for run, written in self.all().items()}

    def note(self, run: int, product: Product, names: Sequence[str], produced_ms: int) -> None:
        """Note the files of a run in place of those that it had."""
        self._hash.set({f"{run}:{product}": json.dumps([produced_ms, *names])})


def _unpack(stored: Mapping[bytes, bytes]) -> Mapping[int, Mapping[Product, Written]]:
    """Return what was written of each run; what is told of it in no words of ours is left out, and written again."""
    found: dict[int, dict[Product, Written]] = {}
    for field, value in sorted(stored.items()):
        with suppress(*UNREADABLE):
            run, _, product = field.decode().partition(":")
            produced_ms, *names = read_json(value)
            written = Written(names=tuple(map(str, names)), produced_ms=int(produced_ms))
            found.setdefault(int(run), {})[Product(product)] = written
    return found
