"""Run 2873: digits and slab hits as the experiment's own software stored them, and what its own calibration makes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.records import RawSpill, ReconstructedSpill
from streams.books.book import fill
from streams.books.run import RunBook, RunPart
from streams.conditions.store import ConditionsStore
from streams.daq.sources import read_source
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.plots.tof_quantities import flight_time_ns
from streams.experiments.mice.reco.tof import MIN_CROSSED, doubt_calibration
from streams.experiments.mice.tables.ckov import Ckov
from streams.experiments.mice.tables.tof import Tof
from streams.plots.batch import Batch
from streams.reconstruct import reconstruct
from tests.catalogue import PLOTS
from tests.conftest import PROJECT
from tests.records import outcome_of


def conditions_of(run: int, shared: Path) -> Conditions:
    """Return the conditions of a run."""
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    conditions = ConditionsStore([(index, shared / "data" / "mice-conditions")]).for_run(run)
    assert conditions is not None
    return conditions


def with_conditions_of(run: int, shared: Path) -> ReconstructedSpill:
    """Return what the spill reconstructs to with the conditions of a run."""
    (raw,) = read_source(shared / "data" / "02873-spill0.json")
    assert isinstance(raw, RawSpill)
    return reconstruct(raw, conditions_of(run, shared))


@pytest.fixture(scope="module")
def spill(shared: Path) -> ReconstructedSpill:
    """Return the reconstructed spill."""
    return with_conditions_of(2873, shared)


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, list[object]]:
    """Return what must come out."""
    found: dict[str, list[object]] = json.loads((shared / "expected" / "02873-spill0.json").read_text())
    return found


def test_it_has_36_particle_triggers(spill: ReconstructedSpill) -> None:
    assert (spill.run, spill.spill, spill.triggers, spill.errors, spill.lacking) == (2873, 0, 36, {}, {})


def test_every_event_has_the_stored_digits_in_each_station(spill: ReconstructedSpill, expected: dict) -> None:
    digits = spill.get(Tof).digits
    counts = np.zeros((spill.triggers, 3), int)
    np.add.at(counts, (digits.trigger, digits.station), 1)
    assert counts.tolist() == expected["tof_digits"]


def test_every_slab_hit_has_the_stored_time_and_charges(spill: ReconstructedSpill, expected: dict) -> None:
    hits = spill.get(Tof).hits
    found = [[[] for _ in range(3)] for _ in range(spill.triggers)]
    columns = (hits.plane, hits.slab, hits.raw_time_ns, hits.charge, hits.charge_product)
    for trigger, station, *hit in zip(hits.trigger, hits.station, *columns, strict=True):
        found[trigger][station].append(pytest.approx([float(value) for value in hit], abs=1e-9))
    assert found == expected["tof_slab_hits"]
    assert len(hits) == 186


def test_the_calibration_of_its_time_finds_the_known_space_points_and_times_of_flight(
    spill: ReconstructedSpill,
) -> None:
    points = spill.get(Tof).space_points
    assert np.bincount(points.station, minlength=3).tolist() == [24, 31, 23]
    flight = flight_time_ns(Batch([spill]), 0, 1)
    assert len(flight) == 24
    assert (round(flight.min(), 2), round(flight.max(), 2)) == (26.05, 34.63)
    assert fill([spill], {}).book["ht01"].sum() == 24


def test_both_cherenkov_counters_have_the_known_light(spill: ReconstructedSpill) -> None:
    light = spill.get(Ckov).digits.photo_electrons
    assert [round(total, 3) for total in light.sum(axis=0)] == [121.304, 191.087]
    assert (light > 0).sum(axis=0).tolist() == [31, 31]


def test_with_the_calibration_of_another_time_the_spill_says_that_it_does_not_fit(shared: Path) -> None:
    found = with_conditions_of(3400, shared)
    assert [*found.errors] == ["tof calibration"]
    assert found.errors["tof calibration"].startswith("31 triggers have slab hits in both planes of TOF1")
    assert (len(found.get(Tof).hits), len(found.get(Tof).space_points)) == (186, 0)
    book = fill([found], {}).book
    assert (book["hslabhits10"].sum(), book["ht01"].sum()) == (33, 0)


@pytest.mark.parametrize("run", [4000, 6008])
def test_without_a_calibration_of_its_own_a_run_is_not_calibrated_and_its_raw_plots_go_on(
    shared: Path, run: int
) -> None:
    found = with_conditions_of(run, shared)
    assert (found.errors, [*found.lacking]) == ({}, ["tof.space_points"])
    assert (len(found.get(Tof).hits), len(found.get(Tof).space_points)) == (186, 0)
    part = RunPart()
    counted = part.count([outcome_of(found)], {}, lambda _time_us: 0)
    book = RunBook(totals=part.totals, ledger=part.ledger, book=counted.filled[0][2].book)
    assert {name for name in PLOTS if book.state(name)} >= {"ht01", "hnsp_1", "tof_A"}
    assert not any(book.state(name) for name in ("hslabhits10", "hPMT1", "raw_v1290_hits", "h1"))
    assert book.summary("ht01")["state"] == vars(book.histogram("ht01"))["state"] == "not calibrated"
    assert (book.book["hslabhits10"].sum(), book.book["ht01"].sum()) == (33, 0)


def test_too_few_crossings_of_the_trigger_station_say_nothing_of_the_calibration(shared: Path) -> None:
    found = with_conditions_of(3400, shared).get(Tof)
    conditions = conditions_of(3400, shared)

    def doubt_of(triggers: int) -> bool:
        return bool(doubt_calibration(replace(found, hits=found.hits.rows(found.hits.trigger < triggers)), conditions))

    station = found.hits.rows(found.hits.station == 1)
    crossed = np.intersect1d(station.trigger[station.plane == 0], station.trigger[station.plane == 1])
    assert [doubt_of(crossed[MIN_CROSSED - 1]), doubt_of(crossed[MIN_CROSSED - 1] + 1)] == [False, True]


@pytest.mark.parametrize(
    ("branch", "board", "key", "costs"),
    [
        ("tof1", "V1290", "leading_time", {"tof"}),
        ("trigger_request", "V1290", "channel", {"tof"}),
        ("kl", "V1724", "charge_mm", {"kl"}),
        ("ckov", "V1731", "pulse_area", {"ckov"}),
        ("unknown", "V1290", "geo", set()),
    ],
)
def test_a_branch_of_unknown_spelling_costs_its_detector_alone(
    spill: ReconstructedSpill, shared: Path, branch: str, board: str, key: str, costs: set[str]
) -> None:
    (raw,) = read_source(shared / "data" / "02873-spill0.json")
    assert isinstance(raw, RawSpill)
    document = json.loads(raw.payload)
    for event in document["daq_data"][branch]:
        for hit in (event or {}).get(board, ()):
            hit["spelled_anew"] = hit.pop(key)
    found = reconstruct(replace(raw, payload=json.dumps(document).encode()), conditions_of(2873, shared))
    assert found.errors.keys() == costs | {"raw"}
    assert all(f"{branch}: there is no {key}" in why and "spelled_anew" in why for why in found.errors.values())
    assert found.detectors.keys() == spill.detectors.keys() - costs
    for name in found.detectors.keys() - {"raw"}:
        pairs = zip(found.detectors[name].tables().values(), spill.detectors[name].tables().values(), strict=True)
        assert all(ours.equal(whole) for ours, whole in pairs), name
