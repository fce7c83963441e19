import re

import numpy as np
import pytest

from schemas.records import MISSING
from streams.errors import BadDataError
from streams.experiments.mice.read_out import ReadOut
from streams.experiments.mice.unpack.date import unpack_date
from tests.date_builder import (
    CALIBRATION,
    END_OF_BURST,
    PHYSICS,
    START_OF_BURST,
    equipment,
    event,
    fadc_event,
    packed,
    physics,
    spill,
    super_event,
    suppressed,
    v830,
    v1290_event,
)

TDC = equipment(102, v1290_event([(0, 5, False)]), geo=1)
TDC2 = equipment(102, v1290_event([(0, 5, False)], geo=2), geo=2)


def refused(payload, reason):
    with pytest.raises(BadDataError, match=reason) as error:
        unpack_date(payload)
    assert error.value.step == "unpack"
    return error.value.byte


def lost(payload, reason):
    """Return the byte of what cannot be read of a spill that is good apart from that."""
    error = unpack_date(payload).failed["raw"]
    assert re.search(reason, error.reason), error.reason
    assert error.step == "unpack"
    return error.byte


@pytest.mark.parametrize("head", [68, 72, 80])
def test_a_spill_of_every_date_version_is_unpacked(head):
    hits = unpack_date(spill(4, head=head, triggers=3))
    assert hits.triggers == 3
    assert hits.tdc.leading_time.tolist() == [104] * 3
    assert hits.trigger_words == (0x200030, 0x20033, 0x8000F3)


def test_a_physics_event_alone_is_a_spill():
    assert unpack_date(physics(TDC)).triggers == 1
    assert unpack_date(event(PHYSICS, TDC)).triggers == 1
    assert unpack_date(memoryview(physics(TDC))).triggers == 1


def test_the_boards_of_several_ldcs_are_joined():
    wave = equipment(121, fadc_event(packed([140] * 64, 8), mask=1, geo=9), geo=9)
    hits = unpack_date(super_event(PHYSICS, {0: wave, 1: TDC, 2: TDC}))
    assert hits.triggers == 1
    assert hits.tdc.ldc.tolist() == [1, 2]
    assert list(hits.samples) == [(0, 9, 0)]


LDC_PARTS = {
    0: equipment(120, fadc_event(suppressed({2: [8000, 9000] * 32}), code=7, geo=4), geo=4)
    + equipment(111, v830({0: 1})),
    1: TDC + equipment(120, fadc_event(suppressed({2: [8000, 8500] * 32}), code=7, geo=4), geo=4),
    2: equipment(121, fadc_event(packed([140] * 64, 8), mask=1, geo=4), geo=4) + equipment(110),
}
"""Boards of three LDCs; one geo and channel stands in all of them."""


def test_the_same_geo_in_several_ldcs_is_as_many_boards():
    hits = unpack_date(super_event(PHYSICS, LDC_PARTS))
    columns = (hits.fadc.equipment, hits.fadc.ldc, hits.fadc.geo, hits.fadc.channel, hits.fadc.charge_mm)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == [
        (120, 0, 4, 2, 1000),
        (120, 1, 4, 2, 500),
        (121, 2, 4, 0, 0),
    ]
    assert (list(hits.samples), list(hits.scalers)) == ([(2, 4, 0)], [(0, 3)])
    assert sorted(hits.boards.ldc.tolist()) == [0, 1, 1, 2]


def test_ldcs_may_come_in_another_order_in_each_event():
    turned = {ldc: LDC_PARTS[ldc] for ldc in (2, 0, 1)}
    begin = super_event(START_OF_BURST, {ldc: equipment(110) for ldc in (1, 2, 0)})
    hits = unpack_date(begin + super_event(PHYSICS, turned))
    straight = unpack_date(super_event(PHYSICS, LDC_PARTS))
    order = np.lexsort([hits.fadc.ldc, hits.fadc.equipment])
    assert hits.fadc.rows(order).equal(straight.fadc)
    assert hits.tdc.equal(straight.tdc)


@pytest.mark.parametrize("gone", [0, 1, 2])
@pytest.mark.parametrize("event", [0, 1, 2])
def test_of_three_ldcs_any_that_is_missing_from_any_event_is_named(gone, event):
    parts = [{ldc: equipment(110) for ldc in range(3)}, LDC_PARTS, {ldc: equipment(110) for ldc in range(3)}]
    parts[event] = {ldc: part for ldc, part in parts[event].items() if ldc != gone}
    kinds = (START_OF_BURST, PHYSICS, END_OF_BURST)
    events = [super_event(kind, part) for kind, part in zip(kinds, parts, strict=True)]
    left = sorted({0, 1, 2} - {gone})
    reason = rf"LDC {gone} lacks in an event: it has \[{left[0]}, {left[1]}\], and the spill has \[0, 1, 2\]"
    assert lost(b"".join(events), reason) == sum(len(e) for e in events[:event])


def test_a_spill_without_particle_triggers_is_good():
    assert unpack_date(physics(equipment(102), equipment(120), equipment(110))).triggers == 0


def test_scalers_are_read_once_a_spill():
    hits = unpack_date(physics(equipment(111, v830({0: 36, 31: 2**26 - 1}), geo=3)))
    assert list(hits.scalers) == [(1, 3)]
    expected = np.full(32, MISSING)
    expected[[0, 31]] = 36, 2**26 - 1
    assert np.array_equal(hits.scalers[1, 3], expected)


def test_what_nothing_reads_is_skipped_and_counted():
    calibration = super_event(CALIBRATION, {1: TDC + equipment(140, [1])})
    hits = unpack_date(calibration + physics(TDC, equipment(140, [1]), equipment(140, [2]), equipment(200)))
    assert hits.skipped == {"102 in calibration": 1, "140": 3}
    assert hits.triggers == 1


def fadc(triggers, geo=2):
    """Return a board with so many particle events without a sample."""
    return equipment(120, fadc_event(suppressed({}), code=7, geo=geo) * triggers, geo=geo)


def test_a_board_with_another_number_of_particle_events_is_outvoted_with_all_numbers():
    reason = r"V1724 of LDC 1, geo 2: trigger mismatch: 2 particle events, 2 of 3 boards have 1"
    payload = physics(TDC, fadc(2), fadc(1, geo=3))
    assert lost(payload, reason) == 160 + len(TDC) + 28
    hits = unpack_date(payload)
    assert (hits.triggers, hits.boards.geo.tolist()) == (1, [1, 3])
    lost(physics(TDC, fadc(1), equipment(121)), "V1731 of LDC 1, geo 0: trigger mismatch: 0 particle events")
    lost(super_event(PHYSICS, {0: fadc(2), 1: TDC, 2: TDC}), "V1724 of LDC 0, geo 2: trigger mismatch: 2")


def test_an_empty_board_that_nothing_is_connected_to_costs_nobody_anything():
    named = frozenset({(102, 1, 1), (120, 1, 2)})
    read_out = ReadOut(boards={"tof": named}, named=named)
    idle, cabled = equipment(102, geo=30), equipment(120, geo=2)
    assert unpack_date(physics(TDC, TDC2, idle), read_out=read_out).failed == {}
    hits = unpack_date(physics(TDC, TDC2, cabled), read_out=read_out)
    assert hits.failed.keys() == {"tof", "raw"}
    assert (
        "V1724 of LDC 1, geo 2: trigger mismatch: 0 particle events, 2 of 3 boards have 1" in hits.failed["tof"].reason
    )


def test_boards_that_saw_nothing_do_not_outvote_trackers_that_were_triggered_alone():
    hit = [1 << 24 | 9 << 16 | 60, 4 << 24 | 9 << 16 | 60]
    trackers = equipment(130, [4, 0x9F], geo=5) + equipment(132, hit, geo=2)
    hits = unpack_date(physics(equipment(102, geo=1), equipment(120, geo=2), equipment(121, geo=3), trackers))
    assert (hits.triggers, hits.vlsb.trigger.tolist()) == (4, [0, 3])
    assert "tracker" not in hits.failed
    # In a spill without any trigger the master says so too.
    none = equipment(130, [0, 0x9F], geo=5) + equipment(132, hit, geo=2)
    hits = unpack_date(physics(equipment(102, geo=1), equipment(120, geo=2), none))
    assert (hits.triggers, len(hits.vlsb)) == (0, 0)


def test_a_spill_of_which_no_majority_of_boards_tells_the_triggers_is_refused_with_all_numbers():
    reason = r"without a majority: 1 particle events in V1290 of LDC 1, geo 1, 2 particle events in V1724 of LDC 1, geo"
    refused(physics(TDC, fadc(2)), reason)
    refused(physics(TDC, fadc(2), fadc(3, geo=3)), "3 particle events in V1724 of LDC 1, geo 3")
    same = (fadc(1, geo=geo) for geo in range(3, 7))
    others = (fadc(2, geo=geo) for geo in range(7, 12))
    refused(physics(TDC, *same, *others), "V1724 of LDC 1, geo 4 and 2 more, 2 particle events in .* and 2 more")


def test_a_spill_of_which_no_board_can_be_read_is_refused():
    reason = "the particle triggers cannot be known: V1290 of LDC 1, geo 0: unexpected word 0xffffffff"
    assert refused(physics(equipment(102, [2**32 - 1]), equipment(110)), reason) == 160 + 28


def test_boards_that_come_twice_are_lost_both():
    hits = unpack_date(physics(TDC, TDC, fadc(1)))
    assert (hits.triggers, len(hits.tdc), hits.boards.equipment.tolist()) == (1, 0, [120])
    lost(physics(TDC, TDC, fadc(1)), "V1290 of LDC 1, geo 1: comes twice")
    scaler = equipment(111, v830({0: 1}))
    lost(physics(TDC, scaler, scaler), "V830 of LDC 1, geo 0: comes twice")
    assert unpack_date(physics(TDC, scaler, scaler)).scalers == {}


def test_a_missing_ldc_is_told_and_costs_no_more_than_it_reads_out():
    begin = super_event(START_OF_BURST, {0: equipment(110), 1: equipment(110)})
    reason = r"LDC 0 lacks in an event: it has \[1\], and the spill has \[0, 1\]"
    assert lost(begin + physics(TDC), reason) == len(begin)
    assert unpack_date(begin + physics(TDC)).triggers == 1


@pytest.mark.parametrize(("name", "kind", "samples"), [("ckov", 121, packed([140] * 64, 8)), ("kl", 120, [8000] * 32)])
def test_a_detector_is_there_if_the_header_of_its_board_or_the_words_tell_its_geo(name, kind, samples):
    place = frozenset({(kind, 1, 9)})
    read_out = ReadOut(boards={name: place}, named=place)

    def is_absent(in_header, in_words):
        board = equipment(kind, fadc_event(samples, mask=1, geo=in_words), geo=in_header)
        return name in unpack_date(physics(TDC, board), read_out=read_out).absent

    assert not is_absent(9, 9)
    assert not is_absent(5, 9)
    assert not is_absent(9, 5)
    assert is_absent(5, 5)


def test_an_ldc_whose_equipments_cannot_be_told_apart_is_lost_alone():
    broken = TDC + equipment(120)[:-4]
    hits = unpack_date(super_event(PHYSICS, {0: broken, 1: TDC}))
    assert (hits.triggers, hits.tdc.ldc.tolist()) == (1, [1])
    lost(super_event(PHYSICS, {0: broken, 1: TDC}), "24 bytes are left, too few for an equipment header")


def test_more_boards_of_a_type_than_there_are_addresses_are_refused():
    refused(physics(*[equipment(102)] * 513), "V1290 of LDC 1, geo 0: there are more than 512 of them")


WAVE = equipment(121, fadc_event(packed([140] * 64, 8), mask=1, geo=9), geo=9)
TWO_LDCS = ReadOut(
    boards={"tof": frozenset({(102, 1, 1)}), "ckov": frozenset({(121, 2, 9)})},
    named=frozenset({(102, 1, 1), (121, 2, 9)}),
)


def damaged(at_event, change):
    """Return a spill of two LDCs of which one event's first sub-event was changed."""
    parts = {1: TDC, 2: WAVE}
    events = [
        super_event(kind, parts if kind == PHYSICS else {ldc: equipment(110) for ldc in parts})
        for kind in (START_OF_BURST, PHYSICS, END_OF_BURST)
    ]
    words = np.frombuffer(events[at_event], "<u4").copy()
    change(words[20:])
    events[at_event] = words.tobytes()
    return events


def with_ldc(number):
    def change(words):
        words[16] = number

    return change


def of_run(number):
    def change(words):
        words[5] = number

    return change


def of_version(number):
    def change(words):
        words[3] = number

    return change


def of_size(number):
    def change(words):
        words[0] = number

    return change


@pytest.mark.parametrize("at_event", [0, 2])
@pytest.mark.parametrize(
    "change", [with_ldc(9), with_ldc(2**32 - 1), with_ldc(5), with_ldc(2), of_run(8), of_size(4), of_size(2**31)]
)
def test_what_is_damaged_in_the_first_or_last_event_of_a_spill_costs_no_detector(at_event, change):
    hits = unpack_date(b"".join(damaged(at_event, change)), read_out=TWO_LDCS)
    assert (hits.triggers, len(hits.tdc), len(hits.fadc), [*hits.failed]) == (1, 1, 1, ["raw"])
    assert hits.absent == {"tracker", "scalers"}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (with_ldc(9), "LDC 9: LDCs are numbered from 0 to 7"),
        (with_ldc(5), "LDC 1 lacks in an event"),
        (of_size(2**20), "a sub-event of 1048576 bytes where"),
        (of_size(20), "an event of 20 bytes with a header of 80"),
        (of_version(7), "DATE version 0.7, not 3"),
        (of_run(8), r"a sub-event of \(type, run, number\) \(7, 8, 0\) in an event of \(7, 7, 0\)"),
    ],
)
def test_a_sub_event_of_unknown_origin_costs_the_detectors_of_its_boards_alone(change, why):
    hits = unpack_date(b"".join(damaged(1, change)), read_out=TWO_LDCS)
    assert (hits.triggers, len(hits.fadc)) == (1, 1)
    assert re.search(why, hits.failed["tof"].reason)
    assert "ckov" not in hits.failed


def test_without_other_events_the_boards_of_an_unknown_ldc_tell_whom_they_cost():
    hits = unpack_date(damaged(1, with_ldc(9))[1], read_out=TWO_LDCS)
    assert (hits.failed.keys(), hits.absent) == ({"tof", "raw"}, {"tracker", "scalers"})


def test_of_two_fragments_of_one_ldc_none_is_taken_for_its_own():
    parts = event(PHYSICS, TDC) + event(PHYSICS, TDC2) + event(PHYSICS, WAVE, ldc=2)
    hits = unpack_date(event(PHYSICS, parts, system=1 << 4), read_out=TWO_LDCS)
    assert (hits.triggers, len(hits.tdc), len(hits.fadc)) == (1, 0, 1)
    assert hits.failed.keys() == {"tof", "raw"}
    assert hits.failed["tof"].reason == "LDC 1 comes twice in an event"


def test_fragments_that_cannot_be_are_refused():
    refused(super_event(PHYSICS, {1: b""}), "empty fragment: LDC 1")
    refused(super_event(PHYSICS, {}), "without sub-events")
    refused(super_event(PHYSICS, {8: TDC}), "LDC 8: LDCs are numbered from 0 to 7")
    one = event(PHYSICS, TDC)
    refused(event(PHYSICS, one + one, system=1 << 4), "LDC 1 comes twice in an event")
    other = event(PHYSICS, TDC, number=3)
    refused(event(PHYSICS, other, system=1 << 4), r"\(7, 7, 3\) in an event of \(7, 7, 0\)")
    refused(event(PHYSICS, super_event(PHYSICS, {1: TDC}), system=1 << 4), "a sub-event of")
    refused(event(PHYSICS, event(PHYSICS, TDC)[:-4], system=1 << 4), "a sub-event of 156 bytes where 152 are left")


def test_equipments_that_cannot_be_are_refused():
    assert refused(physics(TDC[:4] + b"\xff" * 4 + TDC[8:]), "equipment type 0xffffffff") == 160
    refused(physics(TDC[:-4]), "an equipment of 76 bytes where 72 are left")
    refused(physics(TDC, b"\0" * 8), "8 bytes are left, too few for an equipment header")
    refused(physics(b"\x1a\0\0\0" + TDC[4:]), "an equipment of 26 bytes")
    refused(physics(equipment(101, [1, 2])), "V977 of LDC 1, geo 0: 2 words, not 1")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (v830({0: 1}, trigger_count=2), "trigger count 2, not 0"),
        (v830({0: 1})[1:], "unexpected word 0x00000001 where its header"),
        (v830({0: 1, 1: 1})[:-1], "1 channels, its header says 2"),
        ([v830({0: 1, 1: 1})[0], 5, 6], "a channel comes twice"),
        ([v830({0: 1})[0], 1 << 26], "unexpected word 0x04000000 among its channels"),
    ],
)
def test_a_scaler_that_disagrees_with_its_header_is_refused(words, reason):
    refused(physics(equipment(111, words)), reason)


def test_a_spill_is_one_physics_event_of_one_run():
    begin, end = (super_event(kind, {1: equipment(110)}) for kind in (START_OF_BURST, END_OF_BURST))
    refused(begin + end, "no physics event")
    refused(b"", "no physics event")
    assert refused(physics(TDC) + physics(TDC), "a second physics event") == len(physics(TDC))
    refused(begin + physics(TDC, run=8), "an event of run 8 among those of run 7")
    assert refused(physics(TDC) + end[:-4], "bytes where") == len(physics(TDC))
