import json
import re

import pytest

from schemas.records import MISSING
from streams.errors import BadDataError
from streams.experiments.mice.boards import V1290, V1724, V1731, VLSB_C
from streams.experiments.mice.read_out import ReadOut
from streams.experiments.mice.unpack.spill_json import unpack_json

TDC_HIT = {"ldc_id": 1, "geo": 2, "channel": 3, "leading_time": 100, "trailing_time": -99, "bunch_id": 4}
ADC_HIT = {"ldc_id": 1, "geo": 2, "channel": 3, "charge_mm": 150, "charge_pm": 140, "pedestal": 8300.5}
PULSE = ADC_HIT | {"pulse_area": 9, "position_min": 30, "position_max": 31, "arrival_time": 25}
VLSB_HIT = {"ldc_id": 1, "bank": 5, "channel": 9, "adc": 60, "tdc": 30, "discriminator": True}


def unpack(**daq):
    return unpack_json(json.dumps({"daq_event_type": "physics_event", "daq_data": daq}).encode())


def refused(reason, payload):
    with pytest.raises(BadDataError, match=reason) as error:
        unpack_json(payload)
    assert error.value.step == "json"
    return error.value


def failed(detector, reason, **daq):
    """Check that the detector alone cannot be read, and that nothing is left of the branch; return why."""
    found = unpack(**daq)
    assert found.failed.keys() == {detector, "raw"}
    said = found.failed[detector].reason
    assert re.search(reason, said), said
    assert found.failed["raw"].reason == said
    assert not len(found.tdc) + len(found.fadc) + len(found.boards) + len(found.scalers)
    return said


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
    hit = {key: value for key, value in PULSE.items() if key != "position_max"} | {"position_min": 1, "max_pos": 77}
    assert unpack(ckov=[{"V1731": [hit]}]).fadc.position_max.tolist() == [77]
    assert unpack(ckov=[{"V1731": [hit]}]).fadc.position_min.tolist() == [1]


def test_without_trigger_the_longest_list_counts_the_triggers():
    assert unpack(tof0=[None], tof1=[None, None, None]).triggers == 3
    assert unpack().triggers == 0


def test_samples_are_kept_of_channels_that_have_them_always():
    hit = PULSE | {"samples": [1, 2, 255]}
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
    failed("tof", key, trigger=[{"V1290": [TDC_HIT | {key: value}]}])


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
    assert len(failed("tof", reason, trigger=[{"V1290": [TDC_HIT | hit]}])) < 200


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
    failed("ckov", reason, ckov=[{"V1731": [PULSE | hit]}])


def test_shapes_that_cannot_be_fail_the_detectors_that_need_them():
    failed("tof", "^trigger: particle event 0 of trigger is 3, not an object", trigger=[3])
    failed("kl", "no list of hits", kl=[{"V1724": 3}])
    failed("ckov", "no list of hits", ckov=[{"V1731": [3]}])
    failed("tof", "trigger mismatch: tof0 has 2 particle events, not 1", trigger=[None], tof0=[None, None])
    failed("scalers", "V830 is 3, not a JSON dict", V830=3)
    failed("scalers", "channels of V830 is None", V830={})
    failed(
        "scalers", "unknown channel ch32, there are ch0 to ch31", V830={"ldc_id": 1, "geo": 0, "channels": {"ch32": 1}}
    )
    for branch in ({"V1731": [PULSE]}, "words", 3, True):
        failed("ckov", "ckov is .*, not a JSON list", ckov=branch)
    failed("tof", "tof1 is a dict, not a JSON list", tof1={"V1290": [TDC_HIT]})
    failed("emr", "emr is a list, not a JSON dict", emr=[{"dbb": []}])
    failed("kl", r"kl: channel 3 of LDC 1, geo 2 comes twice in particle event 0", kl=[{"V1724": [ADC_HIT, ADC_HIT]}])
    failed("scalers", "ch5 is a list", V830={"ldc_id": 1, "geo": 0, "channels": {"ch5": []}})
    failed("raw", "no list of hits", unknown=[{"V1290": 3}])
    failed("tracker", "channel is 128", tracker1=[{"VLSB_C": [VLSB_HIT | {"channel": 128}]}])


@pytest.mark.parametrize(
    ("detector", "branch", "board", "hit", "wrong"),
    [
        ("tof", "tof2", "V1290", TDC_HIT, "leading_time"),
        ("tof", "trigger_request", "V1290", TDC_HIT, "trailing_time"),
        ("tof", "tof1", "V1724", ADC_HIT, "charge_mm"),
        ("kl", "kl", "V1724", ADC_HIT, "charge_pm"),
        ("ckov", "ckov", "V1731", PULSE, "pulse_area"),
        ("ckov", "ckov", "V1731", PULSE, "position_max"),
        ("ckov", "ckov", "V1731", PULSE, "pedestal"),
        ("tracker", "tracker0", "VLSB", VLSB_HIT, "bank"),
        ("tracker", "single_station", "VLSB_C", VLSB_HIT, "adc"),
    ],
)
def test_an_unknown_spelling_fails_its_detector_alone_and_is_named(detector, branch, board, hit, wrong):
    misspelled = {("spelled_anew" if key == wrong else key): value for key, value in hit.items()}
    others = {
        "tof": {"tof0": [{"V1290": [TDC_HIT]}]},
        "ckov": {"ckov": [{"V1731": [PULSE]}]},
        "tracker": {"tracker2": [{"VLSB": [VLSB_HIT | {"channel": 7}]}]},
    }
    there = {name: daq for key, its in others.items() for name, daq in its.items() if key != detector}
    found = unpack(**there, **{branch: [{board: [misspelled]}]})
    assert found.failed.keys() == {detector, "raw"}
    said = found.failed[detector].reason
    assert re.search(rf"^{branch}: there is no ({wrong}|bank_id or bank|.* or max_pos)", said)
    assert "spelled_anew" in said
    alone = unpack(**there)
    for table in ("boards", "tdc", "fadc", "vlsb"):
        assert getattr(found, table).equal(getattr(alone, table))


def test_a_branch_of_an_unknown_name_with_hits_of_cabled_boards_is_no_absence_of_their_detector():
    place = frozenset({(V1731, 1, 2)})
    read_out = ReadOut(boards={"ckov": place}, named=place)

    def absent(**daq):
        return unpack_json(json.dumps({"daq_data": daq}).encode(), read_out).absent

    assert "ckov" not in absent(cherenkov=[{"V1731": [PULSE]}])
    assert "ckov" in absent(cherenkov=[{"V1731": [PULSE | {"geo": 3}]}])
    assert "ckov" in absent(tag=[{"V1731": [PULSE]}])
    assert "tracker" not in absent(fibres=[{"VLSB": [VLSB_HIT]}])


def test_an_unknown_board_of_a_known_detector_fails_it_and_is_named():
    found = unpack(tof1=[{"v1290": [TDC_HIT]}], kl=[{"V1724": [ADC_HIT]}])
    said = {detector: error.reason for detector, error in found.failed.items()}
    assert said == dict.fromkeys(("tof", "raw"), "tof1: unknown board v1290 in particle event 0")
    assert len(found.fadc) == 1


def test_more_particle_events_than_can_be_are_refused():
    refused("100001 particle events", json.dumps({"daq_data": {"trigger": [None] * 100_001}}).encode())


def test_a_list_of_triggers_without_one_leaves_the_count_to_the_detectors():
    found = unpack(trigger=[], trigger_request=[], tof0=[], ckov=[{"V1731": [PULSE]}] * 3)
    assert (found.triggers, found.failed, found.fadc.trigger.tolist()) == (3, {}, [0, 1, 2])


@pytest.mark.parametrize("trigger", [1, 2])
def test_a_list_of_triggers_that_most_lists_outvote_costs_the_detectors_that_need_it_alone(trigger):
    others = {"ckov": [{"V1731": [PULSE]}] * 3, "kl": [{"V1724": [ADC_HIT]}] * 3, "tag": [None] * 3, "tof0": [None] * 3}
    found = unpack(trigger=[None] * trigger, **others)
    assert found.triggers == 3
    assert found.failed.keys() == {"tof", "raw"}
    said = f"trigger: trigger mismatch: trigger has {trigger} particle events, not 3"
    assert found.failed["tof"].reason == said
    assert len(found.fadc) == 6


def test_a_list_of_triggers_that_is_longer_than_its_request_and_most_lists_costs_no_detector_that_does_not_need_it():
    others = {"ckov": [{"V1731": [PULSE]}] * 3, "trigger_request": [None] * 3, "tag": [None] * 3, "tof0": [None] * 2}
    found = unpack(trigger=[{"V1290": [TDC_HIT | {"geo": 1}]}] * 4, **others)
    assert (found.triggers, found.failed.keys(), found.fadc.trigger.tolist()) == (3, {"tof", "raw"}, [0, 1, 2])
    assert found.failed["tof"].reason == "trigger: trigger mismatch: trigger has 4 particle events, not 3"
    # The request's own may be the one that is wrong, and lists may end early.
    found = unpack(trigger=[None] * 3, trigger_request=[None] * 4, ckov=[{"V1731": [PULSE]}] * 3)
    assert (found.triggers, found.failed.keys()) == (3, {"tof", "raw"})
    found = unpack(trigger=[None] * 3, trigger_request=[None] * 3, tof0=[None] * 2, tof1=[None] * 2, tof2=[None] * 2)
    assert (found.triggers, found.failed) == (3, {})


def test_lists_that_are_shorter_than_the_trigger_s_are_none_the_worse():
    found = unpack(trigger=[None] * 3, tof0=[None], ckov=[{"V1731": [PULSE]}], kl=[{"V1724": [ADC_HIT]}])
    assert (found.triggers, found.failed, len(found.fadc)) == (3, {}, 2)


def test_banks_are_read_in_all_spellings():
    """Version 3 has their number in all boards; the cosmic format that in the board, which its geo tells, from 1."""
    first = {key: value for key, value in VLSB_HIT.items() if key != "bank"} | {"bank_id": 61, "discriminator": 1}
    cosmic = VLSB_HIT | {"bank": 3, "equip_type": VLSB_C, "geo": 16, "discriminator": False}
    found = unpack(tracker0=[{"VLSB": [first]}], tracker1=[{"VLSB_C": [cosmic]}], tracker2=[{"VLSB": [VLSB_HIT]}])
    assert found.failed == {}
    assert found.vlsb.bank.tolist() == [5, 61, 63]
    assert found.vlsb.discriminator.tolist() == [1, 1, 0]
    twice = unpack(tracker0=[{"VLSB": [first]}], tracker1=[{"VLSB": [first]}])
    said = {detector: error.reason for detector, error in twice.failed.items()}
    assert said == dict.fromkeys(("tracker", "raw"), "tracker0: channel 9 of bank 61 comes twice in particle event 0")
    assert len(twice.vlsb) == 0


def test_a_time_tag_with_a_sign_is_the_32_bits_of_its_word():
    hits = unpack(tof0=[{"V1724": [ADC_HIT | {"trigger_time_tag": -1157817531}]}])
    assert hits.boards.time_tag.tolist() == [2**32 - 1157817531]


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
