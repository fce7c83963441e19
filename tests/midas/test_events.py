"""What was put into MIDAS events comes out, in all forms and byte orders; damage is told with its byte."""

import struct
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.errors import BadDataError
from streams.framed import Unreadable
from streams.midas.banks import banks_of
from streams.midas.events import Event, byte_order, events_of, walk
from tests import midas_builder as midas
from tests.edits import EDITS, edited

NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%_", min_size=4, max_size=4)
NUMPY = dict(
    zip(
        midas.KINDS,
        ["u1", "i1", "u1", "u2", "i2", "u4", "i4", "u4", "f4", "f8", "u4", *["u1"] * 5, "i8", "u8"],
        strict=True,
    )
)


@st.composite
def bank(draw):
    kind = draw(st.sampled_from(sorted(midas.KINDS)))
    size = midas.KINDS[kind]
    return draw(NAMES), kind, draw(st.binary(max_size=40).map(lambda data: data[: len(data) // size * size]))


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 0x7FFF),
        st.integers(0, 0xFFFF),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**32 - 1),
        st.lists(bank()),
    ),
    min_size=1,
    max_size=5,
)


def read(content):
    return [
        (event.id, event.trigger_mask, event.serial, event.time_s, list(banks_of(content, event)))
        for event in events_of(content)
    ]


@settings(max_examples=200, deadline=None)
@given(wanted=EVENTS, form=st.sampled_from(sorted(midas.FORMS)), order=st.sampled_from(sorted(midas.ORDERS)))
def test_what_was_put_into_events_comes_out(wanted, form, order):
    content = b"".join(
        midas.event(
            kind, midas.bank_area(banks, form=form, order=order), mask=mask, serial=serial, time_s=at, order=order
        )
        for kind, mask, serial, at, banks in wanted
    )
    found = read(content)
    assert [event[:4] for event in found] == [event[:4] for event in wanted]
    for (*_, there), (*_, banks) in zip(found, wanted, strict=True):
        assert [(b.name, b.type) for b in there] == [(name, kind) for name, kind, _ in banks]
        for one, (_, kind, data) in zip(there, banks, strict=True):
            assert one.data.dtype == np.dtype(midas.ORDERS[order] + NUMPY[kind])
            assert one.data.tobytes() == data == content[one.at : one.at + len(data)]


@pytest.mark.parametrize("order", midas.ORDERS)
def test_numbers_are_those_that_were_written(order):
    sign = midas.ORDERS[order]
    data = struct.pack(f"{sign}2d", 1.5, -2.0)
    content = midas.event(1, midas.bank_area([("DBLE", 10, data)], order=order), order=order)
    ((*_, (found,)),) = read(content)
    assert found.data.tolist() == [1.5, -2.0]


@pytest.mark.parametrize("order", midas.ORDERS)
def test_a_run_begins_with_the_dump_of_its_database_as_it_is(order):
    content = midas.run_file([0], order=order)
    first, *others = events_of(content)
    assert content[first.data] == midas.DUMP
    assert (first.id, first.serial, list(banks_of(content, first))) == (midas.BEGIN_OF_RUN, 407, [])
    assert byte_order(content) == midas.ORDERS[order]
    assert len(others) == 7


BAD_BANKS = {
    "a name that is none": (b"\xffBCD" + bytes(8), "a bank of the name"),
    "type 19": (b"ABCD" + struct.pack("<2I", 19, 0), "bank ABCD of type 19, which does not exist"),
    "type 0": (b"ABCD" + struct.pack("<2I", 0, 0), "bank ABCD of type 0, which does not exist"),
    "more than there is": (
        b"ABCD" + struct.pack("<2I", 6, 12) + bytes(8),
        "bank ABCD of 12 bytes, padded 16, of which 8 are there",
    ),
    "no padding": (
        b"ABCD" + struct.pack("<2I", 6, 12) + bytes(12),
        "bank ABCD of 12 bytes, padded 16, of which 12 are",
    ),
    "4 GiB": (b"ABCD" + struct.pack("<2I", 6, 2**32 - 1) + bytes(8), "of which 8 are there"),
    "a part of a number": (b"ABCD" + struct.pack("<2I", 10, 4) + bytes(8), "bank ABCD of 4 bytes, no values of 8"),
    "a cut header": (b"ABCD" + bytes(4), "8 bytes are left, too few for a bank's header"),
}


@pytest.mark.parametrize(("bank", "reason"), BAD_BANKS.values(), ids=BAD_BANKS)
def test_a_bad_bank_is_told_with_its_byte_and_those_before_it_are_there(bank, reason):
    good = midas.bank_area([("GOOD", 6, bytes(8))])[8:]
    content = midas.event(1, struct.pack("<2I", len(good + bank), 0x11) + good + bank)
    (event,) = events_of(content)
    found = []
    with pytest.raises(BadDataError, match=reason) as error:
        found.extend(banks_of(content, event))
    assert error.value.byte == 16 + 8 + len(good)
    assert [one.name for one in found] == ["GOOD"]


BAD_EVENTS = {
    "an id of the system's that is none": (midas.event(0x8003, bytes(8)), "event id 0x8003, which does not exist"),
    "a begin of run of another mask": (
        midas.event(0x8000, bytes(8)),
        "0x8000 with the trigger mask 0x0000, not 0x494d",
    ),
    "run 2^31": (midas.begin_of_run(2**31), "run 2147483648: no number is above"),
    "no banks": (midas.event(1, b"1234"), "event id 1 with 4 bytes, too few for banks"),
    "banks of another size": (midas.event(1, struct.pack("<2I", 9, 1) + bytes(8)), "whose banks have 9 bytes, not 8"),
    "banks of an unknown form": (midas.event(1, struct.pack("<2I", 8, 2) + bytes(8)), "banks of the form 0x2"),
    "an event of 4 GiB": (midas.event(1, bytes(8))[:12] + b"\xff" * 4 + bytes(8), "4294967295 bytes, more than"),
}


@pytest.mark.parametrize(("bad", "reason"), BAD_EVENTS.values(), ids=BAD_EVENTS)
def test_an_event_that_is_none_is_told_with_its_byte_and_the_next_is_found(bad, reason):
    before, behind = midas.scalers(1), midas.scalers(2)
    _, found, after = walk(before + bad + behind, 0, "<")
    assert isinstance(found, Unreadable)
    assert (found.start, found.stop) == (len(before), len(before + bad))
    assert reason in found.reason
    assert after.serial == 2
    with pytest.raises(BadDataError) as error:
        list(events_of(before + bad + behind))
    assert (error.value.byte, error.value.reason) == (found.start, found.reason)


def test_an_event_that_lacks_bytes_does_not_hide_the_next():
    whole = [midas.scalers(n) for n in range(3)]
    cut = whole[1][:30] + whole[1][37:]
    first, damage, last = walk(whole[0] + cut + whole[2], 0, "<")
    assert (first.serial, last.serial) == (0, 2)
    assert f"in which, {len(cut)} bytes on, another one begins" in damage.reason


@settings(max_examples=300, deadline=None)
@given(edits=EDITS, order=st.sampled_from(sorted(midas.ORDERS)), form=st.sampled_from(sorted(midas.FORMS)))
@example(edits=[("cut", 5, b"x")], order="little", form="16")
def test_whatever_the_bytes_all_are_accounted_for_and_nothing_but_bad_data_is_raised(edits, order, form):
    content = edited(midas.run_file(range(2), order=order, form=form), edits)
    at = 0
    for found in walk(content, 0, midas.ORDERS[order]):
        assert found.start == at
        at = found.stop
        if isinstance(found, Event):
            with suppress(BadDataError):
                assert all(len(one.data.tobytes()) <= found.stop - found.start for one in banks_of(content, found))
    assert at == len(content)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_no_events(content):
    with pytest.raises(BadDataError):
        list(events_of(content))


HOSTILE = {
    "zeros": bytes(4 << 20),
    "ones": b"\1\0\0\0" * (1 << 20),
    "headers of the longest event": (midas.event(1, bytes(8))[:12] + struct.pack("<3I", 50 << 20, (50 << 20) - 8, 1))
    * (1 << 16),
    "begins of run": midas.begin_of_run()[:12] * (1 << 18),
    "headers in headers": struct.pack("<3I", 9, 1, 1) * (1 << 16),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_hostile_bytes_take_time_that_grows_with_them_alone(content):
    began_s = time.process_time()
    assert sum(1 for _ in walk(content, 0, "<")) <= 3
    assert time.process_time() - began_s < 5
