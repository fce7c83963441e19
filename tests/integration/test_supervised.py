"""What systemd hears of a real worker: that it is ready, that it goes on, and nothing more when it is deaf."""

import re
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest
import uv

from ops.stack import free_port
from ops.topics import ensure_topics
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import Settings, load_settings
from tests.conftest import PROJECT, is_counted
from tests.kafka import ends
from tests.lanes import again
from tests.redis_servers import Servers
from tests.servers import own_redis
from tests.workers import Workers

pytestmark = pytest.mark.servers

RUN = SimulatedRun(run=900_092, spills=6, mean_triggers=2, detectors=("tof",))
WAIT_S = 60.0
DEAF = """
import asyncio
from streams.books.reading import Reading

async def accept(self, arrived):
    await asyncio.Event().wait()

Reading.accept = accept
"""
"""It is told to take messages, and never does."""
IMPATIENT = """
from streams.agents import state

state.LATE_S = 3.0
"""
FED_S = 3.0
"""The watchdog is fed every second, on a machine that may be busy."""


@dataclass
class Systemd:
    """Listens where a worker tells how it is."""

    socket: socket.socket
    heard: list[tuple[str, int, float]] = field(default_factory=list)
    """What, from which process, when."""

    def listen(self, until: Callable[[], object]) -> bool:
        """Listen until something is so; return whether it ever was."""
        deadline = time.monotonic() + WAIT_S
        while not until():
            if time.monotonic() > deadline:
                return False
            with suppress(TimeoutError):
                said, control, _, _ = self.socket.recvmsg(4096, socket.CMSG_SPACE(struct.calcsize("3i")))
                ((_, _, sender),) = control
                self.heard.append((said.decode(), struct.unpack("3i", sender)[0], time.monotonic()))
        return True

    def times(self, what: str) -> int:
        return sum(said == what for said, _, _ in self.heard)

    def status(self) -> str:
        """Return what was last said of what it does."""
        return next((said for said, _, _ in reversed(self.heard) if said.startswith("STATUS")), "")

    def fed_s(self) -> float:
        """Return how long ago the watchdog was fed."""
        return time.monotonic() - max((at_s for said, _, at_s in self.heard if said == "WATCHDOG=1"), default=0.0)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(0.1)
        yield Systemd(listening)


def notifying(tmp_path: Path) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(tmp_path / "notify")}


def send(settings: Settings) -> None:
    with SpillProducer(settings) as producer:
        for record in RUN.records():
            producer.send(record)


def test_a_worker_says_when_it_is_ready_and_what_it_does_and_feeds_the_watchdog_while_it_counts(
    settings: Settings, workers: Workers, systemd: Systemd, tmp_path: Path, reader: BookReader
) -> None:
    worker = workers.running[workers.start(environment=notifying(tmp_path))]
    assert systemd.listen(lambda: systemd.times("READY=1") > 0), workers.log(0)
    assert systemd.heard[0][0].startswith("STATUS=not ready: it has not joined the others yet")
    send(settings)
    # Heard all the while: what is said to a socket that is full is said to nobody.
    wanted = ends(settings)
    assert systemd.listen(lambda: is_counted(reader, wanted))
    assert systemd.listen(lambda: systemd.times("STATUS=run 900092, 4 partitions, 0 messages behind") > 0)
    fed = systemd.times("WATCHDOG=1")
    assert systemd.listen(lambda: systemd.times("WATCHDOG=1") > fed + 2)
    assert {process for _, process, _ in systemd.heard} == {worker.pid}
    assert systemd.times("READY=1") == 1
    assert workers.log(0).startswith("timestamp=")
    assert "\x1b" not in workers.log(0)  # no cursor that a file would show


def test_a_deaf_worker_feeds_the_watchdog_no_more_and_says_why(
    settings: Settings, workers: Workers, systemd: Systemd, tmp_path: Path
) -> None:
    worker = workers.running[workers.start(plugin=DEAF, environment=notifying(tmp_path))]
    assert systemd.listen(lambda: systemd.times("READY=1") > 0), workers.log(0)
    assert systemd.listen(lambda: systemd.fed_s() < 1)
    send(settings)
    assert sum(ends(settings)) > 0
    behind = r"[1-9] messages? behind"
    assert systemd.listen(lambda: re.search(behind, systemd.status()) and systemd.fed_s() > 2 * FED_S), systemd.heard
    assert worker.poll() is None  # it hangs, and is there


def test_a_worker_whose_redis_hangs_says_so_at_once_and_comes_back(
    settings: Settings, tmp_path: Path, redis_of_its_own: Servers
) -> None:
    port = free_port()
    own = redis_of_its_own.settings(settings.redis.key_prefix)
    its = load_settings(kafka=settings.kafka, redis=own)
    ensure_topics(its)
    workers = Workers(its, tmp_path, {"SPILLDECK_METRICS__PORT": str(port)})
    workers.start(plugin=IMPATIENT)
    try:
        until(port, lambda status, _: status == 200)
        with redis_of_its_own.hung(*redis_of_its_own.holding):
            said = until(port, lambda status, _: status == 503)
        assert re.fullmatch(r"not ready\npartitions: nothing is known for \d+ s\n", said)
        until(port, lambda status, _: status == 200)
    finally:
        workers.stop()


def until(port: int, true: Callable[[int, str], bool]) -> str:
    """Return the first answer of /ready of which something is true; each must come within two seconds."""
    deadline, last = time.monotonic() + WAIT_S, ""
    while time.monotonic() < deadline:
        try:
            with closing(HTTPConnection("127.0.0.1", port, timeout=2)) as connection:
                connection.request("GET", "/ready")
                answer = connection.getresponse()
                last = answer.read().decode()
        except ConnectionRefusedError:
            last = "nobody is there"
        else:
            if true(answer.status, last):
                return last
        time.sleep(0.1)
    raise AssertionError(last)


@pytest.fixture
def redis_of_its_own(tmp_path: Path) -> Iterator[Servers]:
    server = own_redis(tmp_path)
    yield server
    server.end()


def release(directory: Path, name: str) -> None:
    """Make what stands for a release: an environment of its own, with the code and the packages of these tests."""
    where = directory / name
    subprocess.run([uv.find_uv_bin(), "--quiet", "venv", "--no-project", "--python", sys.executable, where], check=True)
    (packages,) = where.glob("lib/python*/site-packages")
    there = [PROJECT, *(path for path in sys.path if path.endswith("site-packages"))]
    (packages / "code.pth").write_text("".join(f"{path}\n" for path in there))
    command = where / "bin" / "spilldeck"
    command.write_text(f"#!{where}/bin/python\nfrom ops.cli import main\n\nmain()\n")
    command.chmod(0o755)


def link(directory: Path, name: str) -> None:
    (directory / "new").symlink_to(name)
    (directory / "new").replace(directory / "current")


@again
def test_a_worker_that_becomes_another_release_says_again_that_it_is_ready_under_the_same_process_id(
    settings: Settings, workers: Workers, systemd: Systemd, tmp_path: Path
) -> None:
    for name in ("one", "two"):
        release(tmp_path, name)
    link(tmp_path, "one")
    command = tmp_path / "current" / "bin" / "spilldeck"
    worker = workers.running[workers.start(command=command, environment=notifying(tmp_path))]
    assert systemd.listen(lambda: systemd.times("READY=1") > 0), workers.log(0)
    link(tmp_path, "two")
    assert systemd.listen(lambda: systemd.times("READY=1") > 1), workers.log(0)
    assert f'event="moving to another release" to={tmp_path}/two' in workers.log(0)
    fed = systemd.times("WATCHDOG=1")
    assert systemd.listen(lambda: systemd.times("WATCHDOG=1") > fed)
    assert {process for _, process, _ in systemd.heard} == {worker.pid}
    assert worker.poll() is None
