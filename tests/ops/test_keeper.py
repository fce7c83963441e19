"""spilldeck keeper: archive, book, pictures and summary of each run when it has ended."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import hist
import numpy as np
import pytest
import uhi.io.json
from PIL import Image

from ops.export.chosen import Chosen, choose
from ops.export.numbers import write_json
from ops.export.write import write_all
from ops.keeper import Keeper
from ops.replay.checksum import check_archive
from ops.stack import LocalStack
from streams.books.decided import newest
from streams.books.flags import ALL, END, Verdict
from streams.books.limits import TypeLimits, in_force
from streams.books.products import Product, Products
from streams.books.proposals import CHECKS, Proposal
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.daq.sources import read_source
from streams.experiments.mice.simulator import SimulatedRun
from streams.settings import KeeperSettings, Settings
from tests.begun import Begun
from tests.catalogue import DETECTORS, PLOTS
from tests.conftest import wait_until_counted
from tests.live import OWN_TABLES, Live, count_live, own_run, small_run
from tests.ops.conftest import Spilldeck
from tests.servers import settings_on
from tests.tables import naming

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]  # workers and replays, on a machine that may be busy

ARCHIVED, REFUSED, BY_COMMAND = 900_392, 900_393, 900_394
OF_EARLIER_DAYS, WITH_LESS = 900_374, 900_375
WITH_PICTURES, LATE, FULL = 900_381, 900_382, 900_383
ONE_AFTER_THE_OTHER = 900_387, 900_388
PROPOSED = 900_389


def with_archive(live: Live, directory: Path) -> Settings:
    return live.settings.model_copy(update={"keeper": KeeperSettings(archive=directory)})


def with_products(live: Live, directory: Path) -> Settings:
    return live.settings.model_copy(update={"keeper": KeeperSettings(products=directory)})


def everything(directory: Path) -> dict[str, bytes]:
    """Return what lies in a directory, by relative path."""
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def summary(directory: Path, run: int) -> dict[str, object]:
    found = json.loads((directory / f"{run:08d}" / "summary.json").read_text())
    assert isinstance(found, dict)
    return found


def histogram(directory: Path, run: int, plot: str) -> "hist.Hist[hist.storage.Int64]":
    file = next((directory / f"{run:08d}").rglob(f"*_{plot}.json"))
    return hist.Hist(json.loads(file.read_text(), object_hook=uhi.io.json.object_hook))


def tof_alone(chosen: Chosen, directory: Path) -> None:
    """Write the plots of one detector, which takes less time than all, and is asked to write all."""
    assert {*chosen.plots} == PLOTS.keys()
    write_json(choose(chosen.run, chosen.book, (), ("tof",)), directory)


@contextmanager
def stopped_workers(live: Live) -> Iterator[None]:
    running = [worker for worker in live.workers.running if worker.poll() is None]
    for worker in running:
        worker.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for worker in running:
            worker.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def live(stack: LocalStack, tables: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return one run that live has counted: a keeper looks at all that there are."""
    with count_live(
        settings_on(stack), tmp_path_factory.mktemp("kept"), [own_run()], naming(tables / "index.toml")
    ) as counted:
        yield counted


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where all keepers here write archives: one has those of the other runs from the one before."""
    return tmp_path_factory.mktemp("archive")


@pytest.fixture(scope="module")
def end_of_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where all keepers here write products."""
    return tmp_path_factory.mktemp("products") / "end_of_run"


@pytest.fixture
def products(live: Live) -> Products:
    found = Products(live.redis, live.settings.redis.key_prefix, "live")
    live.redis.delete(found.key)
    return found


def test_a_run_that_ends_is_archived_once_and_again_with_late_spills(
    live: Live, products: Products, archive: Path
) -> None:
    settings, directory = with_archive(live, archive), archive
    keeper = Keeper(settings, live.redis)
    start, *spills, late, end = SimulatedRun(run=ARCHIVED, spills=4, mean_triggers=2, detectors=("tof",)).records()
    # The producer says in it how the run's spills are spread.
    start = replace(start, partitions=live.settings.kafka.partitions)
    live.send(start, *spills)
    keeper.look()
    file = directory / f"{ARCHIVED:08d}.spills.avro"
    assert not file.exists()
    live.send(end)
    keeper.look()
    start = replace(start, partitions=live.settings.kafka.partitions)  # as the producer says
    assert list(read_source(file)) == [start, *spills, end]
    assert products.names()[ARCHIVED] == [file.name]
    written = file.stat().st_mtime_ns
    Keeper(settings, live.redis).look()
    live.redis.delete(products.key)  # Redis forgets it, the file is still there
    Keeper(settings, live.redis).look()
    assert (file.stat().st_mtime_ns, products.names()[ARCHIVED]) == (written, [file.name])
    live.send(late)
    keeper.look()
    assert file.stat().st_mtime_ns == written
    live.send(end)
    live.redis.delete(products.key)  # the file itself says how old it is
    keeper.look()
    assert list(read_source(file)) == [start, *spills, end, late, end]
    check_archive(file)
    assert [each.name for each in directory.iterdir() if each.is_dir()] == []


def test_an_archive_of_earlier_days_stays_until_late_spills_come(live: Live, products: Products, archive: Path) -> None:
    *before, late, end = small_run(OF_EARLIER_DAYS)
    live.send(*before, end)
    old = archive / f"{OF_EARLIER_DAYS:08d}.000"
    old.write_bytes(b"".join(record.payload for record in (*before, end)))
    keeper = Keeper(with_archive(live, archive), live.redis)
    keeper.look()
    assert old.exists()
    assert products.names()[OF_EARLIER_DAYS] == [old.name]
    live.send(late, end)
    keeper.look()
    new = archive / f"{OF_EARLIER_DAYS:08d}.spills.avro"
    assert (new.exists(), old.exists(), products.names()[OF_EARLIER_DAYS]) == (True, False, [new.name])


def test_an_archive_that_has_more_than_kafka_stays_and_that_is_said_once(
    live: Live, products: Products, archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live.send(*small_run(WITH_LESS))
    with_more = list(SimulatedRun(run=WITH_LESS, spills=12, mean_triggers=4, detectors=("tof",)).records())
    old = archive / f"{WITH_LESS:08d}.000"
    old.write_bytes(b"".join(record.payload for record in with_more))
    products.note(WITH_LESS, Product.ARCHIVE, [old.name], 1)
    keeper = Keeper(with_archive(live, archive), live.redis)
    keeper.look()
    keeper.look()
    said = [line for line in capsys.readouterr().out.splitlines() if str(WITH_LESS) in line and "no archive" in line]
    assert len(said) == 1
    assert "stays: it has spills that Kafka no longer has" in said[0]
    assert old.read_bytes() == b"".join(record.payload for record in with_more)


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


def test_the_command_keeps_on_until_it_is_told_to_stop(
    live: Live, products: Products, archive: Path, tmp_path: Path
) -> None:
    live.send(*small_run(BY_COMMAND))
    env = {**os.environ, **live.env, "SPILLDECK_KEEPER__ARCHIVE": str(archive)}
    here, log = Path(os.devnull), tmp_path / "log"
    keeping = Begun(["keeper"], env=env, cwd=tmp_path, stdin=here, out=log, err=log)
    try:
        deadline = time.monotonic() + 60
        while BY_COMMAND not in products.all():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        keeping.send_signal(signal.SIGTERM)
        assert keeping.wait(60) == 0
    finally:
        keeping.kill()
        keeping.wait()


def test_book_pictures_and_summary_of_a_run_that_ended_are_written_once(
    live: Live, products: Products, end_of_run: Path
) -> None:
    settings, directory = with_products(live, end_of_run), end_of_run
    Keeper(settings, live.redis, tof_alone).look()  # of the other runs

    def two_detectors(chosen: Chosen, to: Path) -> None:
        write_all(choose(chosen.run, chosen.book, (), ("kl", "scalers")), to)  # pictures of all take 20 s

    ours = directory / f"{WITH_PICTURES:08d}"
    *before, end = small_run(WITH_PICTURES)
    live.send(*before)
    keeper = Keeper(settings, live.redis, two_detectors)
    keeper.look()
    assert not ours.exists()
    live.send(end)
    keeper.look()
    assert sorted(path.name for path in ours.iterdir()) == ["book", "pictures", "summary.json"]

    book = live.reader.run(WITH_PICTURES, {})
    plots = [plot.name for plot in DETECTORS["kl"].plots]
    assert {path.name for path in (ours / "book").iterdir()} == {f"run00900381_{name}.json" for name in plots}
    for name in plots:
        assert np.array_equal(
            histogram(directory, WITH_PICTURES, name).values(flow=True), book.book[name].values(flow=True)
        )
    canvases = {PLOTS[name].canvas for name in plots} | {"scalers_trends"}
    assert {path.name for path in (ours / "pictures").iterdir()} == {f"run00900381_{name}.png" for name in canvases}
    for picture in (ours / "pictures").iterdir():
        with Image.open(picture) as opened:
            assert opened.width > 500
            opened.verify()
    said = summary(directory, WITH_PICTURES)
    assert (said["run"], said["state"], said["spills"], said["duplicates"]) == (WITH_PICTURES, "ended", 7, 1)
    assert said["rejected"] == {"unpack": 1}
    assert (said["judgement"]["spills"], said["judgement"]["settling"]) == (said["spills"], True)
    assert said["judgement"]["plots"].keys() == PLOTS.keys()
    assert said["judgement"]["reference"] is None
    assert said["conditions"] == sorted(book.totals.conditions)
    assert said["plots"] == {name: book.book.summary(name) for name in PLOTS}
    assert said["book"] == {"session": "live", "produced_ms": book.totals.produced_ms}
    assert products.names()[WITH_PICTURES] == [f"end_of_run/{WITH_PICTURES:08d}"]

    written = ours.stat().st_mtime_ns
    keeper.look()
    live.redis.delete(products.key)
    Keeper(settings, live.redis, two_detectors).look()
    assert ours.stat().st_mtime_ns == written
    assert [path.name for path in directory.iterdir() if path.name.startswith(".")] == []


def test_products_wait_for_all_spills_of_the_run_and_are_written_again_with_late_ones(
    live: Live, products: Products, end_of_run: Path, tmp_path: Path
) -> None:
    start, *spills, late, end = small_run(LATE)
    keeper = Keeper(with_products(live, end_of_run), live.redis, tof_alone)
    live.send(start, *spills, end)
    with stopped_workers(live):
        with SpillProducer(live.settings) as producer:
            producer.send(late)
        Keeper(with_products(live, tmp_path), live.redis, tof_alone).look()
        assert list(tmp_path.iterdir()) == []
        keeper.look()
    wait_until_counted(live.settings, live.reader)
    keeper.look()
    assert not (end_of_run / f"{LATE:08d}").exists()  # it is reopened
    live.send(end)
    keeper.look()
    first = summary(end_of_run, LATE)
    assert first["spills"] == 7
    live.send(late)
    keeper.look()
    assert summary(end_of_run, LATE) == first
    live.send(end)
    keeper.look()
    assert summary(end_of_run, LATE)["duplicates"] == 2


def test_a_run_that_is_reopened_while_others_are_written_waits_for_its_end(
    live: Live, products: Products, end_of_run: Path
) -> None:
    first, (start, *spills, late, end) = (small_run(number) for number in ONE_AFTER_THE_OTHER)
    live.send(*first, start, *spills, end)

    def meanwhile(chosen: Chosen, directory: Path) -> None:
        tof_alone(chosen, directory)
        if chosen.run == ONE_AFTER_THE_OTHER[0]:
            live.send(late)

    keeper = Keeper(with_products(live, end_of_run), live.redis, meanwhile)
    keeper.look()
    written = {path.name for path in end_of_run.iterdir()}
    assert {f"{number:08d}" for number in ONE_AFTER_THE_OTHER} - written == {f"{ONE_AFTER_THE_OTHER[1]:08d}"}
    live.send(end)
    keeper.look()
    said = summary(end_of_run, ONE_AFTER_THE_OTHER[1])
    assert (said["state"], said["spills"]) == ("ended", 7)


def test_products_are_those_of_a_replay_once_it_is_promoted_and_of_live_when_that_is_taken_back(
    spilldeck_here: Spilldeck, live: Live, products: Products, tables: Path, end_of_run: Path
) -> None:
    table = tables / "tof_t0.txt"
    good = table.read_text()
    keeper = Keeper(with_products(live, end_of_run), live.redis, tof_alone)
    keeper.look()
    assert summary(end_of_run, OWN_TABLES)["book"]["session"] == "live"
    before = everything(end_of_run / f"{OWN_TABLES:08d}")
    table.write_text(re.sub(r"tof0 -(\d+)", lambda found: f"tof0 -{int(found[1]) + 1000}", good))
    try:
        done = spilldeck_here("replay", str(OWN_TABLES), "--name", "kept", "--workers", "1", env=live.env)
        assert done.returncode == 0, done.stderr
    finally:
        table.write_text(good)
    keeper.look()
    assert everything(end_of_run / f"{OWN_TABLES:08d}") == before
    spilldeck_here("replays", "promote", "kept", env=live.env)
    keeper.look()
    book = BookReader.shown(live.redis, live.settings).run(OWN_TABLES, {}).book
    assert summary(end_of_run, OWN_TABLES)["book"]["session"] == "replay-kept"
    changed = {
        file for file, content in everything(end_of_run / f"{OWN_TABLES:08d}").items() if before[file] != content
    }
    assert len(changed) > 1
    for plot in (plot.name for plot in DETECTORS["tof"].plots):
        assert np.array_equal(histogram(end_of_run, OWN_TABLES, plot).values(flow=True), book[plot].values(flow=True))
    spilldeck_here("replays", "restore", str(OWN_TABLES), env=live.env)
    keeper.look()
    assert everything(end_of_run / f"{OWN_TABLES:08d}") == before
    assert spilldeck_here("replays", "drop", "kept", env=live.env).returncode == 0


def test_a_full_disk_is_said_once_and_leaves_what_was_there(
    live: Live, products: Products, end_of_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    *before, late, end = small_run(FULL)
    live.send(*before, end)
    settings = with_products(live, end_of_run)
    Keeper(settings, live.redis, tof_alone).look()
    whole = everything(end_of_run)

    def full(chosen: Chosen, directory: Path) -> None:
        tof_alone(chosen, directory)
        (directory / "last").symlink_to("/dev/full")
        (directory / "last").write_text("more than there is room for")

    live.send(late, end)
    keeper = Keeper(settings, live.redis, full)
    keeper.look()
    keeper.look()
    (said,) = [line for line in capsys.readouterr().out.splitlines() if "no products" in line]
    assert f"nothing was written to {end_of_run / f'{FULL:08d}'}: No space left on device" in said
    assert everything(end_of_run) == whole


def test_flags_are_proposed_once_of_a_run_that_has_ended_and_name_what_is_wrong_and_where(
    live: Live, spilldeck_here: Spilldeck
) -> None:
    *spills, end = (
        SimulatedRun(run=PROPOSED, spills=60, mean_triggers=20, detectors=("tof",))
        .with_faults(["dead_pmt:tof1/0/3/1@30-59"])
        .records()
    )
    live.send(*spills)
    keeper = Keeper(live.settings, live.redis)

    def known() -> Proposal | None:
        return newest(live.settings, live.redis)().proposed.get(PROPOSED)

    keeper.look()
    assert known() is None
    live.send(end)
    keeper.look()
    found = known()
    assert found is not None
    good, dead = found.flags
    assert (good.verdict, good.detector, good.first, good.last) == (Verdict.GOOD, ALL, 0, END)
    assert (dead.verdict, dead.detector, dead.first, dead.last) == (Verdict.BAD, "tof", 30, END)
    assert dead.reason.startswith("TOF1 horizontal slab 3, PMT 1 silent since spill 30")
    assert found.reference is None
    # By what it was judged is known for ever: the hand-over tells what is another since.
    assert found.limits == in_force(TypeLimits(), live.settings.checks.spills_a_false_alarm)
    Keeper(live.settings, live.redis).look()  # of an older run, if of any
    assert known() == found
    said = json.loads(spilldeck_here("audit", "list", "--run", str(PROPOSED), "--json", env=live.env).stdout)
    assert [each["who"] for each in said] == [CHECKS]
    listed = json.loads(spilldeck_here("flags", "list", str(PROPOSED), "--json", env=live.env).stdout)
    assert listed["shares"]["unseen"] == 60, "what is proposed was not looked at"
    assert [each["reason"] for each in listed["proposed"]] == [good.reason, dead.reason]
    assert "proposed: bad" in spilldeck_here("flags", "list", str(PROPOSED), env=live.env).stdout
