"""spilldeck good-spills, on real servers: a list is made again bit for bit from Kafka and the archives alone."""

import json
import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from ops.archive import write_archive
from ops.stack import LocalStack
from schemas.records import RunControl
from streams.books.actions import append
from streams.books.flagging import flag_action
from streams.books.flags import NewFlag, Verdict
from tests.live import RUNS, Live, count_live, interleaved, small_run
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_decisions import done
from tests.servers import own_redis, settings_on

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]  # workers and replays, on a machine that may be busy

RULES = """
[[tof_and_trackers]]
version = 2
good = ["tof", "tracker"]
[[tof_alone]]
version = 1
good = ["tof"]
not_bad = []
"""
OPEN = 900_399
"""A run of which no end has come."""


@pytest.fixture(scope="module")
def live(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return ten runs that are over and one that goes on, on a Redis that is emptied."""
    with ExitStack() as started:
        server = own_redis(tmp_path_factory.mktemp("redis"))
        started.callback(server.end)
        settings = settings_on(stack)
        own = server.settings(settings.redis.key_prefix)
        goes_on = [each for each in small_run(OPEN) if not (isinstance(each, RunControl) and each.kind == "end")]
        records = [*interleaved([*map(small_run, RUNS)]), *goes_on]
        settings = settings.model_copy(update={"redis": own})
        yield started.enter_context(count_live(settings, tmp_path_factory.mktemp("workers"), [records], {}))


def test_a_list_of_ten_runs_is_made_again_bit_for_bit_from_kafka_and_archives_alone(
    spilldeck_here: Spilldeck, live: Live, tmp_path: Path
) -> None:
    rules, archives = tmp_path / "rules.toml", tmp_path / "archives"
    rules.write_text(RULES)
    archives.mkdir()
    env = live.env | {"SPILLDECK_CHECKS__GOOD_SPILLS": str(rules)}

    def say(*arguments: str | Path) -> Any:
        return spilldeck_here(*arguments, env=env)

    def listed(*arguments: str | Path, rule: str = "tof_and_trackers") -> bytes:
        runs = f"{RUNS[0]}-{RUNS[-2]},{RUNS[-1]}"
        return bytes(done(say("good-spills", rule, "--runs", runs, "--json", *arguments)), "utf8")

    def flag(run: int, *said: Any) -> None:
        new = NewFlag(secrets.token_hex(8), *said)
        append(live.settings, flag_action((), run, new=new, origin="a test"))

    for run in RUNS[:-1]:
        flag(run, Verdict.GOOD, "")
    flag(RUNS[1], Verdict.BAD, "it tripped", "kl", 2, 3)
    flag(RUNS[2], Verdict.UNKNOWN, "nobody can tell", "tracker")
    first = listed()
    found = json.loads(first)
    assert [each["run"] for each in found["runs"]] == [*RUNS]
    every, some, none = (each["good"] for each in found["runs"][:3])
    assert every == [[0, 4], [6, 7]]  # one was rejected
    assert some == [[0, 1], [4, 4], [6, 7]]
    assert none == found["runs"][-1]["good"] == []
    assert found["runs"][0]["rejected"] == [[5, 5]]
    assert found["rule"]["version"] == 2
    assert all(each["conditions"] and each["code"] and each["book"] == "live" for each in found["runs"])

    # What people say later makes another list; the older one comes again.
    for run in RUNS:
        write_archive(live.settings, live.reader, run, archives)
    flag(RUNS[0], Verdict.BAD, "after all")
    assert json.loads(listed())["runs"][0]["good"] == []
    at = str(found["quality"]["upto"])
    assert listed("--at", at) == first
    table = done(say("good-spills", "tof_and_trackers", "--runs", str(RUNS[0]), "--at", at))
    assert "0-4, 6-7" in table
    assert f"7 good spills: rule tof_and_trackers version 2, as of action {at}" in table

    for arguments, why in (
        (("tof_and_trackers", "--runs", str(OPEN)), f"run {OPEN} is still running"),
        (("tof_and_trackers", "--runs", "5"), "run 5 is not whole in the books, and no archive is named"),
        (("tof_and_trackers", "--runs", "5-6"), "there is no run from 5 to 6"),
        (("tof_and_trackers", "--runs", "x"), "x is no run"),
        (("tof_and_trackers", "--runs", str(RUNS[0]), "--at", "10000"), "actions, not 10000"),
    ):
        ended = say("good-spills", *arguments)
        assert why in assert_one_sentence(ended, ended.returncode)
        assert ended.returncode in {1, 2}

    for number in range(2):
        live.workers.kill(number)
    live.redis.flushall()
    assert listed("--at", at, "--archives", archives) == first
    assert json.loads(listed("--archives", archives, rule="tof_alone"))["runs"][2]["good"] == every
    # A run that somebody flagged is not left out in silence.
    (archives / f"{RUNS[3]:08d}.spills.avro").unlink()
    again = say("good-spills", "tof_alone", "--runs", f"{RUNS[0]}-{RUNS[-1]}", "--archives", archives)
    assert f"run {RUNS[3]} is not whole in the books, and there is no" in assert_one_sentence(again, 2)
