"""Whether a process lives and is ready follows from what was last known, and from how old that is."""

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from streams.health import state
from streams.health.notify import SOCKET, notify
from streams.health.state import Health, Known
from streams.metrics import Part
from streams.settings import load_settings


@dataclass
class Clock:
    now_s: float = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_what_is_not_known_yet_what_is_wrong_and_what_is_old_are_said(clock: Clock) -> None:
    known = Known("Redis", 20, clock)
    assert known.faults == ("Redis: not known yet",)
    assert not known.is_of_now
    known.say("does not answer")
    assert known.faults == ("Redis: does not answer",)
    known.say()
    assert known.faults == ()
    clock.now_s += 20
    assert known.is_of_now
    clock.now_s += 1
    assert known.faults == ("Redis: nothing is known for 21 s",)
    assert not known.is_of_now


def test_a_process_whose_loop_hangs_neither_lives_nor_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(state.time, "monotonic", clock)
    health = Health(Part.KEEPER, load_settings(), faults=tuple, does=lambda: "writing", live_s=5)
    assert health.ready() == (True, ("writing",))
    clock.now_s += 6
    assert health.live() == (False, ("the loop has not turned for 6 s",))
    assert health.ready() == (False, ("the loop has not turned for 6 s",))
    health.turn()
    assert health.live().is_so


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return the socket at which a systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv(SOCKET, str(tmp_path / "notify"))
        yield listening


def test_systemd_hears_once_that_it_is_ready_and_in_a_line_why_it_is_not(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state, "TELL_S", 0.01)
    faults = ["Redis: does not answer\nat all"]
    health = Health(Part.KEEPER, load_settings(), faults=lambda: faults, does=lambda: "writing")
    health.begin()
    assert systemd.recv(1000) == b"STATUS=not ready: Redis: does not answer at all"
    faults.clear()
    assert [systemd.recv(1000), systemd.recv(1000)] == [b"READY=1", b"STATUS=writing"]
    faults.append("gone")
    assert systemd.recv(1000) == b"STATUS=not ready: gone"
    faults.clear()
    assert systemd.recv(1000) == b"STATUS=writing"  # ready is said once
    health.progress()
    assert systemd.recv(1000) == b"WATCHDOG=1"
    health.end()
    assert systemd.recv(1000) == b"STOPPING=1"


def test_a_name_in_no_directory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0spilldeck-test")
        monkeypatch.setenv(SOCKET, "@spilldeck-test")
        notify("READY=1")
        assert listening.recv(100) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "x" * 500])
def test_where_nobody_listens_nothing_happens(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SOCKET, address)
    notify("READY=1")


def test_a_systemd_that_does_not_read_keeps_nobody_waiting(systemd: socket.socket) -> None:
    telling = threading.Thread(target=lambda: [notify("WATCHDOG=1") for _ in range(5000)])
    telling.start()
    telling.join(10)
    assert not telling.is_alive()
