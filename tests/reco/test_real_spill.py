"""Run 2873: digits and slab hits as the experiment's own software stored them."""

import json
from pathlib import Path

import numpy as np
import pytest

from schemas.records import RawSpill, ReconstructedSpill
from schemas.tof import Tof
from streams.conditions.store import ConditionsStore
from streams.daq.sources import read_source
from streams.reconstruct import reconstruct
from tests.conftest import PROJECT


@pytest.fixture(scope="module")
def spill(shared: Path) -> ReconstructedSpill:
    """Return the reconstructed spill."""
    index = PROJECT / "streams" / "conditions" / "mice.toml"
    conditions = ConditionsStore([(index, shared / "data" / "mice-conditions")]).for_run(2873)
    (raw,) = read_source(shared / "data" / "02873-spill0.json")
    assert isinstance(raw, RawSpill)
    return reconstruct(raw, conditions)


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, list[object]]:
    """Return what must come out."""
    found: dict[str, list[object]] = json.loads((shared / "expected" / "02873-spill0.json").read_text())
    return found


def test_it_has_36_particle_triggers(spill: ReconstructedSpill) -> None:
    assert (spill.run, spill.spill, spill.triggers, spill.errors) == (2873, 0, 36, {})


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
