"""Some harm of `make chaos`, in small: three brokers, two workers, what is mended within seconds."""

import gc
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ops.topics import ensure_topics
from schemas.records import ActionKind
from streams.books.connect import connect
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.process import process
from streams.settings import Settings, load_settings
from tests.chaos import planted
from tests.chaos.daq import FIRST_RUN, OwnRun
from tests.chaos.harm.processes import kill_a_broker, kill_a_worker
from tests.chaos.harm.redis import kill_redis, lose_redis
from tests.chaos.persons import Persons, judge_persons
from tests.chaos.rounds import Scale, chaos
from tests.chaos.tables import BREAKABLE_RUNS, cabling, make_other_tables, make_tables
from tests.conftest import PROJECT
from tests.lanes import on_others
from tests.redis_servers import until
from tests.servers import own_redis

# The library forgets connections to nodes of a Cluster that it no longer lists, without closing them.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

SCALE = Scale(brokers=3, workers=2, rate=12.0)
WAIT_S = 60.0
FILED_S = 1.5
"""What Redis holds is in its file after it, which it writes each second."""


@pytest.fixture(autouse=True)
def _forgotten_here() -> Iterator[None]:
    """Have what was forgotten collected where that is known."""
    yield
    gc.collect()


@on_others
@pytest.mark.servers
@pytest.mark.timeout(600)  # as long as it moves, however slowly, there is no fault
def test_four_rounds_of_harm_change_no_bin_and_no_counter(
    servers_can_be_had: None, capsys: pytest.CaptureFixture[str]
) -> None:
    harms = [kill_redis, kill_a_worker, lose_redis, kill_a_broker]
    assert chaos(7, harms, SCALE, Console()), capsys.readouterr().out


@pytest.mark.servers
def test_a_redis_that_failed_comes_back_with_what_it_held_and_one_that_lost_its_files_with_nothing(
    servers_can_be_had: None, tmp_path: Path
) -> None:
    store = own_redis(tmp_path)
    try:
        with connect(load_settings(redis=store.settings("test"))) as redis:
            keys = [f"key-{number}" for number in range(30)]  # some on each master, if there are several
            for key in keys:
                redis.set(key, "held")
            time.sleep(FILED_S)
            for harm in (store.fail, store.restart, store.kill_all):
                harm()
                store.mend()
                until(lambda: [redis.get(key) for key in keys] == [b"held"] * len(keys))
            store.kill_all()
            for file in store.files:
                shutil.rmtree(file)
            store.mend()
            until(lambda: [redis.get(key) for key in keys] == [None] * len(keys))
    finally:
        store.end()


@pytest.mark.parametrize(
    ("servers", "harm", "why"),
    [
        ("cluster", ["make_redis_read_only"], "make redis read only: a node that is made a replica"),
        ("", ["lose_the_host_of_the_replica", "--hosts"], "lose the host of the replica: one Redis has no other"),
    ],
)
def test_harm_without_a_meaning_on_some_servers_is_left_out_in_words(servers: str, harm: list[str], why: str) -> None:
    words = [sys.executable, "-m", "tests.chaos", "--only", *harm]
    env = os.environ | {"SERVERS": servers}
    done = subprocess.run(words, cwd=PROJECT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"left out: {why}")


def test_each_planted_fault_is_one_spills_fault_and_is_gone_when_it_is_no_longer_planted(tmp_path: Path) -> None:
    index = make_tables(tmp_path / "tables")
    conditions_of = ConditionsStore([(index, index.parent)]).for_run
    records = list(OwnRun(run=planted.RUNS[0], spills=12, mean_triggers=2).records())
    with planted.plant():
        (harmed,) = process(records, conditions_of).values()
    (whole,) = process(records, conditions_of).values()
    assert (harmed.part.totals.rejected, harmed.part.totals.errors) == ({"fault": 2}, {planted.DETECTOR: 1})
    assert set(range(12)) - harmed.part.ledger.keys() == {planted.IN_FILLING, planted.IN_THE_LEDGER}
    assert (whole.part.totals.filled, whole.part.totals.errors) == (12, {})


def test_each_run_whose_table_may_be_broken_has_it_for_itself(tmp_path: Path) -> None:
    index, others = make_tables(tmp_path / "tables"), make_other_tables(tmp_path / "others")
    one, other = BREAKABLE_RUNS[0], BREAKABLE_RUNS[1]
    cabling(index, one).write_text("a typo")
    ours, theirs = (ConditionsStore([(its, its.parent)]).for_run for its in (index, others))
    with pytest.raises(UsageError, match=f"{one}.txt"):
        ours(one)
    digests = {conditions.digest for conditions in (ours(other), ours(FIRST_RUN), theirs(FIRST_RUN)) if conditions}
    assert len(digests) == 3


def test_a_shifted_clock_is_what_faust_reads() -> None:
    program = (
        "import time; before = time.time()\n"
        "from tests.chaos.shifted_clock import shift; shift(-3600)\n"
        "from faust.agents import agent; from aiokafka.consumer import fetcher\n"
        "assert agent.time() < before - 3500 and fetcher.time.time() < before - 3500\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.servers
def test_what_persons_did_is_there_once_and_what_is_lost_is_told(settings: Settings) -> None:
    ensure_topics(settings)
    with Persons(settings, seed=1) as persons:
        deadline = time.monotonic() + WAIT_S
        while len(persons.noted) < 12:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert judge_persons(settings, persons) == []
    flag = next(action for action in persons.noted if action.kind == ActionKind.FLAG)
    persons.noted.append(replace(flag, after=flag.after.replace(json.loads(flag.after)["id"], "lost-0001")))
    assert judge_persons(settings, persons) == ["flag lost-0001 was noted and is not there"]
