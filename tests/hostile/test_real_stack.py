"""The corpus through a real Kafka, one worker and a real Redis: every good spill counts, every bad one is kept."""

import json
import re
import time
from collections.abc import Callable
from itertools import islice

import psutil
import pytest
from confluent_kafka import Producer

from ops.topics import ensure_topics
from schemas.records import NO_RUN, Rejection, RunControl
from streams.books.compare import differences
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics, partition_of
from tests.conftest import WAIT_S
from tests.hostile.corpus import Hostile, for_raw, for_reco, rejected_spill
from tests.kafka import reached, rejected
from tests.ops.conftest import Spilldeck
from tests.records import reconstructed_spill
from tests.servers import environment
from tests.wire import encode
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = 900078
MOST_RSS = 750e6
"""Five messages of 30 MiB may be in the worker at once, each with what is made of it."""
Place = tuple[str, int, int]


def long_ago_ms() -> int:
    """Return a time that is not now, and not so long ago that Kafka removes what is of it."""
    return time.time_ns() // 1_000_000 - 86_400_000


class Writer:
    """Writes to the topics whatever it is given, and remembers where each hostile message went."""

    def __init__(self, settings: Settings) -> None:
        self._producer = Producer(
            reached(settings)
            | {
                "message.max.bytes": 64 << 20,
                "compression.type": "zstd",
            }
        )
        self.written: dict[Place, Hostile] = {}

    def good(self, topic: str, value: bytes, partition: int, **options: object) -> None:
        self._producer.produce(topic, value, partition=partition, **options)

    def bad(self, topic: str, hostile: Hostile, partition: int, **options: object) -> None:
        def delivered(error: object, message: object) -> None:
            assert error is None
            self.written[topic, message.partition(), message.offset()] = hostile

        self._producer.produce(
            topic, hostile.value, key=hostile.key, partition=partition, on_delivery=delivered, **options
        )

    def flush(self) -> None:
        assert self._producer.flush(30) == 0


def test_after_any_message_the_next_good_spill_counts_and_the_bad_one_is_kept(
    settings: Settings,
    workers: Workers,
    reader: BookReader,
    until_counted: Callable[[], None],
) -> None:
    topics, partitions = Topics.of(settings), settings.kafka.partitions
    records = list(SimulatedRun(run=RUN, spills=60, mean_triggers=3).records())
    (expected,) = process(records, ConditionsStore([]).for_run).values()
    writer = Writer(settings)
    # Whatever somebody writes into spills.reco, it is in no book, and harms none.
    headers = [b"999999999999", b"9" * 5000, b"-1", b"", None, b"nan", b"12"]
    liar = reconstructed_spill(0, run=RUN + 1, detectors={}, rejection=Rejection(step="unpack", reason="a lie"))
    for partition in range(partitions):
        writer.good(topics.reco, encode(liar), partition, headers=[("raw-offset", b"7")])
    for number, hostile in enumerate(for_reco()):
        header = headers[number % len(headers)]
        twice = [("raw-offset", header), ("raw-offset", header)]
        writer.good(topics.reco, hostile.value or b"", number % partitions, headers=twice)
    # Compressed to some kilobytes.
    bombs = [Hostile(name="zeros", value=bytes(30 << 20), reason="begins with 0000", key=None) for _ in range(4)]
    hostiles = iter([*for_raw(), *bombs])
    for record in records:
        everywhere = isinstance(record, RunControl)
        for partition in range(partitions) if everywhere else [partition_of(record.spill, partitions)]:
            for hostile in islice(hostiles, 1):
                writer.bad(topics.raw, hostile, partition)
            # Neither key nor time of a message tells anything; older than this, Kafka itself would remove it.
            writer.good(topics.raw, encode(record), partition, key=b"-5", timestamp=long_ago_ms())
    assert next(hostiles, None) is None
    writer.flush()
    workers.start()
    most, deadline = 0, time.monotonic() + WAIT_S
    while RUN not in (runs := reader.runs()) or runs[RUN].filled < expected.part.totals.filled:
        assert time.monotonic() < deadline, f"not all was counted: {runs}"
        most = max(most, psutil.Process(workers.running[0].pid).memory_info().rss)
        time.sleep(0.05)
    until_counted()

    assert differences(expected.run_book(), reader.run(RUN, {})) == []
    assert workers.running[0].poll() is None
    kept = {(one.topic, one.partition, one.offset): one for one in rejected(settings)}
    assert {place: hostile.name for place, hostile in writer.written.items() if place not in kept} == {}
    assert kept.keys() == writer.written.keys()
    for place, one in kept.items():
        hostile = writer.written[place]
        assert one.step == hostile.step, hostile.name
        assert re.search(hostile.reason, one.reason), hostile.name
        assert one.payload == (hostile.value or b""), hostile.name
    envelopes = sum(hostile.step == "envelope" for hostile in writer.written.values())
    assert reader.runs()[NO_RUN].rejected == {"envelope": envelopes}
    assert sum(totals.all_rejected for totals in reader.runs().values()) == len(writer.written)
    assert most < MOST_RSS

    # Another worker, which takes over, finds in Kafka what was counted.
    workers.stop()
    for partition in range(partitions):
        writer.good(topics.raw, encode(records[0]), partition)
    writer.flush()
    workers.start()
    until_counted()
    assert [progress.lost for progress in reader.progress().values()] == [()] * partitions
    assert reader.run(RUN, {}).totals.received == len(records) - 2


def test_the_command_reads_whatever_is_in_spills_rejected(settings: Settings, spilldeck: Spilldeck) -> None:
    ensure_topics(settings)
    topics, env = Topics.of(settings), environment(settings) | {"COLUMNS": "80"}
    producer = Producer(reached(settings) | {"message.max.bytes": 64 << 20})
    escape = "\x1b[2J\x07\x9b31m\u202eevil\r\n"
    good = rejected_spill(topic=topics.raw)
    odd = [
        rejected_spill(topic=topics.raw, partition=10**9),
        rejected_spill(topic=topics.raw, partition=-(2**63), offset=2**63 - 1, byte=-1),
        rejected_spill(topic=topics.raw, payload=b"", step=escape, reason=escape, source=escape, partition=1),
        rejected_spill(topic=escape),
        rejected_spill(run=NO_RUN, spill=NO_RUN, topic="", payload=encode(good)),
        rejected_spill(topic="", reason="long " * 2000),
    ]
    for record in odd:
        producer.produce(topics.rejected, encode(record), partition=0, timestamp=long_ago_ms())
    for hostile in for_raw():
        producer.produce(topics.rejected, hostile.value, key=hostile.key, partition=1)
    producer.produce(topics.rejected, encode(good), partition=2)
    assert producer.flush(30) == 0

    done = spilldeck("rejected", "list", "--json", env=env)
    # That of the corpus which is a rejected spill is one here.
    assert [one["id"] for one in json.loads(done.stdout) if not one["id"].startswith("1/")] == [
        *(f"0/{n}" for n in range(len(odd))),
        "2/0",
    ]
    for arguments in (("list",), ("show", "0/2")):
        done = spilldeck("rejected", *arguments, env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert all(line.isprintable() and len(line) <= 80 for line in done.stdout.split("\n"))
        assert r"\x1b[2J" in re.sub(r"\s|│", "", done.stdout)
    done = spilldeck("rejected", "replay", "--all", env=env)
    assert done.returncode == 0
    assert done.stdout == "2 spills sent again\n"
    assert all(line.startswith("spilldeck: 0/") for line in done.stderr.splitlines())
    assert len(done.stderr.splitlines()) == 2
    for name in ("0/1", "0/99999999999999999999"):
        done = spilldeck("rejected", "replay", "--", name, env=env)
        assert done.returncode == 2
        assert done.stderr.startswith("spilldeck: ")
