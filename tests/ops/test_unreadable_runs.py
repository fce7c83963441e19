"""The commands and the keeper beside a run that cannot be read, or is being made again: no workers mend it here."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from ops.export.chosen import Chosen, choose
from ops.export.numbers import write_json
from ops.keeper import Keeper
from ops.topics import ensure_topics
from streams.books import layout
from streams.books.connect import connect
from streams.books.run import RunBook
from streams.books.totals import Control
from streams.settings import KeeperSettings, Settings
from tests.dashboards.views import RUN, run_book
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.servers import environment
from tests.stored import checkpoint

pytestmark = pytest.mark.servers

OTHER = RUN - 1


def ended(run: int) -> RunBook:
    """Return a run whose end came long ago."""
    book = run_book(3, run=run)
    end = Control(time_us=book.totals.last_us + 1, events=2, run_type="")
    times = replace(book.totals, control={"end": end}, first_ms=1, produced_ms=2, ended_ms=2)
    return replace(book, totals=times)


def store(settings: Settings) -> layout.Keys:
    checkpoint(settings, {RUN: ended(RUN), OTHER: ended(OTHER)}, next=9)
    return layout.Keys(settings.redis.key_prefix, settings.session, 0)


@pytest.fixture
def env(settings: Settings) -> dict[str, str]:
    return environment(settings)


def test_a_run_that_cannot_be_read_is_said_beside_the_list_of_the_others(
    settings: Settings, spilldeck_here: Spilldeck, env: dict[str, str]
) -> None:
    keys = store(settings)
    assert spilldeck_here("runs", "list", env=env).returncode == 0
    with connect(settings) as redis:
        redis.hset(keys.run(RUN), "totals", b"rubbish")
    done = spilldeck_here("runs", "list", "--json", env=env)
    assert done.returncode == 1
    assert [each["run"] for each in json.loads(done.stdout)] == [OTHER]
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"run {RUN} in partition 0 cannot be read: ")
    assert str(OTHER) in spilldeck_here("runs", "list", env=env).stdout
    line = assert_one_sentence(spilldeck_here("runs", "show", str(RUN), env=env), 1)
    assert f"run {RUN} in partition 0 cannot be read: " in line
    assert spilldeck_here("runs", "show", str(OTHER), env=env).returncode == 0


def test_a_run_that_nothing_lists_is_said_too(
    settings: Settings, spilldeck_here: Spilldeck, env: dict[str, str]
) -> None:
    keys = store(settings)
    with connect(settings) as redis:
        redis.hset(keys.run(RUN), "totals", b"rubbish")
        redis.hset(keys.index, str(RUN), b"rubbish")
    done = spilldeck_here("runs", "list", "--json", env=env)
    assert ([each["run"] for each in json.loads(done.stdout)], done.returncode) == ([OTHER], 1)
    assert done.stderr.startswith(f"run {RUN} in partition 0 cannot be read: ")


def test_a_run_that_is_being_made_again_is_not_exported(
    settings: Settings, spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path
) -> None:
    store(settings)
    ensure_topics(settings)
    checkpoint(settings, {}, next=9, repairs={RUN: 4})
    export = ("export", str(RUN), "--format", "json", "--out", tmp_path, "--plot", "ht01")
    line = assert_one_sentence(spilldeck_here(*export, env=env), 1)
    assert f"run {RUN} is being made again from Kafka (partition 0)" in line
    assert list(tmp_path.iterdir()) == []
    checkpoint(settings, {}, next=9, repairs={})
    assert spilldeck_here(*export, env=env).returncode == 0


def one_plot(chosen: Chosen, directory: Path) -> None:
    write_json(choose(chosen.run, chosen.book, ("ht01",), ()), directory)


def written(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def test_the_keeper_writes_nothing_of_a_run_while_it_is_being_made_again(settings: Settings, tmp_path: Path) -> None:
    store(settings)
    ensure_topics(settings)
    checkpoint(settings, {}, next=9, repairs={RUN: 4})
    own = settings.model_copy(update={"keeper": KeeperSettings(products=tmp_path / "products")})
    with connect(settings) as redis:
        keeper = Keeper(own, redis, one_plot)
        keeper.look()
        assert written(tmp_path / "products") == [f"{OTHER:08d}"]
        checkpoint(settings, {}, next=9, repairs={})
        keeper.look()
        assert written(tmp_path / "products") == [f"{OTHER:08d}", f"{RUN:08d}"]


def test_the_keeper_says_once_that_a_run_cannot_be_read_and_writes_it_when_it_can(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = store(settings)
    ensure_topics(settings)
    own = settings.model_copy(update={"keeper": KeeperSettings(products=tmp_path / "products")})

    def harm(redis: Redis) -> None:
        redis.hset(keys.book(RUN), "ht01", b"rubbish")

    with connect(settings) as redis:
        harm(redis)
        keeper = Keeper(own, redis, one_plot)
        keeper.look()
        keeper.look()
        assert written(tmp_path / "products") == [f"{OTHER:08d}"]
        (said,) = [line for line in capsys.readouterr().out.splitlines() if "cannot be read" in line]
        assert f"run {RUN} in partition 0" in said
        store(settings)
        keeper.look()
        assert written(tmp_path / "products") == [f"{OTHER:08d}", f"{RUN:08d}"]
