"""What has come to a run is read alone, and makes what all of it would."""

from dataclasses import replace

import pytest

from schemas.columns import Growing
from streams.books.book import Book
from streams.books.connect import connect
from streams.books.layout import Keys
from streams.books.reader import ASKED_FOR, BookReader
from streams.books.run import NO_SPILLS, Handling, RunBook, spill_facts
from streams.books.totals import Totals
from streams.plots.spillfacts import LedgerEntry
from streams.settings import Settings
from tests.stored import checkpoint

pytestmark = pytest.mark.servers

RUN = 7
REFUSED = (2, 5)


def part(*spills: int) -> RunBook:
    """Return a partition's part of a run that has these spills, in the order in which they came."""
    entries = {n: LedgerEntry(time_us=n * 10**6, triggers=n % 5, size=n, digest=n.to_bytes(8, "big")) for n in spills}
    last = max(spills, default=-1)
    return RunBook(
        totals=Totals(received=len(spills), filled=len(spills), last_spill=last, refused=[*REFUSED]),
        ledger=entries,
        book=Book({}),
        handling={n: Handling(delay_s=n / 8, resident_mb=64.0, produced_ms=n + 1) for n in spills if n % 3},
    )


def stored(parts: dict[int, RunBook], reader: BookReader, settings: Settings) -> RunBook:
    """Store a run, and return all of it."""
    for partition, its in parts.items():
        checkpoint(settings, {RUN: its}, partition=partition)
    return reader.run(RUN, {}, of_spills=False)


def is_same(one: RunBook, other: RunBook) -> bool:
    """Say whether all is the same of two that have no histograms."""
    return not one.book.cells and replace(one, book=other.book) == other


def with_handling_of_new(whole: RunBook, known: RunBook) -> RunBook:
    """Return a run with how those of its spills were handled that have come since it was known."""
    return replace(whole, handling={n: its for n, its in whole.handling.items() if n not in known.ledger})


FIRST = {0: part(0, 3), 1: part(1)}
MANY = 2 * ASKED_FOR


@pytest.mark.parametrize(
    ("parts", "is_read_alone"),
    [
        (FIRST, True),
        ({0: part(0, 3, 7), 1: part(1)}, True),
        ({0: part(0, 3), 1: part(1, 8, 4, 2)}, True),  # between those that are there
        ({0: part(0, 3), 1: part(1), 2: part(9)}, True),
        ({0: part(0, 3, 4), 1: part(1, 4)}, True),  # counted twice
        ({0: part(0, 3), 1: part(1, 3)}, False),
        ({0: part(0, 3), 1: part(1, MANY)}, False),
        ({0: part(0), 1: part(1)}, False),  # it is another than it was
        ({0: part(), 1: part()}, False),
    ],
)
def test_what_has_come_to_a_run_makes_what_all_of_it_would(
    parts: dict[int, RunBook], is_read_alone: bool, reader: BookReader, settings: Settings
) -> None:
    known = stored(FIRST, reader, settings)
    whole = stored(parts, reader, settings)
    found = reader.grown(RUN, {}, known)
    assert (found is not None) == is_read_alone
    if found is not None:
        assert is_same(found, with_handling_of_new(whole, known))
        facts = spill_facts(found.ledger, found.handling, REFUSED, spill_facts(known.ledger, known.handling, REFUSED))
        assert facts.equal(spill_facts(whole.ledger, whole.handling, REFUSED))


def test_a_table_that_grows_leaves_alone_what_it_was() -> None:
    whole = spill_facts(part(*range(100)).ledger)
    room, known = Growing(NO_SPILLS), NO_SPILLS
    seen = []
    for first in range(0, 100, 4):
        known = room.followed(known, whole.rows(slice(first, first + 4)))
        seen.append(known)
    assert all(its.equal(whole.rows(slice(4 * n + 4))) for n, its in enumerate(seen))
    assert seen[-1].spill.base is seen[-2].spill.base
    # Who goes on from what it was before takes no room from what it became.
    other = room.followed(seen[-2], spill_facts(part(777).ledger))
    assert (other.spill[-1], seen[-1].spill[-1]) == (777, 99)
    assert other.rows(slice(96)).equal(whole.rows(slice(96)))


def test_what_was_read_before_is_not_read_again(reader: BookReader, settings: Settings) -> None:
    known = stored(FIRST, reader, settings)
    whole = stored({0: part(0, 3, 4), 1: part(1)}, reader, settings)
    with connect(settings) as redis:
        redis.hdel(Keys(settings.redis.key_prefix, settings.session, 0).spills(RUN), "0")
    found = reader.grown(RUN, {}, known)
    assert found is not None
    assert is_same(found, with_handling_of_new(whole, known))
    assert reader.grown(RUN, {}, replace(known, ledger={})) is None
