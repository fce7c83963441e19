"""The commands and settings of docs/operations.md, tried as they stand there: one walk through one secured stack."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError

from ops.demo import Running
from ops.keeper import Keeper
from ops.stack import LocalStack, free_port
from ops.stack.access import write_own
from ops.topics import ensure_topics
from streams.books.connect import connect
from streams.books.promotions import Promotions
from streams.books.reader import BookReader
from streams.books.watchers import Heartbeat
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import KafkaSettings, RedisSettings, load_settings
from tests.conftest import PROJECT, wait_until_counted
from tests.dashboards.views import run_book
from tests.guide import blocks, commands
from tests.ops.conftest import Spilldeck
from tests.ops.test_doctor import LATE
from tests.ops.test_keeper import tof_alone
from tests.stored import checkpoint
from tests.watching import watched

PAGE = (PROJECT / "docs" / "operations.md").read_text()
RUN, NEWER = 900_601, 900_602
WAIT_S = 60.0
NOT_RUN = {
    "it changes the machine's users or its systemd, as root": (
        "useradd",
        "mkdir /etc/spilldeck",
        "cp -r ops/systemd/* /etc/systemd/system/",
        "systemctl",
        "systemd-run",
        "cd /etc/spilldeck && ",
    ),
    "it installs a release for minutes, as tests/ops/test_release.py does": ("SPILLDECK_RELEASES__DIRECTORY=",),
    "it tells servers of others, as tests/ops/test_mail.py does": ("spilldeck alarms try",),
    "it needs podman, and pictures of Kafka and Redis": ("podman-compose",),
}
"""Commands of the page that nobody runs here, by how they begin, and why."""


def all_of(page: str) -> list[str]:
    """Return the commands of a page, each once, in its order."""
    return [*dict.fromkeys(command for command in commands(page) if command)]


def reason(command: str) -> str | None:
    """Return why a command is not run; None if it is."""
    return next((why for why, begins in NOT_RUN.items() if command.startswith(begins)), None)


@dataclass(frozen=True, kw_only=True)
class Here:
    """Where somebody stands who keeps a site, and what stands there in place of what the page names."""

    directory: Path
    spilldeck: Spilldeck
    stands_for: dict[str, str]
    done: list[str]
    """Commands of the page that were run."""

    def as_here(self, text: str) -> str:
        for there, here in self.stands_for.items():
            text = text.replace(there, here)
        return text

    def run(self, command: str) -> str:
        """Run a command of the page; return what it said."""
        assert command in all_of(PAGE), f"the page no longer says {command}"
        self.done.append(command)
        program, *arguments = shlex.split(self.as_here(command))
        if program.endswith("spilldeck"):
            assert program == "spilldeck" or (self.directory / program).is_file()
            done = self.spilldeck(*arguments)
            while re.search(LATE, done.stdout):  # a busy machine: it says to ask again
                done = self.spilldeck(*arguments)
        else:
            done = self.shell(self.as_here(command))
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def shell(self, command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    def until(self, what: str, is_so: Callable[[], bool]) -> None:
        deadline = time.monotonic() + WAIT_S
        while not is_so():
            logs = "".join(f"{log.name}: {log.read_text(errors='replace')[-2000:]}" for log in self.logs())
            assert time.monotonic() < deadline, f"waited in vain for {what}; {logs}"
            time.sleep(0.1)

    def logs(self) -> list[Path]:
        return sorted(self.directory.glob("*.log"))


@pytest.fixture
def here(
    servers_can_be_had: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spilldeck_here: Spilldeck
) -> Iterator[Here]:
    """Return a directory with the settings that the page shows, but how the servers are reached and who is told."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    stands_for = {
        "9200": str(free_port()),
        "8050": str(free_port()),
        "6008": str(RUN),
        "/data/spilldeck": str(tmp_path / "data"),
        "runs_kept = 500": "runs_kept = 1",
        "FILE": str(tmp_path / "data" / "archive" / f"{RUN:08}.spills.avro"),
        "journalctl -u 'spilldeck-worker@*' -o cat": "cat worker.log",
    }
    its = Here(directory=tmp_path, spilldeck=spilldeck_here, stands_for=stands_for, done=[])
    settings = [
        block for block in blocks(PAGE, "toml") if not {"kafka", "redis", "alarms"} & tomllib.loads(block).keys()
    ]
    (tmp_path / "spilldeck.toml").write_text(its.as_here("".join(settings)))
    for name in [name for name in os.environ if name.upper().startswith("SPILLDECK_")]:
        monkeypatch.delenv(name)
    here_alone = {
        "LOCAL__DIRECTORY": tmp_path / "stack",
        "LOCAL__KAFKA_PORT": free_port(),
        "LOCAL__REDIS_PORT": free_port(),
        "ACCESS__DIRECTORY": tmp_path / "access",
        "PRODUCER__JOURNALS": tmp_path / "journals",
        "DASHBOARD__REFERENCES": tmp_path / "references",
        "DASHBOARD__PORT": stands_for["8050"],
        "RELEASES__DIRECTORY": tmp_path / "releases",
        "LOG__FORMAT": "json",  # as the units set it
    }
    for name, value in here_alone.items():
        monkeypatch.setenv(f"SPILLDECK_{name}", str(value))
    monkeypatch.chdir(tmp_path)
    yield its
    LocalStack(tmp_path / "stack", free_port(), free_port()).stop()


@pytest.mark.parametrize("why", NOT_RUN)
def test_what_is_not_run_stands_on_the_page(why: str) -> None:
    found = [command for command in all_of(PAGE) if reason(command) == why]
    assert {begin for begin in NOT_RUN[why] if any(each.startswith(begin) for each in found)} == {*NOT_RUN[why]}
    pytest.skip(f"not run, since {why}: {'; '.join(found)}")


@pytest.mark.servers
@pytest.mark.timeout(240)  # a broker, four parts and a self-test, on a machine that may be busy
def test_the_commands_of_the_page_do_what_it_says(here: Here) -> None:
    here.run(".venv/bin/spilldeck up --secure")
    shown = here.run(".venv/bin/spilldeck config show")
    assert "sasl_ssl" in shown
    assert "rediss://" in shown
    settings = load_settings()
    assert settings.redis.password.get_secret_value() not in shown

    with Running(settings, here.directory, dict(os.environ)) as parts, connect(settings) as redis:
        reader = BookReader.of(redis, settings)
        ensure_topics(settings)
        parts.start("worker", "worker")
        parts.start("page", "dashboard")
        with SpillProducer(settings) as producer:
            for run in (RUN, NEWER):
                for record in SimulatedRun(run=run, spills=8, mean_triggers=4, detectors=("tof",)).records():
                    producer.send(record)
        wait_until_counted(settings, reader)
        for _ in ("writes the files", "looks for what may leave"):  # one does both, a minute apart
            Keeper(settings, redis, tof_alone).look()
        here.until(f"run {RUN} to leave", lambda: (its := reader.places()[RUN]).retired == its.partitions)

        with watched(redis, settings):
            look_after_a_shift(here)
        assert f"run {RUN} is back, 8 spills" in here.run("spilldeck runs restore 6008")
        here.run("spilldeck replay 6008 --archive FILE --name 6008")
        here.run("spilldeck replays promote 6008")
        assert Promotions(redis, settings.redis.key_prefix).all() == {RUN: f"replay-{RUN}"}

    (logged,) = (command for command in all_of(PAGE) if command.startswith("journalctl"))
    assert {json.loads(line)["event"] for line in here.run(logged).splitlines()} == {"spills"}
    assert here.run(".venv/bin/spilldeck down").startswith("ended ")
    assert [each for each in all_of(PAGE) if reason(each) is None and each not in here.done] == []


@pytest.mark.parametrize(("section", "model"), [("kafka", KafkaSettings), ("redis", RedisSettings)])
def test_the_servers_of_the_page_are_those_of_settings(
    section: str, model: type[KafkaSettings | RedisSettings], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = [its[section] for block in blocks(PAGE, "toml") if section in (its := tomllib.loads(block))]
    assert shown
    for each in shown:
        for file in (file for name, file in each.items() if name.endswith("password_file")):
            write_own(tmp_path / file, b"hunter2\n")
        model(**each)


@pytest.mark.servers
def test_the_users_of_redis_may_what_the_page_says(redis_url: str) -> None:
    (block,) = (block for block in blocks(PAGE, "") if block.startswith("ACL SETUSER"))
    with Redis.from_url(redis_url) as redis:
        for line in block.splitlines():
            redis.execute_command(*line.split())
        (others,) = (block for block in blocks(PAGE, "") if block.startswith("user "))
        for line in others.splitlines():
            redis.execute_command("ACL", "SETUSER", *line.split()[1:])
            assert redis.acl_deluser(line.split()[1]) == 1
    worker, viewer = (
        load_settings(redis=RedisSettings(url=redis_url, user=name, password="PASSWORD"))
        for name in ("spilldeck", "viewer")
    )
    checkpoint(worker, {RUN: run_book(3)})
    with connect(viewer) as redis:
        assert BookReader.of(redis, viewer).totals(RUN).filled == 3
        with pytest.raises(NoPermissionError):
            Heartbeat(redis, viewer.redis.key_prefix, viewer.session).beat()


def look_after_a_shift(here: Here) -> None:
    """Ask how all is, as the page says."""
    ready, as_json, page = (command for command in all_of(PAGE) if command.startswith("curl"))
    # Both begin in their time: nobody may be there yet.
    here.until("the worker", lambda: here.shell(here.as_here(ready)).stdout.startswith("ready\n"))
    here.until("the page", lambda: f"spilldeck_run {NEWER}.0" in here.shell(here.as_here(page)).stdout)
    assert "ready\n" in here.run(ready)
    assert json.loads(here.run(as_json))
    assert "spilldeck_run " in here.run(page)
    assert f"run {NEWER} has ended, 8 spills" in here.run("spilldeck doctor")
    assert "each run was read, nothing is wrong" in here.run("spilldeck doctor --deep")
    found = json.loads(here.run("spilldeck doctor --json"))
    assert {each["state"] for each in found} <= {"good", "idle"}
    assert "identical" in here.run("spilldeck selftest")
