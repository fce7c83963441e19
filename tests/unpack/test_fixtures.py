"""Inputs of the experiment's own unit tests: what stands in them is what is read."""

import json
from pathlib import Path

import numpy as np
import pytest

from schemas.records import RawFormat, RawSpill, ReconstructedSpill
from streams.conditions.store import ConditionsStore
from streams.daq.sources import read_source
from streams.experiments.mice.tables.ckov import Ckov
from streams.experiments.mice.tables.emr import Emr
from streams.experiments.mice.unpack.hits import RawHits
from streams.experiments.mice.unpack.pulses import pulse_features
from streams.experiments.mice.unpack.spill_json import unpack_json
from streams.reconstruct import reconstruct
from tests.conftest import PROJECT


@pytest.fixture
def fixtures(shared: Path) -> Path:
    """Return their directory."""
    return shared / "data" / "fixtures"


def read(path: Path) -> tuple[RawHits, ReconstructedSpill]:
    """Return the raw hits of a file's one spill, and what it is with the tables of its run."""
    (raw,) = read_source(path)
    assert isinstance(raw, RawSpill)
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    tables = path.parents[1] / "mice-conditions"
    return unpack_json(raw.payload), reconstruct(raw, ConditionsStore([(index, tables)]).for_run(raw.run))


def test_a_document_without_triggers_has_the_events_of_its_detector(fixtures: Path) -> None:
    hits, spill = read(fixtures / "ckov-no-trigger.json")
    assert (spill.run, spill.triggers, spill.errors, hits.failed, hits.skipped) == (6890, 3, {}, {}, {})
    digits = spill.get(Ckov).digits
    assert digits.trigger.tolist() == [0, 1, 2]
    assert digits.total_charge.tolist() == [[0, 3], [0, 57], [0, 0]]
    assert digits.photo_electrons.round(3).tolist() == [[0, 0.13], [0, 2.478], [0, 0]]
    assert digits.coincidences.tolist() == [[0, 1], [0, 1], [0, 0]]


def test_its_pulses_are_those_of_its_samples(fixtures: Path) -> None:
    hits, _ = read(fixtures / "ckov-no-trigger.json")
    assert (len(hits.fadc), len(hits.samples)) == (24, 8)
    for (ldc, geo, channel), samples in hits.samples.items():
        fadc = hits.fadc
        stored = fadc.rows((fadc.ldc == ldc) & (fadc.geo == geo) & (fadc.channel == channel))
        made = pulse_features(samples, negative=True)
        assert np.allclose(stored.pedestal, made.pedestal)
        for name in ("charge_mm", "charge_pm", "pulse_area", "position_min", "position_max", "arrival_time"):
            assert getattr(stored, name).tolist() == getattr(made, name).tolist(), name


def test_boards_of_the_ranger_are_read_as_files_spell_them(fixtures: Path) -> None:
    hits, spill = read(fixtures / "emr-plane-hits.json")
    assert (spill.triggers, hits.failed, "emr" in spill.detectors) == (3, {}, True)
    board, found = hits.dbb_spills, hits.dbb_hits
    said = [board.ldc, board.geo, board.spill_number, board.spill_width, board.trigger_count, board.hit_count]
    assert [column.tolist() for column in said] == [[2], [0], [123], [1_199_408], [3], [3]]
    triggers = found.rows(found.channel == 4)
    assert triggers.leading_time.tolist() == [785_000, 109_290, 179_098]
    bars = found.rows(found.channel != 4)
    assert bars.channel.tolist() == [13, 28, 32, 37]
    assert bars.leading_time.tolist() == [784_769, 109_060, 178_870, 278_790]
    assert bars.trailing_time.tolist() == [784_777, 109_065, 178_797, 278_797]
    assert (hits.fadc.trigger.tolist(), hits.fadc.pulse_area.tolist()) == ([1, 2], [36, 36])
    # One plane hit a trigger, also of the hit that ends before it begins.
    assert spill.get(Emr).hits.trigger.tolist() == [0, 1, 2]


def test_banks_of_the_trackers_are_read_as_files_of_2011_spell_them(fixtures: Path) -> None:
    """The document has no number of a run, so it is the spill of none: a source says so, and keeps it."""
    path = fixtures / "tracker-vlsb-2011.json"
    (raw,) = read_source(path)
    assert isinstance(raw, RawSpill)
    assert (raw.format, "there is no run_num" in raw.problem) == (RawFormat.UNREADABLE, True)
    hits = unpack_json(raw.payload)
    assert (hits.triggers, hits.failed, len(hits.vlsb)) == (5, {}, 21)
    document = json.loads(raw.payload)["daq_data"]
    stored = sorted(
        (4 * (hit["geo"] - 1) + hit["bank"], trigger, hit["channel"], hit["adc"], hit["tdc"])
        for branch in ("tracker1", "tracker2")
        for trigger, event in enumerate(document[branch])
        for hit in (event or {}).get("VLSB_C", ())
    )
    columns = (hits.vlsb.bank, hits.vlsb.trigger, hits.vlsb.channel, hits.vlsb.adc, hits.vlsb.tdc)
    assert [tuple(row) for row in zip(*(column.tolist() for column in columns), strict=True)] == stored
    assert np.bincount(hits.vlsb.trigger).tolist() == [0, 3, 0, 2, 16]
    assert not hits.vlsb.discriminator.any()
