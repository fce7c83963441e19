"""spilldeck demo: the whole way, from bytes to a page, checked, killed, and gone without a trace."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

import ops.demo
from ops.demo import Part, Running
from schemas.records import RawSpill
from streams.books.connect import connect
from streams.books.decided import newest
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.experiment import simulator
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import LocalSettings, Settings
from tests.lanes import again, first
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.records import raw_spill

pytestmark = [
    pytest.mark.servers,
    pytest.mark.usefixtures("servers_can_be_had"),
    pytest.mark.timeout(240),  # it starts a broker, a Redis, two workers and a page, on a machine that may be busy
]

PATIENCE_S = 100.0


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.02)


@contextmanager
def demo(directory: Path, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run the demo with its output in files and its temporary ones in a directory of its own, which has traps."""
    (directory / "tmp").mkdir()
    for package in ("ops", "streams", "dashboards"):
        (directory / package).mkdir()
        (directory / package / "__init__.py").write_text(
            "raise SystemExit('the code of a folder where the user stands')"
        )
    plain = {name: value for name, value in os.environ.items() if not name.upper().startswith("SPILLDECK_")}
    with (directory / "stdout").open("wb") as out, (directory / "stderr").open("wb") as err:
        running = subprocess.Popen(
            [sys.executable, "-P", "-m", "ops", "demo", *arguments],
            env=plain | {"COLUMNS": "120", "TMPDIR": str(directory / "tmp")},
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        yield running
    finally:
        if running.poll() is None:
            running.terminate()
            running.wait(60)


def said(directory: Path) -> str:
    return (directory / "stdout").read_text() + (directory / "stderr").read_text()


def workers(demo: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    found = []
    for child in psutil.Process(demo.pid).children():
        with suppress(psutil.Error):  # it may end while we look at it
            if child.cmdline()[-1:] == ["worker"]:
                found.append(child)
    return found


@again
@pytest.mark.parametrize("name", ["06008.000", "02873-spill0.json"])
def test_a_real_run_comes_out_identical(
    spilldeck: Spilldeck, shared: Path, with_tables: dict[str, str], name: str
) -> None:
    done = spilldeck("demo", "--check", shared / "data" / name, env=with_tables)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "identical"


@again
def test_kill_9_of_a_worker_in_the_middle_changes_nothing(tmp_path: Path) -> None:
    with demo(tmp_path, "--check") as running:
        wait_for("the workers", lambda: len(workers(running)) == 2)
        victim = workers(running)[0]
        settings = Settings(local=LocalSettings(directory=Path(victim.environ()["SPILLDECK_LOCAL__DIRECTORY"])))
        with connect(settings) as redis:
            reader = BookReader.of(redis, settings)

            def counted() -> int:
                return sum(totals.filled for totals in reader.runs().values())

            wait_for("the first spills", lambda: running.poll() is not None or counted() > 0)
            before = counted()
            victim.kill()
        assert 0 < before < 200, "it was not killed in the middle"
        running.wait(PATIENCE_S)
        assert running.returncode == 0, said(tmp_path)
    text = said(tmp_path)
    assert "The worker 1 ended with status -9: starting it again" in text
    assert (tmp_path / "stdout").read_text().splitlines()[-1] == "identical"
    assert "│ 900001 │    200 │        0 │" in text


def test_a_count_that_differs_is_said_and_ends_with_status_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with demo(tmp_path, "--experiment", "testbeam", "--check") as running:
        wait_for("the workers", lambda: len(workers(running)) == 2)
        for name, value in workers(running)[0].environ().items():
            if name.startswith("SPILLDECK_KAFKA__"):
                monkeypatch.setenv(name, value)
        with SpillProducer(Settings()) as producer:  # somebody else writes to the demo's Kafka
            producer.send(raw_spill(run=900002))
        running.wait(PATIENCE_S)
    assert running.returncode == 1, said(tmp_path)
    assert "run 900002: is in the books and should not be" in said(tmp_path)
    assert re.search(r"900001 │ +200 │ +0 │ .* identical", said(tmp_path)), said(tmp_path)
    assert (tmp_path / "stdout").read_text().splitlines()[-1] == "differs"


@pytest.mark.parametrize("how", first([signal.SIGINT, signal.SIGTERM], 1))
def test_the_page_comes_up_a_fault_that_is_put_in_is_an_alarm_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: signal.Signals
) -> None:
    with demo(tmp_path) as running:
        wait_for("the address", lambda: running.poll() is not None or "The page: http" in said(tmp_path))
        assert running.poll() is None, said(tmp_path)
        address = said(tmp_path).partition("The page: ")[2].splitlines()[0]
        with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:
            assert answer.status == 200
        # Ours has to begin after the demo's own, to be the current one.
        wait_for("the first spill", lambda: running.poll() is not None or ": spill 0" in said(tmp_path))
        for name, value in workers(running)[0].environ().items():
            if name.startswith(("SPILLDECK_KAFKA__", "SPILLDECK_REDIS__", "SPILLDECK_LOCAL__")):
                monkeypatch.setenv(name, value)
        check_that_a_fault_is_an_alarm(simulator().runs[1] + 1)
        family = psutil.Process(running.pid).children(recursive=True)
        assert len(family) >= 5
        running.send_signal(how)
        running.wait(PATIENCE_S)
        assert running.returncode == 130
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_S)
    assert alive == []
    assert list((tmp_path / "tmp").iterdir()) == []
    assert "Traceback" not in said(tmp_path)


def check_that_a_fault_is_an_alarm(run: int) -> None:
    """Send a run with a fault to the servers that the environment names, and wait for the alarm."""
    its = SimulatedRun(run=run, spills=60, mean_triggers=20, detectors=("tof",))
    with SpillProducer(Settings()) as producer:
        for record in its.with_faults(["dead_pmt:tof1/0/3/1@20-59"]).records():
            if isinstance(record, RawSpill):  # it goes on
                producer.send(record)
    with connect(Settings()) as redis:

        def words() -> list[str]:
            return [each.new.words for each in newest(Settings(), redis)().alarms]

        what = "TOF1 horizontal slab 3, PMT 1 "  # silent, or nearly so
        wait_for("the alarm", lambda: any(each.startswith(what) for each in words()))


def test_parts_that_do_not_listen_to_reason_are_killed_all_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_s = 2.0
    monkeypatch.setattr(ops.demo, "END_S", end_s)
    stubborn = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
    parts = [Part(f"part {n}", stubborn, dict(os.environ), tmp_path / f"{n}.log") for n in range(6)]
    with Running(Settings(), tmp_path, {}, parts):
        for part in parts:
            part.start()
        wait_for("the parts", lambda: all(part.log.read_bytes() for part in parts))
        begun = time.monotonic()
    assert time.monotonic() - begun < 3 * end_s
    assert [part.process and part.process.returncode for part in parts] == [-signal.SIGKILL] * 6


def test_a_demo_of_nothing_says_so_before_it_starts_anything(spilldeck: Spilldeck, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not a run")
    done = spilldeck("demo", "--check", "notes.txt")
    assert done.returncode == 2
    assert "there is nothing to play" in done.stderr
    assert_one_sentence(spilldeck("demo", "nosuch.000"), 2)
