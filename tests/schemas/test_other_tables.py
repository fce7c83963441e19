"""A message that was written with other tables is read right, or refused by the name of the column."""

import json
from dataclasses import fields, make_dataclass, replace
from typing import Any

import fastavro
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import wire
from schemas.columns import Detector, Table, column
from schemas.known import NO_TABLES, OtherTablesError, Schema, WireError, kept_schema, schemas_of
from schemas.records import ReconstructedSpill
from schemas.spill_schema import Tables, tables_of
from streams.experiments import testbeam
from tests.catalogue import TABLES
from tests.records import reconstructed_spill
from tests.schemas.write_fixtures import FIXTURES
from tests.wire import encode

DTYPES = ("|i1", "|u1", "<i2", "<u2", "<i4", "<u4", "<i8", "<u8", "<f4", "<f8", "|b1")
KEPT = FIXTURES / "kept"
SETTINGS = {"frozen": True, "kw_only": True, "eq": False}


def table(name: str, **columns: Any) -> type[Table]:
    """Return a table of somebody's own."""
    made = [(column_name, Any, declared) for column_name, declared in columns.items()]
    return make_dataclass(name, made, bases=(Table,), **SETTINGS)


def detector(**tables: type[Table]) -> type[Detector]:
    """Return the detector of somebody's own that has these tables."""
    return make_dataclass("Tagger", [*tables.items()], bases=(Detector,), **SETTINGS)


def hits(**columns: Any) -> Tables:
    """Return the tables of an experiment whose one detector has hits with these columns."""
    return {"tagger": detector(hits=table("TaggerHits", **columns))}


def spill_of(tables: Tables, **columns: Any) -> ReconstructedSpill:
    """Return a spill with these hits."""
    kind = tables_of(tables["tagger"])["hits"]
    return replace(reconstructed_spill(9), detectors={"tagger": tables["tagger"](hits=kind(**columns))})


def kept_of(tables: Tables) -> wire.Find:
    """Return what finds the schemas of whoever writes with these tables, as they were kept."""
    texts = schemas_of(tables).texts

    def find(fingerprint: bytes) -> Schema | None:
        text = texts.get(fingerprint)
        return kept_schema(fingerprint, text.encode()) if text is not None else None

    return find


def read(message: bytes, written: Tables, tables: Tables) -> ReconstructedSpill:
    """Return a message that was written with some tables, as it is read with others."""
    record = wire.decode(message, tables, kept_of(written))
    assert isinstance(record, ReconstructedSpill)
    return record


def extremes(dtype: str) -> "np.ndarray[Any, Any]":
    """Return the numbers of a dtype that do not fit into a smaller one."""
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return np.array([False, True, True])
    if kind.kind == "f":
        return np.array([0.1, np.finfo(kind).max, np.nan], kind)
    limits = np.iinfo(kind)
    return np.array([limits.min, limits.max, limits.max - 1], kind)


def all_hold(dtype: str, written: str) -> bool:
    """Say whether a dtype has every number of another: those at its ends, and odd ones of all its bits."""
    numbers = [x for x in extremes(written).tolist() if x == x]
    with np.errstate(all="ignore"):
        back = np.array(numbers, written).astype(dtype).tolist()
    is_boolean = np.dtype(dtype).kind == "b" and np.dtype(written).kind != "b"
    return not is_boolean and [int(x) if float(x).is_integer() else x for x in back] == [
        int(x) if float(x).is_integer() else x for x in numbers
    ]


COLUMNS = st.dictionaries(
    st.sampled_from(["light", "station", "time"]),
    st.tuples(st.sampled_from(DTYPES), st.sampled_from([None, 1]), st.sampled_from([(), (2,)])),
    min_size=1,
)


def declared(columns: dict[str, tuple[str, int | None, tuple[int, ...]]]) -> dict[str, Any]:
    """Return the columns as a table declares them."""
    return {name: column(dtype, row=row, absent=absent) for name, (dtype, absent, row) in columns.items()}


@settings(max_examples=150, deadline=None)
@given(then=COLUMNS, now=COLUMNS)
def test_of_any_two_tables_each_number_is_read_as_it_was_or_the_column_is_refused(then: Any, now: Any) -> None:
    written, tables = hits(**declared(then)), hits(**declared(now))
    values = {
        name: extremes(dtype) if not row else np.stack([extremes(dtype)] * 2, axis=1)
        for name, (dtype, _, row) in then.items()
    }
    message = wire.encode(spill_of(written, **values), written)
    cannot_be = {
        name
        for name, (dtype, absent, row) in now.items()
        if (name not in then and absent is None)
        or (name in then and (then[name][2] != row or not all_hold(dtype, then[name][0])))
    }
    if cannot_be:
        with pytest.raises(OtherTablesError) as error:
            read(message, written, tables)
        assert any(f"tagger.hits.{name} " in str(error.value) for name in cannot_be)
        return
    record = read(message, written, tables)
    its = record.detectors["tagger"].tables()["hits"]
    for name, (dtype, absent, _) in now.items():
        found = getattr(its, name)
        assert found.dtype == dtype
        if name in then:
            # Python compares an integer with a double exactly.
            np.testing.assert_equal(found.tolist(), values[name].tolist())
        else:
            assert absent is not None
            assert (found == absent).all()
            assert len(found) == 3
    assert {*record.left_out} == {f"tagger.hits.{name}" for name in then.keys() - now.keys()}


def test_what_is_no_longer_there_is_left_out_by_name() -> None:
    light, time = table("Light", light=column("<i4")), table("Times", time=column("<f8"))
    written = TABLES | {"tagger": detector(light=light, times=time)}
    tagger = written["tagger"](light=light(light=[1, 2]), times=time(time=[0.5]))
    good = reconstructed_spill()
    message = wire.encode(replace(good, detectors={**good.detectors, "tagger": tagger}), written)
    record = read(message, written, TABLES)
    assert record.left_out == ("tagger",)
    assert record.detectors.keys() == good.detectors.keys()
    record = read(message, written, {"tagger": detector(light=light)})
    assert record.detectors["tagger"].tables()["light"].columns()[0].tolist() == [1, 2]
    assert {*record.left_out} == {*TABLES, "tagger.times"}
    # A table that is younger than the message has no rows.
    younger = {"tagger": detector(light=light, times=time, pulses=table("Pulses", charge=column("<f4")))}
    assert len(read(message, written, younger).detectors["tagger"].tables()["pulses"]) == 0


def test_without_its_schema_no_message_is_read_with_the_columns_of_another() -> None:
    written = hits(light=column("<i4"))
    message = wire.encode(spill_of(written, light=[1, 2, 3]), written)
    for tables in (hits(light=column("<f4")), hits(light=column("<i8")), TABLES, NO_TABLES):
        with pytest.raises(WireError, match="no schema here has the fingerprint"):
            wire.decode(message, tables)


def test_an_experiment_with_other_detectors_writes_no_others() -> None:
    tables = hits(light=column("<i4"))
    message = wire.encode(reconstructed_spill(detectors={}), tables)
    schema = schemas_of(tables).known[message[2 : wire.HEADER_BYTES]]
    own = {f.name for f in fields(ReconstructedSpill)}
    assert [field["name"] for field in schema["fields"] if field["name"] not in own] == ["tagger"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda text: text.replace('"<i4"', '"<f4"'), "is another one"),
        (lambda text: text.replace('"TaggerHits"', '"Others"'), "is another one"),
        (lambda text: text.replace('"ReconstructedSpill"', '"Anything"'), "is another one"),
        (lambda text: text[:-9], "is none"),
        (lambda _: "[" * 100_000, "is none"),
        (lambda _: '{"type": "unheard"}', "is none"),
        (lambda _: "3", "is none"),
        (lambda text: text + " " * (1 << 20), "more than"),
    ],
)
def test_a_kept_schema_that_was_changed_is_refused(change: Any, why: str) -> None:
    tables = hits(light=column("<i4"))
    fingerprint, _ = schemas_of(tables).written["ReconstructedSpill"]
    text = schemas_of(tables).texts[fingerprint]
    assert kept_schema(fingerprint, text.encode())["name"] == "spilldeck.v3.ReconstructedSpill"
    with pytest.raises(WireError, match=f"{fingerprint.hex()}.*{why}"):
        kept_schema(fingerprint, change(text).encode())


LINK = {"type": "record", "name": "Link", "fields": [{"name": "next", "type": ["null", "Link"]}]}


@pytest.mark.parametrize(
    "of",
    [
        LINK,
        ["null", LINK],
        {"type": "array", "items": "null"},
        {"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}},
        {"type": "map", "values": ["null", "null"]},
        {"type": "array", "items": {"type": "fixed", "name": "Nothing", "size": 0}},
    ],
)
def test_a_kept_schema_whose_messages_could_take_more_than_their_bytes_is_refused(of: Any) -> None:
    fingerprint, _ = schemas_of(TABLES).written["ReconstructedSpill"]
    schema = json.loads(schemas_of(TABLES).texts[fingerprint])
    schema |= {"namespace": "spilldeck.v99", "fields": [*schema["fields"], {"name": "beam_line", "type": of}]}
    text = json.dumps(schema)
    canonical = fastavro.schema.to_parsing_canonical_form(json.loads(text))
    other = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
    with pytest.raises(WireError, match=f"{other.hex()} is none"):
        kept_schema(other, text.encode())


def test_a_spill_of_a_newer_version_is_read_without_what_is_new() -> None:
    fingerprint, _ = schemas_of(TABLES).written["ReconstructedSpill"]
    newer = json.loads(schemas_of(TABLES).texts[fingerprint])
    newer["namespace"] = "spilldeck.v99"
    newer["fields"].append({"name": "beam_line", "type": "int"})
    text = json.dumps(newer).encode()
    canonical = fastavro.schema.to_parsing_canonical_form(json.loads(text))
    other = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
    good = reconstructed_spill()
    message = wire.MARKER + other + encode(good)[wire.HEADER_BYTES :] + b"\2"
    record = wire.decode(message, TABLES, lambda asked: kept_schema(asked, text))
    assert isinstance(record, ReconstructedSpill)
    assert record.left_out == ("beam_line",)
    assert record.detectors.keys() == good.detectors.keys()


@pytest.mark.parametrize("tables", [TABLES, NO_TABLES, testbeam.EXPERIMENT.tables], ids=["mice", "none", "testbeam"])
def test_a_message_of_the_test_beam_is_read_by_everybody_as_it_was_first_written(tables: Tables) -> None:
    (schema,) = KEPT.glob("testbeam.*.json")
    kept = {bytes.fromhex(schema.name.split(".")[1]): schema.read_bytes()}
    message = (KEPT / "testbeam.avro").read_bytes()
    record = wire.decode(message, tables, lambda asked: kept_schema(asked, kept[asked]))
    assert isinstance(record, ReconstructedSpill)
    its = {
        "counters": {"hits": 171, "flights": 39},
        "hodoscope": {"points": 35},
        "calorimeter": {"hits": 160, "showers": 36},
    }
    if "counters" in tables:
        assert {name: {t: len(c) for t, c in d.tables().items()} for name, d in record.detectors.items()} == its
        assert record.left_out == ()
    else:
        assert record.detectors == {}
        assert {*record.left_out} == {*its}
