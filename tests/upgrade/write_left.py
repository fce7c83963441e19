"""Write what the version c7218c2 leaves behind, made by its own code: what `spilldeck upgrade` must carry over.

It is kept for ever, as the fixtures of messages are. It was written from a checkout of that commit, with the Python of
this repository's environment; what is imported here is that version's::

    git worktree add --detach /tmp/c7218c2 c7218c2
    cd /tmp/c7218c2
    PYTHONPATH=. .../.venv/bin/python .../tests/upgrade/write_left.py .../tests/upgrade/left.json.xz
    git worktree remove /tmp/c7218c2

A worker counts two runs live. The session ``night`` is what a worker leaves that was killed when a rebalance had made
it miss some messages. A replay of the first run is done and promoted, one of the second was stopped half-way.
"""

import asyncio
import base64
import json
import lzma
import os
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ops.replay.sessions import Sessions
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from streams.agents.transform import Source, transform
from streams.books.aggregator import Aggregator, Incoming, KafkaAccess, TopicAccess

from ops.replay import part
from ops.replay.checks import make_plan
from ops.stack import LocalStack, free_port
from ops.topics import ensure_topics
from streams import kafka
from streams.books.products import Product, Products
from streams.books.promotions import Promotions
from streams.books.reader import BookReader
from streams.books.replays import Origin
from streams.books.run import Handling
from streams.books.store import CheckpointStore
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import ranges_of
from streams.settings import Settings, load_settings
from streams.topics import Topics
from tests.servers import redis_url

FIRST, SECOND = 900_401, 900_402
PARTITIONS = 2
WINDOWS_KEPT = 2
"""One less than the first run has, so that one has expired."""
MISSED = {0: {3, 4}, 1: {6}}
"""Partition → offsets of ``spills.raw`` that the session ``night`` has not seen, though it has later ones."""
ANSWER_S, WAIT_S = 10.0, 60.0

Message = tuple[int, bytes, int]
"""Offset, value, and when it was produced, Unix milliseconds."""


def simulated(run: int, spills: int, *faults: str, **changes: Any) -> list[Any]:
    """Return the records of a run that takes little room."""
    values = {"mean_triggers": 3, "detectors": ("tof", "scalers"), "period_s": 12.0, **changes}
    return list(SimulatedRun(run=run, spills=spills, **values).with_faults(faults).records())


def produce(settings: Settings) -> None:
    """Send two runs, of which the first has a disorder, duplicates, a rejected spill and a conflict; and rubbish."""
    start, *spills, end = simulated(FIRST, 12, "duplicated_spills@3-4", "corrupted_word:V1290/1/2@5")
    late = next(record for record in spills if record.spill == 6)
    conflict = next(record for record in simulated(FIRST, 12, seed=2)[1:-1] if record.spill == 7)
    spills = [record for record in spills if record is not late]
    with SpillProducer(settings) as producer:
        for record in [start, *spills[:-2], late, conflict, *spills[-2:], end]:
            producer.send(record)
    producer = kafka.writer(settings)
    producer.produce(Topics.of(settings).raw, b"no spill", key="0", partition=1)
    producer.flush()
    with SpillProducer(settings) as producer:
        for record in simulated(SECOND, 4):
            producer.send(record)


def raw_messages(settings: Settings) -> list[list[Message]]:
    """Return what is in ``spills.raw``, by partition."""
    topic = Topics.of(settings).raw
    found = []
    with closing(kafka.reader(settings)) as consumer:
        for partition in range(PARTITIONS):
            low, end = kafka.span(consumer, topic, partition, ANSWER_S)
            there = kafka.messages(consumer, topic, partition, low, end, ANSWER_S)
            found.append([(m.offset() or 0, m.value() or b"", m.timestamp()[1]) for m in there])
    return found


def count_live(settings: Settings, environment: dict[str, str], raw: list[list[Message]], redis: Redis) -> None:
    """Have a worker count what there is, and stop it."""
    reader = BookReader.of(redis, settings)
    worker = subprocess.Popen([sys.executable, "-m", "ops", "worker"], env=environment)
    try:
        deadline = time.monotonic() + WAIT_S
        while [its.raw_end for its in reader.progress()] != [len(messages) for messages in raw]:
            assert time.monotonic() < deadline, reader.progress()
            time.sleep(0.1)
    finally:
        worker.terminate()
        worker.wait(30)


async def count_at_night(settings: Settings, raw: list[list[Message]]) -> None:
    """Count as a worker does that misses messages, and is killed before it goes back to them."""
    conditions = ConditionsStore.from_settings(settings)
    redis = AsyncRedis.from_url(settings.redis.url.get_secret_value())

    async def nothing(*_: Any) -> None: ...

    async def yes(*_: Any) -> bool:
        return True

    topics = [
        TopicAccess(name=name, seek=nothing, first_from=nothing, still_has=yes, end=nothing)
        for name in ("spills.raw", "spills.reco")
    ]
    aggregator = Aggregator(
        store=CheckpointStore(redis, settings.redis.key_prefix, "night"),
        kafka=KafkaAccess(raw=topics[0], reco=topics[1], reject=nothing),
        run_books={},
        window_books={},
        ranges_of=lambda run: ranges_of(conditions.for_run(run)),
        window_s=settings.books.window_s,
        windows_kept=settings.books.windows_kept,
        clock=time.monotonic,
        handling=lambda _: Handling(delay_s=1.0, resident_mb=200.0),
    )
    for partition, messages in enumerate(raw):
        seen = [message for message in messages if message[0] not in MISSED[partition]]
        for offset, (raw_offset, value, produced_ms) in enumerate(seen):
            made = transform(value, Source(topic="spills.raw", partition=partition, offset=offset), conditions.for_run)
            incoming = Incoming(
                partition=partition, offset=offset, raw_offset=raw_offset, produced_ms=produced_ms, value=made.value
            )
            await aggregator.take([incoming])
    await redis.aclose()


def replay_half(settings: Settings, redis: Redis) -> None:
    """Begin a replay of the second run, and stop it when half of its first partition is in."""
    sessions = Sessions(redis, settings.redis.key_prefix)
    plan = make_plan(settings, redis, "replay-half", [SECOND], Origin.RAW, None)
    sessions.save(plan)
    taken = [0] * PARTITIONS
    part._Process.shared = SimpleNamespace(  # type: ignore[assignment]
        read=[0] * PARTITIONS,
        taken=taken,
        behind=[0] * PARTITIONS,
        stop=SimpleNamespace(is_set=lambda: sum(taken) >= 2),
    )
    part.replay_partition(plan, 0)


def expected(settings: Settings, redis: Redis, session: str) -> dict[str, Any]:
    """Return what that version's reader says of a session."""
    reader = BookReader.of(redis, settings, session)
    conditions = ConditionsStore.from_settings(settings)
    found = {}
    for number, totals in reader.runs().items():
        ranges = ranges_of(conditions.for_run(number))
        run = reader.run(number, ranges)
        windows = {start: reader.window(number, start, ranges) for start in reader.windows(number)}
        found[str(number)] = {
            "totals": totals.to_json(),
            "ledger": {
                spill: [e.time_us, e.triggers, e.size, e.digest.hex(), list(e.scalers)]
                for spill, e in run.ledger.items()
            },
            "handling": {spill: [h.delay_s, h.resident_mb] for spill, h in run.handling.items()},
            "key_numbers": {spill: numbers.hex() for spill, numbers in run.key_numbers.items()},
            "book": {name: run.book.summary(name) for name in run.book},
            "windows": {
                start: {"spills": spills, "book": {name: windows[start].summary(name) for name in windows[start]}}
                for start, spills in reader.windows(number).items()
            },
        }
    return found


def write(path: Path, directory: Path) -> None:
    """Do all that, and write it to a file."""
    with LocalStack(directory, free_port(), free_port()) as stack:
        os.environ |= {
            "SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{stack.kafka_port}",
            "SPILLDECK_KAFKA__PARTITIONS": str(PARTITIONS),
            "SPILLDECK_REDIS__URL": redis_url(stack),
            "SPILLDECK_BOOKS__WINDOWS_KEPT": str(WINDOWS_KEPT),
            "SPILLDECK_BOOKS__BATCH_SPILLS": "1",
        }
        settings = load_settings()
        ensure_topics(settings)
        produce(settings)
        raw = raw_messages(settings)
        with Redis.from_url(settings.redis.url.get_secret_value()) as redis:
            count_live(settings, dict(os.environ), raw, redis)
            asyncio.run(count_at_night(settings, raw))
            replay = [sys.executable, "-m", "ops", "replay", str(FIRST), "--name", "again", "--workers", "1"]
            subprocess.run(replay, check=True)
            Promotions(redis, settings.redis.key_prefix).promote((FIRST,), "replay-again")
            replay_half(settings, redis)
            newest_ms = BookReader.of(redis, settings).runs()[FIRST].produced_ms
            Products(redis, settings.redis.key_prefix, "live").note(FIRST, Product.ARCHIVE, ["00900401.000"], newest_ms)
            sessions = ("live", "night", "replay-again", "replay-half")
            left = {
                "prefix": settings.redis.key_prefix,
                "keys": {key.decode(): _fields(redis, key) for key in sorted(redis.scan_iter())},
                "raw": [[[_text(value), produced_ms] for _, value, produced_ms in messages] for messages in raw],
                "expected": {session: expected(settings, redis, session) for session in sessions},
            }
    path.write_bytes(lzma.compress(json.dumps(left, separators=(",", ":")).encode()))


def _fields(redis: Redis, key: bytes) -> dict[str, Any]:
    kind = redis.type(key).decode()
    assert kind == "hash", f"{key!r} is a {kind}"
    return {"type": kind, "fields": {f.decode(): _text(value) for f, value in sorted(redis.hgetall(key).items())}}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        write(Path(sys.argv[1]), Path(scratch))
