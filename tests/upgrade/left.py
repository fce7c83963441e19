"""What c7218c2 left, in a Redis and a Kafka of a test's own; and what its reader said of it."""

import asyncio
import base64
import json
import lzma
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from ops.upgrade.source import Source, source_of
from schemas.known import WireError
from schemas.records import RawSpill, RejectedSpill
from streams import __version__
from streams.books.book import Book, Ranges
from streams.books.counter import Counter
from streams.books.decided import Copy
from streams.books.kafka_log import KafkaLog, Known
from streams.books.partition import Filling, Partitions
from streams.books.reader import BookReader
from streams.books.run import Handling, RunBook, RunPart
from streams.books.spill_numbers import of_plot
from streams.books.store import CheckpointStore
from streams.books.totals import Totals
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.plots.since_v1 import OTHER_SINCE_V1
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import ranges_of
from streams.settings import Settings
from streams.transform import Message, Outcome, transform
from tests.catalogue import PLOTS
from tests.wire import decode, encode

CONDITIONS = ConditionsStore([])
"""Those of the simulated beam line."""
FIRST, SECOND = 900_401, 900_402
SESSIONS = ("live", "night", "replay-again", "replay-half")
ORDER = ("out_of_order", "disordered")
"""Counters that depend on the order in which messages were counted."""
_LEFT = json.loads(lzma.decompress((Path(__file__).parent / "left.json.xz").read_bytes()))
EXPECTED: dict[str, dict[int, dict[str, Any]]] = {
    session: {int(run): its for run, its in runs.items()} for session, runs in _LEFT["expected"].items()
}


LEFT_PLOTS = {name for runs in EXPECTED.values() for its in runs.values() for name in its["book"]}


class Produced(NamedTuple):
    value: bytes
    at_ms: int


def _still_rejected(value: bytes) -> bytes:
    """Return a message; of the spill that was rejected for a word of one board, one that is cut short.

    That word is today an error of those that read the board, and of nobody else.
    """
    try:
        record = decode(value)
    except WireError:
        return value
    if isinstance(record, RawSpill) and (record.run, record.spill) == (FIRST, 5):
        return encode(replace(record, payload=record.payload[:-4]))
    return value


RAW = [
    [Produced(_still_rejected(base64.b64decode(value)), at_ms) for value, at_ms in messages]
    for messages in _LEFT["raw"]
]
"""What was in spills.raw, by partition and offset."""
NOT_READ_OUT = "ckov"
"""A detector that had an error in every spill then, as it is not in the runs; today that is none."""
PARTITIONS, WINDOWS_KEPT = 2, 2
"""The settings that it was left with."""
ENDS = [len(messages) for messages in RAW]
AFTER_FIRST = [9, 11]
"""Offsets behind all of the first run."""


def fill(redis: Redis, prefix: str) -> None:
    """Have Redis hold what was left, under another prefix."""
    for key, value in _LEFT["keys"].items():
        name = prefix + key.removeprefix(_LEFT["prefix"])
        redis.hset(name, mapping={field: base64.b64decode(data) for field, data in value["fields"].items()})


def dump(redis: Redis, prefix: str, *, old: bool) -> dict[bytes, Any]:
    """Return the old keys of Redis, or those of the new version; the name of who wrote is left out."""
    found: dict[bytes, Any] = {}
    for key in redis.scan_iter(match=f"{prefix}:*"):
        if key.startswith(f"{prefix}:v2:".encode()) == old:
            continue
        kind = redis.type(key)
        found[key] = _VALUES[kind](redis, key)
    return found


_VALUES = {
    b"hash": Redis.hgetall,
    b"set": Redis.smembers,
    b"string": Redis.get,
    b"zset": lambda redis, key: redis.zrange(key, 0, -1, withscores=True),
}


@dataclass
class Log:
    """A Kafka in memory that has spills.raw, from a low watermark of each partition on."""

    lows: Sequence[int] = (0, 0)
    messages: list[list[Produced]] = field(default_factory=lambda: [list(messages) for messages in RAW])
    id: str = "a topic"
    leader: int = 0
    rejected: list[RejectedSpill] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lows = list(self.lows)

    async def span(self, partition: int) -> tuple[int, int]:
        return self.lows[partition], len(self.messages[partition])

    async def still_has(self, partition: int, offset: int, produced_ms: int) -> bool:
        there = self.messages[partition]
        return offset < self.lows[partition] or (offset < len(there) and there[offset].at_ms == produced_ms)

    async def read(self, partition: int, start: int, stop: int) -> list[Message]:
        return [
            Message(partition=partition, offset=offset, start=offset, produced_ms=one.at_ms, value=one.value)
            for offset, one in enumerate(self.messages[partition])
            if max(start, self.lows[partition]) <= offset < stop
        ]

    def source(self) -> Source:
        async def epoch(_partition: int) -> int:
            return self.leader

        async def topic_id() -> str:
            return self.id

        async def first_from(partition: int, offset: int) -> tuple[int | None, int]:
            low, end = await self.span(partition)
            return (max(low, offset) if max(low, offset) < end else None), low

        async def known(_partition: int) -> Known:
            return Known()

        async def seek(_partition: int, _offset: int) -> None: ...

        async def reject(spill: RejectedSpill) -> None:
            self.rejected.append(spill)

        kafka = KafkaLog(
            name="spills.raw",
            id=topic_id,
            epoch=epoch,
            span=self.span,
            first_from=first_from,
            still_has=self.still_has,
            seek=seek,
            known=known,
            reject=reject,
            now_s=lambda: 1_800_000_000.0,
        )
        return Source(kafka=kafka, read=self.read, conditions_of=CONDITIONS.for_run)


def sources(settings: Settings, redis: Redis, log: Log) -> Any:
    """Return what gives where the spills of a session come from."""
    former = Copy(redis, settings.redis.key_prefix).former()

    def of(session: str) -> Source | None:
        if session not in former.plans:
            return log.source()
        its = source_of(settings, session, former, former)
        return replace(its, conditions_of=CONDITIONS.for_run) if its is not None else None

    return of


def check(
    settings: Settings,
    redis: Redis,
    session: str,
    run: int,
    wanted: Mapping[str, Any] | None = None,
    without: Sequence[str] = (),
) -> None:
    """Compare a run with what c7218c2 said of it: every bin and every counter but some."""
    wanted = EXPECTED[session][run] if wanted is None else wanted
    reader = BookReader.of(redis, settings, session)
    found = reader.run(run, ranges(run))
    totals = found.totals.to_json()
    for name, value in wanted["totals"].items():
        if name == "control":
            said = {kind: {n: its[n] for n in value[kind]} for kind, its in totals["control"].items()}
            assert said == value
        elif name == "errors":
            assert totals[name] | {NOT_READ_OUT: 0} == value | {NOT_READ_OUT: 0}
        elif name == "detectors":
            found_hits = {
                d: {table: totals[name].get(d, {}).get(table, 0) for table in its} for d, its in value.items()
            }
            assert found_hits == value
        elif name == "code":
            assert bool(value) == bool(totals[name])
            assert {*totals[name]} <= {*value, __version__}
        elif name != "first_raw" and name not in without:
            assert totals[name] == value, name
    ledger = {
        str(spill): [e.time_us, e.triggers, e.size, e.digest.hex(), list(e.scalers)]
        for spill, e in found.ledger.items()
    }
    assert ledger == wanted["ledger"]
    if "handling" not in without:
        handling = {str(spill): [h.delay_s, h.resident_mb] for spill, h in found.handling.items()}
        assert repr(sorted(handling.items())) == repr(sorted(wanted["handling"].items()))  # NaN is none of its equals
    former = {spill: bytes.fromhex(numbers) for spill, numbers in wanted["key_numbers"].items()}
    assert numbers_of(found.key_numbers) == numbers_of(former)
    same_book(found.book, wanted["book"])
    former = {int(start): its for start, its in wanted["windows"].items()}
    for window, spills in reader.windows(run).items():
        # A worker that has counted something since has joined the older ones, and has those that were not kept once.
        within = [its for start, its in former.items() if window.start <= start < window.end]
        assert spills >= sum(its["spills"] for its in within)
        if len(within) == 1 and spills == within[0]["spills"]:
            same_book(reader.window(run, window, ranges(run)), within[0]["book"])
    assert sum(reader.windows(run).values()) >= sum(its["spills"] for its in former.values())


def numbers_of(key_numbers: Mapping[Any, bytes]) -> dict[str, Any]:
    """Return the key numbers of each spill, of the plots that were there and are as they were."""
    plots = [PLOTS[name] for name in LEFT_PLOTS & PLOTS.keys() - OTHER_SINCE_V1]
    spills = {int(spill): data for spill, data in key_numbers.items()}
    return {plot.name: of_plot(spills, plot) for plot in plots}


def as_before(book: RunBook) -> RunBook:
    """Return what a book has of what was counted then as it is now: else carried over is not what is made again."""
    kept = Book(book.book.ranges)
    kept.cells = {name: cells for name, cells in book.book.cells.items() if name in LEFT_PLOTS - OTHER_SINCE_V1}
    totals = Totals.from_json(book.totals.to_json())
    totals.errors.pop(NOT_READ_OUT, None)
    totals.absent.clear()
    totals.code = set()
    totals.detectors = {name: +hits for name, hits in totals.detectors.items() if +hits}
    return replace(book, book=kept, key_numbers={}, totals=totals)


def ranges(run: int) -> Ranges:
    """Return a run's own ranges of plots."""
    return ranges_of(CONDITIONS.for_run(run))


def same_book(book: Any, wanted: Mapping[str, Any]) -> None:
    """Compare the bins of every plot that was there and is still as it was."""
    for name in LEFT_PLOTS & PLOTS.keys() - OTHER_SINCE_V1:
        there = book.summary(name)
        if name in wanted:
            assert {what: there[what] for what in wanted[name]} == wanted[name], name
        else:
            assert there["entries"] == 0, name


def filling_of(settings: Settings) -> Filling:
    return Filling(
        run_books={},
        window_books={},
        ranges_of=ranges,
        window_s=settings.books.window_s,
        windows_kept=settings.books.windows_kept,
        handling=lambda _: Handling(delay_s=0.0, resident_mb=0.0),
        compute=asyncio.to_thread,
    )


def work(settings: Settings, log: Log, upto: Sequence[int] | None = None) -> None:
    """Have a worker of the new version count what the log has, up to these offsets, and make again what is to be."""

    async def go() -> None:
        client = AsyncRedis.from_url(settings.redis.url.get_secret_value())
        source = log.source()
        counter = Counter(
            store=CheckpointStore(client, settings.redis.key_prefix, "live"),
            kafka=source.kafka,
            partitions=Partitions(),
            filling=filling_of(settings),
            writer="worker",
        )
        for partition, stop in enumerate(upto or [len(messages) for messages in log.messages]):
            known = await counter.begin(partition)
            for outcome in await outcomes_of(log, partition, known.state.next, stop):
                await counter.take(partition, [outcome])
            for run, first in known.state.repairs.items():
                its = await outcomes_of(log, partition, first, known.state.next)
                ours = [outcome for outcome in its if outcome.run == run]
                await counter.take_again(known, run, ours, known.state.next)
        await client.aclose()

    asyncio.run(go())


async def outcomes_of(log: Log, partition: int, start: int, stop: int) -> list[Outcome]:
    """Return what is counted of the messages in [start, stop) that the log has."""
    messages = await log.read(partition, start, stop)
    starts = [start, *(message.offset + 1 for message in messages)]
    return [transform(replace(m, start=at), CONDITIONS.for_run) for m, at in zip(messages, starts, strict=False)]


def later_spills() -> list[list[Produced]]:
    """Return what comes of the first run behind all that was left, by partition: two spills, and one of before."""
    run = SimulatedRun(run=FIRST, spills=14, mean_triggers=3, detectors=("tof", "scalers"), period_s=12.0)
    records = [record for record in run.records() if isinstance(record, RawSpill) and record.spill in {2, 12, 13}]
    found: list[list[Produced]] = [[], []]
    for record in records:
        found[record.spill % 2].append(Produced(encode(record), 1_795_900_000_000))
    return found


def continued(settings: Settings, redis: Redis, log: Log, starts: Sequence[int]) -> RunBook:
    """Return what the first run's book becomes, as it is now, with what the log has of it from these offsets on."""
    reader = BookReader.of(redis, settings)
    book = reader.run(FIRST, ranges(FIRST))
    part, total, numbers = RunPart(dict(book.ledger), book.totals), Book(ranges(FIRST)), dict(book.key_numbers)
    total += book.book
    for partition, start in enumerate(starts):
        outcomes = asyncio.run(outcomes_of(log, partition, start, len(log.messages[partition])))
        counted = part.count([o for o in outcomes if o.run == FIRST], ranges(FIRST), filling_of(settings).window_of)
        for _, _, filled in counted.filled:
            total += filled.book
            numbers |= filled.key_numbers
    return RunBook(totals=part.totals, ledger=part.ledger, book=total, key_numbers=numbers)
