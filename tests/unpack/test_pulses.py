import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from schemas.records import MISSING
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.boards import V1731, PulseDefinitions
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.pulses import pulse_features
from streams.experiments.mice.unpack.spill_json import unpack_json
from streams.reconstruct import reconstruct
from tests.conftest import PROJECT
from tests.date_builder import equipment, fadc_event, packed, physics
from tests.records import raw_spill


def expected(samples, *, negative):
    """The definitions, one sample after the other."""
    s = [int(x) for x in samples]
    low, high = s.index(min(s)), s.index(max(s))
    pedestal = sum(s[:30] if low > 30 else s[-30:]) / 30
    peak = low if negative else high
    window = s[peak - 10 if peak > 10 else 0 : peak + 20]
    area = pedestal * len(window) - sum(window)
    middle = math.floor(pedestal + 0.5)
    away = [i for i, x in enumerate(s) if abs(middle - x) > 2]
    return (
        pedestal,
        max(s) - min(s),
        int((pedestal - min(s) if negative else max(s) - pedestal) + 0.5),
        int((area if negative else -area) + 0.5),
        low,
        high,
        away[0] if away else len(s) - 1,
    )


def expected_until_2012(samples, *, negative):
    """The older definitions, one sample after the other."""
    s = [int(x) for x in samples]
    low, high = s.index(min(s)), s.index(max(s))
    pedestal = sum(s[:20]) // 20
    area = sum(abs(x - pedestal) for x in s[low - 10 : low + 20]) if low > 10 else 0
    away = [i for i, x in enumerate(s) if abs(pedestal - x) > 2]
    return (
        pedestal,
        max(s) - min(s),
        pedestal - min(s) if negative else max(s) - pedestal,
        area if negative else MISSING,
        low if negative else MISSING,
        high,
        (away[0] if away else len(s) - 1) if negative else MISSING,
    )


COLUMNS = ("pedestal", "charge_mm", "charge_pm", "pulse_area", "position_min", "position_max", "arrival_time")


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([np.uint8, np.uint16]), st.booleans(), st.integers(60, 90))
def test_features_are_those_of_the_definitions(data, dtype, negative, length):
    top = 255 if dtype is np.uint8 else 16383
    samples = data.draw(nps.arrays(dtype, (3, length), elements=st.integers(0, top)))
    found = pulse_features(samples, negative=negative)
    for row in range(3):
        assert tuple(getattr(found, c)[row] for c in COLUMNS) == expected(samples[row], negative=negative)


def test_a_flat_wave_never_leaves_its_pedestal():
    found = pulse_features(np.full((1, 256), 140, np.uint8), negative=True)
    assert (found.pedestal[0], found.charge_mm[0], found.pulse_area[0], found.arrival_time[0]) == (140, 0, 0, 255)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([np.uint8, np.uint16]), st.booleans(), st.integers(20, 90))
def test_features_until_2012_are_those_of_the_older_definitions(data, dtype, negative, length):
    top = 255 if dtype is np.uint8 else 16383
    samples = data.draw(nps.arrays(dtype, (3, length), elements=st.integers(0, top)))
    found = pulse_features(samples, negative=negative, definitions=PulseDefinitions.UNTIL_2012)
    for row in range(3):
        assert tuple(getattr(found, c)[row] for c in COLUMNS) == expected_until_2012(samples[row], negative=negative)


@pytest.fixture(scope="module")
def document(shared):
    return (shared / "data/02873-spill0.json").read_bytes()


@pytest.fixture(scope="module")
def date_bytes(document):
    """The Cherenkov counters' samples of run 2873 as their board would have sent them."""
    words = []
    for event in json.loads(document)["daq_data"]["ckov"]:
        samples = [hit["samples"] for hit in sorted(event["V1731"], key=lambda hit: hit["channel"])]
        words += fadc_event(packed([s for channel in samples for s in channel], 8), geo=9)
    return physics(equipment(V1731, words, geo=9), run=2873)


OUT_OF_MEMORY = (25, 1)
"""Event and channel of the one stored area that is a number from beyond the samples."""


def test_the_samples_of_run_2873_have_its_stored_features(document, date_bytes):
    stored = unpack_json(document).fadc
    stored = stored.rows(stored.equipment == V1731)
    found = unpack_date(date_bytes, PulseDefinitions.UNTIL_2012).fadc
    assert len(found) == len(stored) == 288
    good = [place != OUT_OF_MEMORY for place in zip(found.trigger, found.channel, strict=True)]
    assert sum(good) == 287
    for column in ("ldc", "geo", "channel", "trigger", *COLUMNS):
        which = good if column == "pulse_area" else slice(None)
        assert np.array_equal(getattr(found, column)[which], getattr(stored, column)[which]), column
    (bad,) = np.flatnonzero(~np.array(good))
    assert found.position_min[bad] == 255  # the window reaches beyond the pulse: cut at its end
    assert found.pulse_area[bad] == 5


def test_the_conditions_of_a_run_choose_the_definitions(shared, date_bytes, document):
    store = ConditionsStore(
        [(PROJECT / "streams/experiments/mice/conditions/mice.toml", shared / "data/mice-conditions")]
    )
    chosen = {run: store.for_run(run).pulses for run in (0, 2873, 4499, 4500, 6008)}
    assert [run for run, definitions in chosen.items() if definitions is PulseDefinitions.UNTIL_2012] == [0, 2873, 4499]
    from_date, from_json = (
        reconstruct(raw_spill(run=2873, payload=payload, format=kind), store.for_run(2873)).detectors["ckov"].digits
        for payload, kind in ((date_bytes, "date"), (document, "spill_json"))
    )
    assert from_date.equal(from_json)
    later = reconstruct(raw_spill(run=2873, payload=date_bytes), store.for_run(6008)).detectors
    assert not later["ckov"].digits.equal(from_json)


def test_pulses_until_2012_may_be_as_short_as_their_pedestal():
    words = fadc_event(packed([140] * 20, 8), mask=1, geo=9)
    assert unpack_date(physics(equipment(V1731, words)), PulseDefinitions.UNTIL_2012).fadc.pedestal.tolist() == [140]
