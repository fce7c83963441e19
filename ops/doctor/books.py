"""Of what becomes of the spills: runs and their conditions, workers, books, who watches, and what the keeper writes."""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing

from confluent_kafka import KafkaException
from redis.exceptions import RedisError

from ops.book_checks import PartitionStatus, findings, how_far
from ops.doctor.finding import Check, Finding, Site, trouble, what_of
from ops.doctor.servers import ASK_S
from ops.running import running_workers
from schemas.records import NO_RUN
from streams.books import situation
from streams.books.part_reader import UnreadableRunError
from streams.books.products import Product, Products
from streams.books.reader import BookReader
from streams.books.registry import states
from streams.books.watchers import watched
from streams.conditions.store import ConditionsStore
from streams.errors import ServerError, UsageError
from streams.freshness import LOSS_TOLD_S, Freshness, Level, Observed, daq, pipeline
from streams.kafka import messages, reader
from streams.kafka.clients import admin
from streams.topics import Topics, workers_group
from streams.words import calendar_time, called, several

KEEPER_S = 900.0
"""A run that ended so long ago is archived, with its pictures, or nobody is at work."""


def _runs(site: Site) -> Iterator[Finding]:
    books = BookReader.of(site.redis, site.settings)
    try:
        site.places = {run: place for run, place in books.places().items() if run != NO_RUN}
        site.run = situation.current(site.places, books.came_ms)
        if site.run is not None:
            site.totals = books.totals(site.run)
    except UnreadableRunError as error:
        yield trouble("books.wrong", what_of(error))
    except RedisError as error:
        yield trouble("redis.away", f"Redis does not answer for the runs ({error})")
        return
    if site.run is None:
        yield RUNS.good("none yet", Level.IDLE)
        return
    its = site.places[site.run]
    how = "has ended" if its.ended else "is the current one"
    yield RUNS.good(f"{several(len(site.places), 'run')}; run {site.run} {how}, {several(its.filled, 'spill')}")


RUNS = Check(name="runs", look=_runs, needs=("Redis",))


def _conditions(site: Site) -> Iterator[Finding]:
    """Say whether the run that is taken has its tables, or, if none is, the next one."""
    run = site.run
    if run is not None and site.places[run].ended:
        run = max(site.places) + 1
    try:
        store = ConditionsStore.from_settings(site.settings)
        if run is None:
            for why in store.problems():
                yield trouble("conditions.unreadable", why)
                return
            yield CONDITIONS.good("readable; no run yet that says which is to come", Level.IDLE)
            return
        its = store.for_run(run)
    except UsageError as error:
        yield trouble("conditions.unreadable", str(error))
        return
    if its is None:
        missing = [f"; {path} is not there" for path in store.missing]
        yield trouble("conditions.lacking", f"no table serves run {run}{''.join(missing)}", Level.WARNING, run=run)
    elif its.lacking:
        words = "; ".join(f"{called(name)}: {why}" for name, why in its.lacking.items())
        yield trouble("conditions.lacking", f"run {run}: {words}", Level.WARNING, run=run)
    else:
        yield CONDITIONS.good(f"run {run} has all its tables ({its.digest})")


CONDITIONS = Check(name="conditions", look=_conditions, needs=("runs",))


def _workers(site: Site) -> Iterator[Finding]:
    try:
        hosts = running_workers(site.settings, admin(site.settings.kafka)).get(
            workers_group(site.settings, site.settings.session), []
        )
    except ServerError as error:
        yield trouble("kafka.away", what_of(error))
        return
    if not hosts:
        yield trouble("workers.none", f"no worker of session {site.settings.session} runs")
        return
    words = f"{several(len(hosts), 'worker')} for {several(site.partitions, 'partition')}"
    wrong = False
    if site.partitions and len(hosts) > site.partitions:
        wrong = True
        yield trouble("workers.idle", f"{words}: {len(hosts) - site.partitions} have nothing to do", Level.WARNING)
    is_taken = site.run is not None and not site.places[site.run].ended
    for what in filter(None, situation.mixed(site.totals) if is_taken else ()):
        wrong = True
        yield trouble("workers.differ", f"spills of run {site.run} were made with several {what}", Level.WARNING)
    if not wrong:
        yield WORKERS.good(f"{words}, on {', '.join(sorted(set(hosts)))}")


WORKERS = Check(name="workers", look=_workers, needs=("Kafka", "Redis", "topics", "runs"))


def _books(site: Site) -> Iterator[Finding]:
    try:
        status = how_far(site.settings, site.redis)
        since_s = _waits_since_s(site, status)
    except (ServerError, KafkaException, RedisError) as error:
        yield trouble("kafka.away", str(error))
        return
    wrong = False
    now_s = time.time()
    lost = [(one.partition, loss) for one in status for loss in one.lost if now_s - loss.at_s < LOSS_TOLD_S]
    if lost:
        wrong = True
        partition, first = lost[0]
        at = calendar_time(first.at_s * 1000)
        yield trouble("books.lost", f"partition {partition}, {at} UTC: {first.what}", Level.WARNING)
    if site.deep:
        for what in findings(site.settings, site.redis, len(status)):
            wrong = True
            yield trouble("books.wrong", what)
    fresh = pipeline(_observed(site, status, since_s))
    if fresh.level in (Level.WARNING, Level.BAD) and (
        behind := sum(one.behind for one in status) or any(o.made_again for o in status)
    ):
        wrong = bool(behind)
        yield trouble("books.behind", fresh.text, fresh.level)
    if not wrong:
        yield BOOKS.good(f"{fresh.text}{'; each run was read, nothing is wrong' if site.deep else ''}")


def _observed(site: Site, status: Sequence[PartitionStatus], since_s: float) -> Observed:
    progress = BookReader.of(site.redis, site.settings).progress()
    return situation.observed(
        site.totals,
        site.places.get(site.run) if site.run is not None else None,
        now_s=time.time(),
        produced_s=max((its.produced_ms for its in progress.values()), default=0) / 1000,
        caught_up=not any(one.behind for one in status),
        behind=sum(one.behind for one in status),
        behind_since_s=since_s,
        made_again=len({run for one in status for run in one.made_again if run != NO_RUN}),
    )


def _waits_since_s(site: Site, status: Sequence[PartitionStatus]) -> float:
    """Return when the oldest message that is not in the books was produced; 0 if there is none."""
    raw, found = Topics.of(site.settings).raw, []
    with closing(reader(site.settings)) as client:
        for one in (each for each in status if each.behind):
            first = one.end - one.behind
            found += [each.timestamp()[1] for each in messages(client, raw, one.partition, first, first + 1, ASK_S)]
    return min(found, default=0) / 1000


BOOKS = Check(name="books", look=_books, needs=("workers",), reads_all=True)


def _spills(site: Site) -> Iterator[Finding]:
    seen = _observed(site, (), 0.0)
    for fresh in (daq(seen), pipeline(seen)):
        if fresh.level in (Level.WARNING, Level.BAD):
            yield trouble("spills.off", fresh.text, fresh.level)
            return
    yield SPILLS.good(daq(seen).text, daq(seen).level)


SPILLS = Check(name="spills", look=_spills, needs=("books",))


def _alarms(site: Site) -> Iterator[Finding]:
    try:
        fresh: Freshness = watched(site.redis, site.settings.redis.key_prefix, site.settings.session)
    except RedisError as error:
        yield trouble("redis.away", f"Redis does not answer for who watches ({error})")
        return
    if fresh.level is Level.GOOD:
        yield ALARMS.good(fresh.text)
    else:
        yield trouble("alarms.unwatched", fresh.text, fresh.level)


ALARMS = Check(name="alarms", look=_alarms, needs=("Kafka", "Redis", "topics"))


def _keeper(site: Site) -> Iterator[Finding]:
    """Say whether what has ended is written; of a keeper itself nothing is known."""
    its = site.settings.keeper
    wanted = {Product.ARCHIVE: its.archive, Product.END_OF_RUN: its.products}
    wanted = {product: path for product, path in wanted.items() if path is not None}
    if not wanted:
        yield KEEPER.good("none is asked for: runs that have ended are kept in Kafka and Redis alone", Level.IDLE)
        return
    now_s = time.time()
    over = [
        run
        for run, state in states(site.places, now_s).items()
        if state.value.startswith("ended") and now_s - site.places[run].produced_ms / 1000 > KEEPER_S
    ]
    written = Products(site.redis, site.settings.redis.key_prefix, site.settings.session).all()
    for product, path in wanted.items():
        lacking = sorted(run for run in over if product not in written.get(run, {}))
        if lacking:
            what = "archive" if product is Product.ARCHIVE else "book and pictures"
            words = f"no {what} of {several(len(lacking), 'run')} that ended, the last of them {lacking[-1]}"
            yield trouble("keeper.away", words, Level.WARNING, path=path)
            return
    yield KEEPER.good(
        "all runs that have ended are written" if over else "no run has ended that it should have written"
    )


KEEPER = Check(name="keeper", look=_keeper, needs=("runs", "workers", "books"))
