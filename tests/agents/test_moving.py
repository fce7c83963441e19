"""A worker's turn to move to another release."""

import asyncio
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from redis.asyncio import Redis

from streams.agents import moving
from streams.agents.moving import Moving
from streams.moving import Start, hand_over
from streams.settings import RedisSettings, Settings, load_settings


@pytest.fixture
def settings(redis_url: str) -> Settings:
    return load_settings(redis=RedisSettings(url=redis_url, key_prefix=uuid.uuid4().hex))


@pytest.fixture
def current(tmp_path: Path) -> Path:
    """Return a link to the first of two releases."""
    for name in ("one", "two"):
        (tmp_path / name / "bin").mkdir(parents=True)
        (tmp_path / name / "bin" / "spilldeck").touch()
    (tmp_path / "current").symlink_to("one")
    return tmp_path / "current"


def started(current: Path, release: str) -> Start:
    return Start(words=(f"{current}/bin/spilldeck", "worker"), prefix=current.parent / release)


def link(current: Path, release: str) -> None:
    current.unlink()
    current.symlink_to(release)


class Worker(Moving):
    """One of several in this process, each with a name of its own."""

    ended = False

    def _end(self) -> None:
        self.ended = True


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the name of the worker that looks, which a test may change."""
    name = ["a"]
    monkeypatch.setattr(moving, "myself", lambda: name[0])
    return name


def test_one_worker_moves_after_the_other_has_joined_again(settings: Settings, current: Path, names: list[str]) -> None:
    async def go() -> None:
        redis = Redis.from_url(settings.redis.url.get_secret_value())
        workers = {name: Worker(redis, settings, started(current, "one")) for name in ("a", "b")}

        async def look(name: str) -> bool:
            names[0] = name
            await workers[name].look()
            return workers[name].ended

        for each in workers.values():
            each.joined()
        assert [await look("a"), await look("b")] == [False, False]
        link(current, "two")
        assert [await look("a"), await look("b")] == [True, False]
        workers["a"] = Worker(redis, settings, started(current, "two"))
        assert [await look("a"), await look("b")] == [False, False]  # it has not joined the others yet
        workers["a"].joined()
        assert [await look("a"), await look("b")] == [False, True]
        workers["b"] = Worker(redis, settings, started(current, "two"))
        workers["b"].joined()
        assert await look("b") is False
        assert await redis.exists(hand_over(settings)) == 0
        await redis.aclose()

    asyncio.run(go())


def test_what_waited_while_redis_was_away_is_counted_before_a_worker_moves(
    settings: Settings, current: Path, names: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go() -> None:
        redis = Redis.from_url(settings.redis.url.get_secret_value())
        worker = Worker(redis, settings, started(current, "one"))
        worker.joined()
        link(current, "two")
        worker.was_away()
        await worker.look()
        assert not worker.ended
        monkeypatch.setattr(moving, "COUNTS_FIRST_S", 0.0)
        await worker.look()
        assert worker.ended
        await redis.aclose()

    asyncio.run(go())


def test_nobody_follows_one_that_does_not_come_back(
    settings: Settings,
    current: Path,
    names: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(moving, "WAITS_S", 0.0)

    async def go() -> None:
        redis = Redis.from_url(settings.redis.url.get_secret_value())
        await redis.set(hand_over(settings), "host:7")
        stays = Worker(redis, settings, started(current, "one"))
        stays.joined()
        link(current, "two")
        for _ in range(3):
            await stays.look()
        assert not stays.ended
        await redis.aclose()

    asyncio.run(go())
    assert "a worker that moved has not come back" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["{there}/one/bin/spilldeck", "spilldeck", "{there}/nothing/bin/spilldeck"])
def test_a_worker_that_was_not_started_through_the_link_stays(current: Path, words: str) -> None:
    link(current, "two")
    start = Start(words=(words.format(there=current.parent), "worker"), prefix=current.parent / "one")
    assert start.moved_to() is None


def test_a_link_to_nothing_moves_nobody(current: Path) -> None:
    link(current, "gone")
    assert started(current, "one").moved_to() is None


def test_the_process_is_the_same_when_it_has_become_another_program(tmp_path: Path) -> None:
    script = tmp_path / "spilldeck"
    script.write_text("#!/bin/sh\necho $$ $*\n")
    script.chmod(0o755)
    code = (
        "import os, sys; from streams.moving import Start; print(os.getpid(), 'worker', flush=True); "
        "Start(words=(sys.argv[1], 'worker')).become()"
    )
    done = subprocess.run([sys.executable, "-c", code, script], capture_output=True, text=True, check=True)
    before, after = done.stdout.splitlines()
    assert before == after
