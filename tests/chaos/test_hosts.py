"""Several hosts: links are as they are told, a cluster on them counts right, and doctor sees that one is lost."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from ops.doctor import Finding, look
from ops.doctor.looking import CHECKS
from ops.topics import ensure_topics
from streams.settings import Settings
from tests.chaos.cluster import Cluster, Places
from tests.chaos.daq import Daq
from tests.chaos.harm.hosts import (
    cut_redis_and_workers_off_from_the_others,
    cut_the_page_off_from_both,
    lose_a_brokers_host,
    lose_the_host_of_redis,
    set_the_pages_clock_hours_off,
)
from tests.chaos.network import CUT, HERE, Host, Link, Network, NoNamespacesError
from tests.chaos.rounds import Scale, chaos
from tests.conftest import PROJECT
from tests.servers import HOSTS_OF_REDIS, KIND, environment

SCALE = Scale(brokers=3, workers=1, rate=6.0, on_hosts=True)
ANSWER_S = 10.0
"""Who is reached answers within it, on a machine that may be busy."""
SILENT_S = 1.0
"""Who is cut off is waited for no longer."""
SLOW_S = 0.1
KNOWN_S = 60.0
"""Kafka tells within it that a broker is away, after 9 s by its default, on a machine that may be busy."""
KILLED = """
import subprocess, sys, time
from pathlib import Path
from ops.stack.processes import die_with_parent
from tests.chaos.network import Network
with Network(["desk", "other"]) as network:
    with network.hosts["other"].entered():
        child = subprocess.Popen(["sleep", "60"], preexec_fn=die_with_parent)
    print(*(Path(f"/proc/{each}/ns/net").readlink() for each in ("thread-self", child.pid)), flush=True)
    time.sleep(60)
"""


@pytest.fixture(scope="module")
def hosts_can_be_made() -> None:
    """Skip where none can be made."""
    try:
        with Network(["desk"]):
            return
    except NoNamespacesError as error:
        pytest.skip(f"no hosts can be made here: {error}")


@pytest.fixture
def network(hosts_can_be_made: None) -> Iterator[Network]:
    """Return three hosts, on the first of which this test is."""
    with Network(["desk", "left", "right"]) as network:
        yield network


def reached_in_s(to: Host, of: Host, within_s: float = ANSWER_S) -> float | None:
    """Return how long it takes to reach one host from another; None if it is not reached."""
    with to.entered():
        server = socket.create_server((to.address, 0))
    with server, of.entered():
        began_s = time.monotonic()
        try:
            socket.create_connection(server.getsockname(), timeout=within_s).close()
        except OSError:
            return None
        return time.monotonic() - began_s


def test_hosts_reach_each_other_but_where_they_are_cut_off(network: Network) -> None:
    desk, left, right = network.hosts.values()
    with network.linked([left], [right], CUT):
        assert reached_in_s(left, right, SILENT_S) is None
        assert reached_in_s(right, left, SILENT_S) is None
        assert reached_in_s(left, desk) is not None
    with network.without(left):
        assert reached_in_s(left, desk, SILENT_S) is None
        assert reached_in_s(right, desk) is not None
    assert reached_in_s(left, right) is not None


def test_links_are_slow_and_lose_packets_as_they_are_told(network: Network) -> None:
    desk, left, _ = network.hosts.values()
    with network.linked([left], [desk], Link(delay_s=SLOW_S)):
        took_s = reached_in_s(left, desk)
    assert took_s is not None
    assert took_s >= 2 * SLOW_S
    with left.entered():
        there = socket.socket(type=socket.SOCK_DGRAM)
        there.bind((left.address, 0))
    with there, socket.socket(type=socket.SOCK_DGRAM) as here, network.linked([left], [desk], Link(loss=0.5)):
        for _ in range(100):
            here.sendto(b"one", there.getsockname())
        there.settimeout(SILENT_S)
        came = 0
        try:
            while there.recv(10):
                came += 1
        except TimeoutError:
            assert 20 < came < 80


def test_what_listens_on_this_machine_is_on_no_host(hosts_can_be_made: None) -> None:
    with socket.create_server((HERE.address, 0)) as server:
        with Network(["desk"]), pytest.raises(ConnectionRefusedError):
            socket.create_connection(server.getsockname(), timeout=ANSWER_S)
        socket.create_connection(server.getsockname(), timeout=ANSWER_S).close()


def test_where_no_hosts_can_be_made_that_is_said_and_nothing_is_done() -> None:
    as_nobody = ["setpriv", "--bounding-set", "-sys_admin,-net_admin"] if os.geteuid() == 0 else []
    if as_nobody and shutil.which(as_nobody[0]) is None:
        pytest.skip("setpriv is not installed: it comes with Debian's package util-linux")
    words = [*as_nobody, sys.executable, "-m", "tests.chaos", "--hosts"]
    done = subprocess.run(words, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("skipped: no hosts can be made here: it takes ")


def test_servers_that_are_put_on_no_hosts_are_refused_in_words() -> None:
    words = [sys.executable, "-m", "tests.chaos", "--hosts"]
    env = os.environ | {"SERVERS": "cluster"}
    done = subprocess.run(words, cwd=PROJECT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "servers of that kind are not put on hosts: leave out SERVERS=cluster" in done.stderr


def test_nothing_is_left_of_hosts_when_who_made_them_is_killed(hosts_can_be_made: None) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True) as made:
        assert made.stdout is not None
        theirs = {*made.stdout.readline().split()}
        assert len(theirs) == 2
        assert theirs <= _namespaces()
        made.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + KNOWN_S
    while theirs & _namespaces():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _namespaces() -> set[str]:
    """Return the network namespaces that any process is in."""
    found = set()
    for each in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            found.add(str(each.readlink()))
        except OSError:  # it has ended
            continue
    return found


@pytest.mark.skipif(KIND not in HOSTS_OF_REDIS, reason=f"servers of the kind {KIND} are not put on hosts")
@pytest.mark.nightly
@pytest.mark.servers
@pytest.mark.timeout(900)  # as long as it moves, however slowly, there is no fault
def test_hosts_that_are_lost_or_cut_off_change_no_bin_and_no_counter(
    servers_can_be_had: None, hosts_can_be_made: None, capsys: pytest.CaptureFixture[str]
) -> None:
    harms = [set_the_pages_clock_hours_off, cut_the_page_off_from_both, lose_a_brokers_host]
    assert chaos(7, harms, SCALE, Console()), capsys.readouterr().out


@pytest.mark.skipif(KIND != "sentinel", reason="one Redis has no other beside it, as it has with SERVERS=sentinel")
@pytest.mark.servers
@pytest.mark.timeout(900)  # as long as it moves, however slowly, there is no fault
def test_a_master_whose_host_is_lost_or_that_is_cut_off_with_workers_changes_no_bin_and_no_counter(
    servers_can_be_had: None, hosts_can_be_made: None, capsys: pytest.CaptureFixture[str]
) -> None:
    harms = [lose_the_host_of_redis, cut_redis_and_workers_off_from_the_others]
    assert chaos(7, harms, SCALE, Console()), capsys.readouterr().out


@pytest.mark.nightly
@pytest.mark.servers
@pytest.mark.timeout(400)  # three brokers, on a machine that may be busy
def test_doctor_tells_of_a_broker_that_is_away_what_is_without_a_leader_and_whose_copies_are_behind(
    servers_can_be_had: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daq = Daq(tmp_path / "run.000", seed=1, rate=1.0)
    with Cluster(tmp_path, daq, Places(brokers=[HERE] * 3, workers=[])) as cluster:
        three = cluster.settings
        one = three.model_copy(
            update={"kafka": three.kafka.model_copy(update={"replication": 1, "topic_prefix": "alone."})}
        )
        ensure_topics(one)
        assert [topics(monkeypatch, each) for each in (three, one)] == [[], []]
        cluster.kill_broker(cluster.nodes[0])
        until_told(monkeypatch, three, "topics.replication", "copies are behind: ")
        until_told(monkeypatch, one, "topics.leader", "partitions without a leader: alone.")
        cluster.start_broker(cluster.nodes[0])
        cluster.until_in_step()
        assert [topics(monkeypatch, each) for each in (three, one)] == [[], []]


def until_told(monkeypatch: pytest.MonkeyPatch, settings: Settings, trouble: str, words: str) -> None:
    deadline = time.monotonic() + KNOWN_S
    while not (found := topics(monkeypatch, settings)) or found[0].id != trouble:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    assert len(found) == 1
    assert found[0].words.startswith(words)


def topics(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> list[Finding]:
    """Return what doctor finds wrong with the topics of these settings."""
    checks = [each for each in CHECKS if each.name in {"settings", "Kafka", "topics"}]
    with monkeypatch.context() as theirs:  # what others are given, these may leave out
        for name, value in environment(settings).items():
            theirs.setenv(name, value)
        found, _ = look(checks=checks)
    return [each for each in found if each.is_wrong]
