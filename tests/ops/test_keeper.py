"""spilldeck keeper: the archive of each run when it has ended."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ops.keeper import Keeper
from ops.replay.checksum import check_archive
from streams.books.products import Products
from streams.daq.simulator import SimulatedRun
from streams.settings import KeeperSettings, Settings
from tests.live import Live, small_run

pytestmark = pytest.mark.servers

ARCHIVED, REFUSED, BY_COMMAND = 900_392, 900_393, 900_394


def with_archive(live: Live, directory: Path) -> Settings:
    return live.settings.model_copy(update={"keeper": KeeperSettings(archive=directory)})


@pytest.fixture
def products(live: Live) -> Products:
    found = Products(live.redis, live.settings.redis.key_prefix, "live")
    live.redis.delete(found.key)
    return found


def test_a_run_that_ends_is_archived_byte_for_byte_once(live: Live, products: Products, tmp_path: Path) -> None:
    settings, directory = with_archive(live, tmp_path / "archive"), tmp_path / "archive"
    keeper = Keeper(settings, live.redis)
    start, *spills, late, end = SimulatedRun(run=ARCHIVED, spills=4, mean_triggers=2, detectors=("tof",)).records()
    live.send(start, *spills)
    keeper.look()
    file = directory / f"{ARCHIVED:08d}.000"
    assert not file.exists()
    live.send(end)
    keeper.look()
    assert file.read_bytes() == b"".join(record.payload for record in (start, *spills, end))
    assert products.all()[ARCHIVED] == [file.name]
    written = file.stat().st_mtime_ns
    Keeper(settings, live.redis).look()
    live.redis.delete(products.key)  # Redis forgets it, the file is still there
    Keeper(settings, live.redis).look()
    assert (file.stat().st_mtime_ns, products.all()[ARCHIVED]) == (written, [file.name])
    live.send(late)
    keeper.look()
    assert products.all()[ARCHIVED] == []
    live.send(end)
    keeper.look()
    # The end that was sent twice lies once in its place.
    assert file.read_bytes() == b"".join(record.payload for record in (start, *spills, late, end))
    check_archive(file)
    assert [each.name for each in directory.iterdir() if str(ARCHIVED) not in each.name and each.is_dir()] == []


def test_a_directory_that_cannot_be_written_is_said_once(
    live: Live, products: Products, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    live.send(*small_run(REFUSED))
    keeper = Keeper(with_archive(live, tmp_path / "file" / "archive"), live.redis)
    keeper.look()
    keeper.look()
    said = [line for line in capsys.readouterr().out.splitlines() if str(REFUSED) in line and "no archive" in line]
    assert len(said) == 1
    assert REFUSED not in products.all()


def test_the_command_keeps_on_until_it_is_told_to_stop(live: Live, products: Products, tmp_path: Path) -> None:
    live.send(*small_run(BY_COMMAND))
    env = {**os.environ, **live.env, "SPILLDECK_KEEPER__ARCHIVE": str(tmp_path)}
    keeping = subprocess.Popen([sys.executable, "-m", "ops", "keeper"], env=env, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 60
        while not products.all().get(BY_COMMAND):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        keeping.send_signal(signal.SIGTERM)
        assert keeping.wait(20) == 0
    finally:
        keeping.kill()
        keeping.communicate()
