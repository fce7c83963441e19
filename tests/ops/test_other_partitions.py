"""A reader whose settings say another number of partitions than the topics have sees all of them."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import NewPartitions

from dashboards.data import Data
from ops.replay.live import LiveLag
from ops.topics import ensure_topics
from schemas.records import RawSpill
from streams import kafka
from streams.books import layout
from streams.books.compare import differences
from streams.daq.producer import SpillProducer
from streams.settings import Settings
from streams.topics import Topics
from tests.kafka import admin as admin_of
from tests.lanes import again
from tests.live import RUNS, Live
from tests.ops.conftest import Spilldeck
from tests.records import raw_spill

pytestmark = pytest.mark.servers

RUN = RUNS[0]
FEWER = 2


def with_fewer(settings: Settings) -> Settings:
    return settings.model_copy(update={"kafka": settings.kafka.model_copy(update={"partitions": FEWER})})


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def send(settings: Settings, spills: range) -> None:
    with SpillProducer(settings) as producer:
        for number in spills:
            producer.send(raw_spill(spill=number))


def add_partitions(settings: Settings, partitions: int) -> None:
    topic, admin = Topics.of(settings).raw, admin_of(settings)
    admin.create_partitions([NewPartitions(topic, partitions)])[topic].result(60)
    until(lambda: len(admin.list_topics(topic, timeout=60).topics[topic].partitions) == partitions)


@pytest.fixture
def env(live: Live) -> dict[str, str]:
    """Return the settings of a reader that knows of half of the partitions."""
    return live.env | {"SPILLDECK_KAFKA__PARTITIONS": str(FEWER)}


@again
def test_verify_makes_all_of_a_run_again(live: Live, spilldeck_here: Spilldeck, env: dict[str, str]) -> None:
    done = spilldeck_here("verify", str(RUN), "--keep", "--workers", "1", env=env)
    assert done.stdout == f"run {RUN}: identical\n", done.stderr
    assert differences(live.reader.run(RUN, {}), live.books(f"verify-{RUN}").run(RUN, {})) == []


def test_verify_finds_what_differs_in_a_partition_that_the_settings_do_not_know(
    live: Live, spilldeck_here: Spilldeck, env: dict[str, str]
) -> None:
    key = layout.Keys(live.settings.redis.key_prefix, "live", 3).spills(RUN)
    spill, entry = next((s, e) for s, e in live.redis.hgetall(key).items() if s != layout.STAMP.encode())  # type: ignore[union-attr]
    live.redis.hdel(key, spill)
    try:
        done = spilldeck_here("verify", str(RUN), "--workers", "1", env=env)
    finally:
        live.redis.hset(key, spill, entry)
    assert done.returncode == 1, done.stdout
    assert f"run {RUN}: differs" in done.stdout


def test_an_archive_has_all_of_a_run_and_comes_back_whole(
    live: Live, spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path
) -> None:
    done = spilldeck_here("runs", "archive", str(RUN), "--out", tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    spills = {r.spill for r in live.records if isinstance(r, RawSpill) and r.run == RUN}
    archive = tmp_path / f"{RUN:08d}.spills.avro"
    done = spilldeck_here("replay", str(RUN), "--archive", archive, "--name", "all", "--workers", "1", env=env)
    assert done.returncode == 0, done.stderr
    again = live.books("replay-all").run(RUN, {})
    assert spilldeck_here("replays", "drop", "all", env=env).returncode == 0
    assert again.ledger.keys() == live.reader.run(RUN, {}).ledger.keys() < spills


def test_spills_are_counted_in_all_partitions(live: Live, spilldeck_here: Spilldeck, env: dict[str, str]) -> None:
    few, all_of_them = (json.loads(spilldeck_here("spills", "count", "--json", env=e).stdout) for e in (env, live.env))
    assert few == all_of_them


def test_a_page_and_a_replay_see_partitions_that_are_added_while_they_look(settings: Settings) -> None:
    few = with_fewer(settings)
    ensure_topics(few)
    send(few, range(2))
    with Data(few) as data, LiveLag(few) as lag:
        until(lambda: data.view().behind == 2)
        assert lag.too_far_behind() == 0
        add_partitions(settings, 4)
        send(few, range(2, 8))
        until(lambda: data.view().behind == 8)
        until(lambda: lag.too_far_behind() == 8)


def test_the_partitions_of_a_topic_are_those_that_it_has_now(settings: Settings) -> None:
    few, raw = with_fewer(settings), Topics.of(settings).raw
    with closing(kafka.reader(settings)) as consumer:
        with pytest.raises(KafkaException, match=rf"{raw}.*[Uu]nknown topic"):
            kafka.partitions(consumer, raw, 10)
        ensure_topics(few)
        assert kafka.spans(consumer, raw, 10) == ((0, 0), (0, 0))
        add_partitions(settings, 5)
        assert kafka.spans(consumer, raw, 10) == ((0, 0),) * 5
        send(few, range(5))
        assert kafka.spans(consumer, raw, 10) == ((0, 1),) * 5
