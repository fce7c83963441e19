from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import BadDataError
from streams.experiments.mice.boards import V1724, V1731
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.pulses import pulse_features
from tests.date_builder import equipment, fadc_event, packed, physics, suppressed

FLAT = [8500] * 64
PULSE = [8500] * 40 + [8600, 9500, 8700] + [8500] * 21


def unpack(kind, *boards):
    return unpack_date(physics(*(equipment(kind, words, geo=2) for words in boards)))


def refused(kind, words, reason):
    with pytest.raises(BadDataError, match=reason) as error:
        unpack(kind, words)
    return (error.value.byte - (80 + 80 + 28)) // 4


def test_a_suppressed_board_has_hits_where_it_has_samples():
    words = fadc_event(suppressed({1: PULSE, 6: FLAT[:60]}), code=7)
    words += fadc_event(suppressed({}), code=7, counter=2)
    words += fadc_event(suppressed({0: PULSE, 1: PULSE}, mask=0x03), code=7, counter=3, mask=0x03)
    hits = unpack(V1724, words)
    assert hits.triggers == 3
    assert list(zip(hits.fadc.trigger.tolist(), hits.fadc.channel.tolist(), strict=True)) == [
        (0, 1),
        (0, 6),
        (2, 0),
        (2, 1),
    ]
    assert hits.fadc.charge_mm.tolist() == [1000, 0, 1000, 1000]
    assert hits.boards.event_counter.tolist() == [1, 2, 3]
    assert hits.boards.time_tag.tolist() == [9, 9, 9]
    assert hits.samples == {}


def test_a_positive_pulse_has_the_features_of_its_maximum():
    hits = unpack(V1724, fadc_event(suppressed({5: PULSE}), code=7)).fadc
    assert (hits.equipment[0], hits.ldc[0], hits.geo[0], hits.channel[0]) == (V1724, 1, 2, 5)
    # The minimum is sample 0, so the pedestal is the mean of the last 30: the pulse at 40-42 is within.
    pedestal = (27 * 8500 + 8600 + 9500 + 8700) / 30
    assert hits.pedestal[0] == pytest.approx(pedestal)
    assert hits.charge_mm[0] == 1000
    assert hits.charge_pm[0] == int(9500 - pedestal + 0.5)
    area = 27 * 8500 + 8600 + 9500 + 8700 - 30 * pedestal
    assert hits.pulse_area[0] == int(area + 0.5)
    assert (hits.position_min[0], hits.position_max[0]) == (0, 41)
    assert hits.arrival_time[0] == 0


def test_channels_that_the_board_did_not_suppress_count_from_a_charge_of_100():
    bodies = [[*packed([8000] * 32 + [8000 + height] * 32, 16)] for height in (100, 101)]
    hits = unpack(V1724, fadc_event(bodies[0] + bodies[1], mask=0b1010)).fadc
    assert hits.channel.tolist() == [3]
    assert hits.charge_mm.tolist() == [101]


def test_samples_of_every_v1731_channel_are_kept():
    waves = np.arange(3 * 2 * 64).reshape(3, 2, 64) % 251
    words = [w for wave in waves for w in fadc_event(packed(wave.ravel().tolist(), 8), mask=0b100001, geo=9)]
    hits = unpack(V1731, words)
    assert sorted(hits.samples) == [(1, 9, 0), (1, 9, 5)]
    assert np.array_equal(hits.samples[1, 9, 0], waves[:, 0])
    assert np.array_equal(hits.samples[1, 9, 5], waves[:, 1])
    assert hits.fadc.channel.tolist() == [0, 5] * 3
    assert hits.fadc.trigger.tolist() == [0, 0, 1, 1, 2, 2]


def test_boards_with_and_without_suppression_stand_side_by_side():
    zero = fadc_event(packed(PULSE, 16), mask=1, geo=3)
    seven = fadc_event(suppressed({7: PULSE}), code=7, geo=4)
    hits = unpack(V1724, zero, seven).fadc
    assert sorted(zip(hits.geo.tolist(), hits.channel.tolist(), strict=True)) == [(3, 0), (4, 7)]


def test_boards_without_any_channel_have_events_and_no_hits():
    hits = unpack(V1731, fadc_event([], mask=0) * 2)
    assert (hits.triggers, len(hits.fadc), hits.samples) == (2, 0, {})


def test_what_is_wrong_is_named_with_its_place():
    body = suppressed({1: PULSE})
    good = fadc_event(body, code=7)
    wave = packed([140] * 64, 8)
    assert refused(V1724, good[:-1], r"of 44 words where 43 are left") == 0
    assert refused(V1724, [*good, 5], "unexpected word 0x00000005 where particle event 1") == len(good)
    assert refused(V1724, [0xA0000003, 0, 0], "of 3 words where 3 are left") == 0
    assert refused(V1724, fadc_event([*body[:-1]], code=7), "ends before channel 7") == 0
    assert (
        refused(V1724, fadc_event([*body, 0], code=7), "44 words of channels and header in a particle event of 45") == 0
    )
    assert refused(V1724, fadc_event([1 << 12, *body[1:]], code=7), "length of channel 0") == 4
    assert refused(V1724, fadc_event(suppressed({0: FLAT[:58]}), code=7), "58 samples, fewer than 60") == 5
    assert refused(V1724, fadc_event(suppressed({0: [1 << 14] * 60}), code=7), "16384, more than 14 bits") == 5
    assert refused(V1724, fadc_event(body, code=3), "code 3, not known") == 1
    assert refused(V1731, fadc_event(body, code=7), "code 7, not known") == 1
    assert refused(V1731, fadc_event(wave, mask=0b11111), "cannot be split between 5") == 0
    assert refused(V1731, fadc_event(wave, mask=0), "cannot be split between 0") == 0
    longer = fadc_event(wave * 2, mask=1)
    assert refused(V1731, fadc_event(wave, mask=1) + longer, "36 words for channels 0x01 in particle event 1") == 20
    assert refused(V1731, fadc_event(wave, mask=1) + fadc_event(wave, mask=1, geo=3), "geo or zero-suppression") == 21


LENGTHS = st.sampled_from([0, 0, 60, 62, 64, 128])
SEED = st.integers(0, 2**32 - 1)


def decoded(words):
    """Return (trigger, channel, samples) of each channel with samples, one word after the other."""
    out, trigger, at = [], 0, 0
    while at < len(words):
        stop, mask = at + (words[at] & 0x0FFFFFFF), words[at + 1] & 0xFF
        at += 4
        for channel in range(8):
            if mask >> channel & 1:
                assert words[at] >> 12 == channel
                length = words[at] & 0xFFF
                halves = [half for word in words[at + 1 : at + 1 + length] for half in (word & 0xFFFF, word >> 16)]
                if halves:
                    out.append((trigger, channel, halves))
                at += 1 + length
        assert at == stop
        trigger += 1
    return out


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 255), st.lists(LENGTHS, min_size=8, max_size=8)), min_size=1, max_size=4), SEED
)
def test_suppressed_channels_of_any_mask_and_length_are_read_as_one_word_after_the_other_says(events, seed):
    rng = np.random.default_rng(seed)
    words = []
    for counter, (mask, lengths) in enumerate(events, start=1):
        there = {channel: rng.integers(0, 1 << 14, n).tolist() for channel, n in enumerate(lengths)}
        words += fadc_event(suppressed(there, mask=mask), code=7, mask=mask, counter=counter)
    hits = unpack(V1724, words)
    slow = decoded(words)
    assert hits.triggers == len(events)
    assert list(zip(hits.fadc.trigger.tolist(), hits.fadc.channel.tolist(), strict=True)) == [s[:2] for s in slow]
    for row, (_, _, samples) in enumerate(slow):
        one = pulse_features(np.array([samples], np.uint16), negative=False)
        for column in (f.name for f in fields(one)):
            assert getattr(hits.fadc, column)[row] == getattr(one, column)[0]


def test_a_length_that_reaches_beyond_the_event_is_refused():
    body = suppressed({7: PULSE})
    body[7] += 1
    assert refused(V1724, fadc_event(body, code=7), "45 words of channels and header in a particle event of 44") == 0
    body[7] = 7 << 12 | 0xFFF
    assert refused(V1724, fadc_event(body, code=7), "words of channels and header in a particle event of 44") == 0


def test_a_channel_that_the_mask_leaves_out_must_not_stand_in_the_event():
    body = suppressed({}, mask=0b11)
    assert (
        refused(V1724, fadc_event(body, code=7, mask=0b01), "5 words of channels and header in a particle event of 6")
        == 0
    )
    assert refused(V1724, fadc_event(body, code=7, mask=0b101), "where the length of channel 2 should be") == 5
