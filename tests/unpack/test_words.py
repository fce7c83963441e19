"""What each word of a spill is: every byte once, and the same hits that the unpacker finds."""

import re
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import MISSING, RawFormat, RawSpill
from streams.experiments.mice import EXPERIMENT
from streams.experiments.mice.boards import BOARD_NAMES
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.unpack.date import unpack_date
from tests.date_builder import event, physics, spill
from tests.edits import EDITS, edited
from tests.unpack.test_hostile_bytes import BUSY, equipment

words = EXPERIMENT.format_of(RawFormat.DATE).show


def texts(payload):
    """Return the texts of the words of each board, by its name."""
    found, board = {}, ""
    for word in words(payload):
        if kind := re.match(r"type (\d+): (.*), LDC", word.what):
            board = kind[2]
        elif word.depth == 3:
            found.setdefault(board, []).append(word.what)
    return found


def numbers(texts, pattern):
    """Return the numbers of those texts that a pattern matches, (n, n_groups)."""
    return [tuple(map(int, found.groups())) for text in texts if (found := re.fullmatch(pattern, text))]


def assert_every_byte_once(payload):
    found = list(words(payload))
    assert b"".join(word.content for word in found) == payload
    assert [word.byte for word in found] == np.cumsum([0, *(len(w.content) for w in found)])[:-1].tolist()
    assert all(0 <= word.depth <= 3 and word.what for word in found)


@pytest.fixture(scope="module")
def payload():
    records = SimulatedRun(spills=2, mean_triggers=8).records()
    return [record for record in records if isinstance(record, RawSpill)][1].payload


def test_the_words_of_a_spill_hold_the_hits_that_are_unpacked(payload):
    hits, found = unpack_date(payload), texts(payload)
    assert found.keys() <= set(BOARD_NAMES.values())
    assert not [text for of_board in found.values() for text in of_board if text == "unknown"]

    tdc, dbb = (numbers(found[name], r"channel (\d+) leading, time (\d+)") for name in ("V1290", "DBB"))
    for edges, table in ((tdc, hits.tdc), (dbb, hits.dbb_hits)):
        there = table.leading_time != MISSING
        assert sorted(edges) == sorted(
            zip(table.channel[there].tolist(), table.leading_time[there].tolist(), strict=True)
        )
    assert len(numbers(found["V1290"], r"particle event (\d+): event count \d+, geo \d+")) == hits.triggers * len(
        np.unique(hits.boards.geo[hits.boards.equipment == 102])
    )
    vlsb = numbers(found["VLSB"], r"event (\d+), channel (\d+), ADC (\d+), TDC (\d+), discriminator ([01])")
    columns = (hits.vlsb.trigger + 1, hits.vlsb.channel, hits.vlsb.adc, hits.vlsb.tdc, hits.vlsb.discriminator)
    assert sorted(vlsb) == sorted(zip(*(column.tolist() for column in columns), strict=True))
    (counts,) = hits.scalers.values()
    assert numbers(found["V830"], r"channel (\d+): (\d+)") == list(enumerate(counts.tolist()))
    assert numbers(found["VLSBMaster"], r"(\d+) particle triggers, TDC \d+")[0] == (hits.triggers,)
    samples = [s for text in found["V1731"] if "samples" in text for s in text.split(": ")[1].split()]
    assert len(samples) == sum(waves.size for waves in hits.samples.values())
    assert sum(map(int, samples)) == sum(int(waves.sum()) for waves in hits.samples.values())


def test_boards_of_all_kinds_are_read():
    found = texts(BUSY)
    assert found.keys() == {"V1290", "V830", "V1731", "V1724", "V1495", "EI", "VLSBMaster", "VLSB", "VLSB_C"} | {
        "DBB",
        "DBB chain",
    }
    assert not [text for of_board in found.values() for text in of_board if text == "unknown"]
    assert found["V1495"] == [
        "header",
        "trigger 0: TOF2 slabs 0x00000",
        "TOF1 slabs 0x03000, TOF0 slabs 0x00004",
        "count 0, time 5",
        "board ends: 1 triggers",
    ]
    assert found["VLSB_C"][:5] == [*(f"bank {bank}: {bank % 2} words" for bank in range(4)), f"bank 1: {VLSB_HIT}"]
    assert found["V1724"][4:6] == ["channel 0: suppressed", "channel 1: 30 words"]


def test_both_layouts_of_the_trackers_master_and_the_lengths_of_banks_are_read():
    board = physics(
        equipment(130, [61, 0x9F]), equipment(130, [0xA03D009F]), equipment(131, [0x0001000F, 0, 384, 0, 1])
    )
    found = texts(board)
    assert found["VLSBMaster"] == ["61 particle triggers", "TDC 159", "61 particle triggers, TDC 159"]
    lengths = [f"bank {bank}: {length} words" for bank, length in enumerate((0, 384, 0, 1))]
    assert found["VLSB board"] == ["status 0x0001000f", *lengths]


VLSB_HIT = "event 1, channel 0, ADC 0, TDC 0, discriminator 0"


@pytest.mark.parametrize("head", [68, 72, 80])
def test_the_header_of_an_event_is_read_field_by_field(head):
    whole = spill(4, head=head)
    found = [word.what for word in words(whole)][: head // 4]
    assert found[1:3] == ["magic", f"header of {head} bytes"]
    assert found[3].startswith("DATE version 3.")
    assert found[4:7] == ["type 5: start of burst", "run 7", "number in run 4"]
    assert found.count("trigger pattern") == (4 if head == 80 else 2)
    assert found[-1].startswith("time: " if head == 68 else "and ")
    assert "unknown" not in found


def test_a_time_that_no_clock_shows_is_shown_as_it_stands():
    broken = bytearray(spill(4))
    struct.pack_into("<2I", broken, 72, 0xFFFFFFFF, 0x80000000)
    found = [word.what for word in words(bytes(broken))]
    assert found[18:20] == ["time: 2106-02-07 06:28:15 UTC", "and 2147483648 µs"]
    assert_every_byte_once(bytes(broken))


def test_behind_damage_the_next_event_is_shown_again():
    good = spill(4)
    broken = bytearray(good)
    broken[4:8] = b"\0\0\0\0"
    assert_every_byte_once(bytes(broken))
    found = [word.what for word in words(bytes(broken))]
    assert found[0] == "unknown: no event header: 0x00000000 where the magic 0xda1e5afe should be"
    assert "type 7: physics" in found
    cut = [word.what for word in words(good[:-6])]
    assert any("of which" in text for text in cut)
    assert_every_byte_once(good[:-6])
    too_long = physics(equipment(102, [1, 2, 3])[:-4]) + event(6, b"")
    assert_every_byte_once(too_long)
    found = [word.what for word in words(too_long)]
    assert any(re.match(r"unknown: an equipment of 40 bytes where 36 are left", text) for text in found)
    assert "type 6: end of burst" in found


@settings(max_examples=200, deadline=None)
@given(EDITS)
def test_every_byte_of_damaged_spills_is_shown_once(edits):
    assert_every_byte_once(edited(BUSY, edits))


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([80, 101, 102, 111, 120, 121, 130, 131, 132, 141, 143, 151, 201]),
    st.lists(st.integers(0, 2**32 - 1), max_size=40),
)
def test_every_word_of_any_board_is_shown_once(kind, of_board):
    assert_every_byte_once(physics(equipment(kind, of_board)))
