"""The test beam in this process: what comes out is where the simulator put it, and one bad board is its own error."""

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from dashboards.pages.plots import is_page, names_on
from schemas.columns import Detector
from schemas.records import ControlKind, RawSpill, ReconstructedSpill, RunControl
from schemas.wire import decode, encode
from streams.books.judgement import judged, words
from streams.conditions.store import ConditionsStore
from streams.daq.sources import read_source
from streams.errors import BadDataError, UsageError
from streams.experiment import experiment, simulator
from streams.experiments.testbeam.boards import DIGITISER, TDC, unpack
from streams.experiments.testbeam.conditions import odd
from streams.experiments.testbeam.tables import Calorimeter, Counters, Hodoscope
from streams.midas.banks import banks_of
from streams.midas.events import events_of
from streams.plots.batch import Batch
from streams.plots.measures import KeyNumber
from streams.process import RunResult, process
from streams.reconstruct import reconstruct
from tests.midas_builder import bank_area, event
from tests.ops.conftest import Spilldeck

RUN = 900_001
FOLDER = Path(__file__).parents[2] / "streams" / "experiments" / "testbeam"


def simulated(*faults: str, spills: int = 10, run: int = RUN) -> list[RawSpill | RunControl]:
    return list(simulator().simulate(run, spills, 1).with_faults(faults).records())


def counted(records: list[RawSpill | RunControl]) -> RunResult:
    (result,) = process(records, ConditionsStore([]).for_run).values()
    return result


@pytest.fixture(scope="module")
def truth(testbeam: None) -> dict[str, Any]:
    """Return all particles of 60 spills, a list for each that is known of them."""
    lines = [line for _, line in simulator().simulate(RUN, 60, 1).records_and_truth() if line]
    particles = [json.loads(line)["particles"] for line in lines]
    return {name: np.concatenate([each[name] for each in particles]) for name in particles[0]}


@pytest.fixture(scope="module")
def batch(testbeam: None) -> Batch:
    conditions = ConditionsStore([]).for_run(RUN)
    spills = [reconstruct(r, conditions) for r in simulated(spills=60) if isinstance(r, RawSpill)]
    assert not any(spill.errors or spill.rejection for spill in spills)
    return Batch(spills)


def rows(batch: Batch, detector: type[Detector], table: str) -> Any:
    (kind,) = {type(found.tables()[table]) for found in (spill.get(detector) for spill in batch._spills) if found}
    return batch.join(kind)


def test_the_times_of_flight_are_those_of_the_particles(batch: Batch, truth: dict[str, Any]) -> None:
    flights = rows(batch, Counters, "flights")
    off = flights.time_ns - truth["flight_ns"][flights.trigger]
    assert abs(off.mean()) < 5 * 0.15 / np.sqrt(len(off))
    assert off.std() == pytest.approx(0.15, abs=0.01)
    assert len(flights) / batch.triggers == pytest.approx(0.97**4, abs=0.03)


def test_the_scintillators_see_more_of_a_slow_particle(batch: Batch, truth: dict[str, Any]) -> None:
    hits = rows(batch, Counters, "hits")
    for counter in range(4):
        mean = {
            kind: np.median(hits.energy_mev[(hits.counter == counter) & (truth["kind"][hits.trigger] == kind)])
            for kind in ("electron", "pion", "proton")
        }
        assert mean["electron"] == pytest.approx(2.1, abs=0.15)
        assert 2.5 < mean["proton"] / mean["pion"] < 3.7


def test_the_hodoscope_has_particles_where_they_crossed(batch: Batch, truth: dict[str, Any]) -> None:
    points = rows(batch, Hodoscope, "points")
    for axis in ("x_mm", "y_mm"):
        off = getattr(points, axis) - truth[axis][points.trigger]
        assert np.percentile(abs(off), 95) <= 2.6  # half a strip; the rest is noise, or beside the hodoscope
        assert abs(np.median(off)) < 0.3


def test_the_lead_glass_has_the_energy_and_the_side(batch: Batch, truth: dict[str, Any]) -> None:
    showers = rows(batch, Calorimeter, "showers")
    true = truth["light_mev"][showers.trigger]
    share = showers.energy_mev[true > 100] / true[true > 100]
    assert np.median(share) == pytest.approx(0.955, abs=0.015)  # some of it is in blocks below the threshold
    assert set(truth["kind"][showers.trigger]) == {"electron", "pion"}
    for axis in ("x_mm", "y_mm"):
        assert np.corrcoef(getattr(showers, axis), truth[axis][showers.trigger])[0, 1] > 0.85


def test_the_measures_of_the_plots_are_the_beam() -> None:
    book = counted(simulated(spills=60)).book

    def measured(plot: str) -> dict[str, KeyNumber]:
        its, counts = experiment().plots[plot], book[plot].view(flow=False).astype(np.int64)
        return {each.label: found for each in its.measures if (found := each.of(counts, its.axes)) is not None}

    assert measured("counters_flight")["Electrons"].value == pytest.approx(33.36, abs=0.05)
    assert measured("counters_flight")["Protons"].value == pytest.approx(61.9, abs=0.05)
    assert all(found.value == pytest.approx(0.97, abs=0.015) for found in measured("counters_efficiency").values())
    x, y = measured("hodoscope_x"), measured("hodoscope_y")
    assert (x["Mean x"].value, y["Mean y"].value) == (pytest.approx(6, abs=1.2), pytest.approx(-4, abs=1))
    assert (x["Spread in x"].value, y["Spread in y"].value) == (pytest.approx(10, abs=1), pytest.approx(8, abs=1))
    assert measured("calorimeter_energy")["Electrons"].value == pytest.approx(585, abs=10)


def test_the_records_are_those_of_a_file_with_the_same_bytes(tmp_path: Path) -> None:
    records = simulated()
    (tmp_path / "run900001.mid").write_bytes(b"".join(record.payload for record in records))
    found = list(read_source(tmp_path / "run900001.mid"))
    names = ("run", "byte", "events", "time_us", "payload")
    assert [[getattr(r, name) for name in names] for r in found] == [[getattr(r, n) for n in names] for r in records]
    assert [r.kind for r in records if isinstance(r, RunControl)] == [ControlKind.START, ControlKind.END]
    assert simulated() == records
    assert simulated(run=RUN + 1)[1] != records[1]


def test_a_reconstructed_spill_comes_back_from_its_message() -> None:
    tables = experiment().tables
    spill = reconstruct(simulated()[1], ConditionsStore([]).for_run(RUN))  # type: ignore[arg-type]
    found = decode(encode(spill, tables), tables)
    assert isinstance(found, ReconstructedSpill)
    assert found.detectors.keys() == {"counters", "hodoscope", "calorimeter"}
    for name, detector in spill.detectors.items():
        for table, its in detector.tables().items():
            assert its.equal(found.detectors[name].tables()[table])


def test_a_board_that_is_damaged_is_an_error_of_its_detectors_with_bank_and_byte() -> None:
    records = simulated("damaged_bank:WFD0@2-3")
    found = counted(records).to_json()
    assert (found["spills"], found["rejected"]) == (10, 0)
    assert found["errors"] == {"counters": 2, "calorimeter": 2}
    spill = records[3]
    assert isinstance(spill, RawSpill)
    said = reconstruct(spill, ConditionsStore([]).for_run(RUN)).errors["calorimeter"]
    place = next(b.at for e in events_of(spill.payload) for b in banks_of(spill.payload, e) if b.name == DIGITISER)
    assert said == f"bank WFD0: 260 words that begin with 0x00000000 (byte {place} of the spill)"


def test_a_bank_that_no_event_has_is_not_read_out() -> None:
    found = counted(simulated("missing_bank:TDC0@4")).to_json()
    assert (found["errors"], found["not_read_out"]) == ({}, {"counters": 1, "hodoscope": 1})


def test_a_dead_channel_is_a_gap_in_its_plot() -> None:
    for fault, plot, at in (
        ("dead_channel:V1290/11", "hodoscope_x", 7),
        ("dead_channel:V1730/8", "calorimeter_blocks", 4),
        ("dead_channel:V1290/2", "counters_energy", 2),
    ):
        book = counted(simulated(fault)).book
        along = book[plot].view(flow=True)[1:-1]
        entries = along if along.ndim == 1 else along.sum(axis=1)
        assert (entries[at], min(entries[at - 1], entries[at + 1]) > 20) == (0, True), fault


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("dead_channel:V1290/11", "Hodoscope strip 7 silent since spill 30"),
        ("dead_channel:V1730/8", "Lead glass block 4 silent since spill 30"),
        ("dead_channel:V1290/2", "Scintillators counter 2 silent since spill 30"),
    ],
)
def test_a_dead_channel_is_told_with_its_first_spill(fault: str, said: str) -> None:
    book = counted(simulated(f"{fault}@30-44", spills=45)).run_book()
    assert [words(verdict).partition(" (")[0] for verdict in judged(book).verdicts] == [said]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("dead_pmt:tof0", "there is no such fault: there are dead_channel:PLACE"),
        ("missing_bank:TDC1", "there is no TDC1: there are TDC0, WFD0"),
        ("missing_bank:TDC0@9-12", "the run has spills 0 to 9"),
        ("missing_bank:TDC0@5-4", "the run has spills 0 to 9"),
        ("missing_bank", "there is no such fault"),
    ],
)
def test_a_fault_that_cannot_be_says_what_can(fault: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        simulated(fault)


def spill_of(*banks: list[tuple[str, int, bytes]]) -> bytes:
    """Return the bytes of a spill, written by the tests' own writer: a particle with each of these banks."""
    particles = [event(1, bank_area(each), serial=n) for n, each in enumerate(banks)]
    return event(8, bank_area([])) + b"".join(particles) + event(9, bank_area([]))


def tdc(*hits: tuple[int, int], trailer: int | None = None) -> tuple[str, int, bytes]:
    words = [8 << 27, *(channel << 21 | time for channel, time in hits)]
    words.append(16 << 27 | (len(words) + 1 if trailer is None else trailer) << 5)
    return TDC, 6, np.array(words, "<u4").tobytes()


def digitiser(sample: int = 15_000, size: int | None = None) -> tuple[str, int, bytes]:
    data = np.full((16, 16), 15_000, "<u2")
    data[3, 12] = sample
    head = np.array([0xA0000000 | (132 if size is None else size), 0xFF, 0xFF000000, 0], "<u4")
    return DIGITISER, 6, head.tobytes() + data.tobytes()


def test_words_become_hits_as_the_boards_say() -> None:
    hits = unpack(spill_of([tdc((3, 8000), (31, (1 << 21) - 1)), digitiser(14_900)], [tdc(), digitiser()]), None)
    assert hits.triggers == 2
    assert (hits.failed, hits.absent) == ({}, frozenset())
    assert [column.tolist() for column in hits.tdc.columns()] == [[0, 0], [3, 31], [8000, (1 << 21) - 1]]
    assert hits.pulses.charge.tolist() == [100 if at == 3 else 0 for at in range(32)]


@pytest.mark.parametrize(
    ("banks", "detectors", "said"),
    [
        ([[tdc((1, 2), trailer=9), digitiser()]], {"counters", "hodoscope"}, "bank TDC0: 3 words, .* counts 9"),
        ([[(TDC, 6, bytes(8)), digitiser()]], {"counters", "hodoscope"}, "bank TDC0: word 0 of 2 is 0x00000000"),
        ([[(TDC, 4, bytes(8)), digitiser()]], {"counters", "hodoscope"}, "bank TDC0: 4 values of type 4"),
        (
            [[tdc(), digitiser(size=131)]],
            {"counters", "calorimeter"},
            "bank WFD0: 132 words .* with 0xa0000083",
        ),
        ([[tdc(), digitiser(1 << 14)]], {"counters", "calorimeter"}, "bank WFD0: sample 60 is 16384"),
        ([[tdc(), digitiser()], [tdc()]], {"counters", "calorimeter"}, "bank WFD0: this event has none, others have"),
        ([[tdc(), ("WFDX", 99, b"")]], {"counters", "calorimeter"}, "bank WFD0: bank WFDX of type 99"),
    ],
)
def test_each_kind_of_damage_is_named_and_leaves_the_other_board(banks: Any, detectors: set[str], said: str) -> None:
    payload = spill_of(*banks)
    hits = unpack(payload, None)
    assert hits.failed.keys() == detectors
    error = hits.failed["counters"]
    assert 0 <= error.byte < len(payload)
    with pytest.raises(BadDataError, match=said):
        raise error
    assert not hits.absent


def test_damaged_bytes_of_a_spill_never_raise_anything_else() -> None:
    rng = np.random.default_rng(1)
    spill = next(r for r in simulated(spills=1) if isinstance(r, RawSpill))
    conditions, seen = ConditionsStore([]).for_run(RUN), Counter[str]()
    for _ in range(300):
        content = bytearray(spill.payload)
        content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
        found = reconstruct(replace(spill, payload=bytes(content)), conditions)
        said = [*found.errors.values(), found.rejection.reason if found.rejection is not None else ""]
        assert not any("fault in the code" in each for each in said), said
        seen["rejected" if found.rejection else "errors" if found.errors else "good"] += 1
    assert min(seen["good"], seen["errors"]) > 0


@pytest.mark.parametrize("missing", ["cabling", "calibration"])
def test_without_a_table_the_detectors_that_need_it_are_lacking_and_no_error(tmp_path: Path, missing: str) -> None:
    text = (FOLDER / "simulated" / "index.toml").read_text().replace("900000", "10").replace("999999", "19")
    tables = [part for part in text.split("\n\n") if f'"{missing}"' not in part]
    (tmp_path / "index.toml").write_text("\n".join(tables))
    store = ConditionsStore([(tmp_path / "index.toml", FOLDER / "simulated")])
    spill = next(r for r in simulated() if isinstance(r, RawSpill))
    found = reconstruct(spill, store.for_run(10))
    assert found.errors == {}
    lacking = {"counters", "calorimeter"} | ({"hodoscope"} if missing == "cabling" else set())
    assert found.lacking.keys() == lacking
    assert found.detectors.keys() == {"counters", "hodoscope", "calorimeter"} - lacking


@pytest.mark.parametrize(
    ("kind", "row", "said"),
    [
        ("cabling", "V1291 0 counters 0 4", "line 1: there is no V1291 or no counters"),
        ("cabling", "V1290 30 counters 0 4", "word 5 is '4', not a whole number from 1 to 2"),
        ("cabling", "V1290 0 counters 0", "4 words where 5 belong"),
        ("calibration", "tof 0 1 1", "line 1: there is no detector tof"),
        ("calibration", "counters 4 1 1", "word 2 is '4', not a whole number from 0 to 3"),
    ],
)
def test_a_row_that_cannot_be_says_its_line(tmp_path: Path, kind: str, row: str, said: str) -> None:
    (tmp_path / "index.toml").write_text(f'[[table]]\nkind = "{kind}"\nfile = "t"\nfirst_run = 10\nlast_run = 19\n')
    (tmp_path / "t").write_text(row)
    with pytest.raises(UsageError, match=said):
        ConditionsStore([(tmp_path / "index.toml", tmp_path)]).for_run(10)


def test_nothing_is_odd_about_the_simulated_tables_and_what_is_wrong_in_others_is_said(tmp_path: Path) -> None:
    index = (FOLDER / "simulated" / "index.toml").read_text().replace("900000", "10").replace("999999", "19")
    (tmp_path / "index.toml").write_text(index)
    for name, change in (("cabling", "V1730 3 calorimeter 0 9\n"), ("calibration", "")):
        text = (FOLDER / "simulated" / f"{name}.txt").read_text()
        (tmp_path / f"{name}.txt").write_text(text.replace("calorimeter 8 0.098 0\n", "") + change)
    store = ConditionsStore([(tmp_path / "index.toml", tmp_path)])
    assert list(odd(store.for_run(RUN))) == []  # type: ignore[arg-type]
    assert list(odd(store.for_run(10))) == [  # type: ignore[arg-type]
        (True, "channel 3 of V1730 is cabled to two detectors"),
        (False, "channel 8 of calorimeter is not calibrated"),
    ]


def test_a_plot_has_all_its_words_and_ten_are_of_the_beam() -> None:
    plots = experiment().plots.values()
    assert len(plots) == 10
    for plot in plots:
        assert all(text.endswith(".") for text in (plot.words.shows, plot.words.normal, plot.words.action))
        assert plot.words.call == "Test-beam run coordinator"
        assert experiment().needs(plot) & experiment().tables.keys()


def test_an_overview_of_which_nobody_says_anything_has_the_first_plot_of_each_detector() -> None:
    whole = experiment()
    silent = tuple(replace(each, plots=replace(each.plots, overview=())) for each in whole.subsystems)
    with patch.dict(vars(whole), {"subsystems": silent, "detectors": {each.name: each.plots for each in silent}}):
        assert names_on("/") == ["daq_triggers", "counters_flight", "hodoscope_x", "calorimeter_energy"]
        assert is_page("/")


def test_a_copy_of_the_folder_is_an_experiment_outside_the_package(spilldeck: Spilldeck, tmp_path: Path) -> None:
    shutil.copytree(FOLDER, tmp_path / "mybeam", ignore=shutil.ignore_patterns("__pycache__"))
    for path in (tmp_path / "mybeam").glob("*.py"):
        path.write_text(path.read_text().replace("streams.experiments.testbeam", "mybeam"))
    env = {"SPILLDECK_EXPERIMENT": "mybeam", "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    assert spilldeck("simulate", "--spills", "5", "--out", "run.mid", env=env).returncode == 0
    done = spilldeck("process", "run.mid", "--json", env=env)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["spills"], found["errors"]) == (5, {})
    assert found["plots"]["counters_flight"]["entries"] > 100


def test_the_folder_is_small() -> None:
    files = [path for path in FOLDER.rglob("*") if path.is_file() and path.suffix in (".py", ".txt", ".toml")]
    assert sum(bool(line.strip()) for path in files for line in path.read_text().splitlines()) < 600
