"""The trackers' boards: bytes built by hand from the layouts, since no real ones are at hand."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import BadDataError
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.hits import VlsbHits
from streams.experiments.mice.unpack.spill_json import unpack_json
from tests.date_builder import START_OF_BURST, equipment, physics, super_event, v1290_event

ERROR = 0xDEADBEEF
COLUMNS = ("bank", "trigger", "channel", "adc", "tdc", "discriminator")


def tdc(triggers):
    """Return boards that count the particle triggers."""
    words = {geo: [w for t in range(triggers) for w in v1290_event([], counter=t, geo=geo)] for geo in (1, 2)}
    return b"".join(equipment(102, board, geo=geo) for geo, board in words.items())


def word(trigger, channel, adc=50, tdc=100, discriminator=1):
    return (trigger + 1 & 0xFF) << 24 | discriminator << 23 | channel << 16 | tdc << 8 | adc


def master(triggers, *, words=2):
    return equipment(130, [0xA << 28 | triggers << 16 | 77] * words)


def unpack(*boards, triggers=3):
    return unpack_date(physics(tdc(triggers), *boards)).vlsb


def rows(hits: VlsbHits):
    return list(zip(*(getattr(hits, name).tolist() for name in COLUMNS), strict=True))


def refused(reason, *boards, triggers=3):
    """Return the word of the last equipment that the refusal names, as far as it lies in its words."""
    failed = unpack_date(physics(tdc(triggers), *boards)).failed
    assert failed.keys() == {"tracker", "raw"}
    error = failed["tracker"]
    assert re.search(reason, error.reason), error.reason
    assert error.step == "unpack"
    before = len(tdc(triggers)) + sum(map(len, boards[:-1]))
    return (error.byte - (80 + 80 + 28) - before) // 4


HITS = st.dictionaries(
    st.tuples(st.sampled_from([0, 5, 63]), st.integers(0, 299), st.integers(0, 127)),
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 1)),
    max_size=40,
)


@settings(max_examples=100, deadline=None)
@given(hits=HITS, cosmic=st.booleans())
def test_hits_are_read_by_bank_trigger_and_channel(hits, cosmic):
    # Every bank has a word in events 0 and 200, so that no wrap goes unseen.
    hits = hits | {(bank, event, 3): (1, 2, 0) for bank in (0, 5, 63) for event in (0, 200)}
    boards = []
    for bank in (63, 0, 5):
        words = [word(t, c, *hits[b, t, c]) for b, t, c in sorted(hits, key=lambda h: (h[1], -h[2])) if b == bank]
        lengths = [len(words) if at == bank % 4 else 0 for at in range(4)]
        own = equipment(80, [*lengths, *words], geo=bank // 4 + 1)
        boards.append(own if cosmic else equipment(132, words, geo=bank))
    assert rows(unpack(*boards, triggers=300)) == [(*place, *values) for place, values in sorted(hits.items())]


def test_the_event_number_counts_from_1_and_wraps_above_255():
    events = [0, 100, 254, 255, 256, 299]
    assert [word(event, 0) >> 24 for event in events] == [1, 101, 255, 0, 1, 44]
    found = unpack(
        equipment(132, [word(event, 9) for event in events]), equipment(132, [word(0, 1)], geo=1), triggers=300
    )
    assert found.trigger.tolist() == [*events, 0]
    # A bank's first word is of the first turn, but no event has the number 0 there.
    late = [equipment(132, [word(255, 1), word(256, 1)]), equipment(132), equipment(132, [word(255, 1)], geo=3)]
    assert unpack(*late, triggers=300).trigger.tolist() == [255, 256, 255]


def test_the_banks_of_a_cosmic_board_follow_each_other():
    board = equipment(80, [2, 0, 1, 0, word(0, 1), word(2, 1), word(1, 7)], geo=16)
    assert [row[:3] for row in rows(unpack(board))] == [(60, 0, 1), (60, 2, 1), (62, 1, 7)]
    assert len(unpack(equipment(80, [0, 0, 0, 0], geo=1))) == 0


def test_an_empty_bank_has_no_hits_and_an_ldc_is_kept():
    hits = unpack_date(super_event(7, {0: tdc(1), 3: equipment(132) + equipment(132, [word(0, 1)], geo=1)})).vlsb
    assert (rows(hits), hits.ldc.tolist()) == ([(1, 0, 1, 50, 100, 1)], [3])


def test_the_master_counts_the_triggers_where_nothing_else_tells():
    assert unpack_date(physics(master(2))).triggers == 2
    assert unpack_date(physics(master(0, words=1))).triggers == 0
    hits = unpack_date(physics(master(2), equipment(132, [word(1, 5)])))
    assert (hits.triggers, hits.vlsb.trigger.tolist()) == (2, [1])


def test_the_master_has_two_layouts():
    assert unpack_date(physics(equipment(130, [61, 0x9F]))).triggers == 61
    assert unpack_date(physics(equipment(130, [0xA << 28 | 61 << 16 | 0x9F]))).triggers == 61


def bank(triggers, number):
    """Return a bank that writes all its channels."""
    return equipment(132, [word(t, channel) for t in range(triggers) for channel in range(128)], geo=number)


def lengths(*words, number=0):
    return equipment(131, [0x0001000F, *words], geo=number)


def test_trackers_alone_count_their_triggers_by_their_banks():
    spill = physics(
        equipment(130, [61, 0x9F]),
        lengths(3 * 128, 3 * 128, 0, 3 * 128),
        *(bank(3, number) for number in (0, 1, 3)),
    )
    hits = unpack_date(spill)
    assert (hits.triggers, len(hits.vlsb), hits.failed) == (3, 3 * 3 * 128, {})
    # Its banks did not accept yet what the master has counted already.
    first = unpack_date(physics(equipment(130, [61, 0x9F]), lengths(0, 0, 0, 0), equipment(132), equipment(132, geo=1)))
    assert (first.triggers, first.failed) == (0, {})
    # A bank that lost a trigger is outvoted.
    odd = unpack_date(physics(bank(3, 0), bank(2, 1), bank(3, 2)))
    assert (odd.triggers, sorted(set(odd.vlsb.bank.tolist()))) == (3, [0, 2])
    assert (
        "VLSB of LDC 1, geo 1: trigger mismatch: 2 particle events, 2 of 3 boards have 3"
        in odd.failed["tracker"].reason
    )
    with pytest.raises(BadDataError, match=r"without a majority: 2 .* geo 1, 3 .* geo 0"):
        unpack_date(physics(bank(3, 0), bank(2, 1)))


def test_banks_that_leave_channels_out_have_the_triggers_of_their_last_hit_and_no_more_than_the_master():
    hits = unpack_date(physics(master(9), equipment(132, [word(4, 5)]), equipment(132, [word(6, 5)], geo=1)))
    assert (hits.triggers, hits.failed) == (7, {})
    hits = unpack_date(physics(master(5), equipment(132, [word(4, 5)]), equipment(132, [word(6, 5)], geo=1)))
    assert (hits.triggers, hits.vlsb.bank.tolist()) == (5, [0])
    assert "a hit of particle event 6 in bank 1, the spill has 5" in hits.failed["tracker"].reason


def test_lengths_tell_the_triggers_where_the_banks_cannot_be_read():
    broken = equipment(132, [ERROR] * 384)
    hits = unpack_date(physics(lengths(384, 0, 0, 0), broken))
    assert (hits.triggers, hits.failed.keys()) == (3, {"tracker", "raw"})
    with pytest.raises(BadDataError, match="cannot be known: VLSB of LDC 1, geo 0: error word"):
        unpack_date(physics(broken))


def test_a_board_that_gives_its_banks_other_lengths_is_told():
    said = r"VLSB board of LDC 1, geo 1: .* say that their banks have \[2, 1\] words, and they have \[2, 2\]"
    boards = lengths(2, 0, 0, 0), lengths(1, 0, 0, 0, number=1)
    banks = [equipment(132, [word(0, 1), word(1, 1)], geo=n) for n in (0, 4)]
    assert refused(said, *banks, *boards) == 0
    assert refused("banks have .384. words, and they have ..$", lengths(384, 0, 0, 0)) == 0
    assert (
        refused(
            "banks have .. words, and they have .2.$", equipment(132, [word(0, 1), word(1, 1)]), lengths(0, 0, 0, 0)
        )
        == 0
    )
    assert refused("4 words, not a status register and the lengths of 4 banks", equipment(131, [1, 2, 3, 4])) == 0
    assert refused("unexpected word 0x00040000 where the length", equipment(131, [1, 0, 1 << 18, 0, 0])) == 2


def test_a_count_that_differs_is_a_trigger_mismatch_with_both_numbers():
    said = "VLSBMaster of LDC 1, geo 0: trigger mismatch: 4 particle events, 2 of 3 boards have 3"
    assert refused(said, master(4)) == 0
    said = "trigger mismatch: a hit of particle event 3 in bank 9, the spill has 3"
    assert refused(said, equipment(132, [word(0, 1), word(3, 1)], geo=9)) == 1
    assert refused("particle event 256 in bank 0, the spill has 3", equipment(132, [word(1, 1), word(0, 1)])) == 1
    assert refused("particle event 255 in bank 0, the spill has 3", equipment(132, [word(-1, 1)])) == 0
    assert refused("particle event 0 in bank 0, the spill has 0", equipment(132, [word(0, 1)]), triggers=0) == 0


def test_what_is_wrong_is_named_with_its_place():
    good = equipment(132, [word(0, 1)], geo=7)
    assert refused("error word 0xdeadbeef in bank 6", equipment(132, [word(0, 1), ERROR], geo=6)) == 1
    assert refused("bank 64: banks are numbered from 0 to 63", equipment(132, [word(0, 1)], geo=64)) == 0
    for geo in (0, 17):
        said = "boards in the cosmic format are numbered from 1 to 16"
        assert refused(said, equipment(80, [1, 0, 0, 0, word(0, 1)], geo=geo)) == 0
    assert refused("bank 7 comes twice", good, good) == 0
    assert refused("bank 7 comes twice", good, equipment(80, [0, 0, 0, 1, word(0, 2)], geo=2)) == 4
    twice = equipment(132, [word(1, 4), word(2, 4), word(2, 3), word(2, 4)], geo=2)
    assert refused("channel 4 of bank 2 comes twice in particle event 2", twice) == 3
    assert refused("3 words, too few for the lengths of 4 banks", equipment(80, [0, 0, 0], geo=1)) == 0
    assert refused("unexpected word 0x00040000 where the length", equipment(80, [0, 0, 1 << 18, 0], geo=1)) == 2
    said = r"1 words in its banks, their lengths \[1, 0, 0, 1\] make 2"
    assert refused(said, equipment(80, [1, 0, 0, 1, 5], geo=1)) == 0
    assert refused("3 words, not 1 or 2", master(3, words=3)) == 0
    assert refused("unexpected word 0x00000003, not of kind 0xa", equipment(130, [3])) == 0
    assert refused("unexpected word 0x0fffffff: no spill has as many", equipment(130, [0x0FFFFFFF, 0])) == 0
    assert refused("unexpected word 0x00000000, not of kind 0xa", equipment(130, [0xA << 28 | 3 << 16, 0])) == 1
    disagreeing = equipment(130, [0xA << 28 | 3 << 16, 0xA << 28 | 4 << 16])
    assert refused("4 triggers, its first word says 3", disagreeing) == 1


def test_outside_the_physics_event_they_are_skipped_and_counted():
    boards = equipment(132, [word(0, 1)]) + master(4)
    hits = unpack_date(super_event(START_OF_BURST, {1: boards}) + physics(tdc(1)))
    assert (len(hits.vlsb), hits.skipped) == (0, {"132 in start_of_burst": 1, "130 in start_of_burst": 1})


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from([80, 130, 132]),
    words=st.lists(st.integers(0, 2**32 - 1) | st.integers(0, 8), max_size=30),
    number=st.integers(0, 70) | st.just(2**32 - 1),
)
def test_a_board_of_any_words_is_unpacked_or_refused(kind, words, number):
    try:
        found = unpack(equipment(kind, words, geo=number), triggers=300)
    except BadDataError:
        return
    assert len(found) <= len(words)
    assert (found.trigger < 300).all()
    assert (found.channel < 128).all()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 127)), max_size=30))
def test_events_in_any_order_are_unwrapped_as_by_counting(events):
    words = [event << 24 | channel << 16 for event, channel in events]
    expected, wraps, before = [], 0, 1
    for event, channel in events:
        wraps += event < before
        before = event
        expected.append((event + 256 * wraps - 1, channel))
    good = len(set(expected)) == len(expected) and all(event < 1000 for event, _ in expected)
    hits = unpack_date(physics(tdc(1000), equipment(132, words)))
    assert good == (not hits.failed)
    if not good:
        assert len(hits.vlsb) == 0
        return
    found = hits.vlsb
    assert list(zip(found.trigger.tolist(), found.channel.tolist(), strict=True)) == sorted(expected)


HIT = {"bank": 3, "channel": 7, "adc": 50, "tdc": 100, "discriminator": 1}


def from_json(branches):
    return unpack_json(json.dumps({"daq_data": branches}).encode()).vlsb


@pytest.mark.parametrize("names", [("tracker0", "tracker1"), ("tracker1", "tracker2")])
@pytest.mark.parametrize("board", ["VLSB", "VLSB_C"])
def test_documents_of_either_spelling_are_read(names, board):
    found = from_json(
        {
            names[1]: [None, {board: [HIT | {"bank": 40, "ldc_id": 4, "part_event_number": 1}]}],
            names[0]: [{board: [HIT | {"channel": 9}, HIT]}, {board: []}],
        }
    )
    assert rows(found) == [(3, 0, 7, 50, 100, 1), (3, 0, 9, 50, 100, 1), (40, 1, 7, 50, 100, 1)]
    assert found.ldc.tolist() == [-99, -99, 4]


def test_a_single_station_is_read_too():
    assert len(from_json({"single_station": [{"VLSB_C": [HIT]}]})) == 1
    assert len(from_json({"tracker0": None})) == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"bank": 64}, "bank is 64, not a whole number from 0 to 63"),
        ({"channel": 128}, "channel is 128"),
        ({"adc": 256}, "adc is 256"),
        ({"tdc": -1}, "tdc is -1"),
        ({"discriminator": 2}, "discriminator is 2"),
        ({"adc": None}, "adc is None"),
        ({"ldc_id": 8}, "ldc_id is 8"),
        ({"part_event_number": 4}, "a hit of particle event 4 stands among those of 0"),
    ],
)
def test_a_hit_that_cannot_be_fails_the_trackers_with_its_number(changes, reason):
    found = unpack_json(json.dumps({"daq_data": {"tracker0": [{"VLSB": [HIT | changes]}]}}).encode())
    assert found.failed.keys() == {"tracker", "raw"}
    assert reason in found.failed["tracker"].reason
    assert len(found.vlsb) == 0


def test_the_size_of_a_cosmic_board_is_not_believed():
    assert refused("make 1048572", equipment(80, [(1 << 18) - 1] * 4 + [0] * 5, geo=1)) == 0


@pytest.mark.parametrize("geo", [1, 7, 16])
def test_a_board_in_the_cosmic_format_has_the_same_banks_in_date_and_in_documents(geo):
    words = [word(0, channel) for channel in range(4)]
    of_date = unpack(equipment(80, [1, 1, 1, 1, *words], geo=geo))
    hits = [HIT | {"equip_type": 80, "geo": geo, "bank": bank, "channel": bank} for bank in range(4)]
    of_json = from_json({"tracker0": [{"VLSB_C": hits}]})
    assert of_date.bank.tolist() == of_json.bank.tolist() == [4 * (geo - 1) + bank for bank in range(4)]
