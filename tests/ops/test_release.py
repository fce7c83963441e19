"""spilldeck release: versions side by side, and the proof that one equals live before it is used."""

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.topics import ensure_topics
from schemas.records import RawSpill, RunControl
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import Settings
from tests.conftest import PROJECT
from tests.live import settings_on
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.workers import Workers, environment

RUN = 900_071
INSTALLED = "equal"
MICE = Path("streams", "experiments", "mice")
PACE_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Releases:
    """A directory with one release, of the code of this project."""

    directory: Path
    said: str

    @property
    def env(self) -> dict[str, str]:
        return {"SPILLDECK_RELEASES__DIRECTORY": str(self.directory)}

    @property
    def code(self) -> Path:
        (found,) = (self.directory / INSTALLED).glob("lib/python*/site-packages")
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


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Releases:
    """Return a directory in which the project is installed, as a user does it."""
    directory = tmp_path_factory.mktemp("releases")
    plain = {name: value for name, value in os.environ.items() if not name.upper().startswith("SPILLDECK_")}
    done = subprocess.run(
        [sys.executable, "-m", "ops", "release", "install", str(PROJECT), "--name", INSTALLED],
        env=plain | {"SPILLDECK_RELEASES__DIRECTORY": str(directory)},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Releases(directory=directory, said=done.stdout)


@pytest.fixture
def counting(settings: Settings, tmp_path: Path) -> Iterator[Callable[[int], dict[str, str]]]:
    """Return a function that has live count a run of so many spills from now on, and gives the environment of that."""
    ensure_topics(settings)
    workers, stop = Workers(settings, tmp_path), threading.Event()
    threads = []

    def produce(spills: int) -> None:
        with SpillProducer(settings) as producer:
            for record in SimulatedRun(run=RUN, spills=spills, mean_triggers=12, detectors=("tof",)).records():
                producer.send(record)
                if stop.wait(PACE_S):
                    return

    def begin(spills: int) -> dict[str, str]:
        workers.start()
        threads.append(threading.Thread(target=produce, args=[spills]))
        threads[0].start()
        return environment(settings) | {"SPILLDECK_REDIS__KEY_PREFIX": settings.redis.key_prefix}

    yield begin
    stop.set()
    for thread in threads:
        thread.join()
    workers.stop()


@pytest.mark.servers
@pytest.mark.parametrize(
    ("file", "old", "new", "plot"),
    [
        (MICE / "conditions/simulated/tof_t0.txt", "tof0 -67807.5 4", "tof0 -67707.5 4", "dt0"),
        (MICE / "plots/tof.py", "(200, 20, 40)", "(200, 20, 40.2)", "ht01"),
        (MICE / "reco/tof_hits.py", "(time0_ns + time1_ns) / 2", "((time0_ns + time1_ns) / 2).round(1)", "x"),
    ],
)
def test_a_release_with_something_changed_names_it_within_30_spills(
    releases: Releases,
    counting: Callable[[int], dict[str, str]],
    spilldeck: Spilldeck,
    file: Path,
    old: str,
    new: str,
    plot: str,
) -> None:
    with releases.changed(file, old, new):
        done = spilldeck("release", "try", INSTALLED, "--spills", "30", "--json", env=releases.env | counting(40))
    print(done.stdout, done.stderr)
    assert done.returncode == 1, done.stderr
    found = json.loads(done.stdout)
    print([ (d["what"], d["since"]) for d in found["differences"]])
    assert 0
