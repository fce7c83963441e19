"""An impossible time is replaced and said, an honest one is left alone, whatever clock it is of."""

import json
import struct
from pathlib import Path
from time import monotonic

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.records import RawFormat, RawSpill, RunControl
from streams.daq.date_file import DateReader
from streams.daq.sources import read_source
from streams.daq.times import APART_US, TOGETHER_US, Judged, judge
from streams.date.framing import EventType, headers
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.spill_json import json_lines
from tests.date_builder import END_OF_BURST, PHYSICS, START_OF_BURST, equipment, event, run_file, super_event

S = 1_000_000
HOUR = 3600 * S
YEAR = 365 * 24 * HOUR
NOW = 1_500_000_000 * S
IN_2085 = NOW + 2**31 * S

PURE = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

Record = RawSpill | RunControl


def spill(*, physics=(NOW + 2 * S, NOW + 2 * S), start=(NOW, NOW), end=(NOW + 2 * S, NOW + 2 * S)):
    """The times of a spill of one LDC, its own first."""
    return [physics, start, end]


def records_before(*ages_s):
    return [NOW - age * S for age in ages_s]


@pytest.mark.parametrize("before", [[], records_before(3), records_before(3, 6, 9), records_before(86400)])
def test_a_time_that_nothing_denies_stays(before):
    assert judge(spill(), before) == Judged(time_us=NOW + 2 * S, shown_us=NOW + 2 * S)


@pytest.mark.parametrize("off_us", [-YEAR, -HOUR, HOUR, YEAR])
@pytest.mark.parametrize("ldcs", [1, 4])
@pytest.mark.parametrize("before", [[], records_before(3, 6, 9)])
def test_machines_whose_clocks_differ_are_left_alone(off_us, ldcs, before):
    events = [(time, *[time + off_us] * ldcs) for time in (NOW + 2 * S, NOW, NOW + 2 * S)]
    assert judge(events, before) == Judged(time_us=NOW + 2 * S, shown_us=NOW + 2 * S)


@pytest.mark.parametrize("off_us", [-YEAR, -HOUR, HOUR, YEAR, -2 * S, 50 * S])
def test_a_clock_that_is_off_or_set_by_hours_or_days_is_left_alone(off_us):
    moved = [[time + off_us for time in times] for times in spill()]
    if abs(off_us) <= APART_US:
        assert judge(moved, records_before(3, 6, 9)).problem == ""
    assert judge(moved, [time + off_us for time in records_before(3, 6, 9)]).problem == ""


def test_a_clock_that_is_set_within_a_spill_by_hours_is_left_alone():
    assert judge([[NOW + HOUR], [NOW], [NOW + HOUR]], records_before(3, 6, 9)).problem == ""
    assert judge([[NOW], [NOW], [NOW + HOUR]], records_before(3, 6, 9)).problem == ""


@pytest.mark.parametrize("before", [[], records_before(3), records_before(86400, 86500)])
@pytest.mark.parametrize("broken", [0, IN_2085, NOW + 2 * HOUR, NOW - 70 * S])
def test_a_broken_time_of_the_physics_event_is_that_of_its_sub_event(broken, before):
    judged = judge(spill(physics=(broken, NOW + 3 * S)), before)
    assert (judged.time_us, judged.shown_us) == (NOW + 3 * S, NOW + 3 * S)
    assert "replaced by what else it shows, 2017-07-14 02:40:03 UTC" in judged.problem


def test_a_physics_event_that_is_wrong_in_all_its_headers_is_overruled_by_the_others():
    judged = judge(spill(physics=(NOW + HOUR, NOW + HOUR, NOW + HOUR)), [])
    assert judged.time_us == NOW
    assert "its own, 2017-07-14 03:40:00 UTC, cannot be" in judged.problem


@pytest.mark.parametrize("event_number", [1, 2])
@pytest.mark.parametrize("header", [0, 1])
@pytest.mark.parametrize("broken", [0, IN_2085, NOW + 2 * HOUR])
def test_a_time_that_is_not_the_records_own_changes_nothing(event_number, header, broken):
    events = [list(times) for times in spill()]
    events[event_number][header] = broken
    assert judge(events, records_before(3)) == judge(spill(), records_before(3))


def test_of_two_times_of_one_event_the_one_counts_that_follows_the_records_before():
    assert judge([[NOW + HOUR, NOW]], records_before(3)).time_us == NOW
    assert judge([[NOW + 2 * YEAR, NOW]], records_before(86400)).time_us == NOW
    assert judge([[NOW + HOUR, NOW]], []).time_us == NOW + HOUR


@pytest.mark.parametrize(
    "events",
    [
        [[IN_2085] * 2] * 3,
        [[NOW - YEAR], [NOW + YEAR], [NOW + 5 * YEAR]],
        [[0, 0], [0, 0]],
        [[NOW + APART_US + 10 * S]],
    ],
)
def test_a_record_whose_times_are_all_broken_has_that_of_the_newest_before_it(events):
    judged = judge(events, records_before(3, 6, 9))
    assert judged.time_us == NOW - 3 * S
    assert judged.problem.endswith("replaced by that of the record beside it, 2017-07-14 02:39:57 UTC")


@pytest.mark.parametrize("wrong", [NOW + YEAR, IN_2085])
def test_of_two_records_of_which_nothing_tells_which_is_right_the_earlier_counts(wrong):
    assert judge([[wrong]], [NOW]).time_us == NOW
    assert judge([[NOW]], [wrong]) == Judged(time_us=NOW, shown_us=NOW)


@pytest.mark.parametrize("wrong", [NOW - YEAR, IN_2085])
def test_wrong_records_before_are_outvoted(wrong):
    assert judge([[NOW]], [wrong, NOW - 3 * S]).problem == ""
    assert judge([[NOW]], [NOW - 3 * S, wrong, wrong + YEAR]).problem == ""
    assert judge([[0]], [wrong, NOW - 3 * S, NOW - 6 * S]).time_us == NOW - 3 * S


@pytest.mark.parametrize("off_us", [-10 * YEAR, 10 * YEAR])
def test_a_clock_that_is_set_by_years_is_believed_again(off_us):
    shown, refused = records_before(3, 6, 9), 0
    for number in range(10):
        right = NOW + off_us + 3 * number * S
        judged = judge([[right] * 2] * 3, shown[:3])
        refused += judged.time_us != right
        shown.insert(0, judged.shown_us)
    assert judged.problem == ""
    assert 1 <= refused <= 2


def test_nothing_is_said_where_a_source_has_no_times():
    assert judge([], records_before(3)) == judge([[]], []) == Judged(time_us=0, shown_us=0)
    assert judge([[0]], []) == Judged(time_us=0, shown_us=0, problem="it shows no time that a clock could: unknown")


def test_a_record_of_very_many_times_costs_no_more():
    began_s = monotonic()
    judge([[NOW + a * YEAR // 9 + b * HOUR for a in range(1000)] for b in range(1000)], records_before(3))
    assert monotonic() - began_s < 2


# In files.


def at_pace(content: bytes) -> bytes:
    """Return DATE events with the times of a real run, a spill each 2.56 s and 0.2 s from its start to its end."""
    out = bytearray(content)
    after = {EventType.START_OF_RUN: -5_000_000, EventType.END_OF_RUN: 60_000_000, EventType.PHYSICS: 180_000}
    for at, header in headers(content, 0, len(content)):
        time_us = NOW + after.get(header.type, 0) + header.number_in_run * 2_560_000 + (not header.is_super) * -300
        time_us += 180_600 if header.type is EventType.END_OF_BURST else 0
        struct.pack_into(
            "<I" if header.head_size == 68 else "<2I", out, at + seconds_at(header), *times(header, time_us)
        )
    return bytes(out)


def times(header, time_us):
    return divmod(time_us, S)[: 1 if header.head_size == 68 else 2]


def seconds_at(header) -> int:
    """Where in a header the seconds are."""
    return header.head_size - (4 if header.head_size == 68 else 8)


def super_spill(number: int, ldcs: int, head: int) -> bytes:
    parts = dict.fromkeys(range(1, ldcs + 1), equipment(101, [0x20033]))
    return b"".join(super_event(k, parts, number=number, head=head) for k in (START_OF_BURST, PHYSICS, END_OF_BURST))


def plain_spill(number: int, head: int) -> bytes:
    kinds = (START_OF_BURST, PHYSICS, END_OF_BURST)
    return b"".join(event(kind, equipment(110), number=number, head=head) for kind in kinds)


RUN = at_pace(run_file(5))
RUNS = [
    RUN,
    *(at_pace(b"".join(super_spill(n, ldcs, head) for n in range(4))) for ldcs in (1, 3) for head in (68, 72, 80)),
    *(at_pace(b"".join(plain_spill(n, head) for n in range(30))) for head in (68, 80)),
]


def words(content: bytes, kinds=None, spill_number=None, *, subs=None) -> list[int]:
    """Where the seconds of some headers are."""
    return [
        at + seconds_at(header)
        for at, header in headers(content, 0, len(content))
        if (kinds is None or header.type in kinds)
        and (spill_number is None or header.number_in_run == spill_number)
        and (subs is None or header.is_super is not subs)
    ]


def flipped(content: bytes, places: list[int], bit: int = 31) -> bytes:
    out = bytearray(content)
    for at in places:
        out[at + bit // 8] ^= 1 << bit % 8
    return bytes(out)


SPILL = (EventType.START_OF_BURST, EventType.PHYSICS, EventType.END_OF_BURST)


@pytest.fixture
def read(tmp_path):
    def of(content: bytes, name: str = "00007.000") -> list[Record]:
        path = tmp_path / name
        path.write_bytes(content)
        return list(read_source(path))

    return of


def moved_s(found: list[Record], right: list[Record]) -> list[float]:
    """By how much the times of records are wrong, the others compared bit for bit."""
    assert [(type(r), r.run, r.byte, r.events, r.payload[:8]) for r in found] == [
        (type(r), r.run, r.byte, r.events, r.payload[:8]) for r in right
    ]
    return [(a.time_us - b.time_us) / S for a, b in zip(found, right, strict=True)]


def said(records: list[Record]) -> list[int]:
    return [index for index, record in enumerate(records) if record.time_problem]


@PURE
@given(data=st.data(), content=st.sampled_from(RUNS), bit=st.integers(0, 63))
def test_no_broken_bit_of_a_time_moves_a_spill_by_more_than_a_minute(read, data, content, bit):
    right = read(content)
    assert said(right) == []
    place = data.draw(st.sampled_from(words(content)))
    if bit >= 32 and next(headers(content, 0, 80))[1].head_size == 68:
        bit -= 32
    broken = flipped(content, [place], bit)
    found = read(broken)
    assert max(map(abs, moved_s(found, right))) * S <= TOGETHER_US
    assert len(said(found)) <= 1
    assert {r.format for r in found if isinstance(r, RawSpill)} == {RawFormat.DATE}
    assert found == read(broken)


def test_the_time_of_a_broken_physics_event_is_replaced_and_said(read):
    right = read(RUN)
    found = read(flipped(RUN, words(RUN, {EventType.PHYSICS}, 2, subs=False)))
    assert moved_s(found, right) == [0, 0, 0, -0.0003, 0, 0, 0]
    assert said(found) == [3]
    assert found[3].time_problem == (
        "its own, 2085-08-01 05:54:13 UTC, cannot be: replaced by what else it shows, 2017-07-14 02:40:05 UTC"
    )


@pytest.mark.parametrize("word", [0, 4])
def test_a_time_that_no_clock_shows_costs_no_event(read, word):
    broken = bytearray(RUN)
    (place,) = words(RUN, {EventType.PHYSICS}, 2, subs=False)
    struct.pack_into("<I", broken, place + word, 0xFFFFFFFF)
    found = read(bytes(broken))
    assert moved_s(found, read(RUN)) == [0, 0, 0, -0.0003, 0, 0, 0]
    assert found[3].time_problem.startswith("it shows no time that a clock could: replaced")


@pytest.mark.parametrize("bit", [12, 31])
def test_broken_sub_events_change_nothing(read, bit):
    broken = flipped(RUN, words(RUN, SPILL, 2, subs=True), bit)
    assert [(r.time_us, r.time_problem) for r in read(broken)] == [(r.time_us, "") for r in read(RUN)]


def test_several_broken_times_are_each_replaced(read):
    right = read(RUN)
    places = [p for n in (0, 1, 3, 4) for p in words(RUN, {EventType.PHYSICS}, n, subs=False)]
    found = read(flipped(RUN, [*places, *words(RUN, {EventType.START_OF_BURST}, 2)]))
    assert max(map(abs, moved_s(found, right))) < 1
    assert said(found) == [1, 2, 4, 5]


@pytest.mark.parametrize("bit", [20, 22, 30, 31])
@pytest.mark.parametrize("number", [0, 1, 2, 4])
def test_a_spill_whose_times_are_all_broken_has_the_time_of_the_record_before(read, bit, number):
    right = read(RUN)
    found = read(flipped(RUN, words(RUN, SPILL, number), bit))
    # Of the first spill and the run's start nothing tells which is right, so the earlier counts.
    if number or found[1].time_problem:
        assert said(found) == [number + 1]
        assert found[number + 1].time_us == right[number].time_us
    assert [r.time_us for i, r in enumerate(found) if i != number + 1] == [
        r.time_us for i, r in enumerate(right) if i != number + 1
    ]


def test_a_first_spill_in_the_future_has_the_time_of_its_runs_start(read):
    found = read(flipped(RUN, words(RUN, SPILL, 0)))
    assert found[1].time_us == found[0].time_us
    assert "of the record beside it" in found[1].time_problem


def test_times_that_are_each_broken_in_another_way_are_replaced(read):
    broken = RUN
    for bit, place in enumerate(words(RUN, SPILL, 2)):
        broken = flipped(broken, [place], 24 + bit)
    found = read(broken)
    assert said(found) == [3]
    assert found[3].time_us == found[2].time_us


@pytest.mark.parametrize("kind", [EventType.START_OF_RUN, EventType.END_OF_RUN])
@pytest.mark.parametrize("header", [0, 1, 2, 3])
def test_a_runs_start_and_end_are_treated_with_the_same_care(read, kind, header):
    right = read(RUN)
    found = read(flipped(RUN, [words(RUN, {kind})[header]]))
    assert max(map(abs, moved_s(found, right))) < 60
    record = 0 if kind is EventType.START_OF_RUN else -1
    assert bool(found[record].time_problem) == (header == 0)
    assert "what else it shows" in found[record].time_problem or header


def test_an_end_of_run_in_the_future_has_the_time_of_the_last_spill(read):
    found = read(flipped(RUN, words(RUN, {EventType.END_OF_RUN})))
    assert said(found) == [6]
    assert found[6].time_us == found[5].time_us


def test_a_start_of_run_in_the_future_puts_no_spill_there(read):
    found, right = read(flipped(RUN, words(RUN, {EventType.START_OF_RUN}))), read(RUN)
    assert said(found) == []  # nothing comes before it
    assert [r.time_us for r in found[1:]] == [r.time_us for r in right[1:]]


def test_each_run_of_a_file_is_compared_with_itself_alone(read):
    later = bytearray(RUN)
    for at, header in headers(RUN, 0, len(RUN)):
        struct.pack_into("<I", later, at + 20, 8)
        struct.pack_into("<I", later, at + seconds_at(header), 1_600_000_000)
    again = bytearray(later)
    for at, header in headers(RUN, 0, len(RUN)):
        struct.pack_into("<I", again, at + seconds_at(header), 1_700_000_000)
    assert said(read(RUN + bytes(later) + bytes(again))) == []


@pytest.mark.parametrize("off_s", [-1_400_000_000, 1_400_000_000])
def test_a_clock_that_is_set_by_years_costs_two_spills_their_times(read, off_s):
    content = bytearray(at_pace(run_file(12)))
    for place in words(bytes(content), SPILL):
        number = next(headers(bytes(content), place - 72, place))[1].number_in_run
        struct.pack_into("<I", content, place, struct.unpack_from("<I", content, place)[0] + off_s * (number > 5))
    found, right = read(bytes(content)), read(at_pace(run_file(12)))
    assert set(said(found[:-1])) <= {7, 8}
    assert moved_s(found[9:-1], right[9:-1]) == [off_s] * 4


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(places=st.lists(st.sampled_from(words(RUN)), max_size=8), stops=st.lists(st.integers(1, len(RUN)), max_size=9))
def test_a_file_that_grows_gives_the_times_of_the_whole_file(tmp_path, places, stops):
    content, path = flipped(RUN, places), tmp_path / "grown"
    reader, found = DateReader(path.name, {}), []
    for stop in [*sorted(stops), len(content)]:
        found += reader.read(content[reader.at : stop], ended=False, settled=stop == len(content))
    path.write_bytes(content)
    assert found == list(read_source(path))


@pytest.mark.parametrize("subs", [True, False])
@pytest.mark.parametrize("kind", [*SPILL, EventType.START_OF_RUN, EventType.END_OF_RUN])
def test_a_broken_bit_in_the_real_run_is_replaced_and_said(shared, tmp_path, kind, subs):
    path = shared / "data/06008.000"
    content, right = path.read_bytes(), list(read_source(path))
    assert said(right) == []
    (tmp_path / "06008.000").write_bytes(flipped(content, words(content, {kind}, subs=subs)[:1]))
    found = list(read_source(tmp_path / "06008.000"))
    assert max(map(abs, moved_s(found, right))) < 1
    own = not subs and kind not in (EventType.START_OF_BURST, EventType.END_OF_BURST)
    assert said(found) == ([{EventType.PHYSICS: 1, EventType.END_OF_RUN: 7}.get(kind, 0)] if own else [])


def test_a_spill_of_the_real_run_that_is_all_in_another_year_is_put_back(shared, tmp_path):
    path = shared / "data/06008.000"
    content, right = path.read_bytes(), list(read_source(path))
    (tmp_path / "06008.000").write_bytes(flipped(content, words(content, SPILL, 3)))
    found = list(read_source(tmp_path / "06008.000"))
    assert said(found) == [4]
    assert found[4].time_us == right[3].time_us


# In documents.


def documents(run: SimulatedRun) -> list[dict]:
    lines = b"".join(json_lines(record, run.conditions.detectors) for record in run.records())
    return [json.loads(line) for line in lines.splitlines()]


JSON_RUN = documents(SimulatedRun(spills=4, mean_triggers=3, detectors=("tof", "scalers")))
PLACES = [index for index, document in enumerate(JSON_RUN) if document["daq_event_type"] == "physics_event"]


def dumped(found: list[dict]) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in found)


def with_stamp(index: int, stamp: object) -> list[dict]:
    return [d | {"time_stamp": stamp} if i == index else d for i, d in enumerate(JSON_RUN)]


@pytest.mark.parametrize("stamp", [3_571_331_749, 10**11, -5, "soon", None, 1e300, 1_423_848_144 + 3600])
@pytest.mark.parametrize("number", [0, 2])
def test_a_broken_time_of_a_document_is_replaced_and_said(read, stamp, number):
    right = read(dumped(JSON_RUN))
    assert said(right) == []
    found = read(dumped(with_stamp(PLACES[number], stamp)))
    assert max(abs(a.time_us - b.time_us) for a, b in zip(found, right, strict=True)) <= S
    assert said(found) == [number + 1]


@pytest.mark.parametrize("stamp", [3_571_331_749, "soon"])
@pytest.mark.parametrize("index", [0, 1, 2, 4, -2, -1])
def test_documents_without_data_are_compared_too(read, stamp, index):
    right = read(dumped(JSON_RUN))
    found = read(dumped(with_stamp(index % len(JSON_RUN), stamp)))
    assert [r.time_us for r in found] == [r.time_us for r in right]
    assert said(found) == {0: [0], -2: [5]}.get(index, [])


def test_documents_of_one_time_each_are_compared_with_those_before(read):
    alone = [
        {"daq_event_type": "physics_event", "run_number": 5, "spill_number": n, "time_stamp": 1_500_000_000 + 3 * n}
        for n in range(6)
    ]
    alone[0]["time_stamp"] = alone[3]["time_stamp"] = 3_500_000_000
    found = read(dumped(alone))
    assert [r.time_us // S - 1_500_000_000 for r in found] == [3, 3, 6, 6, 12, 15]
    assert said(found) == [0, 3]


@pytest.mark.parametrize("start_s", [400_000_000, 3_500_000_000])
def test_a_runs_start_in_another_year_takes_no_document_with_it(read, start_s):
    start = {"daq_event_type": "start_of_run", "run_number": 5, "time_stamp": start_s}
    alone = [
        {"daq_event_type": "physics_event", "run_number": 5, "spill_number": n, "time_stamp": 1_500_000_000 + 300 * n}
        for n in range(4)
    ]
    found = read(dumped([start, *alone]))
    assert [r.time_us // S - 1_500_000_000 for r in found[1:]] == [0, 300, 600, 900]
    assert said(found) == ([0] if start_s > 1_500_000_000 else [])
    pair = read(dumped([start, start | {"time_stamp": 1_499_999_000}, *alone]))
    assert [r.time_us // S - 1_500_000_000 for r in pair] == [-1000, 0, 300, 600, 900]


def test_the_scalers_time_of_an_old_document_is_compared_with_its_hits(read, shared):
    (right,) = read_source(shared / "data/02873-spill0.json")
    document = json.loads((shared / "data/02873-spill0.json").read_text())
    document["daq_data"]["V830"]["time_stamp"] = 3_428_000_000
    (found,) = read(json.dumps(document).encode())
    assert found.time_us == right.time_us == 1_281_804_484 * S


def test_a_simulated_run_has_the_times_that_a_source_gives_it(tmp_path):
    run = SimulatedRun(spills=6, mean_triggers=3, detectors=("tof",)).with_faults(["wrong_clock=1e9@3"])
    records = list(run.records())
    path = tmp_path / "run.000"
    path.write_bytes(b"".join(record.payload for record in records))
    found = list(read_source(path))
    assert [(r.time_us, r.time_problem) for r in found] == [(r.time_us, r.time_problem) for r in records]
    assert said(found) == [4]


def test_records_are_the_same_whenever_a_source_is_read(tmp_path: Path):
    path = tmp_path / "run"
    path.write_bytes(flipped(RUN, words(RUN, SPILL, 2)[2:] + words(RUN, SPILL, 3)))
    assert list(read_source(path)) == list(read_source(path))
