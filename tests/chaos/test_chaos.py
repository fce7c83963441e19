"""Some harm of `make chaos`, in small: three brokers, two workers, what is mended within seconds."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from ops.topics import ensure_topics
from schemas.records import ActionKind
from streams.conditions.store import ConditionsStore
from streams.errors import UsageError
from streams.process import process
from streams.settings import Settings
from tests.chaos import planted
from tests.chaos.daq import FIRST_RUN, OwnRun
from tests.chaos.harm.processes import kill_a_broker, kill_a_worker
from tests.chaos.harm.redis import lose_redis
from tests.chaos.persons import Persons, judge_persons
from tests.chaos.rounds import Scale, chaos
from tests.chaos.tables import BREAKABLE_RUNS, cabling, make_other_tables, make_tables

SCALE = Scale(brokers=3, workers=2, rate=12.0)
WAIT_S = 60.0


@pytest.mark.nightly
@pytest.mark.servers
@pytest.mark.timeout(400)  # as long as it moves, however slowly, there is no fault
def test_three_rounds_of_harm_change_no_bin_and_no_counter(
    servers_can_be_had: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chaos(7, [kill_a_worker, lose_redis, kill_a_broker], SCALE, Console()), capsys.readouterr().out


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
