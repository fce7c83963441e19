"""Directories to write in: gone at the end, and a day after one that was killed."""

import os
import time
from pathlib import Path

import pytest

from ops.files import workspace, write_whole
from streams.errors import UsageError


def fail_half_way(directory: Path) -> None:
    with workspace(directory) as room:
        (room / "half").write_text("half")
        raise UsageError("on the way")


def test_a_workspace_is_gone_at_the_end_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="on the way"):
        fail_half_way(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_goes_through_a_link_and_is_whole_or_what_it_was(tmp_path: Path) -> None:
    file, link = tmp_path / "file", tmp_path / "link"
    file.write_text("before")
    link.symlink_to(file.name)
    write_whole(link, "ä")
    assert link.is_symlink()
    assert file.read_bytes() == "ä".encode()
    with pytest.raises(UnicodeEncodeError):
        write_whole(link, "half \udcff")
    assert file.read_bytes() == "ä".encode()


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(fifo, "text")
    assert os.read(reading, 10) == b"text"
    os.close(reading)
    assert fifo.is_fifo()


def test_what_was_killed_is_removed_a_day_later_and_what_is_at_work_is_not(tmp_path: Path) -> None:
    with workspace(tmp_path) as at_work:
        killed = at_work.with_name(at_work.name + "-killed")
        killed.mkdir()
        (killed / "half").write_text("half")
        a_day_ago = time.time() - 90_000
        os.utime(killed, (a_day_ago, a_day_ago))
        with workspace(tmp_path):
            assert not killed.exists()
        assert at_work.exists()
