import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import BadDataError
from streams.experiments.mice.unpack.date import unpack_date
from tests.date_builder import START_OF_BURST, equipment, physics, super_event

HEADER = 0x5 << 28
BITS20, BITS22, BITS10 = st.integers(0, 2**20 - 1), st.integers(0, 2**22 - 1), st.integers(0, 2**10 - 1)


def words(triggers, *, told=None):
    """Return a board's words; `triggers`: (tof0, tof1, tof2, count, time)."""
    out = [HEADER]
    for tof0, tof1, tof2, count, time in triggers:
        out += [0xA << 28 | tof2 << 8 | tof1 >> 12, (tof1 & 0xFFF) << 20 | tof0, count << 22 | time]
    return [*out, 0xF << 28 | (len(triggers) if told is None else told) << 17]


def unpack(board, *more):
    return unpack_date(physics(equipment(151, board), *more)).trigger_engine


def refused(board, reason):
    with pytest.raises(BadDataError, match=reason) as error:
        unpack(board)
    assert error.value.step == "unpack"
    return (error.value.byte - (80 + 80 + 28)) // 4


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(BITS20, BITS20, BITS20, BITS10, BITS22), max_size=20))
def test_patterns_count_and_time_of_each_trigger_are_read(triggers):
    found = unpack(words(triggers))
    columns = (found.tof0, found.tof1, found.tof2, found.count, found.time)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == triggers
    assert set(found.ldc.tolist()) <= {1}


def test_300_triggers_are_read_and_no_more():
    assert len(unpack(words([(1, 2, 3, n, n) for n in range(300)]))) == 300
    assert refused(words([(1, 2, 3, 4, 5)] * 301), "301 triggers, more than 300") == 0


def test_it_need_not_have_as_many_triggers_as_the_other_boards():
    assert unpack_date(physics(equipment(151, words([(1, 2, 3, 4, 5)] * 3)))).triggers == 0


def test_the_engines_of_several_ldcs_are_joined_and_two_of_one_refused():
    board = equipment(151, words([(1, 2, 3, 4, 5)]))
    found = unpack_date(super_event(7, {0: board, 2: board})).trigger_engine
    assert found.ldc.tolist() == [0, 2]
    with pytest.raises(BadDataError, match="V1495 of LDC 1, geo 0: comes twice"):
        unpack(words([]), board)


def test_outside_the_physics_event_it_is_skipped_and_counted():
    board = equipment(151, words([(1, 2, 3, 4, 5)]))
    hits = unpack_date(super_event(START_OF_BURST, {1: board}) + physics(equipment(110)))
    assert (len(hits.trigger_engine), hits.skipped) == (0, {"151 in start_of_burst": 1})


def test_what_is_wrong_is_named_with_its_place():
    good = words([(1, 2, 3, 4, 5), (6, 7, 8, 9, 10)])
    assert refused([0xA << 28, *good[1:]], "unexpected word 0xa0000000 where its header should be") == 0
    assert refused(good[:-1], "7 words, which are no header, triggers of 3 words and trailer") == 0
    assert refused([HEADER], "1 words, which are no header") == 0
    assert refused([*good[:-1], 0], "unexpected word 0x00000000 where its trailer should be") == 7
    assert refused(words([(1, 2, 3, 4, 5)], told=2), "1 triggers, its trailer says 2") == 4
    assert refused([*good[:4], 0x3 << 28, *good[5:]], "unexpected word 0x30000000 where its trigger 1 should be") == 4


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0, 0x5, 0xA, 0xF]), max_size=12), st.integers(0, 2**28 - 1))
def test_words_of_known_kinds_in_any_order_are_unpacked_or_refused(kinds, rest):
    try:
        found = unpack([kind << 28 | rest for kind in kinds])
    except BadDataError:
        return
    assert len(found) == max(len(kinds) - 2, 0) // 3
    assert np.isin([found.tof0, found.tof1, found.tof2], range(2**20)).all()
