"""Partitions of a worker that ended without a word move at once: its witness leaves Kafka's group in its name."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from ops.stack import free_port
from streams.books.compare import differences
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.moving import WITNESS
from streams.process import process
from streams.settings import Settings
from tests.kafka import admin as admin_of
from tests.kafka import is_shared, wait_until_shared
from tests.lanes import first
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = 900_064
SESSION_S = 100.0
"""A session that times out would be seen to: nothing here waits for so long."""
LATE = {"SPILLDECK_KAFKA__SESSION_TIMEOUT_S": str(SESSION_S)}
GIVES_UP = """
import os
from streams.books.counter import Counter

async def take(self, number, outcomes):
    os._exit(3)

Counter.take = take
"""
STILL_S = 3.0
"""Who watches a process that is stopped does nothing, also in this time."""
GONE_S = 60.0


def beside(workers: Workers, directory: Path) -> list[psutil.Process]:
    """Return the processes of workers that are not those that were started."""
    ours = {worker.pid for worker in workers.running}
    return [each for each in psutil.process_iter() if each.pid not in ours and _cwd(each) == str(directory)]


def wait_until_ready(workers: Workers) -> None:
    deadline = time.monotonic() + GONE_S
    while not all("event=ready" in workers.log(number) for number in range(len(workers.running))):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def _cwd(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""


@pytest.mark.parametrize("how", first(["killed", "gives up", "told with its terminal, and killed"], 1))
def test_what_a_worker_had_is_counted_by_another_long_before_its_session_times_out(
    settings: Settings,
    workers: Workers,
    reader: BookReader,
    until_counted: Callable[[], None],
    tmp_path: Path,
    how: str,
) -> None:
    records = list(SimulatedRun(run=RUN, spills=40, mean_triggers=3, detectors=("tof",)).records())
    workers.start(plugin=GIVES_UP if how == "gives up" else "", environment=LATE)
    wait_until_shared(settings, 1)
    if how == "told with its terminal, and killed":
        (witness,) = beside(workers, tmp_path)
        for told in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            witness.send_signal(told)
    workers.start(environment=LATE)
    wait_until_shared(settings, 2)
    if how != "gives up":
        workers.kill(0)
    with SpillProducer(settings) as producer:
        for record in records:
            producer.send(record)
    until_counted()
    (expected,) = process(records, ConditionsStore([]).for_run).values()
    assert differences(expected.run_book(), reader.run(RUN, {})) == []
    assert "a worker ended without a word; its partitions move now" in workers.log(0)


def test_one_that_is_only_stopped_keeps_its_place_and_one_that_is_told_to_end_leaves_nobody(
    settings: Settings, workers: Workers, tmp_path: Path
) -> None:
    for _ in range(2):
        workers.start(environment=LATE)
    wait_until_shared(settings, 2)
    wait_until_ready(workers)
    assert [each.name() for each in beside(workers, tmp_path)] == [WITNESS] * 2
    admin = admin_of(settings)
    os.kill(workers.running[0].pid, signal.SIGSTOP)
    try:
        time.sleep(STILL_S)
        assert is_shared(admin, settings, 2)
    finally:
        os.kill(workers.running[0].pid, signal.SIGCONT)
    # One after the other: who leaves while its group is shared anew may be a member again, of whom its witness tells.
    for number, left in ((1, 1), (0, 0)):
        workers.running[number].terminate()
        workers.running[number].wait(GONE_S)
        if left:
            wait_until_shared(settings, left)
    psutil.wait_procs(beside(workers, tmp_path), GONE_S)
    assert beside(workers, tmp_path) == []
    assert "without a word" not in workers.log(0) + workers.log(1)


WITNESSED = """
import os
from streams.agents.witness import witnessed
from streams.settings import load_settings

witnessed(load_settings())("somebody")
os._exit(0)
"""


TOLD_TO_END = """
import os, signal, threading, time
from streams.agents.witness import witnessed
from streams.settings import load_settings

signal.signal(signal.SIGTERM, signal.default_int_handler)
threading.Thread(target=threading.Event().wait, daemon=True).start()  # which takes signals that another blocks
worker = os.getpid()

def tell():
    if os.getpid() == worker:
        os.kill(worker, signal.SIGTERM)
        time.sleep(0.2)  # until the thread has taken it

os.register_at_fork(before=tell)
try:
    witnessed(load_settings())
except KeyboardInterrupt:
    os._exit(7)
os._exit(0)
"""


def test_one_that_is_told_to_end_while_its_witness_is_made_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", TOLD_TO_END], capture_output=True, text=True, timeout=GONE_S, check=False
    )
    assert (done.returncode, done.stderr) == (7, "")


def test_where_kafka_does_not_answer_it_is_said_and_nobody_is_left() -> None:
    env = os.environ | {"SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"}
    # It waits for all who could say something.
    done = subprocess.run(
        [sys.executable, "-c", WITNESSED], env=env, capture_output=True, text=True, timeout=GONE_S, check=True
    )
    assert "its partitions move when its session has timed out" in done.stderr + done.stdout
