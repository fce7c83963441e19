"""spilldeck worker: with the settings that a site may choose, and what it says while its servers are away."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from ops.stack import LocalStack, free_port, redis
from ops.topics import ensure_topics
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.kafka.clients import admin
from streams.settings import RedisSettings, Settings
from streams.topics import Topics
from tests.conftest import PROJECT, WAIT_S, wait_until_counted
from tests.lanes import first
from tests.redis_servers import until
from tests.servers import environment, own_redis, settings_on
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = SimulatedRun(run=900_061, spills=4, mean_triggers=2, detectors=("tof",))


def send(settings: Settings, run: SimulatedRun) -> None:
    with SpillProducer(settings) as producer:
        for record in run.records():
            producer.send(record)


@pytest.mark.parametrize("session_s", first([300, 120], 1))
def test_a_worker_works_with_every_session_time_out_that_the_settings_take(
    settings: Settings, reader: BookReader, until_counted: Callable[[], None], tmp_path: Path, session_s: int
) -> None:
    ensure_topics(settings)
    workers = Workers(settings, tmp_path, {"SPILLDECK_KAFKA__SESSION_TIMEOUT_S": str(session_s)})
    workers.start()
    try:
        send(settings, RUN)
        until_counted()
    finally:
        workers.stop()
    assert reader.runs()[RUN.run].filled == 4


@pytest.mark.parametrize("moves", [True, False])
def test_a_worker_that_moves_while_redis_is_away_begins_when_it_is_there(
    settings: Settings, tmp_path: Path, moves: bool
) -> None:
    port = free_port()
    away = RedisSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"))
    settings = settings.model_copy(update={"redis": away})
    command, log = tmp_path / "spilldeck", tmp_path / "worker.log"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m ops "$@"\n')
    command.chmod(0o755)
    become = "import sys; from streams.moving import Start; Start(words=(sys.argv[1], 'worker')).become()"
    words = [sys.executable, "-c", become, command] if moves else [command, "worker"]
    env = os.environ | environment(settings)
    with log.open("wb") as said, subprocess.Popen(words, env=env, cwd=PROJECT, stdout=said, stderr=said) as worker:
        try:
            if not moves:
                assert worker.wait(WAIT_S) == 3
                return
            until(lambda: Topics.of(settings).runs in admin(settings.kafka).list_topics().topics, log.read_text)
            time.sleep(2)  # it looks for Redis next
            server = redis.start(tmp_path, port, keep=False)
            until(lambda: "partitions are shared anew" in log.read_text(), log.read_text)
        finally:
            worker.terminate()
    server.end()


def test_a_worker_logs_as_the_settings_say_from_its_first_line(settings: Settings, tmp_path: Path) -> None:
    """Of Redis it says what is wrong before it begins."""
    server, log = own_redis(tmp_path), tmp_path / "worker-0.log"
    own = settings.model_copy(update={"redis": server.settings(settings.redis.key_prefix)})
    with server.asking(server.holding[0]) as asking:
        asking.config_set("appendonly", "no")
    workers = Workers(own, tmp_path, {"SPILLDECK_LOG__FORMAT": "json"})
    workers.start()
    try:
        until(lambda: log.exists() and "the worker starts" in log.read_text(), log.read_text)
    finally:
        workers.stop()
        server.end()
    said = [json.loads(line)["event"] for line in log.read_text().splitlines()]
    assert said[:2] == ["what Redis holds is not safe", "the worker starts"]


@pytest.mark.nightly
def test_a_worker_says_in_a_few_lines_that_kafka_is_away_and_that_it_is_back(
    servers_can_be_had: None, tmp_path: Path
) -> None:
    with LocalStack(tmp_path / "stack", free_port(), free_port()) as stack:
        settings = settings_on(stack)
        ensure_topics(settings)
        workers, log = Workers(settings, tmp_path), tmp_path / "worker-0.log"
        with connect(settings) as redis:
            reader = BookReader.of(redis, settings)
            workers.start()
            try:
                send(settings, RUN)
                wait_until_counted(settings, reader)
                (kafka,) = [psutil.Process(s.pid) for s in stack.status() if s.name == "kafka" and s.pid is not None]
                kafka.kill()
                kafka.wait()
                time.sleep(5)
                stack.start(keep=False)
                send(settings, replace(RUN, run=RUN.run + 1))
                wait_until_counted(settings, reader)
                deadline = time.monotonic() + 30
                while "Kafka answers again" not in log.read_text():
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
            finally:
                workers.stop()
    lines = log.read_text().splitlines()
    assert sum("a broker of Kafka does not answer" in line for line in lines) == 1
    assert len(lines) < 30
