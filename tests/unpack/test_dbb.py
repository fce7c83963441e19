import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import MISSING
from streams.errors import BadDataError
from streams.experiments.mice.unpack.date import unpack_date
from tests.date_builder import START_OF_BURST, dbb, equipment, physics, super_event

EDGES = st.lists(st.tuples(st.integers(0, 63), st.integers(0, 2**22 - 1), st.booleans()), max_size=30)


def unpack(*boards):
    return unpack_date(physics(*(equipment(141, board) for board in boards), equipment(110)))


def chain(boards):
    return unpack_date(physics(equipment(143, [word for board in boards for word in board])))


def rows(table):
    return list(zip(*(column.tolist() for column in vars(table).values()), strict=True))


def refused(reason, *boards, kind=141):
    """Return the index of the word that is to blame, counted from the first board's."""
    with pytest.raises(BadDataError, match=reason) as error:
        unpack_date(physics(*(equipment(kind, board) for board in boards)))
    assert error.value.step == "unpack"
    return (error.value.byte - (80 + 80 + 28)) // 4


def zipped(edges):
    """Return (channel, leading, trailing) of each channel and index, by plain loops."""
    found = []
    for channel in range(64):
        leading = [time for c, time, is_trailing in edges if c == channel and not is_trailing]
        trailing = [time for c, time, is_trailing in edges if c == channel and is_trailing]
        for index in range(max(len(leading), len(trailing))):
            pair = (times[index] if index < len(times) else MISSING for times in (leading, trailing))
            found.append((channel, *pair))
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 63), EDGES), max_size=4, unique_by=lambda board: board[0]))
def test_leading_and_trailing_times_of_a_channel_are_zipped_by_their_order(boards):
    hits = unpack(*(dbb(edges, geo=geo) for geo, edges in boards))
    wanted = [(1, geo, *row) for geo, edges in sorted(boards) for row in zipped(edges)]
    assert rows(hits.dbb_hits) == wanted
    counts = [(1, geo, 5, 1_280_000, 2, len(edges)) for geo, edges in sorted(boards)]
    assert rows(hits.dbb_spills) == counts


@settings(max_examples=60, deadline=None)
@given(st.lists(EDGES, min_size=6, max_size=6))
def test_a_chain_is_its_six_boards(boards):
    words = [dbb(edges, geo=7 * n) for n, edges in enumerate(boards)]
    alone, chained = unpack(*words), chain(words)
    assert alone.dbb_hits.equal(chained.dbb_hits)
    assert alone.dbb_spills.equal(chained.dbb_spills)


def test_the_largest_numbers_of_every_field_are_read():
    words = dbb([(63, 2**22 - 1, False)], geo=63, spill=0xFFFF, triggers=1023, width=2**32 - 1)
    hits = unpack(words)
    assert rows(hits.dbb_spills) == [(1, 63, 0xFFFF, 2**32 - 1, 1023, 1)]
    assert rows(hits.dbb_hits) == [(1, 63, 63, 2**22 - 1, MISSING)]
    assert len(unpack(dbb([(1, n, False) for n in range(8191)])).dbb_hits) == 8191


def test_the_order_of_the_read_out_does_not_matter():
    one, two = dbb([(4, 9, False)], geo=1), dbb([(2, 8, True)], geo=2)
    assert unpack(one, two).dbb_hits.equal(unpack(two, one).dbb_hits)
    parts = {2: equipment(141, one), 0: equipment(141, one)}
    both = unpack_date(super_event(7, parts))
    assert both.dbb_hits.ldc.tolist() == both.dbb_spills.ldc.tolist() == [0, 2]


def test_spills_without_them_and_empty_ones_have_no_hits():
    hits = unpack()
    assert (len(hits.dbb_hits), len(hits.dbb_spills)) == (0, 0)
    assert len(unpack([]).dbb_spills) == 0
    assert np.array_equal(unpack(dbb([])).dbb_spills.hit_count, [0])


def test_outside_the_physics_event_they_are_skipped_and_counted():
    start = super_event(START_OF_BURST, {1: equipment(141, dbb([]))})
    assert unpack_date(start + physics(equipment(110))).skipped == {"141 in start_of_burst": 1}


def test_words_that_cannot_be_are_refused_with_their_place():
    good = dbb([(4, 9, False), (4, 12, True)])
    assert refused("0xc0000000 where a header should be", [0xC << 28, *good[1:]]) == 0
    assert refused("0x1.* where an edge should be", [*good[:3], 1 << 28, *good[4:]]) == 3
    assert refused("0xf0050000 where the trailer should be after 2 edges", [*good[:4], 0xF << 28 | 5 << 16, 7]) == 4
    assert refused("a board of 0 edges where 1 words are left", good[:1]) == 0
    assert refused("a board of 2 edges where 5 words are left", good[:5]) == 0
    assert refused("a board of 8191 edges where 6 words are left", dbb([(1, 2, False)] * 2, told=8191)) == 0
    assert refused("where the trailer should be after 1 edges", dbb([(1, 2, False)] * 2, told=1)) == 3
    assert refused("3 words follow the last of 1 boards", [*good, 1, 2, 3]) == 6
    assert refused("geo 3 comes twice", good, good) == 6 + 7


def test_a_chain_of_another_length_is_refused():
    boards = [dbb([], geo=n) for n in range(7)]
    assert refused("5 boards, not 6", [w for board in boards[:5] for w in board], kind=143) == 0
    assert refused("4 words follow the last of 6 boards", [w for board in boards for w in board], kind=143) == 24
    assert refused("geo 3 comes twice", [*dbb([]) * 6], kind=143) == 4
