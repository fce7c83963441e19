import json

import pytest

from schemas.records import MISSING
from streams.boards import V1290, V1724, V1731
from streams.errors import BadDataError
from streams.unpack.spill_json import unpack_json

TDC_HIT = {"ldc_id": 1, "geo": 2, "channel": 3, "leading_time": 100, "trailing_time": -99, "bunch_id": 4}
ADC_HIT = {"ldc_id": 1, "geo": 2, "channel": 3, "charge_mm": 150, "charge_pm": 140, "pedestal": 8300.5}


def unpack(**daq):
    return unpack_json(json.dumps({"daq_event_type": "physics_event", "daq_data": daq}).encode())


def refused(reason, payload=None, **daq):
    with pytest.raises(BadDataError, match=reason) as error:
        unpack(**daq) if payload is None else unpack_json(payload)
    assert error.value.step == "json"
    return error.value


def test_hits_of_every_detector_become_columns_even_unmapped_ones():
    hits = unpack(
        trigger=[{"V1290": [TDC_HIT]}, None],
        unknown=[None, {"V1290": [TDC_HIT | {"channel": 9}]}],
        tof0=[{"V1290": [], "V1724": [ADC_HIT]}],
    )
    assert hits.triggers == 2
    assert list(zip(hits.tdc.trigger.tolist(), hits.tdc.channel.tolist(), strict=True)) == [(0, 3), (1, 9)]
    assert hits.tdc.trailing_time.tolist() == [MISSING, MISSING]
    assert (hits.fadc.equipment.tolist(), hits.fadc.pedestal.tolist()) == ([V1724], [8300.5])
    assert hits.fadc.arrival_time.tolist() == [MISSING]
    assert sorted(hits.boards.equipment.tolist()) == [V1290, V1290, V1724]


def test_the_old_spelling_of_a_position_is_read():
    hit = ADC_HIT | {"position_min": 1, "max_pos": 77}
    assert unpack(ckov=[{"V1731": [hit]}]).fadc.position_max.tolist() == [77]
    assert unpack(ckov=[{"V1731": [hit]}]).fadc.position_min.tolist() == [1]


def test_without_trigger_the_longest_list_counts_the_triggers():
    assert unpack(tof0=[None], tof1=[None, None, None]).triggers == 3
    assert unpack().triggers == 0


def test_samples_are_kept_of_channels_that_have_them_always():
    hit = ADC_HIT | {"samples": [1, 2, 255]}
    hits = unpack(trigger=[None, None], ckov=[{"V1731": [hit, hit | {"channel": 4}]}, {"V1731": [hit]}])
    assert list(hits.samples) == [(1, 2, 3)]
    assert hits.samples[1, 2, 3].tolist() == [[1, 2, 255]] * 2
    assert hits.fadc.equipment.tolist() == [V1731] * 3


def test_time_tags_have_32_bits():
    tag = 2**32 - 1
    assert unpack(tof0=[{"V1724": [ADC_HIT | {"trigger_time_tag": tag}]}]).boards.time_tag.tolist() == [tag]


def test_what_nothing_reads_is_skipped_and_counted_in_plain_letters():
    hits = unpack(crystals=[{"V9": [{}, {}]}, {"\ud800": [{}]}], magnet={"current": [1]}, trigger=[None, None])
    assert hits.skipped == {"V9": 2, "\\ud800": 1, "magnet": 1}


@pytest.mark.parametrize("branch", [{"a": 1}, [1] * 300, [{"V1495": [{}]}], "words", 3])
def test_branches_of_no_known_shape_are_skipped_and_counted_whatever_they_hold(branch):
    hits = unpack(trigger=[None], trigger_engine=branch, epics_interface=branch, tag=[None])
    assert (hits.triggers, hits.skipped) == (1, {"trigger_engine": 1, "epics_interface": 1})
    assert unpack(trigger_engine=None, epics_interface={}).skipped == {}


@pytest.mark.parametrize(
    "value", [None, "3", 3.5, True, [3], {}, -1, 32, 10**30, float("nan"), float("inf"), -float("inf")]
)
@pytest.mark.parametrize("key", ["ldc_id", "geo", "channel"])
def test_an_address_that_cannot_be_is_refused(key, value):
    refused(key, trigger=[{"V1290": [TDC_HIT | {key: value}]}])


@pytest.mark.parametrize(
    ("hit", "reason"),
    [
        ({"leading_time": 2**31}, "leading_time is 2147483648"),
        ({"part_event_number": 5}, "particle event 5 stands among those of 0"),
        ({"trigger_time_tag": 2**32}, "trigger_time_tag"),
        ({"bunch_id": "x" * 1000}, "bunch_id is x+..., not"),
        ({"bunch_id": 10**4000}, "bunch_id is 10+..., not"),
    ],
)
def test_a_tdc_hit_with_a_wrong_number_is_refused(hit, reason):
    assert len(refused(reason, trigger=[{"V1290": [TDC_HIT | hit]}]).reason) < 200


@pytest.mark.parametrize(
    ("hit", "reason"),
    [
        ({"pedestal": None}, "pedestal"),
        ({"pedestal": 1e300}, "pedestal"),
        ({"charge_mm": 2**31}, "charge_mm"),
        ({"samples": [256]}, "samples"),
        ({"samples": ["1"]}, "samples"),
        ({"samples": [1.5]}, "samples"),
        ({"samples": 5}, "samples"),
    ],
)
def test_an_adc_hit_with_a_wrong_number_is_refused(hit, reason):
    refused(reason, ckov=[{"V1731": [ADC_HIT | hit]}])


def test_shapes_that_cannot_be_are_refused():
    refused("not an object", trigger=[3])
    refused("no list of hits", trigger=[{"V1290": 3}])
    refused("no list of hits", trigger=[{"V1290": [3]}])
    refused("trigger mismatch: tof0 has 2 particle events, not 1", trigger=[None], tof0=[None, None])
    refused("V830 is 3", V830=3)
    refused("ch5 is a list", V830={"ldc_id": 1, "geo": 0, "channels": {"ch5": []}})
    refused("100001 particle events", trigger=[None] * 100_001)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "no JSON"),
        (b"[]", "a JSON list"),
        (b"{}", "daq_data is None"),
        (b'{"daq_data": NaN}', "daq_data is nan"),
        (b'{"a": ' + b"9" * 5000 + b"}", "no JSON that can be read"),
        (b'{"daq_data": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"daq_data": ' + b'{"a":' * 100_000, "nested too deeply"),
        (b'{"daq_data": "\xed\xa0\x80"', "no UTF-8"),
        (b"\xff\xfe{}", "no UTF-8"),
        ('{"é": }'.encode(), "no JSON"),
    ],
)
def test_bytes_that_are_no_document_are_refused(payload, reason):
    refused(reason, payload)


def test_the_place_of_a_fault_is_counted_in_bytes():
    assert refused("no JSON", '{"é": }'.encode()).byte == 7
