import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.errors import BadDataError
from streams.experiments.mice.unpack.date import unpack_date
from tests.date_builder import END_OF_BURST, equipment, physics, super_event


def words(variables, *, told=None, kind=1):
    """Return the interface's words; `variables`: (id, value)."""
    out = [0xA << 28 | (len(variables) if told is None else told)]
    for variable, value in variables:
        out += [kind << 24 | variable, *struct.unpack("<2I", struct.pack("<d", value))]
    return out


def unpack(board, *more):
    return unpack_date(physics(equipment(201, board), *more)).process_variables


def refused(board, reason):
    with pytest.raises(BadDataError, match=reason) as error:
        unpack(board)
    assert error.value.step == "unpack"
    return (error.value.byte - (80 + 80 + 28)) // 4


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.integers(0, 255), st.floats(), max_size=20))
def test_every_variable_has_its_value(variables):
    found = unpack(words([*variables.items()]))
    assert found.variable.tolist() == [*variables]
    assert np.array_equal(found.value, np.array([*variables.values()]), equal_nan=True)


def test_the_low_half_of_a_value_comes_first():
    found = unpack([0xA << 28 | 2, 1 << 24 | 7, 0, 0x40450000, 1 << 24 | 8, 1, 0])
    assert found.value.tolist() == [42.0, math.ulp(0)]
    assert (found.variable.tolist(), found.ldc.tolist()) == ([7, 8], [1, 1])


def test_one_without_variables_is_good():
    assert len(unpack(words([]))) == 0


def test_what_is_wrong_is_named_with_its_place():
    good = words([(1, 2.0), (3, 4.0)])
    assert refused([0x5 << 28, *good[1:]], "unexpected word 0x50000000 where its header should be") == 0
    assert refused(good[:-1], "5 words after the header, which says 2 variables of 3") == 0
    assert refused(words([(1, 2.0)], told=2**28 - 1), "3 words after the header, which says 268435455 variables") == 0
    assert refused([*good[:4], 2 << 24 | 3, *good[5:]], "variable 3 of type 2, not known") == 4
    assert refused(words([(1, 2.0), (5, 0.0), (5, 1.0)]), "variable 5 comes twice") == 0


def test_two_of_one_ldc_are_refused_and_those_of_several_joined():
    board = equipment(201, words([(1, 2.0)]))
    with pytest.raises(BadDataError, match="EI of LDC 1, geo 0: comes twice"):
        unpack(words([]), board)
    assert unpack_date(super_event(7, {0: board, 3: board})).process_variables.ldc.tolist() == [0, 3]


def test_outside_the_physics_event_it_is_skipped_and_counted():
    board = equipment(201, words([(1, 2.0)]))
    hits = unpack_date(physics(equipment(110)) + super_event(END_OF_BURST, {1: board}))
    assert (len(hits.process_variables), hits.skipped) == (0, {"201 in end_of_burst": 1})
