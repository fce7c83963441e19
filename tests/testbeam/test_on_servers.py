"""The test beam on real servers: identical whatever its files are, and a page of its own detectors alone."""

import gzip
import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import lz4.frame
import pytest
from playwright.sync_api import Browser

from dashboards.pages.plots import of_detector, on_the_overview
from ops.stack import LocalStack, free_port, is_used
from ops.topics import ensure_topics
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.daq.producer import SpillProducer
from streams.daq.sources import read_source
from streams.experiment import experiment, simulator
from streams.experiments.mice import EXPERIMENT as MICE
from tests.begun import Heard
from tests.browser.conftest import COUNTS, WAIT_S, Seen, drawn, open_page
from tests.columns_builder import hits_of, pieces
from tests.conftest import wait_until_counted
from tests.lanes import again
from tests.ops.conftest import Spilldeck
from tests.ops.test_demo import wait_for
from tests.servers import environment, settings_on
from tests.workers import Workers

pytestmark = [pytest.mark.servers, pytest.mark.usefixtures("servers_can_be_had"), pytest.mark.timeout(240)]

ENV = {"SPILLDECK_EXPERIMENT": "testbeam"}
SPILLS = 12
PLAIN, GZIP, LZ4, IN_PARTS, COLUMNS, CURRENT = range(900_002, 900_008)


def parts_of(run: int, ends: tuple[int, ...] = (SPILLS,)) -> list[bytes]:
    """Return the sub-run files of a run: MIDAS writes its begin and its end into each."""
    begin, *spills, end = (record.payload for record in simulator().simulate(run, SPILLS, 1).records())
    return [b"".join([begin, *spills[first:stop], end]) for first, stop in zip((0, *ends), ends, strict=False)]


@pytest.fixture(scope="module")
def files(testbeam: None, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Write a run as a file, a gzip file, an LZ4 file, three sub-run files, and as columns of Avro."""
    directory = tmp_path_factory.mktemp("files")
    contents = {
        f"run{PLAIN}.mid": parts_of(PLAIN)[0],
        f"run{GZIP}.mid.gz": gzip.compress(parts_of(GZIP)[0]),
        f"run{LZ4}.mid.lz4": lz4.frame.compress(parts_of(LZ4)[0]),
    }
    contents |= {f"run{IN_PARTS}sub{n:04}.mid": part for n, part in enumerate(parts_of(IN_PARTS, (5, 6, SPILLS)))}
    hits = hits_of(list(simulator().simulate(COLUMNS, SPILLS, 1).records()))
    contents[f"run{COLUMNS}.avro"] = b"".join(pieces(hits))
    for name, content in contents.items():
        (directory / name).write_bytes(content)
    return [directory / name for name in contents]


@again
def test_the_simulated_run_comes_out_identical(spilldeck: Spilldeck) -> None:
    done = spilldeck("demo", "--experiment", "testbeam", "--check")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "identical"


def test_files_of_every_form_come_out_identical(spilldeck: Spilldeck, files: list[Path]) -> None:
    done = spilldeck("demo", "--experiment", "testbeam", "--check", *files)
    assert done.returncode == 0, done.stderr
    for run in (PLAIN, GZIP, LZ4, IN_PARTS, COLUMNS):
        assert re.search(rf"{run} │ +{SPILLS} │ +0 │ .* identical", done.stdout), done.stdout
    assert done.stdout.splitlines()[-1] == "identical"


def test_process_says_the_same_of_a_run_in_one_file_and_in_three(spilldeck_here: Spilldeck, files: list[Path]) -> None:
    whole = files[0].with_name(f"run{IN_PARTS}.mid")
    whole.write_bytes(parts_of(IN_PARTS)[0])
    one, three = (json.loads(spilldeck_here("process", "--json", *of, env=ENV).stdout) for of in ([whole], files[3:6]))
    whole.unlink()
    assert (one["spills"], one["rejected"], one["errors"]) == (SPILLS, 0, {})
    assert one["detectors"].keys() == experiment().tables.keys()
    assert one.keys() == three.keys()
    assert {name: of for name, of in three.items() if name != "events"} == {
        name: of for name, of in one.items() if name != "events"
    }


@dataclass(frozen=True, kw_only=True)
class Running:
    """A worker and a page on servers that have a run."""

    address: str
    env: dict[str, str]


@pytest.fixture(scope="module")
def running(testbeam: None, stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory, settings, port = tmp_path_factory.mktemp("running"), settings_on(stack), free_port()
    env = (
        environment(settings)
        | ENV
        | {
            "SPILLDECK_DASHBOARD__PORT": str(port),
            "SPILLDECK_PRODUCER__JOURNALS": str(directory),
        }
    )
    ensure_topics(settings)
    workers, address = Workers(settings, directory, env), f"http://127.0.0.1:{port}"
    workers.start()
    page = Heard(["dashboard"], env=os.environ | env, said=directory)
    try:
        with SpillProducer(settings) as producer:
            for record in simulator().simulate(CURRENT, SPILLS, 1).at(time.time_ns() // 1000, 1.0).records():
                producer.send(record)
        with connect(settings) as redis:
            wait_until_counted(settings, BookReader.of(redis, settings))
        wait_for("the page", lambda: page.poll() is not None or is_used(port))
        yield Running(address=address, env=env)
    finally:
        page.terminate()
        workers.stop()
        page.wait(WAIT_S)


@pytest.mark.parametrize(
    ("run", "its", "shown"),
    [
        (PLAIN, 0, {"bank TDC0", "bank WFD0", "event 0x8"}),
        (COLUMNS, -1, {"table tdc", "table pulses", "charge: "}),
    ],
)
def test_the_bytes_of_a_run_come_back_word_by_word_and_as_a_file(
    spilldeck_here: Spilldeck, running: Running, files: list[Path], tmp_path: Path, run: int, its: int, shown: set[str]
) -> None:
    assert spilldeck_here("produce", files[its], env=running.env).returncode == 0
    place = ("--run", str(run), "--spill", "3")
    until = time.monotonic() + WAIT_S
    while (done := spilldeck_here("spills", "get", *place, "--json", env=running.env)).returncode:
        assert "Kafka has no spill 3" in done.stderr
        assert time.monotonic() < until
        time.sleep(0.1)
    assert json.loads(done.stdout)["detectors"].keys() == experiment().tables.keys()
    said = spilldeck_here("spills", "get", *place, "--raw", env=running.env)
    assert said.returncode == 0, said.stderr
    assert all(each in said.stdout for each in shown)
    archived = spilldeck_here("runs", "archive", str(run), "--as-daq", "--out", tmp_path, env=running.env)
    assert archived.returncode == 0, archived.stderr
    (file,) = tmp_path.glob(f"*{files[its].suffix}")
    if run == PLAIN:
        assert file.read_bytes() == files[its].read_bytes()
    assert [r.payload for r in read_source(file)] == [r.payload for r in read_source(files[its])]


@pytest.mark.browser
def test_the_page_speaks_of_its_own_detectors_alone(running: Running, chromium: Browser, seen: Seen) -> None:
    others = {name for name in MICE.detectors if name not in ("daq", "raw", "across")}
    theirs = re.compile(rf"\b(MICE|{'|'.join(sorted(others))}|slabs?|photomultipliers?)\b", re.IGNORECASE)
    page = chromium.new_page(viewport={"width": 1920, "height": 1080}, base_url=running.address)
    page.set_default_timeout(WAIT_S * 1000)
    seen.watch(page)
    shown = {f"/detector/{name}": of_detector(name, expert=False) for name in experiment().detectors}
    for path, plots in {"/": on_the_overview(), "/plot/counters_flight": ["counters_flight"], **shown}.items():
        open_page(page, path)
        for name in plots:
            page.wait_for_function(
                "id => document.getElementById(id)?.textContent.includes('whole run')",
                arg=f'{{"name":"{name}","type":"figure"}}',
            )
        html = page.content()
        assert theirs.findall(html) == [], path
        # Among what can be looked for are all plots.
        assert all(plot.title in html for plot in experiment().plots.values()), path
        assert not any(plot.title in html for plot in MICE.plots.values()), path
    assert page.title() == "Test beam · Spilldeck"
    assert [link.inner_text() for link in page.locator("nav a").all()][:6] == [
        "Overview",
        "Changes",
        *(its.title for its in experiment().detectors.values()),
    ]
    assert sum(drawn(page, "calorimeter_energy", COUNTS)) > 0
    assert not seen.errors
    page.close()
