"""Any bytes end in hits or in a named error, soon."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.date.framing import Event, walk
from streams.errors import BadDataError
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.spill_json import unpack_json
from streams.framed import Unreadable
from tests.date_builder import (
    dbb,
    equipment,
    event,
    fadc_event,
    packed,
    physics,
    run_file,
    super_event,
    suppressed,
    v830,
    v1290_event,
)
from tests.edits import EDITS, edited

BUSY = super_event(
    7,
    {
        0: equipment(102, v1290_event([(3, 10, False), (3, 15, True), (9, 7, True)]) + v1290_event([]), geo=1)
        + equipment(111, v830({0: 3, 5: 9}))
        + equipment(121, fadc_event(packed([140] * 64, 8), mask=1) * 2),
        1: equipment(120, fadc_event(suppressed({1: [9] * 60, 4: [8] * 62}), code=7) * 2)
        + equipment(120, fadc_event(packed([7] * 64, 16), mask=2, geo=5) * 2)
        + equipment(151, [0x5 << 28, 0xA << 28 | 3, 4, 5, 0xF << 28 | 1 << 17])
        + equipment(201, [0xA << 28 | 1, 1 << 24 | 9, 6, 7])
        + equipment(130, [0xA << 28 | 2 << 16] * 2)
        + equipment(132, [1 << 24 | 3 << 16 | 50, 2 << 24 | 3 << 16 | 50], geo=9)
        + equipment(80, [0, 1, 0, 1, 1 << 24, 2 << 24], geo=4),
        2: equipment(141, dbb([(4, 100, False), (4, 120, True), (9, 70, False), (9, 80, True)], geo=40))
        + equipment(143, [word for geo in range(6) for word in dbb([(1, geo, False)], geo=geo)]),
    },
)


def unpack_or_refuse(unpack, data, step):
    refusal = None
    try:
        hits = unpack(data)
    except BadDataError as error:
        refusal = error
    if refusal is not None:
        assert refusal.step == step
        assert refusal.byte <= len(data)
        assert len(refusal.reason.encode()) < 500
        return
    for table in (hits.boards, hits.tdc, hits.fadc, hits.vlsb):
        assert len(table) == 0 or 0 <= table.trigger.min() <= table.trigger.max() < hits.triggers
    "".join(hits.skipped).encode()


def test_the_spill_that_is_edited_is_good():
    assert unpack_date(BUSY).triggers == 2


@settings(max_examples=400, deadline=None)
@given(EDITS)
def test_edited_date_bytes_are_unpacked_or_refused(edits):
    unpack_or_refuse(unpack_date, edited(BUSY, edits), "unpack")


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([80, 101, 102, 111, 120, 121, 130, 132, 141, 143, 151, 201]),
    st.lists(st.integers(0, 2**32 - 1), max_size=40),
)
def test_a_board_of_any_words_is_unpacked_or_refused(kind, words):
    unpack_or_refuse(unpack_date, physics(equipment(kind, words)), "unpack")


KINDS = st.sampled_from([0x00, 0x01, 0x03, 0x08, 0x10, 0x11, 0x18])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(KINDS, st.integers(0, 2**27 - 1)).map(lambda w: w[0] << 27 | w[1]), max_size=30))
def test_a_tdc_of_known_words_in_any_order_is_unpacked_or_refused(words):
    unpack_or_refuse(unpack_date, physics(equipment(102, words), equipment(102, words)), "unpack")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | EDITS.map(lambda edits: edited(run_file(2), edits)))
@example(event(7, b"")[:79])
def test_a_walk_covers_every_byte_once(data):
    at, last = 0, Event
    for piece in walk(data):
        assert (piece.start, piece.stop > piece.start) == (at, True)
        assert not (last is type(piece) is Unreadable)
        at, last = piece.stop, type(piece)
    assert at == len(data)


HIT = {"ldc_id": 1, "geo": 2, "channel": 3, "leading_time": 5, "charge_mm": 1, "charge_pm": 1, "pedestal": 1}
DBB = ("spill_number", "spill_width", "trigger_count", "hit_count")
KEYS = st.sampled_from([*HIT, "samples", "V1731", "dbb", "hits"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["trigger", "tof0", "ckov", "V830", "emr", "\ud800"]),
        VALUES | st.lists(st.none() | st.fixed_dictionaries({"V1731": st.lists(st.just(HIT) | VALUES)}), max_size=3),
    )
)
def test_documents_of_any_shape_are_unpacked_or_refused(daq):
    unpack_or_refuse(unpack_json, json.dumps({"daq_data": daq}).encode(), "json")


@settings(max_examples=300, deadline=None)
@given(EDITS)
def test_edited_documents_are_unpacked_or_refused(edits):
    daq = {"trigger": [{"V1290": [HIT]}, None], "ckov": [{"V1731": [HIT | {"samples": [1, 2]}]}], "V830": None}
    daq["emr"] = {"dbb": [HIT | dict.fromkeys(DBB, 1) | {"hits": [HIT | {"t_time": 4}]}], "V1731": [[HIT]]}
    unpack_or_refuse(unpack_json, edited(json.dumps({"daq_data": daq}).encode(), edits), "json")


@pytest.fixture(scope="module")
def real_spill(shared):
    return (shared / "data/06008.000").read_bytes()[320:399_728]


@settings(max_examples=60, deadline=None)
@given(edits=EDITS)
def test_edited_real_bytes_are_unpacked_or_refused(real_spill, edits):
    unpack_or_refuse(unpack_date, edited(real_spill, edits), "unpack")


def test_a_spill_that_is_cut_anywhere_is_refused(real_spill):
    for stop in range(0, 640 + 398_128, 7919):
        with pytest.raises(BadDataError):
            unpack_date(real_spill[:stop])
