"""spilldeck selftest: through the site's own servers beside live, which does not notice; nothing of it stays."""

import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from ops import selftest as of_selftest
from ops.selftest import leftovers, selftest
from schemas.records import RawSpill, RunControl
from streams.books.sessions import ALIVE_S
from streams.process import RunResult, process
from tests.begun import Heard
from tests.kafka import admin, create, names, until
from tests.lanes import again
from tests.live import Live, small_run

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]  # workers and replays, on a machine that may be busy

MEANWHILE = 900_413
WAIT_S = 60.0


def topics(live: Live) -> set[str]:
    return names(live.settings)


def groups(live: Live) -> set[str]:
    client = admin(live.settings)
    return {each.group_id for each in client.list_consumer_groups().result().valid}


def keys(live: Live) -> set[bytes]:
    return set(live.redis.scan_iter(match=f"{live.settings.redis.key_prefix}:*", count=1000))


def of_selftests(names: Iterable[object]) -> list[object]:
    return [name for name in names if "selftest" in str(name)]


@again
def test_one_that_was_killed_is_found_and_removed_and_live_notices_nothing(live: Live, tmp_path: Path) -> None:
    before = topics(live)
    killed = Heard(["selftest"], env=os.environ | live.env, said=tmp_path)
    deadline = time.monotonic() + WAIT_S
    while not of_selftests(keys(live)) or not of_selftests(topics(live) - before):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert leftovers(live.settings, live.redis) == [], "one that may be at work is nobody's to remove"
    time.sleep(ALIVE_S)
    (left,) = leftovers(live.settings, live.redis)

    counted = {partition: its.next for partition, its in live.reader.progress().items()}
    asked = Heard(["selftest", "--json"], env=os.environ | live.env, said=tmp_path)
    live.send(*small_run(MEANWHILE))
    said, _ = asked.communicate(2 * WAIT_S)
    assert asked.poll() == 0, said
    told = json.loads(said)
    assert told["identical"]
    assert told["spills"] == of_selftest.SPILLS
    assert told["removed"] == [left]

    until(lambda: topics(live) == before)
    assert not of_selftests(keys(live))
    assert not of_selftests(groups(live))
    assert live.reader.totals(MEANWHILE).received > 0
    assert told["run"] not in live.reader.places()
    now = {partition: its.next for partition, its in live.reader.progress().items()}
    # Each partition has the start and the end of a run.
    sent = sum(len(now) if isinstance(each, RunControl) else 1 for each in small_run(MEANWHILE))
    assert sum(now.values()) - sum(counted.values()) == sent


def test_what_differs_is_named_and_removed_all_the_same_as_what_a_killed_one_left(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def with_one_less(records: list[RawSpill | RunControl], *conditions: object) -> dict[int, RunResult]:
        return process(records[:-2] + records[-1:], *conditions)  # type: ignore[arg-type]

    monkeypatch.setattr(of_selftest, "process", with_one_less)
    before = topics(live)
    counted = {partition: its.next for partition, its in live.reader.progress().items()}
    left = "selftest-0123abcd"
    topic = f"{live.settings.kafka.topic_prefix}{left}.spills.raw"
    create(live.settings, topic, 1)
    tested = selftest(live.settings, live.redis, dict(os.environ | live.env), lambda _: None)
    assert f"filled: {of_selftest.SPILLS - 1} here, {of_selftest.SPILLS} there" in tested.differences
    assert tested.to_json()["identical"] is False
    assert tested.removed == [left]
    until(lambda: topics(live) == before)
    assert not of_selftests(keys(live))
    assert not of_selftests(groups(live))
    assert {partition: its.next for partition, its in live.reader.progress().items()} == counted, "live notices nothing"
    assert tested.run not in live.reader.places()
