"""spilldeck release: versions side by side, and the proof that one equals live before it is used."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import uv

from ops.releases import trial
from ops.releases.follow import follow
from ops.releases.install import _from_checkout
from ops.releases.shelf import Release, Shelf
from ops.topics import ensure_topics
from schemas.records import RawSpill, RunControl
from streams.books.compare import differences
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.settings import RedisSettings, Settings, load_settings
from tests.conftest import PROJECT, wait_until_counted
from tests.kafka import wait_until_shared
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.servers import environment
from tests.workers import Workers

RUN = 900_071
NAME = "next"
MICE = Path("streams", "experiments", "mice")
PACE_S = 0.1
CALIBRATION = MICE / "conditions/simulated/tof_t0.txt", "tof0 -67807.5 4", "tof0 -67707.5 4"
EDGE = MICE / "plots/tof.py", "(200, 20, 40)", "(200, 20, 40.2)"
WINDOWS = Path("streams", "books", "partition.py"), "window_s=filling.window_s, kept", "window_s=3, kept"
ROUNDING = MICE / "reco/tof_hits.py", "(time0_ns + time1_ns) / 2", "((time0_ns + time1_ns) / 2).round(1)"

BUSY = pytest.mark.timeout(600)
"""On a machine that may be busy, where what tries has to wait for all else."""

_TURN = r'timestamp=(\S+) level=info event="?(moving|moved)'
"""When a worker began to move, or had."""

Counting = Callable[[SimulatedRun], dict[str, str]]


@dataclass(frozen=True, kw_only=True)
class Releases:
    """A directory with a release of this project's code, installed from a wheel."""

    directory: Path
    wheel: Path
    said: str

    @property
    def env(self) -> dict[str, str]:
        return {"SPILLDECK_RELEASES__DIRECTORY": str(self.directory)}

    @property
    def code(self) -> Path:
        (found,) = (self.directory / NAME).glob("lib/python*/site-packages")
        return found

    @contextmanager
    def changed(self, file: Path, old: str, new: str) -> Iterator[None]:
        """Have one thing in the release be another."""
        path = self.code / file
        good = path.read_text()
        assert good.count(old) == 1
        path.unlink()  # the installer's cache may share it
        path.write_text(good.replace(old, new))
        try:
            yield
        finally:
            path.write_text(good)


def plain_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.upper().startswith("SPILLDECK_")}


def patient(*arguments: str | Path, env: Mapping[str, str], cwd: Path) -> "subprocess.CompletedProcess[str]":
    """Run the command, however long it takes."""
    return subprocess.run(
        [sys.executable, "-m", "ops", "release", *arguments],
        env=plain_environment() | {"COLUMNS": "200"} | env,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


def install(directory: Path, source: Path, name: str) -> str:
    there = {"SPILLDECK_RELEASES__DIRECTORY": str(directory)}
    done = patient("install", source, "--name", name, env=there, cwd=directory.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a wheel of this project's code."""
    directory = tmp_path_factory.mktemp("wheel")
    source = _from_checkout(PROJECT, directory)
    build = ["build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([uv.find_uv_bin(), *build, "--out-dir", directory, source.what], check=True)
    (found,) = directory.glob("*.whl")
    assert found.name.split("-")[1] == source.version
    return found


@pytest.fixture(scope="module")
def releases(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """Return a directory in which that wheel is installed, as a user does it."""
    directory = tmp_path_factory.mktemp("site") / "releases"
    return Releases(directory=directory, wheel=wheel, said=install(directory, wheel, NAME))


@pytest.fixture
def counting(settings: Settings, tmp_path: Path) -> Iterator[Counting]:
    """Return a function that has live count a run, ten spills a second; it gives the environment of that."""
    ensure_topics(settings)
    workers, stop = Workers(settings, tmp_path), threading.Event()
    threads: list[threading.Thread] = []

    def produce(run: SimulatedRun) -> None:
        with SpillProducer(settings) as producer:
            for record in run.records():
                producer.send(record)
                if stop.wait(PACE_S):
                    return

    def begin(run: SimulatedRun) -> dict[str, str]:
        workers.start()
        threads.append(threading.Thread(target=produce, args=[run]))
        threads[0].start()
        return environment(settings)

    yield begin
    stop.set()
    for thread in threads:
        thread.join()
    workers.stop()


def small_run(spills: int) -> SimulatedRun:
    return SimulatedRun(run=RUN, spills=spills, mean_triggers=12, detectors=("tof",))


def left_behind(settings: Settings) -> list[str]:
    with connect(settings) as redis:
        return [key.decode() for key in redis.scan_iter(match=f"{settings.redis.key_prefix}*try-*")]


def made_up(directory: Path, name: str, script: str = "exit 1", installed_s: float = 0.0) -> Shelf:
    """Add a release whose command is a script of a test's own."""
    shelf = Shelf(directory)
    command = shelf.command(name)
    command.parent.mkdir(parents=True)
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    shelf.add(Release(name=name, version="9", digest="d", source="s", installed_s=installed_s))
    return shelf


def test_a_wheel_has_every_file_of_the_packages_and_what_it_needs(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {*archive.namelist()}
        (pins,) = [name for name in names if name.endswith("/share/spilldeck/requirements.txt")]
        assert archive.read(pins) == (PROJECT / "requirements.txt").read_bytes()
    tracked = subprocess.run(
        ["git", "-C", PROJECT, "ls-files", "dashboards", "ops", "schemas", "streams"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tracked.returncode:
        pytest.skip("this is no checkout of git's")
    assert {name for name in tracked.stdout.split() if (PROJECT / name).is_file()} <= names


def test_a_release_works_where_nothing_of_the_checkout_is(releases: Releases, tmp_path: Path) -> None:
    version = releases.wheel.name.split("-")[1]
    assert releases.said.startswith(f"{NAME}: version {version}, code ")
    assert "books v2; " in releases.said
    command = releases.directory / NAME / "bin" / "spilldeck"

    def spilldeck(*arguments: str) -> str:
        done = subprocess.run(
            [command, *arguments],
            env=plain_environment(),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert spilldeck("--version") == f"spilldeck {version}\n"
    spilldeck("simulate", "--spills", "2", "--out", "run.000")
    found = json.loads(spilldeck("process", "run.000", "--json"))
    assert (found["spills"], found["errors"]) == (2, {})


def test_releases_are_listed_used_and_gone_back_from(tmp_path: Path, spilldeck_here: Spilldeck) -> None:
    directory = tmp_path / "releases"
    env = {"SPILLDECK_RELEASES__DIRECTORY": str(directory)}
    assert spilldeck_here("release", "list", env=env).stdout == "There are no releases.\n"
    for at, name in enumerate(("a", "b", "c")):
        shelf = made_up(directory, name, "echo '{}'", float(at))
    (directory / "somebody's").mkdir()

    def rows() -> list[tuple[str, bool, bool]]:
        found = json.loads(spilldeck_here("release", "list", "--json", env=env).stdout)
        return [(each["name"], each["current"], each["previous"]) for each in found]

    assert rows() == [("a", False, False), ("b", False, False), ("c", False, False)]
    assert "no release was current before" in assert_one_sentence(spilldeck_here("release", "back", env=env), 2)
    assert spilldeck_here("release", "use", "a", env=env).stdout == "a is current\n"
    done = spilldeck_here("release", "use", "b", env=env)
    assert done.stdout == "b is current, a is what `release back` goes back to\n"
    assert rows() == [("a", False, True), ("b", True, False), ("c", False, False)]
    for name, what in (("b", "current"), ("a", "previous")):
        line = assert_one_sentence(spilldeck_here("release", "remove", name, env=env), 2)
        assert f"{name} is the {what} release" in line
    assert spilldeck_here("release", "back", env=env).returncode == 0
    assert rows() == [("a", True, False), ("b", False, True), ("c", False, False)]
    assert shelf.command("current").resolve() == shelf.command("a").resolve()
    assert spilldeck_here("release", "remove", "c", env=env).returncode == 0
    assert [name for name, *_ in rows()] == ["a", "b"]
    assert sorted(path.name for path in directory.iterdir() if path.is_dir() and not path.is_symlink()) == [
        "a",
        "b",
        "somebody's",
    ]
    line = assert_one_sentence(spilldeck_here("release", "use", "c", env=env), 2)
    assert "there is no release c: there are a, b" in line


def test_a_release_that_refuses_the_settings_is_not_used(tmp_path: Path, spilldeck_here: Spilldeck) -> None:
    shelf = made_up(tmp_path, "strict", "echo 'spilldeck: the settings are wrong' >&2; exit 2")
    env = {"SPILLDECK_RELEASES__DIRECTORY": str(tmp_path)}
    line = assert_one_sentence(spilldeck_here("release", "use", "strict", env=env), 1)
    assert "the release strict does not answer to `spilldeck config show --json`" in line
    assert "the settings are wrong" in line
    assert shelf.linked("current") is None


def test_who_uses_another_release_is_not_told_to_start_itself_anew(releases: Releases, tmp_path: Path) -> None:
    shelf = made_up(releases.directory, "later", "echo '{}'")
    shelf.use(NAME)
    try:
        done = subprocess.run(
            [shelf.command("current"), "release", "use", "later"],
            env=plain_environment() | releases.env,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.splitlines() == [f"later is current, {NAME} is what `release back` goes back to"]
    finally:
        for link in ("current", "previous"):
            (releases.directory / link).unlink(missing_ok=True)
        shutil.rmtree(releases.directory / "later")


def test_a_release_that_runs_is_not_removed(releases: Releases, spilldeck_here: Spilldeck) -> None:
    python = releases.directory / NAME / "bin" / "python"
    running = subprocess.Popen([python, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        while psutil.Process(running.pid).cmdline()[:1] != [str(python)]:
            time.sleep(0.01)
        line = assert_one_sentence(spilldeck_here("release", "remove", NAME, env=releases.env), 2)
        assert f"{NAME} runs on this machine (process {running.pid})" in line
    finally:
        running.communicate(b"\n")
    assert Shelf(releases.directory).get(NAME)


@pytest.mark.parametrize("words", [["use", "b"], ["back"], ["remove", "c"]])
def test_where_processes_are_hidden_none_seen_is_not_taken_for_none_there(tmp_path: Path, words: list[str]) -> None:
    """As in a unit with `ProtectProc=`: one can go back all the same, and nothing that may run is removed."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("processes are hidden by root alone, with Debian's package util-linux")
    for name in ("a", "b", "c"):
        shelf = made_up(tmp_path / "releases", name, "echo '{}'")
    shelf.use("b")
    shelf.use("a")
    hide = 'mount -t proc -o hidepid=ptraceable proc /proc && exec setpriv --bounding-set -sys_ptrace "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hide, "sh", sys.executable, "-m", "ops", "release", *words],
        env=plain_environment() | {"SPILLDECK_RELEASES__DIRECTORY": str(shelf.directory)},
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if "mount" in done.stderr:
        pytest.skip(f"nothing can be hidden here: {done.stderr}")
    assert done.returncode == 2, done.stderr
    assert "processes of others are hidden here, and with them workers" in done.stderr
    assert shelf.linked("current") == ("a" if words[0] == "remove" else "b")
    assert [each.name for each in shelf.all()] == ["a", "b", "c"]


def test_an_installation_that_is_killed_is_not_listed_and_is_cleared_away(
    releases: Releases, spilldeck_here: Spilldeck, tmp_path: Path
) -> None:
    directory = tmp_path / "releases"
    env = plain_environment() | {"SPILLDECK_RELEASES__DIRECTORY": str(directory)}
    command = [sys.executable, "-m", "ops", "release", "install", str(releases.wheel), "--name", "killed"]
    installing = subprocess.Popen(command, env=env, cwd=tmp_path, stderr=subprocess.DEVNULL, start_new_session=True)
    while not (directory / "killed" / "bin" / "python").exists():
        assert installing.poll() is None
        time.sleep(0.01)
    os.killpg(installing.pid, signal.SIGKILL)
    installing.wait()
    there = {"SPILLDECK_RELEASES__DIRECTORY": str(directory)}
    assert spilldeck_here("release", "list", env=there).stdout == "There are no releases.\n"
    assert "no release killed" in assert_one_sentence(spilldeck_here("release", "use", "killed", env=there), 2)
    with Shelf(directory).alone():
        assert not (directory / "killed").exists()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("empty", "is no checkout of spilldeck: it lacks pyproject.toml"),
        ("other.whl", "is no wheel of spilldeck"),
        ("text.whl", "cannot be read as a wheel"),
        ("without_pins.whl", "does not say which packages it needs"),
    ],
)
def test_what_is_no_release_is_refused(tmp_path: Path, spilldeck_here: Spilldeck, source: str, said: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.whl").write_text("nothing")
    for name, member in (
        ("other.whl", "other-1.dist-info/METADATA"),
        ("without_pins.whl", "spilldeck-1.dist-info/METADATA"),
    ):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr(member, "")
    env = {"SPILLDECK_RELEASES__DIRECTORY": str(tmp_path / "releases")}
    assert said in assert_one_sentence(spilldeck_here("release", "install", tmp_path / source, env=env), 2)


def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path, releases: Releases, spilldeck_here: Spilldeck) -> None:
    made_up(tmp_path, "there")
    env = {"SPILLDECK_RELEASES__DIRECTORY": str(tmp_path)}
    for name, said in (("there", "there is a release there"), ("current", "is no name"), ("../up", "is no name")):
        done = spilldeck_here("release", "install", releases.wheel, "--name", name, env=env)
        assert said in assert_one_sentence(done, 2)


def test_the_version_of_a_checkout_says_its_commit_and_what_was_changed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for package in ("streams", "ops"):
        (source / package).mkdir(parents=True)
        (source / package / "__init__.py").write_text("")
    (source / "pyproject.toml").write_text('[project]\nname = "spilldeck"\nversion = "0.3"\n')
    (source / "requirements.txt").write_text("")

    def version(copy: str) -> str:
        (tmp_path / copy).mkdir()
        return _from_checkout(source, tmp_path / copy).version

    without_git = version("1")
    assert without_git.startswith("0.3+d")
    for command in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a", "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", source, *command], check=True)
    clean = version("2")
    assert clean.startswith("0.3+g")
    assert "." not in clean.partition("+")[2]
    (source / "ops" / "__init__.py").write_text("changed = True\n")
    assert version("3").startswith(f"{clean}.d")


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'No such command release.' >&2; exit 2", "cannot be tried; it says: No such command release."),
        ("""echo '{"format": 2}'""", "answers in format 2, this version asks in 1"),
        ("""echo '{"format": 1, "books": "v3"}'""", "writes books of format v3, which this version cannot compare"),
    ],
)
@pytest.mark.servers
def test_a_release_that_cannot_be_tried_is_refused_in_words(
    settings: Settings, tmp_path: Path, spilldeck: Spilldeck, script: str, said: str
) -> None:
    made_up(tmp_path, "odd", script)
    env = environment(settings) | {"SPILLDECK_RELEASES__DIRECTORY": str(tmp_path)}
    done = spilldeck("release", "try", "odd", env=env)
    assert done.returncode in (1, 2)
    assert said in done.stderr


def test_a_question_in_another_format_is_refused_in_words(redis_url: str) -> None:
    settings = load_settings(redis=RedisSettings(url=redis_url))
    answers = io.StringIO()
    follow(settings, io.StringIO('{"format": 2, "ask": "bring"}\n'), answers)
    greeting, answer = map(json.loads, answers.getvalue().splitlines())
    assert (greeting["format"], greeting["books"]) == (1, "v2")
    assert "is asked in format 2, and understands 1" in answer["error"]


def tried(done: "subprocess.CompletedProcess[str]", status: int) -> dict[str, object]:
    assert done.returncode == status, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def since(found: Mapping[str, object]) -> dict[str, int | None]:
    """Return what differs, without how much → the first spill that does."""
    its = found["differences"]
    assert isinstance(its, list)
    return {each["what"].partition(":")[0]: each["since"] for each in its}


@BUSY
@pytest.mark.servers
def test_a_trial_says_identical_and_names_the_plot_and_the_spill_of_a_change(
    releases: Releases, settings: Settings, counting: Counting, tmp_path: Path
) -> None:
    env = releases.env | counting(small_run(10))
    done = patient("try", NAME, "--spills", "5", env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("identical after ")
    with releases.changed(*CALIBRATION):
        found = since(tried(patient("try", NAME, "--spills", "10", "--json", env=env, cwd=tmp_path), 1))
    assert {"conditions", "plot tof_dt0", "detector tof"} <= found.keys()
    assert found["detector tof"] == 0
    with releases.changed(*WINDOWS):
        found = since(tried(patient("try", NAME, "--spills", "10", "--json", env=env, cwd=tmp_path), 1))
    assert all(" in the window of " in what for what in found), found
    assert any(first is not None for first in found.values()), found
    assert left_behind(settings) == []


@pytest.mark.nightly
@BUSY
@pytest.mark.servers
@pytest.mark.parametrize(
    ("change", "what"), [(CALIBRATION, "plot tof_dt0"), (EDGE, "plot ht01"), (ROUNDING, "detector tof")]
)
def test_a_release_with_something_changed_names_it_within_30_spills(
    releases: Releases, counting: Counting, tmp_path: Path, change: tuple[Path, str, str], what: str
) -> None:
    env = releases.env | counting(small_run(40))
    with releases.changed(*change):
        found = tried(patient("try", NAME, "--spills", "30", "--json", env=env, cwd=tmp_path), 1)
    assert since(found)[what] is not None


@pytest.mark.nightly
@BUSY
@pytest.mark.servers
def test_an_equal_release_is_identical_after_200_spills(
    releases: Releases, settings: Settings, counting: Counting, tmp_path: Path
) -> None:
    # With all detectors, and what a DAQ does wrong: each bin, counter and verdict is to be the same.
    run = SimulatedRun(run=RUN, spills=210, mean_triggers=10).with_faults(
        ("reordered_spills@30-60", "duplicated_spills@80")
    )
    env = releases.env | counting(run)
    found = tried(patient("try", NAME, "--json", env=env, cwd=tmp_path), 0)
    assert (found["identical"], found["differences"], found["runs"]) == (True, [], [RUN])
    assert left_behind(settings) == []


@pytest.mark.nightly
@BUSY
@pytest.mark.servers
def test_a_trial_ends_by_itself_when_nothing_comes_and_says_what_it_has(
    releases: Releases, settings: Settings, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting(small_run(3))
    monkeypatch.setattr(trial, "DAQ_SILENT_S", 3.0)
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("SPILLDECK_REDIS__KEY_PREFIX", settings.redis.key_prefix)
    shelf = Shelf(releases.directory)
    said: list[str] = []
    with connect(settings) as redis:
        while not BookReader.of(redis, settings).runs():
            time.sleep(0.1)
        found = trial.try_release(settings, redis, shelf, shelf.get(NAME), 100, said.append)
    assert (found.spills, found.ended, found.differing) == (3, "no spill came for 3 s", [])
    assert not found.is_equal


@pytest.mark.nightly
@BUSY
@pytest.mark.servers
def test_workers_move_one_by_one_and_back_and_every_spill_is_counted_once(
    releases: Releases, settings: Settings, reader: BookReader, tmp_path: Path
) -> None:
    install(releases.directory, releases.wheel, "other")
    shelf = Shelf(releases.directory)
    shelf.use(NAME)
    ensure_topics(settings)
    workers, stop = Workers(settings, tmp_path), threading.Event()
    env = environment(settings) | releases.env
    records = list(SimulatedRun(run=RUN, spills=2000, mean_triggers=3, detectors=("tof",)).records())
    sent: list[RawSpill | RunControl] = []

    def produce() -> None:
        with SpillProducer(settings) as producer:
            for record in records:
                producer.send(record)
                sent.append(record)
                if stop.wait(PACE_S):
                    return

    producing = threading.Thread(target=produce)
    try:
        started = [workers.start(command=shelf.command("current")) for _ in range(2)]
        ids = {workers.running[each].pid for each in started}
        wait_until_shared(settings, 2)
        producing.start()
        for name, arguments in (("other", ["use", "other"]), (NAME, ["back"])):
            done = patient(*arguments, env=env, cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            assert {line for line in done.stdout.splitlines() if line.startswith("worker ")} == {
                f"worker {each}: from {NAME if name == 'other' else 'other'} to {name}" for each in ids
            }
            assert {part.process: part.release for part in shelf.parts()} == dict.fromkeys(ids, name)
        stop.set()
        producing.join()
        wait_until_counted(settings, reader)
    finally:
        stop.set()
        workers.stop()
    said = re.findall(_TURN, "\n".join(workers.log(each) for each in started))
    turns = [what for _, what in sorted(said)]
    assert turns == ["moving", "moved"] * 4
    expected = process(sent, ConditionsStore([]).for_run)[RUN]
    assert differences(expected.run_book(), reader.run(RUN, expected.book.ranges)) == []
