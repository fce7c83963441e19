"""What was decided of replays, as commands and the page have it after Redis lost it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from dashboards.choices import Choices
from dashboards.data import Data, View
from ops.keeper import Keeper
from ops.stack import LocalStack, free_port
from schemas.records import Action
from streams.books.actions import ActionLog
from streams.books.compare import differences
from streams.books.decided import refresh
from streams.books.reader import BookReader
from streams.settings import KeeperSettings
from tests.begun import Heard
from tests.conftest import wait_until_counted
from tests.lanes import again
from tests.live import Live, count_live, small_run
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.ops.test_keeper import summary, tof_alone
from tests.ops.test_replay import begin_replay, kill_replay, spills_of
from tests.servers import own_redis, settings_on
from tests.wire import decode

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]  # workers and replays, on a machine that may be busy

RUN, OTHER = 900_361, 900_362
WAIT_S = 60.0


@pytest.fixture(scope="module")
def live(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return two runs, on a Redis that tests may empty."""
    with ExitStack() as started:
        server = own_redis(tmp_path_factory.mktemp("redis"))
        started.callback(server.end)
        settings = settings_on(stack)
        settings = settings.model_copy(update={"redis": server.settings(settings.redis.key_prefix)})
        logs = tmp_path_factory.mktemp("workers")
        batch = [*small_run(RUN), *small_run(OTHER)]
        yield started.enter_context(count_live(settings, logs, [batch], {}))


@pytest.fixture
def spilldeck_once(spilldeck_here: Spilldeck, live: Live) -> Iterator[Spilldeck]:
    """Return the command on these servers; what it decided is taken back when the test ends."""

    def run(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
        return spilldeck_here(*arguments, env=live.env)

    yield run
    for run_number in (RUN, OTHER):
        run("replays", "restore", str(run_number))
    for listed in json.loads(run("replays", "list", "--json").stdout):
        assert run("replays", "drop", listed["name"]).returncode == 0


def done(finished: "subprocess.CompletedProcess[str]") -> str:
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def states(spilldeck: Spilldeck) -> dict[str, str]:
    return {each["name"]: each["state"] for each in json.loads(done(spilldeck("replays", "list", "--json")))}


def dump(live: Live) -> dict[bytes, bytes]:
    return {key: live.redis.dump(key) for key in live.redis.scan_iter()}


def bring_back(live: Live, older: dict[bytes, bytes]) -> None:
    live.redis.flushall()
    for key, content in older.items():
        live.redis.restore(key, 0, content, replace=True)


def make_other_than_live(live: Live) -> None:
    """Have live count a spill again: its book has one duplicate more than a replay of before."""
    _, spill, *_, end = small_run(RUN)
    live.send(spill, end)


def view(data: Data) -> View:
    return data.view(Choices(run=RUN))


def is_replays(seen: View, duplicates: int) -> bool:
    return any("which was promoted" in w for w in seen.notes) and seen.book.totals.duplicates == duplicates


def says_it_is_lost(seen: View, name: str) -> bool:
    sentence = (
        f"Run {RUN}: showing live’s book: the promoted replay {name} was lost with Redis; make it again with spilldeck "
        f"replay --resume --name {name}, or take the promotion back with spilldeck replays restore {RUN}"
    )
    return sentence in seen.warnings


@contextmanager
def open_page(live: Live) -> Iterator[Data]:
    with Data(live.settings) as data:
        data.view(Choices(run=RUN))
        yield data


def test_a_promotion_outlives_an_emptied_redis_and_the_page_says_whose_book_it_shows(
    spilldeck_once: Spilldeck, live: Live
) -> None:
    done(spilldeck_once("replay", str(RUN), "--name", "better", "--workers", "1"))
    made = live.books("replay-better").run(RUN, {})
    make_other_than_live(live)
    done(spilldeck_once("replays", "promote", "better", "--reason", "the new t0"))
    with open_page(live) as page:
        assert is_replays(view(page), made.totals.duplicates)
        live.redis.flushall()
        deadline = time.monotonic() + WAIT_S
        while True:
            # Whatever is shown of the run meanwhile: live's book never goes without a word.
            seen = view(page)
            if says_it_is_lost(seen, "better") and seen.book.totals.duplicates == made.totals.duplicates + 1:
                break
            if seen.book.totals.received and not is_replays(seen, made.totals.duplicates):
                assert says_it_is_lost(seen, "better"), seen.warnings
            assert time.monotonic() < deadline, seen.warnings
            time.sleep(0.01)
        wait_until_counted(live.settings, live.reader)
        with open_page(live) as another:
            assert says_it_is_lost(view(another), "better")
            # Over another run it is compared with live's, which is said too.
            assert says_it_is_lost(another.view(Choices(run=OTHER, reference=RUN)), "better")
            assert not says_it_is_lost(another.view(Choices(run=OTHER)), "better")
            (replay,) = view(another).replays
            assert (replay.state, replay.promoted, replay.read) == ("lost with Redis", (RUN,), 0)
        assert states(spilldeck_once) == {"better": "lost with Redis"}
        where = ("--format", "json", "--out", "nowhere")
        refused = assert_one_sentence(spilldeck_once("export", str(RUN), *where), 1)
        assert "the promoted replay better was lost with Redis" in refused
        refused = assert_one_sentence(spilldeck_once("replays", "promote", "better"), 2)
        assert "the replay better is not done: spilldeck replay --resume --name better" in refused

        done(spilldeck_once("replay", "--resume", "--name", "better", "--workers", "1"))
        assert states(spilldeck_once) == {"better": "done"}
        deadline = time.monotonic() + WAIT_S
        while not is_replays(view(page), made.totals.duplicates):
            assert time.monotonic() < deadline, view(page).warnings
            time.sleep(0.05)
        assert not says_it_is_lost(view(page), "better")
    shown = BookReader.shown(live.redis, live.settings).run(RUN, {})
    assert differences(made, shown) == []


@again
def test_an_older_dump_of_redis_brings_back_neither_promotions_nor_books_of_before(
    spilldeck_once: Spilldeck, live: Live
) -> None:
    done(spilldeck_once("replay", str(OTHER), "--name", "again", "--workers", "1"))
    of_other = dump(live)
    done(spilldeck_once("replays", "drop", "again"))
    done(spilldeck_once("replay", str(RUN), "--name", "again", "--workers", "1"))
    done(spilldeck_once("replays", "promote", "again"))
    make_other_than_live(live)
    with open_page(live) as page:
        assert any("which was promoted" in note for note in view(page).notes)
        # Of before the promotion, with the books of another plan under the same name.
        bring_back(live, of_other)
        deadline = time.monotonic() + WAIT_S
        while not says_it_is_lost(view(page), "again"):
            assert time.monotonic() < deadline, view(page).warnings
            time.sleep(0.02)
        with open_page(live) as another:
            assert says_it_is_lost(view(another), "again")
    assert states(spilldeck_once) == {"again": "lost with Redis"}
    done(spilldeck_once("replay", "--resume", "--name", "again", "--workers", "1"))
    assert [*live.books("replay-again").runs()] == [RUN]
    promoted = dump(live)
    done(spilldeck_once("replays", "restore", str(RUN)))
    bring_back(live, promoted)
    assert refresh(live.settings, live.redis)
    assert spilldeck_once("replays", "restore", str(RUN)).returncode == 2
    wait_until_counted(live.settings, live.reader)


def test_a_replay_that_was_stopped_comes_back_to_be_gone_on_with(
    spilldeck_once: Spilldeck, live: Live, tmp_path: Path
) -> None:
    replaying = begin_replay(live, tmp_path, str(OTHER), "--name", "stopped", "--workers", "1")
    while not spills_of(live, "replay-stopped"):
        assert replaying.poll() is None, replaying.communicate()
        time.sleep(0.02)
    kill_replay(replaying)
    live.redis.flushall()
    wait_until_counted(live.settings, live.reader)
    assert states(spilldeck_once) == {"stopped": "lost with Redis"}
    done(spilldeck_once("replay", "--resume", "--name", "stopped", "--workers", "1"))
    assert states(spilldeck_once) == {"stopped": "done"}
    assert differences(live.reader.run(OTHER, {}), live.books("replay-stopped").run(OTHER, {})) == []


@again
def test_a_replay_during_which_redis_is_emptied_is_made_all_the_same(
    spilldeck_once: Spilldeck, live: Live, tmp_path: Path
) -> None:
    replaying = begin_replay(live, tmp_path, str(OTHER), "--name", "emptied", "--workers", "1")
    while not spills_of(live, "replay-emptied"):
        assert replaying.poll() is None, replaying.communicate()
        time.sleep(0.02)
    live.redis.flushall()
    _, complaints = replaying.communicate()
    assert replaying.poll() == 0, complaints
    assert states(spilldeck_once) == {"emptied": "done"}
    wait_until_counted(live.settings, live.reader)
    assert differences(live.reader.run(OTHER, {}), live.books("replay-emptied").run(OTHER, {})) == []


KILLED = """
import os, signal, sys
from streams.books import actions, decided
def append_and_die(*arguments):
    actions.append(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
decided.append = append_and_die
sys.argv = ["spilldeck", *sys.argv[1:]]
from ops.cli import main
main()
"""


def test_a_command_that_is_killed_when_kafka_has_its_action_has_done_it(spilldeck_once: Spilldeck, live: Live) -> None:
    done(spilldeck_once("replay", str(RUN), "--name", "killed", "--workers", "1"))
    reader = BookReader.shown(live.redis, live.settings)
    before = reader.runs()[RUN].duplicates
    make_other_than_live(live)
    command = [sys.executable, "-c", KILLED, "replays", "promote", "killed"]
    killed = subprocess.run(command, env=live.env, capture_output=True, check=False, timeout=60)
    assert killed.returncode == -9, killed.stderr
    assert reader.runs()[RUN].duplicates == before + 1
    assert refresh(live.settings, live.redis)
    assert reader.runs()[RUN].duplicates == before
    with ActionLog(live.settings) as log:
        _, end = log.span()
        ((_, message),) = log.read(end - 1, end)
    action = decode(message)
    assert isinstance(action, Action)
    assert (action.kind, action.subject, action.origin) == (
        "promote",
        "replay-killed",
        "spilldeck replays promote killed",
    )


def test_of_two_commands_at_once_the_one_that_kafka_has_last_counts(
    spilldeck_once: Spilldeck, live: Live, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        done(spilldeck_once("replay", str(RUN), "--name", name, "--workers", "1"))
    running = [Heard(["replays", "promote", name], env=live.env, said=tmp_path) for name in ("one", "two")]
    assert [(each.communicate(WAIT_S)[1], each.poll()) for each in running] == [("", 0)] * 2
    with ActionLog(live.settings) as log:
        _, end = log.span()
        last = [decode(message) for _, message in log.read(end - 2, end)]
    subjects = [action.subject for action in last if isinstance(action, Action)]
    assert {*subjects} == {"replay-one", "replay-two"}
    with open_page(live) as page:
        promoted = {each.plan.session: each.promoted for each in view(page).replays}
    assert promoted == {subjects[0]: (), subjects[1]: (RUN,)}


def test_verify_is_no_decision(spilldeck_once: Spilldeck, live: Live) -> None:
    with ActionLog(live.settings) as log:
        before = log.span()
    assert done(spilldeck_once("verify", str(OTHER), "--keep", "--workers", "1")) == f"run {OTHER}: identical\n"
    assert states(spilldeck_once) == {f"verify-{OTHER}": "done"}
    assert spilldeck_once("replays", "promote", f"verify-{OTHER}").returncode == 2
    done(spilldeck_once("replays", "drop", f"verify-{OTHER}"))
    with ActionLog(live.settings) as log:
        assert log.span() == before
    assert states(spilldeck_once) == {}


@again
def test_products_of_a_promoted_replay_stay_when_redis_loses_it(
    spilldeck_once: Spilldeck, live: Live, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done(spilldeck_once("replay", str(RUN), "--name", "kept", "--workers", "1"))
    done(spilldeck_once("replays", "promote", "kept"))
    settings = live.settings.model_copy(update={"keeper": KeeperSettings(products=tmp_path)})
    keeper = Keeper(settings, live.redis, tof_alone)
    keeper.look()
    assert summary(tmp_path, RUN)["book"]["session"] == "replay-kept"
    live.redis.flushall()
    wait_until_counted(live.settings, live.reader)
    capsys.readouterr()
    keeper.look()
    keeper.look()
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "is lost" in line]
    assert "replay-kept" in said
    assert summary(tmp_path, RUN)["book"]["session"] == "replay-kept"
    done(spilldeck_once("replays", "restore", str(RUN)))
    keeper.look()
    assert summary(tmp_path, RUN)["book"]["session"] == "live"


def test_the_page_says_so_while_nobody_can_tell_what_was_promoted(live: Live) -> None:
    # Of a Redis to which no worker brings them back.
    away = live.settings.kafka.model_copy(update={"bootstrap_servers": f"127.0.0.1:{free_port()}"})
    other = live.settings.redis.model_copy(update={"key_prefix": "nobody"})
    with Data(live.settings.model_copy(update={"kafka": away, "redis": other})) as data:
        deadline = time.monotonic() + WAIT_S
        while not any("whose book a run has" in warning for warning in view(data).warnings):
            assert time.monotonic() < deadline
            time.sleep(0.1)
