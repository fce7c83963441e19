"""spilldeck rejected: what is in no histogram is kept, shown, and goes through again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Producer

from ops.console import out
from ops.topics import ensure_topics
from schemas.records import NO_RUN, RawSpill, RejectedSpill
from streams.books.compare import differences
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import Settings
from streams.topics import Topics, partition_of
from tests.kafka import reached
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.servers import environment
from tests.wire import encode
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = SimulatedRun(run=900041, spills=6, mean_triggers=5)


def reject(settings: Settings, *records: RejectedSpill) -> None:
    """Write to spills.rejected as a worker does."""
    producer = Producer(reached(settings))
    for record in records:
        partition = max(record.partition, 0)
        producer.produce(Topics.of(settings).rejected, encode(record), key=str(record.run), partition=partition)
    producer.flush(10)


def rejected(settings: Settings, raw: RawSpill, **changes: object) -> RejectedSpill:
    """Return a good spill as an older version may have rejected it."""
    values = {
        "run": raw.run,
        "spill": raw.spill,
        "step": "unpack",
        "reason": f"a fault [of old] in byte 7 of spill {raw.spill}",
        "source": raw.source,
        "byte": raw.byte,
        "topic": Topics.of(settings).raw,
        "partition": partition_of(raw.spill, settings.kafka.partitions),
        "offset": 0,
        "payload": encode(raw),
    }
    return RejectedSpill(**(values | changes))


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    ensure_topics(settings)
    return environment(settings)


def listed(spilldeck: Spilldeck, env: dict[str, str], *options: str) -> list[dict[str, object]]:
    done = spilldeck("rejected", "list", "--json", *options, env=env)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def test_rejected_spills_are_listed_and_shown_with_place_reason_and_bytes(
    spilldeck_here: Spilldeck,
    settings: Settings,
    env: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert spilldeck_here("rejected", "list", env=env).stdout == "Nothing is rejected.\n"
    raw = RUN.spill(2).raw
    garbage = rejected(settings, raw, run=NO_RUN, spill=NO_RUN, step="envelope", payload=b"garbage", partition=1)
    reject(settings, rejected(settings, raw), garbage)
    found = listed(spilldeck_here, env)
    assert {one["id"]: (one["run"], one["spill"], one["step"]) for one in found} == {
        "2/0": (900041, 2, "unpack"),
        "1/0": (NO_RUN, NO_RUN, "envelope"),
    }
    assert [one["id"] for one in listed(spilldeck_here, env, "--run", "900041")] == ["2/0"]
    assert [one["id"] for one in listed(spilldeck_here, env, "--step", "envelope")] == ["1/0"]
    monkeypatch.setattr(out, "_width", 80)
    done = spilldeck_here("rejected", "list", env=env)
    assert "a fault [of old]" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80

    done = spilldeck_here("rejected", "show", "2/0", "--out", "bytes", "--json", env=env)
    shown = json.loads(done.stdout)
    assert (tmp_path / "bytes").read_bytes() == raw.payload
    assert shown["reason"] == "a fault [of old] in byte 7 of spill 2"
    assert (shown["source"], shown["byte"], shown["bytes"]) == (raw.source, raw.byte, len(raw.payload))
    assert spilldeck_here("rejected", "show", "1/0", "--out", "bytes", env=env).returncode == 0
    assert (tmp_path / "bytes").read_bytes() == b"garbage"


def test_after_a_fix_a_rejected_spill_goes_through_and_is_counted_once(
    spilldeck_here: Spilldeck,
    settings: Settings,
    env: dict[str, str],
    workers: Workers,
    reader: BookReader,
    until_counted: Callable[[], None],
) -> None:
    workers.start()
    good = [RUN.spill(number).raw for number in range(6)]
    with SpillProducer(settings) as producer:
        for number in (0, 1, 3, 5):
            producer.send(good[number])
    reject(settings, rejected(settings, good[2]), rejected(settings, good[4]))
    for name, left in (("2/0", {4}), ("0/0", set())):
        assert spilldeck_here("rejected", "replay", name, env=env).stdout == "1 spills sent again\n"
        until_counted()
        assert set(range(6)) - reader.run(RUN.run, {}).ledger.keys() == left
    (expected,) = process(good, ConditionsStore([]).for_run).values()
    assert differences(expected.run_book(), reader.run(RUN.run, {})) == []
    # Somebody does it once more.
    assert spilldeck_here("rejected", "replay", "--all", env=env).stdout == "2 spills sent again\n"
    until_counted()
    stored = reader.run(RUN.run, {})
    assert (stored.totals.filled, stored.totals.duplicates) == (6, 2)
    assert stored.book["ht01"] == expected.book["ht01"]


def test_what_cannot_be_sent_again_is_said_and_nothing_is_sent(
    spilldeck_here: Spilldeck, settings: Settings, env: dict[str, str]
) -> None:
    raw = RUN.spill(2).raw
    reject(settings, rejected(settings, raw), rejected(settings, raw, topic=Topics.of(settings).reco, partition=1))
    assert "has its raw bytes in" in assert_one_sentence(spilldeck_here("rejected", "replay", "2/0", "1/0", env=env), 2)
    assert "no rejected spill 9/9" in assert_one_sentence(spilldeck_here("rejected", "replay", "9/9", env=env), 2)
    assert "nothing is chosen" in assert_one_sentence(spilldeck_here("rejected", "replay", env=env), 2)
    assert "not both" in assert_one_sentence(spilldeck_here("rejected", "replay", "2/0", "--all", env=env), 2)
    line = assert_one_sentence(
        spilldeck_here("rejected", "list", env={"SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": "127.0.0.1:1"}), 3
    )
    assert "no Kafka answers at 127.0.0.1:1" in line


def test_a_spill_that_is_still_bad_is_rejected_again_with_the_reason_of_today(
    spilldeck_here: Spilldeck,
    settings: Settings,
    env: dict[str, str],
    workers: Workers,
    until_counted: Callable[[], None],
) -> None:
    workers.start()
    raw = RUN.spill(1).raw
    bad = replace(raw, payload=raw.payload[: len(raw.payload) // 2])
    reject(settings, rejected(settings, bad))
    assert spilldeck_here("rejected", "replay", "--run", "900041", env=env).returncode == 0
    until_counted()
    reasons = [str(one["reason"]) for one in listed(spilldeck_here, env)]
    assert len(reasons) == 2
    assert "simulated run 900041" in reasons[1]
