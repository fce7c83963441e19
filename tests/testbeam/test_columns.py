"""Spills as columns of Avro: the hits of a MIDAS file make the same book, and no damage costs another spill."""

import gzip
import io
import itertools
import json
import re
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.daq_file import write_daq_file
from schemas.columns import F4, U2, Table, column
from schemas.records import NO_RUN, RawSpill, RunControl
from schemas.wire import HEADER_BYTES
from streams.avro.container import MAGIC, SCHEMA, header, read_header
from streams.avro.spills import HitTable, lines, unpack_tables
from streams.conditions.store import ConditionsStore
from streams.daq.archive_file import Message, write_messages
from streams.daq.columns_file import ColumnsReader
from streams.daq.journal import Position, behind
from streams.daq.source import Source
from streams.daq.sources import follow, read_source
from streams.errors import BadDataError, SpilldeckError
from streams.experiment import experiment, simulator
from streams.process import RunResult, process
from streams.reconstruct import reconstruct
from streams.unpacked import Hits
from tests.columns_builder import RUN, TABLES, TIME_US, hits_of, pieces, record, run_of, schema, spill
from tests.conftest import PROJECT
from tests.edits import EDITS, edited, harmed
from tests.guide import section
from tests.lanes import again
from tests.records import raw_spill
from tests.same_counts import differing
from tests.wire import decode, encode

NAME = "run900001.avro"
GUIDE = PROJECT / "docs" / "experiments.md"
GENTLY = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Record = RawSpill | RunControl
Read = Callable[..., list[Record]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def of(content: bytes, name: str = NAME) -> list[Record]:
        (tmp_path / name).write_bytes(content)
        return list(read_source(tmp_path / name))

    return of


def told(records: Any) -> list[Any]:
    """Return what a reader of a list would note: spill numbers, the controls' kinds, and which bytes are unreadable."""
    return [
        r.kind.value if isinstance(r, RunControl) else r.format.value if r.spill == NO_RUN else r.spill for r in records
    ]


def counted(records: list[Record]) -> RunResult:
    (result,) = process(records, ConditionsStore([]).for_run).values()
    return result


def simulated() -> list[Record]:
    return list(simulator().simulate(RUN, 10, 1).records())


@pytest.mark.parametrize("codec", ["null", "deflate", "zstandard"])
@pytest.mark.parametrize("together", [1, 5])
def test_hits_as_columns_make_the_same_book_as_the_midas_file_they_are_of(
    read: Read, codec: str, together: int
) -> None:
    midas = simulated()
    found = read(b"".join(pieces(hits_of(midas), codec, together)))
    assert told(found) == ["start", *range(10), "end"]
    assert [(r.run, r.time_us) for r in found] == [(r.run, r.time_us) for r in midas]
    assert not differing(counted(found).book, counted(midas).book)
    assert counted(found).to_json()["errors"] == {}


def test_columns_that_are_bytes_with_their_dtype_make_the_same_book(read: Read) -> None:
    midas = simulated()
    dtypes = {"trigger": "<i4", "channel": "|u1", "time": ">i4", "charge": "<f8"}
    tables = {name: {c: {"type": "bytes", "dtype": dtypes[c]} for c in columns} for name, columns in TABLES.items()}
    records = hits_of(midas)
    for each, (name, columns) in itertools.product(records, TABLES.items()):
        if name in each:
            each[name] = {column: np.array(each[name][column], dtypes[column]).tobytes() for column in columns}
    found = read(b"".join(pieces(records, of=schema(tables))))
    assert counted(found).to_json()["errors"] == {}
    assert not differing(counted(found).book, counted(midas).book)


def test_what_a_library_calls_a_time_is_read_as_the_number_that_it_is(read: Read) -> None:
    of = schema()
    of["fields"][3]["type"] = {"type": "long", "logicalType": "timestamp-micros"}
    assert [r.time_us for r in read(b"".join(pieces([spill(0), spill(1)], of=of)))] == [TIME_US, TIME_US + 4_000_000]


def test_a_spill_is_the_same_bytes_however_a_file_has_it(read: Read) -> None:
    ways = list(itertools.product(["null", "deflate", "zstandard"], [1, 2, 7]))
    payloads = {tuple(r.payload for r in read(b"".join(pieces(run_of(range(5)), *way)))) for way in ways}
    assert len(payloads) == 1
    for payload, wanted in zip(payloads.pop(), run_of(range(5)), strict=True):
        (its,) = fastavro.reader(io.BytesIO(payload))
        assert its == {"tdc": None, "pulses": None} | wanted
        assert payload not in (b"", MAGIC)
        assert len(payload) < len(read_header(payload).meta[SCHEMA]) + 200


def test_a_compressed_file_is_read_as_what_is_in_it(read: Read) -> None:
    content = b"".join(pieces(run_of(range(4)), "deflate"))
    assert read(gzip.compress(content), f"{NAME}.gz") == [replace(r, source=f"{NAME}.gz") for r in read(content)]


def test_each_record_has_a_place_of_its_own_in_the_order_of_the_file_and_fits_on_the_wire(read: Read) -> None:
    records = read(b"".join(pieces(run_of(range(9)), "deflate", 4)))
    places = [r.byte for r in records]
    assert places == sorted(set(places))
    assert [decode(encode(r)) for r in records] == records
    # A new format is a new text in the envelope alone.
    assert encode(records[1])[:HEADER_BYTES] == encode(raw_spill())[:HEADER_BYTES]


def test_a_source_that_was_sent_in_part_goes_on_behind_it(read: Read) -> None:
    records = read(b"".join(pieces(run_of(range(9)), "deflate", 4)))
    for sent in range(1, len(records)):
        position = Position(byte=records[sent - 1].byte + 1)
        assert list(behind(position, records, [])) == records[sent:]


def grown(content: bytes, stops: list[int]) -> list[Record]:
    """Return the records of a file that is read each time that it has grown to these lengths."""
    reader, found = ColumnsReader(NAME), list[Record]()
    (form,) = (each for each in experiment().formats if each.source.begins(content, False))
    for stop in [*sorted(stop % len(content) for stop in stops), len(content)]:
        if form.source.begins(content[:stop], False):
            found += reader.read(content[reader.at : stop], ended=False, settled=False)
    return found


@GENTLY
@given(stops=st.lists(st.integers(0, 1 << 20), max_size=30), together=st.integers(1, 3))
def test_however_it_grows_the_records_are_those_of_the_whole_file(read: Read, stops: list[int], together: int) -> None:
    content = b"".join(pieces(run_of(range(4)), "deflate", together))
    assert grown(content, stops) == read(content)


def test_a_spill_comes_while_the_daq_still_writes(tmp_path: Path) -> None:
    path, written = tmp_path / NAME, pieces(run_of(range(3)))
    path.write_bytes(written[0][:99])
    seen = threading.Semaphore(0)

    def write() -> None:
        with path.open("ab", buffering=0) as file:
            file.write(written[0][99:])
            for piece in written[1:]:
                file.write(piece[:20])
                time.sleep(0.05)
                file.write(piece[20:])
                assert seen.acquire(timeout=60)  # the next comes only when this one was read

    writer = threading.Thread(target=write)
    writer.start()
    found = []
    with Source(path) as source:
        for each in itertools.islice(follow(source, {}), 5):
            found.append(each)
            seen.release()
    writer.join()
    assert found == list(read_source(path))


def test_two_runs_in_a_file_and_a_run_in_three_files_are_told_apart(read: Read) -> None:
    both = read(b"".join(pieces([*run_of(range(3)), *run_of(range(2), RUN + 1)])))
    results = process(both, ConditionsStore([]).for_run)
    assert {run: result.part.totals.filled for run, result in results.items()} == {RUN: 3, RUN + 1: 2}
    records = run_of(range(6))
    parts = [records[:3], records[3:5], records[5:]]
    found = [r for n, part in enumerate(parts) for r in read(b"".join(pieces(part, "deflate")), f"part{n}.avro")]
    assert told(found) == ["start", *range(6), "end"]
    assert not differing(counted(found).book, counted(read(b"".join(pieces(records)))).book)


def test_a_file_that_says_nothing_of_a_run_s_start_and_end_is_read_as_spills(read: Read) -> None:
    of = schema()
    of["fields"] = of["fields"][1:]
    assert told(read(b"".join(pieces([spill(0), spill(1)], of=of)))) == [0, 1]


def blocks_of(content: bytes) -> list[tuple[int, int, Record]]:
    """Return of each record of a file that has one in each block where its block begins and ends."""
    records = list(ColumnsReader(NAME).read(content, ended=True, settled=False))
    ends = [*(r.byte for r in records[1:]), len(content)]
    return [(r.byte, end, r) for r, end in zip(records, ends, strict=True)]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), codec=st.sampled_from(["null", "deflate"]))
def test_every_untouched_spill_of_a_damaged_file_is_still_there(read: Read, data: st.DataObject, codec: str) -> None:
    written = pieces(run_of(range(5)), codec)
    content = b"".join(written)
    damaged, _, start, stop = harmed(data, content, len(written[0]))
    found = read(damaged)
    payloads = [r.payload for r in found]
    for begin, end, wanted in blocks_of(content):
        assert wanted.payload in payloads or (begin <= stop and end >= start)
    for each in found:
        if isinstance(each, RawSpill) and each.spill == NO_RUN and "bytes" in each.problem:
            assert f"{NAME}, bytes {each.byte} to {each.byte + len(each.payload)}: " in each.problem
        assert encode(each)


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda block: block[:-9] + b"\0" * 9, "a block cannot be read: it claims 1 records in"),
        (lambda block: block[:30], "a block cannot be read: it claims 1 records in"),
        (lambda block: b"\xff" + block[1:], "a block cannot be read: it claims"),
        (lambda block: block[:20] + b"\xff" * 30 + block[50:], "a block cannot be read"),
        (lambda block: b"\xaa" * len(block), "a block cannot be read"),
    ],
    ids=["its marker", "its writer died", "its number of records", "its data", "all of it"],
)
def test_a_block_with_damage_is_told_with_its_place_and_those_beside_it_count(
    read: Read, harm: Callable[[bytes], bytes], reason: str
) -> None:
    head, *blocks = pieces(run_of(range(3)))
    harmed = harm(blocks[2])
    before, behind_it = b"".join([head, *blocks[:2]]), b"".join(blocks[3:])
    records = read(before + harmed + behind_it)
    assert told(records) == ["start", 0, "unreadable", 2, "end"]
    damage = records[2]
    assert isinstance(damage, RawSpill)
    assert (damage.run, damage.byte, damage.payload) == (RUN, len(before), harmed)
    assert f"{NAME}, bytes {len(before)} to {len(before + harmed)}: {reason}" in damage.problem
    result = counted(records)
    assert (result.part.totals.filled, result.part.totals.all_rejected) == (2, 1)


def test_a_cut_file_has_its_spills_up_to_there(read: Read) -> None:
    written = pieces(run_of(range(3)), "deflate")
    whole = b"".join(written[:3])
    for cut in range(1, len(written[3])):
        records = read(whole + written[3][:cut])
        assert told(records) == ["start", 0, "unreadable"]
        assert f"bytes {len(whole)} to {len(whole) + cut}: a block without its end" in records[2].problem  # type: ignore[union-attr]


@GENTLY
@given(edits=EDITS, stops=st.lists(st.integers(0, 1 << 20), max_size=5))
def test_damage_in_a_file_that_grows_hides_no_spill_behind_it(edits: Any, stops: list[int]) -> None:
    head, *blocks = pieces([spill(n) for n in range(9)])
    content = head + edited(b"".join(blocks[:6]), edits) + b"".join(blocks[6:])
    assert told(grown(content, stops))[-2:] == [7, 8]


@GENTLY
@given(edits=EDITS)
def test_any_file_is_read_or_refused_and_what_is_read_fits_on_the_wire(read: Read, edits: Any) -> None:
    try:
        records = read(edited(b"".join(pieces(run_of(range(3)), "deflate")), edits) or b"\0")
    except BadDataError:
        return
    for each in records:
        encode(each)
        if isinstance(each, RawSpill):
            made = reconstruct(each, ConditionsStore([]).for_run(RUN))
            said = [*made.errors.values(), made.rejection.reason if made.rejection is not None else ""]
            assert not any("fault in the code" in one for one in said), said


@GENTLY
@given(edits=EDITS)
def test_damaged_bytes_of_a_spill_never_raise_anything_else(read: Read, edits: Any) -> None:
    (whole,) = read(b"".join(pieces([spill(0)])))
    payload = edited(whole.payload, edits)
    made = reconstruct(replace(whole, payload=payload), ConditionsStore([]).for_run(RUN))
    said = [*made.errors.values(), made.rejection.reason if made.rejection is not None else ""]
    assert not any("fault in the code" in one for one in said), said
    assert list(lines(payload))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"run": -1}, "its run is -1, not 0 to"),
        ({"run": 2**31}, "its run is 2147483648"),
        ({"spill": -5}, "its spill is -5"),
        ({"kind": "pause"}, "it is of the kind 'pause', neither a spill nor"),
    ],
)
def test_a_record_of_no_run_or_spill_costs_itself_alone(read: Read, changed: dict[str, Any], said: str) -> None:
    written = pieces([spill(0), spill(1) | changed, spill(2)], "deflate", 3)
    records = read(b"".join(written))
    assert told(records) == [0, "unreadable", 2]
    assert records[1].problem.startswith(f"{NAME}, record 1 of the block at byte {len(written[0])}: {said}")  # type: ignore[union-attr]


def test_an_impossible_time_is_replaced_and_told(read: Read) -> None:
    _, _, broken, _ = read(b"".join(pieces([spill(0), spill(1), spill(2) | {"time_us": 2**60}, spill(3)])))
    assert broken.time_us == TIME_US + 4_000_000
    assert "it shows no time that a clock could" in broken.time_problem


def made_of(read: Read, given: dict[str, Any], **columns: Any) -> Any:
    """Return what is made of a spill whose tables have other columns."""
    (raw,) = read(b"".join(pieces([given], of=schema(TABLES | columns))))
    assert isinstance(raw, RawSpill)
    return reconstruct(raw, ConditionsStore([]).for_run(RUN))


TDC = {"trigger": [0, 1], "channel": [0, 1], "time": [1, 2]}


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        ({"trigger": [0], "channel": [0]}, {"trigger": "long", "channel": "long"}, "it has no column time"),
        (TDC | {"time": [1]}, None, r"column .* of TdcHits has shape \(1,\), not \(2,\)"),
        (TDC | {"time": [1.5, 2]}, {"time": "double"}, "column time: it has fractions, where whole numbers belong"),
        (TDC | {"time": ["a", "b"]}, {"time": "string"}, "column time: it is of the type array of string"),
        (TDC | {"time": b"\1\2"}, {"time": {"type": "bytes"}}, "column time: it is of the type bytes"),
        (
            TDC | {"time": b"\1" * 15},
            {"time": {"type": "bytes", "dtype": "<i8"}},
            "column time: buffer size must be a multiple",
        ),
        (TDC | {"time": 5}, {"time": {"type": "long"}}, "column time: it is of the type long"),
        (TDC | {"channel": [0, 32]}, None, "column channel: it runs from 0 to 32, where 0 to 31 are"),
        (TDC | {"channel": [0, -1]}, None, "column channel: it runs from -1 to 0, where 0 to 31 are"),
        (TDC | {"trigger": [0, 2]}, None, "column trigger: it runs from 0 to 2, where 0 to 1 are"),
    ],
)
def test_a_table_that_is_wrong_is_an_error_of_its_detectors_with_column_and_byte(
    read: Read, table: dict[str, Any], columns: dict[str, Any] | None, said: str
) -> None:
    its = {name: of for name, of in (TABLES["tdc"] | (columns or {})).items() if name in table}
    made = made_of(read, spill(0, tdc=table), tdc=its)
    assert made.errors.keys() == {"counters", "hodoscope"}
    assert re.fullmatch(rf"table tdc: {said}.* \(byte [0-9]+ of the spill\)", made.errors["hodoscope"])
    assert made.detectors.keys() == {"calorimeter"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Waves(Table):
    """A table with columns of few bits, and one of which each row has three values."""

    strip: U2 = column("<u2")
    light: F4 = column("<f4", row=(3,))


def waves(strip: Any, light: Any, dtype: str = "<i8") -> Any:
    """Return what is unpacked of a spill with these columns."""
    of = schema({"waves": {"strip": {"type": "bytes", "dtype": dtype}, "light": "double"}})
    given = record(waves={"strip": np.array(strip, dtype).tobytes(), "light": light})
    (raw,) = ColumnsReader(NAME).read(b"".join(pieces([given], of=of)), ended=True, settled=False)
    tables = {"waves": HitTable(of=Waves, read_by=("tracker",))}
    return unpack_tables(raw.payload, tables, lambda waves, **its: (waves, Hits(**its)))


def test_a_column_is_as_it_is_declared_or_an_error_and_never_another_number() -> None:
    table, hits = waves([0, 65_535], [1, 2, 3, 4, 5, 6])
    assert (table.strip.tolist(), table.light.tolist()) == ([0, 65_535], [[1, 2, 3], [4, 5, 6]])
    assert (hits.triggers, hits.failed) == (2, {})
    for strip, light, dtype, said in [
        ([-1], [1, 2, 3], "<i8", "column strip: it has a number that uint16 has not"),
        ([65_536], [1, 2, 3], ">u8", "column strip: it has a number that uint16 has not"),
        ([1], [1, 2, 1e300], "<i8", "column light: overflow"),
        ([1], [1, 2], "<i8", "column light: cannot reshape"),
        ([1], [1, 2, 3], "O", "column strip: it is of the type bytes, no array of numbers"),
    ]:
        _, hits = waves(strip, light, dtype)
        assert hits.failed["tracker"].reason.startswith(f"table waves: {said}"), hits.failed


def test_a_table_that_was_not_read_out_is_no_error_and_one_that_nobody_reads_is_told(read: Read) -> None:
    made = made_of(read, spill(0, tdc=None))
    assert (made.errors, made.detectors.keys()) == ({}, {"calorimeter"})
    other = made_of(read, spill(0, wires={"wire": [1]}), wires={"wire": "int"})
    assert (other.errors, other.skipped) == ({}, {"table wires": 1})


def test_a_table_that_is_no_record_is_an_error_of_its_detectors(read: Read) -> None:
    of = schema()
    of["fields"][-2]["type"] = "string"
    (raw,) = read(b"".join(pieces([spill(0, tdc="hits")], of=of)))
    made = reconstruct(raw, ConditionsStore([]).for_run(RUN))  # type: ignore[arg-type]
    assert made.errors.keys() == {"counters", "hodoscope"}
    assert made.errors["hodoscope"].startswith("table tdc: it is no record (byte ")


@pytest.mark.parametrize("triggers", [-1, 100_001])
def test_a_spill_of_which_nothing_can_be_known_is_rejected_with_its_place(read: Read, triggers: int) -> None:
    (raw,) = read(b"".join(pieces([spill(0, triggers=triggers)])))
    made = reconstruct(raw, ConditionsStore([]).for_run(RUN))  # type: ignore[arg-type]
    assert made.rejection is not None
    assert f"spill 0, byte {raw.byte}: {triggers} particle triggers" in made.rejection.reason


def hostile(record_bytes: bytes, of: dict[str, Any] | None = None, codec: bytes = b"null", records: int = 1) -> bytes:
    """Return a file with one block of these bytes."""
    head = header({SCHEMA: json.dumps(of or schema()).encode(), "avro.codec": codec}, b"m" * 16)
    out = io.BytesIO()
    for number in (records, len(record_bytes)):
        fastavro.schemaless_writer(out, "long", number)
    return head + out.getvalue() + record_bytes + b"m" * 16


def test_what_would_take_more_memory_than_its_bytes_is_refused_at_once(read: Read) -> None:
    zeros = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = b"".join([*(zeros.compress(bytes(1 << 20)) for _ in range(200)), zeros.flush()])
    began = time.process_time()
    (found,) = read(hostile(bomb, codec=b"deflate"))
    assert isinstance(found, RawSpill)
    assert "it has more than 16777216 bytes" in found.problem
    endless = b"\0" * 5 + b"\x02" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f" * 2
    (found,) = read(hostile(endless))
    assert isinstance(found, RawSpill)
    assert "a block cannot be read: EOFError" in found.problem
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("flags", "records", "said"),
    [(0, 200_000, "it has 200000 records, more than 100000"), pytest.param(1500, 200, "", marks=again)],
)
def test_a_block_of_small_records_takes_not_many_times_its_memory(flags: int, records: int, said: str) -> None:
    of = schema()
    of["fields"] += [{"name": f"flag{n}", "type": "boolean"} for n in range(flags)]
    content = hostile(bytes(7 + flags) * records, of, records=records)
    tracemalloc.start()
    first = next(ColumnsReader(NAME).read(content, ended=True, settled=False))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(first, RawSpill)
    assert said in first.problem
    assert most < 32 << 20


def field(of: Any) -> dict[str, Any]:
    """Return a schema in which spills have something more."""
    its = schema()
    return its | {"fields": [*its["fields"], {"name": "more", "type": of}]}


@pytest.mark.parametrize(
    ("of", "said"),
    [
        ("long", "its records have no run and no spill and no time_us and no triggers of type int or long"),
        ({"type": "record", "name": "Spill", "fields": schema()["fields"][:4]}, "its records have no triggers of"),
        (field({"type": "array", "items": "null"}), 'more is of the type array of "null", which spills do not have'),
        (field({"type": "array", "items": {"type": "record", "name": "R", "fields": []}}), 'array of "record"'),
        (field("null"), "more has no bytes in any spill"),
        (field({"type": "record", "name": "R", "fields": []}), "more has no bytes in any spill"),
        (
            field(["null", {"type": "record", "name": "R", "fields": [{"name": "no", "type": "null"}]}]),
            "no has no bytes",
        ),
        (field({"type": "map", "values": "null"}), "more is of the type map, which spills do not have"),
        (field({"type": "fixed", "name": "F", "size": 10**12}), "more is of the type fixed"),
        (field(["null", "Spill"]), "more is of the type Spill, which is not there"),
        (field({"type": "record", "name": "Tdc", "fields": []}), "two types are called Tdc"),
        (field({"type": "bytes", "doc": "x" * 70_000}), "its schema has 7[0-9]* bytes, more than 65536"),
    ],
)
def test_a_file_of_avro_that_is_not_of_spills_is_refused_with_why(read: Read, of: Any, said: str) -> None:
    with pytest.raises(BadDataError, match=f"{NAME} is a file of Avro, but not of spills: .*{said}"):
        read(hostile(b"", of))


@pytest.mark.parametrize("of_the_veto", [["null", "org.example.Tdc"], "Tdc"])
def test_a_table_s_type_may_be_another_one_s(read: Read, of_the_veto: Any) -> None:
    of = schema({"tdc": TABLES["tdc"]})
    of["fields"].append({"name": "tdc_of_the_veto", "type": of_the_veto})
    tdc = spill(0)["tdc"]
    (raw,) = read(b"".join(pieces([record(tdc=tdc, tdc_of_the_veto=tdc)], of=of)))
    made = reconstruct(raw, ConditionsStore([]).for_run(RUN))  # type: ignore[arg-type]
    assert (made.errors, made.skipped) == ({}, {"table tdc_of_the_veto": 1})


def test_other_files_of_avro_are_told_apart(read: Read, tmp_path: Path) -> None:
    content = b"".join(pieces(run_of(range(3))))
    with pytest.raises(BadDataError, match=r"compressed with b'snappy': what is read is null, deflate, zstandard"):
        read(hostile(b"", codec=b"snappy"))
    with pytest.raises(BadDataError, match="a file of Avro whose header cannot be read"):
        read(content[:300])
    sent = read(content)
    messages = [Message(partition=0, offset=n, time_ms=n, key=None, value=encode(each)) for n, each in enumerate(sent)]
    write_messages(tmp_path / "archive", RUN, messages)
    assert list(read_source(tmp_path / "archive")) == sent
    with pytest.raises(BadDataError, match="is an archive that is compressed once more"):
        read(gzip.compress((tmp_path / "archive").read_bytes()))


def test_the_file_of_a_run_is_one_of_avro_again(read: Read, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    sent = read(b"".join(pieces(run_of(range(5)), "deflate", 3)))
    made = write_daq_file(RUN, [*reversed(sent), sent[2]], tmp_path / "out")
    assert (made.file.name, made.spills) == ("00900001.avro", 5)
    with made.file.open("rb") as file:
        assert list(fastavro.reader(file)) == [{"tdc": None, "pulses": None} | each for each in run_of(range(5))]
    assert [(r.run, r.payload) for r in read_source(made.file)] == [(r.run, r.payload) for r in sent]
    assert not differing(counted(list(read_source(made.file))).book, counted(sent).book)


@pytest.mark.parametrize("harmed", [1, 3, 5])
def test_damage_is_written_back_as_it_was(read: Read, tmp_path: Path, harmed: int) -> None:
    written = pieces([spill(n) for n in range(5)])
    written[harmed] = written[harmed][:40] + b"\xaa" * 9 + written[harmed][49:]
    (tmp_path / "out").mkdir()
    sent = read(b"".join(written))
    assert told(sent).count("unreadable") == 1
    made = write_daq_file(RUN, sent, tmp_path / "out")
    assert [r.payload for r in read_source(made.file)] == [r.payload for r in sent]


def test_spills_of_two_schemas_make_no_file(read: Read, tmp_path: Path) -> None:
    other = schema(TABLES | {"wires": {"wire": "int"}})
    sent = read(b"".join(pieces([spill(0)]))) + read(b"".join(pieces([spill(1)], of=other)))
    (tmp_path / "out").mkdir()
    with pytest.raises(SpilldeckError, match="the spills have several schemas of Avro: one file cannot hold both"):
        write_daq_file(RUN, sent, tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


def test_a_spill_is_shown_field_by_field_and_column_by_column(read: Read) -> None:
    (raw,) = read(b"".join(pieces([spill(7, pulses=None)])))
    shown = [f"{'  ' * word.depth}{word.what}" for word in lines(raw.payload)]
    assert shown == [
        "kind: spill",
        f"run: {RUN}",
        "spill: 7",
        f"time_us: {TIME_US + 28_000_000}",
        "triggers: 2",
        "table tdc",
        "  trigger: 3 values, array of long",
        "    0 0 1",
        "  channel: 3 values, array of int",
        "    0 1 31",
        "  time: 3 values, array of long",
        "    8007 8100 8200",
        "pulses: None",
    ]
    places = [word.byte for word in lines(raw.payload)]
    assert places == sorted(places)
    assert raw.payload[places[2]] == 2 * 7


def test_what_is_no_spill_is_shown_as_unknown() -> None:
    assert [word.what for word in lines(b"abc")] == [
        "unknown, 3 bytes: its record cannot be read: Expected 4 bytes, read 3"
    ]


def test_the_lines_of_the_documentation_write_such_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = section(GUIDE.read_text(), "Columns of Avro: a DAQ that has unpacked already")
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    start, *spills, end = hits_of(simulated())
    for each in spills:
        del each["kind"]
    controls = [{name: each[name] for name in ("kind", "run", "time_us")} for each in (start, end)]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, GUIDE, "exec"), {"records": [controls[0], *spills, controls[1]]})
    found = list(read_source(tmp_path / NAME))
    assert told(found) == ["start", *range(10), "end"]
    assert not differing(counted(found).book, counted(simulated()).book)
