"""What is read depends on what is looked at, not on what is stored: Redis itself counts commands and bytes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from redis import Redis

from dashboards.data.books import Books, BooksReader
from dashboards.data.one_run import RunReader, Wanted
from ops.keeper import Keeper
from ops.topics import ensure_topics
from streams.agents.registry import Registry
from streams.books.connect import connect
from streams.books.kept_run import KeptRuns
from streams.books.layout import Place
from streams.books.products import Product, Products
from streams.books.promotions import Promotions
from streams.books.reader import BookReader
from streams.books.registry import states
from streams.books.run import RunBook
from streams.books.totals import Totals
from streams.conditions.store import ConditionsStore
from streams.settings import LIVE, KeeperSettings, Settings
from tests.dashboards.views import EMPTY, RUN, run_book
from tests.stored import checkpoint

pytestmark = pytest.mark.servers

FEW, MANY = 25, 250
"""Both are more runs than one plot is followed over."""
COUNTED = "counted"
ALLOWED = 1.02
"""Offsets, times and counters have more digits."""


@contextmanager
def counting(settings: Settings) -> Iterator[Redis]:
    """Give a client that tells Redis its name, so that its commands and bytes can be told from those of others."""
    with connect(settings) as redis:
        redis.client_setname(COUNTED)
        yield redis


def cost_of(settings: Settings, step: Callable[[], object]) -> tuple[int, int]:
    """Return the commands of a step, and the bytes of their answers."""
    with connect(settings) as asking:

        def spent() -> tuple[int, int]:
            found = [its for its in asking.client_list() if its["name"] == COUNTED]
            return sum(int(its["tot-cmds"]) for its in found), sum(int(its["tot-net-out"]) for its in found)

        commands, size = spent()
        step()
        after, larger = spent()
    return after - commands, larger - size


@cache
def ended(run: int) -> RunBook:
    """Return a run of long ago."""
    said = run_book(2).totals.to_json() | {"control": {"end": {"time_us": run, "events": 2, "run_type": ""}}}
    totals = replace(Totals.from_json(said), first_ms=run, produced_ms=run, ended_ms=run)
    return replace(EMPTY, totals=totals)


def store(settings: Settings, number: int) -> None:
    """Store so many runs before the current one, in two partitions."""
    for partition in (0, 1):
        checkpoint(settings, {run: ended(run) for run in range(1, number + 1)}, partition=partition, next=9)
    checkpoint(settings, {RUN: current(4)}, next=10)


def current(spills: int) -> RunBook:
    book = run_book(spills)
    return replace(
        book, totals=replace(book.totals, first_ms=1_700_000_000_000, produced_ms=1_700_000_000_000 + spills)
    )


def page_update(settings: Settings, number: int) -> tuple[int, int]:
    """Return what an update of a page costs that shows the current run, one of long ago, and a plot's history."""
    store(settings, number)
    wanted = [Wanted(), Wanted(run=RUN, plot="ht01"), Wanted(run=number - 1)]
    with counting(settings) as redis:
        shown = BookReader.shown(redis, settings)
        reader = BooksReader(
            shown,
            lambda session: BookReader.of(redis, settings, session),
            Promotions(redis, settings.redis.key_prefix).look,
            RunReader(shown, ConditionsStore([]), KeptRuns(None, LIVE)),
        )
        seen = Books()

        def update() -> None:
            nonlocal seen
            seen = reader.read(seen, reader.look(wanted), wanted, spread_over=0)

        update()
        listed = seen.runs
        checkpoint(settings, {RUN: current(5)}, next=11)
        found = cost_of(settings, update)
        assert seen.runs is listed
        # Where nothing has changed, what is promoted, the partitions, and the checkpoint of each are all that is asked.
        commands, size = cost_of(settings, shown.places)
        assert (commands, size < 100) == (4, True)
        assert seen.current == RUN
        assert len(seen.one(RUN, None).book.ledger) == 5
        assert len(seen.one(RUN, None).histories["ht01"].runs) == 20
    return found


def registry_look(settings: Settings, number: int) -> tuple[int, int]:
    """Return what a look of the worker costs that writes what becomes of the runs."""
    store(settings, number)
    with counting(settings) as redis:
        registry, now_s = Registry(redis, settings), time.time()
        told = registry.changed(now_s, {})
        assert len(told) == number + 1
        for record, what in told:
            registry.note(record.run, what)
        assert registry.changed(now_s, {}) == []
        checkpoint(settings, {RUN: current(5)}, next=11)
        return cost_of(settings, lambda: registry.changed(now_s, {}))


def keeper_look(settings: Settings, number: int) -> tuple[int, int]:
    """Return what a look of the keeper costs when all is written."""
    store(settings, number)
    own = settings.model_copy(update={"keeper": KeeperSettings(archive=Path("/nowhere"))})
    with counting(settings) as redis:
        products = Products(redis, settings.redis.key_prefix, settings.session)
        for run in range(1, number + 1):
            products.note(run, Product.ARCHIVE, [f"{run}.avro"], run)
        products.note(RUN, Product.ARCHIVE, ["newest"], 2_000_000_000_000)
        ensure_topics(settings)
        keeper = Keeper(own, redis)
        keeper.look()
        checkpoint(settings, {RUN: current(5)}, next=11)
        return cost_of(settings, keeper.look)


@pytest.mark.parametrize("look", [page_update, registry_look, keeper_look])
def test_a_look_costs_the_same_however_many_runs_are_stored(
    settings: Settings, look: Callable[[Settings, int], tuple[int, int]]
) -> None:
    def among(number: int) -> tuple[int, int]:
        prefix = f"{settings.redis.key_prefix}-{number}"
        own = settings.redis.model_copy(update={"key_prefix": prefix})
        return look(settings.model_copy(update={"redis": own}), number)

    (commands, size), (of_many, size_of_many) = among(FEW), among(MANY)
    assert of_many == commands
    assert size_of_many <= ALLOWED * size


def test_the_states_of_many_runs_are_found_in_a_time_that_grows_with_their_number() -> None:
    """Runs that never said that they ended, all of this minute, as when a year is produced again."""
    now_s, number = 1_800_000_000.0, 20_000
    newest = Place.of(Totals(received=1, first_us=1, last_us=2, produced_ms=int(now_s * 1000)), 0, "")
    places = {run: replace(newest, began_us=10 * run, last_us=10 * run + 5) for run in range(1, number + 1)}
    start = time.process_time()
    found = states(places, now_s)
    # One by one, each asked of all the others, it takes a minute.
    assert time.process_time() - start < 5
    assert len(found) == number
