import itertools
import struct

import pytest

from streams.date.framing import Event, EventType, read_header, times_of, walk
from streams.errors import BadDataError
from streams.experiments.mice.boards import LDCS
from streams.framed import Unreadable
from tests.date_builder import PHYSICS, equipment, event, physics, run_file, spill, super_event


def pieces(data):
    return [(type(p), p.start, p.stop) for p in walk(data)]


@pytest.mark.parametrize(("head", "microseconds"), [(68, 0), (72, 250_000), (80, 250_000)])
def test_headers_of_every_date_version_are_read(head, microseconds):
    header = read_header(physics(number=3, head=head), 0)
    assert (header.type, header.run, header.number_in_run) == (EventType.PHYSICS, 7, 3)
    assert header.is_super
    assert header.time_us == 1_500_000_000_000_000 + microseconds
    assert read_header(physics(number=3, head=head), head).ldc == 1


@pytest.mark.parametrize(
    ("word", "value", "reason"),
    [
        (0, 30, "of 30 bytes"),
        (0, 162, "of 162 bytes"),
        (1, 0xFE5A1EDA, "byte-swapped"),
        (1, 0, "magic"),
        (2, 76, "header of 76 bytes"),
        (3, 4 << 16, "version 4.0"),
        (4, 0, "type 0"),
        (4, 14, "type 14"),
        (5, 1 << 31, "run 2147483648"),
        (6, 1 << 31, "number in run 2147483648"),
    ],
)
def test_a_header_with_a_wrong_field_is_refused_by_its_name(word, value, reason):
    data = bytearray(physics())
    struct.pack_into("<I", data, 4 * word, value)
    with pytest.raises(BadDataError, match=reason) as error:
        read_header(bytes(data), 0)
    assert error.value.byte == 0


@pytest.mark.parametrize(("word", "value"), [(18, 0xFFFFFFFF), (19, 1_000_000)])
def test_a_time_that_no_clock_shows_is_no_time_and_costs_no_event(word, value):
    data = bytearray(physics())
    struct.pack_into("<I", data, 4 * word, value)
    header = read_header(bytes(data), 0)
    assert header.time_us == 0
    (found,) = walk(bytes(data))
    assert times_of(bytes(data), found) == [0, 1_500_000_000_250_000]


def test_the_times_of_an_event_are_its_own_and_those_of_the_sub_events_that_can_be_read():
    time_us = 1_500_000_000_250_000
    whole = super_event(PHYSICS, dict.fromkeys(range(3), equipment(110)))
    (found,) = walk(whole)
    assert times_of(whole, found) == [time_us] * 4
    second = 80 + read_header(whole, 80).size
    broken = whole[:second] + b"\0" * 8 + whole[second + 8 :]
    assert times_of(broken, found) == [time_us] * 2
    (alone,) = walk(event(PHYSICS, equipment(110)))
    assert times_of(event(PHYSICS, equipment(110)), alone) == [time_us]
    many = event(PHYSICS, event(PHYSICS, ldc=1) * 100, system=1 << 4)
    assert len(times_of(many, next(walk(many)))) == 1 + LDCS


def test_every_event_of_a_whole_file_is_framed_and_none_is_left():
    data = run_file(3)
    found = list(walk(data))
    assert [p.header.type for p in found] == [1, 1, *[5, 7, 6] * 3, 2, 2]
    assert found[0].start == 0
    assert all(a.stop == b.start for a, b in itertools.pairwise(found))
    assert found[-1].stop == len(data)


@pytest.mark.parametrize("view", [bytes, memoryview, bytearray])
def test_any_buffer_can_be_walked(view):
    assert len(list(walk(view(run_file(1))))) == 7


@pytest.mark.parametrize("word", [0, 1, 2, 3, 4])
def test_a_broken_header_costs_its_event_alone(word):
    first, second, third = spill(0), spill(1), spill(2)
    data = bytearray(first + second + third)
    begin = read_header(second, 0).size + len(first)  # the physics event of the second spill
    stop = begin + read_header(bytes(data), begin).size
    struct.pack_into("<I", data, begin + 4 * word, 0x7F7F7F7C)
    assert [(a, b) for kind, a, b in pieces(bytes(data)) if kind is Unreadable] == [(begin, stop)]
    assert len([p for p in walk(bytes(data)) if isinstance(p, Event)]) == 8


def test_a_size_that_swallows_the_next_event_does_not_hide_it():
    data = bytearray(spill(0) + spill(1))
    struct.pack_into("<I", data, 0, read_header(bytes(data), 0).size + 40)
    found = list(walk(bytes(data)))
    assert isinstance(found[0], Unreadable)
    assert "another one begins" in found[0].reason
    assert [p.header.type for p in found[1:]] == [7, 6, 5, 7, 6]


@pytest.mark.parametrize("extra", [1, 2, 3, 4, 1000])
def test_events_moved_by_any_number_of_bytes_are_found(extra):
    data = spill(0) + b"\xff" * extra + spill(1)
    assert [kind for kind, *_ in pieces(data)] == [Event] * 3 + [Unreadable] + [Event] * 3


def test_a_cut_file_gives_all_but_its_last_event():
    data = run_file(2)[:-200]
    found = list(walk(data))
    assert isinstance(found[-1], Unreadable)
    assert found[-1].stop == len(data)
    assert len(found) == 2 + 6 + 1


def test_a_sub_event_is_not_taken_for_an_event():
    data = bytearray(spill(0) + spill(1))
    struct.pack_into("<I", data, 4, 0)  # the super-event's magic; its sub-event is whole
    found = list(walk(bytes(data)))
    assert isinstance(found[0], Unreadable)
    assert found[0].stop == read_header(spill(0), 80).size + 80


def test_an_event_that_its_sub_event_denies_is_unreadable():
    data = bytearray(spill(0) + spill(1))
    struct.pack_into("<I", data, 20, 8)  # the run
    found = list(walk(bytes(data)))
    assert isinstance(found[0], Unreadable)
    assert "(5, 8, 0)" in found[0].reason
    assert "(5, 7, 0)" in found[0].reason
    assert len(found) == 6


def test_plain_events_are_read_where_there_are_no_super_events():
    plain = [event(PHYSICS, equipment(110), number=n) for n in range(3)]
    data = plain[0] + b"\0" * 8 + plain[1] + plain[2]
    assert [kind for kind, *_ in pieces(data)] == [Event, Unreadable, Event, Event]


def test_bytes_without_any_event_are_one_unreadable_stretch():
    assert pieces(b"spilldeck" * 100) == [(Unreadable, 0, 900)]
    assert pieces(b"") == []


def test_many_false_headers_take_linear_time():
    lies = bytearray(super_event(PHYSICS, {1: b""}))[:80]
    struct.pack_into("<I", lies, 0, 1 << 30)
    data = bytes(lies) * 5000
    assert pieces(data) == [(Unreadable, 0, len(data))]
