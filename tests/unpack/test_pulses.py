import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from streams.unpack.pulses import pulse_features


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
        int(pedestal - min(s) if negative else max(s) - pedestal),
        int((area if negative else -area) + 0.5),
        low,
        high,
        away[0] if away else len(s) - 1,
    )


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([np.uint8, np.uint16]), st.booleans(), st.integers(60, 90))
def test_features_are_those_of_the_definitions(data, dtype, negative, length):
    top = 255 if dtype is np.uint8 else 16383
    samples = data.draw(nps.arrays(dtype, (3, length), elements=st.integers(0, top)))
    found = pulse_features(samples, negative=negative)
    for row in range(3):
        columns = ("pedestal", "charge_mm", "charge_pm", "pulse_area", "position_min", "position_max", "arrival_time")
        assert tuple(getattr(found, c)[row] for c in columns) == expected(samples[row], negative=negative)


def test_a_flat_wave_never_leaves_its_pedestal():
    found = pulse_features(np.full((1, 256), 140, np.uint8), negative=True)
    assert (found.pedestal[0], found.charge_mm[0], found.pulse_area[0], found.arrival_time[0]) == (140, 0, 0, 255)
