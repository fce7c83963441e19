"""spilldeck process: counts, a book, and what is said of files that are not as they must be."""

import json
from pathlib import Path

import numpy as np
import pytest
import uhi.io.json

from streams.books.limits import TypeLimits
from streams.books.shapes import against_run, plot_verdicts
from streams.conditions.store import ConditionsStore
from streams.date.framing import EventType, headers
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from tests.catalogue import PLOTS, TABLES
from tests.ops.conftest import Spilldeck, assert_one_sentence


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a DATE file of a small run."""
    path = tmp_path_factory.mktemp("files") / "simulated.000"
    records = SimulatedRun(spills=6, mean_triggers=10).records()
    path.write_bytes(b"".join(record.payload for record in records))
    return path


def test_run_6008_is_counted_as_known(spilldeck: Spilldeck, shared: Path, with_tables: dict[str, str]) -> None:
    done = spilldeck("process", shared / "data/06008.000", "--json", env=with_tables)
    assert done.returncode == 0
    assert done.stderr.startswith("run 6008: tof space points not calibrated in 6 spills: the run has no table of")
    found = json.loads(done.stdout)
    names = ["run", "events", "spills", "particle_triggers", "rejected", "errors", "not_read_out", "detectors"]
    assert [*found] == [*names, "lacking", "plots", "judgement"]
    assert found["lacking"] == {"tof.space_points": 6}
    assert (found["plots"]["ht01"]["state"], "state" in found["plots"]["hPMT1"]) == ("not calibrated", False)
    assert (found["run"], found["events"], found["spills"], found["particle_triggers"]) == (6008, 22, 6, 882)
    assert (found["rejected"], found["errors"]) == (0, {})
    detectors = found["detectors"]
    assert found["not_read_out"] == dict.fromkeys(("emr", "kl", "scalers", "tracker"), 6)
    assert detectors.keys() == TABLES.keys() - found["not_read_out"].keys()
    assert (detectors["ckov"], detectors["raw"]) == ({"digits": 882}, {"tdc": 7056, "fadc": 7056, "vlsb": 0, "dbb": 0})
    assert not any(sum(counts.values()) for name, counts in detectors.items() if name not in ("ckov", "raw"))
    assert found["plots"].keys() == PLOTS.keys()
    assert found["plots"]["hPMT1"]["entries"] == 882


def test_the_spill_of_run_2873_is_counted_as_known(
    spilldeck: Spilldeck, shared: Path, with_tables: dict[str, str]
) -> None:
    done = spilldeck("process", shared / "data/02873-spill0.json", "--json", env=with_tables)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    expected = json.loads((shared / "expected/02873-spill0.json").read_text())
    assert (found["run"], found["spills"], found["particle_triggers"]) == (2873, 1, expected["n_particle_events"])
    assert found["detectors"]["tof"]["digits"] == sum(map(sum, expected["tof_digits"]))
    hits = sum(len(station) for event in expected["tof_slab_hits"] for station in event)
    assert found["detectors"]["tof"]["hits"] == hits == 186


def test_a_book_is_read_back_with_the_counts_of_the_pure_functions(
    spilldeck: Spilldeck, simulated: Path, tmp_path: Path
) -> None:
    assert spilldeck("process", simulated, "--out", tmp_path / "book.json").returncode == 0
    book = json.loads((tmp_path / "book.json").read_text(), object_hook=uhi.io.json.object_hook)
    (expected,) = process(SimulatedRun(spills=6, mean_triggers=10).records(), ConditionsStore([]).for_run).values()
    assert book["plots"].keys() == PLOTS.keys()
    for name in PLOTS:
        assert np.array_equal(book["plots"][name]["storage"]["values"], expected.book[name].view(flow=True))
    assert book["summary"] == {**expected.to_json(), "run_type": ""}
    assert not (tmp_path / "book.json.part").exists()


def test_standard_input_and_directories_are_read_like_files(spilldeck: Spilldeck, simulated: Path) -> None:
    as_file = spilldeck("process", simulated, "--json")
    assert as_file.returncode == 0
    assert spilldeck("process", "-", "--json", stdin=simulated).stdout == as_file.stdout
    assert spilldeck("process", simulated.parent, "--json").stdout == as_file.stdout


def test_the_counts_fit_on_a_terminal(spilldeck: Spilldeck, simulated: Path) -> None:
    done = spilldeck("process", simulated, env={"COLUMNS": "80"})
    assert "Run 900001" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_cut_file_keeps_its_spills_and_says_where_it_broke(
    spilldeck: Spilldeck, simulated: Path, tmp_path: Path
) -> None:
    content = simulated.read_bytes()
    (tmp_path / "cut.000").write_bytes(content[: len(content) * 3 // 4])
    done = spilldeck("process", "cut.000", "--json")
    found = json.loads(done.stdout)
    assert (done.returncode, found["spills"], found["rejected"]) == (0, 4, 1)
    (line,) = done.stderr.splitlines()
    assert line.startswith("run 900001: rejected by framing: cut.000, bytes ")


def test_an_impossible_time_is_said(spilldeck: Spilldeck, simulated: Path, tmp_path: Path) -> None:
    content = bytearray(simulated.read_bytes())
    found = [(at, header) for at, header in headers(bytes(content), 0, len(content)) if header.is_super]
    for at, header in found:
        if header.type is EventType.PHYSICS and header.number_in_run == 3:
            content[at + 75] ^= 0x80
    content[found[-2][0] + 75] ^= 0x80  # the first of the pair that ends the run
    (tmp_path / "run.000").write_bytes(content)
    done = spilldeck("process", "run.000", "--json")
    assert (done.returncode, json.loads(done.stdout)["errors"]) == (0, {"time": 1})
    end, spill = done.stderr.splitlines()
    assert end.startswith("spilldeck: run.000, run 900001, end of run, byte ")
    assert "its own, 2083-03-03 20:36:49 UTC, cannot be: replaced by what else it shows, 2015-02-13 17:22:41 UTC" in end
    assert spill.startswith("run 900001: time failed on 1 spills, first on spill 3: its own, 2083-03-03 20:")


def test_a_run_without_conditions_says_what_to_do(spilldeck: Spilldeck, shared: Path) -> None:
    done = spilldeck("process", shared / "data/06008.000")
    assert done.returncode == 0
    assert "tof failed on 6 spills, first on spill 0: no conditions for run 6008: name an index" in done.stderr


@pytest.mark.parametrize(
    ("content", "status", "said"),
    [
        (b"", 2, "file.000 is empty"),
        (b"\x07" * 999, 1, "framing at byte 0: file.000 is no file of the DAQ"),
        (b"\0\0\0\x50\xda\x1e\x5a\xfe" + bytes(100), 1, "framing at byte 4: file.000 is byte-swapped"),
        (None, 2, "file.000 is neither a file nor a directory"),
    ],
)
def test_a_file_that_is_none_of_the_daq_ends_in_one_sentence(
    spilldeck: Spilldeck, tmp_path: Path, content: bytes | None, status: int, said: str
) -> None:
    if content is not None:
        (tmp_path / "file.000").write_bytes(content)
    assert said in assert_one_sentence(spilldeck("process", "file.000", "--json"), status)


def test_a_bad_file_among_good_ones_costs_itself_alone(spilldeck: Spilldeck, simulated: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("not for you")
    done = spilldeck("process", "notes.txt", simulated, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["spills"] == 6
    assert "notes.txt is no file of the DAQ" in done.stderr


def test_a_book_that_cannot_be_written_is_one_sentence(spilldeck: Spilldeck, simulated: Path, tmp_path: Path) -> None:
    line = assert_one_sentence(spilldeck("process", simulated, "--json", "--out", tmp_path / "no" / "book"), 2)
    assert "cannot be written" in line


def test_plots_are_judged_against_books_of_good_runs(spilldeck_here: Spilldeck, tmp_path: Path) -> None:
    runs = {}
    for number, fault in ((900_031, []), (900_032, []), (900_033, ["dead_pmt:tof1/0/3/1@0-39"])):
        run = SimulatedRun(run=number, spills=40, mean_triggers=20, detectors=("tof",)).with_faults(fault)
        (tmp_path / f"{number}.000").write_bytes(b"".join(record.payload for record in run.records()))
        (runs[number],) = process(run.records(), ConditionsStore([]).for_run).values()
        assert (
            spilldeck_here("process", tmp_path / f"{number}.000", "--out", tmp_path / f"{number}.json").returncode == 0
        )
    books = [word for number in (900_032, 900_031) for word in ("--against", tmp_path / f"{number}.json")]
    done = spilldeck_here("process", tmp_path / "900033.000", "--json", *books)
    found = json.loads(done.stdout)
    against = against_run(900_032, runs[900_032].run_book(), {900_031: runs[900_031].run_book()})
    ours = runs[900_033].run_book()
    expected = plot_verdicts(ours, against, TypeLimits(), is_over=ours.totals.ended)
    assert found["verdicts"] == json.loads(json.dumps({name: its.to_json() for name, its in expected.items()}))
    assert found["verdicts"]["hslabhits10"]["state"] == "bad"
    assert "than in run 900032 and 1 before (5 % matter)" in found["verdicts"]["hslabhits10"]["words"]
    # The channel that was never there is the cause, by what the newest book had: the plots follow from it.
    assert done.stderr == "run 900033: TOF1 horizontal slab 3, PMT 1 silent from the begin on\n"
    same = spilldeck_here("process", tmp_path / "900031.000", "--json", "--against", tmp_path / "900031.json")
    assert (same.stderr, json.loads(same.stdout)["verdicts"]["hslabhits10"]["state"]) == ("", "good")
    assert "verdicts" not in json.loads(spilldeck_here("process", tmp_path / "900031.000", "--json").stdout)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no book of process --out (JSONDecodeError"),
        ("[1, 2]", "is no book of process --out (TypeError"),
        ('{"summary": {"run": 1, "particle_triggers": 2}, "plots": {"ht01": 5}}', "is no book of process --out"),
        (None, "cannot be read: No such file or directory"),
    ],
)
def test_what_is_no_book_is_one_sentence_before_anything_is_processed(
    spilldeck: Spilldeck, simulated: Path, tmp_path: Path, content: str | None, said: str
) -> None:
    if content is not None:
        (tmp_path / "book.json").write_text(content)
    assert said in assert_one_sentence(spilldeck("process", simulated, "--against", tmp_path / "book.json"), 2)
