"""What is written is read back, and nothing else is read."""

import json
import shutil
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import fastavro
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas import wire
from schemas.columns import Detector, Table, column
from schemas.records import MAX_DECIDED_TEXT, MAX_TEXT, Action, ControlKind, RawSpill, ReconstructedSpill, Rejection
from schemas.spill_schema import schema_field
from schemas.wire import MARKER, WireError
from streams.experiments.mice.tables.tof import TofSpacePoints
from tests.catalogue import TABLES
from tests.records import raw_spill, reconstructed_spill
from tests.schemas import write_schema
from tests.schemas.write_fixtures import FIXTURES, RECORDS
from tests.schemas.write_schema import SCHEMAS, newest
from tests.wire import decode, encode, serialize


def same(a: object, b: object) -> bool:
    """Say whether two records hold the same, tables compared row by row."""
    if isinstance(a, Table):
        return isinstance(b, type(a)) and a.equal(b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if is_dataclass(a):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return a == b


@pytest.mark.parametrize("name", RECORDS)
def test_every_record_comes_back_as_it_was(name: str) -> None:
    assert same(decode(encode(RECORDS[name])), RECORDS[name])


@pytest.mark.parametrize("path", sorted((FIXTURES / "valid").iterdir()), ids=lambda p: p.stem)
def test_a_message_of_every_version_ever_written_is_read_for_ever(path: Path) -> None:
    assert same(decode(path.read_bytes()), RECORDS[path.stem])


@pytest.mark.parametrize("kind", ["raw_spill", "run_control", "run_record"])
def test_a_record_without_what_is_new_is_written_as_before_so_that_who_is_older_reads_it(kind: str) -> None:
    for version in ("v1", "v2"):
        name = f"{kind}.{version}"
        assert encode(RECORDS[name]) == (FIXTURES / "valid" / f"{name}.avro").read_bytes()


def test_every_schema_has_a_fixture() -> None:
    assert {p.stem for p in SCHEMAS.glob("*.avsc")} == {p.stem for p in (FIXTURES / "valid").iterdir()}


@pytest.mark.parametrize("path", sorted((FIXTURES / "invalid").glob("*.avro")), ids=lambda p: p.stem)
def test_an_invalid_message_says_what_is_wrong(path: Path) -> None:
    with pytest.raises(WireError) as error:
        decode(path.read_bytes())
    assert str(error.value) == path.with_suffix(".txt").read_text().strip()


def test_a_fingerprint_is_the_one_of_the_avro_specification() -> None:
    # The specification's own example: CRC-64-AVRO of "int" is 0x7275d51a3f395c8f, written little-endian.
    assert fastavro.schema.fingerprint('"int"', "CRC-64-AVRO") == "8f5c393f1ad57572"
    assert encode(RECORDS["raw_spill.v1"])[:2] == MARKER


def test_no_two_schemas_share_a_fingerprint() -> None:
    # It does not cover a column's dtype: a changed dtype needs a new version in the namespace.
    canonical = [fastavro.schema.to_parsing_canonical_form(json.loads(p.read_text())) for p in SCHEMAS.glob("*.avsc")]
    assert len(set(canonical)) == len(canonical)


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_of_a_detector_are_those_of_the_newest_schema(name: str) -> None:
    (written,) = [f for f in json.loads(newest().read_text())["fields"] if f["name"] == name]
    assert written == schema_field(name, TABLES[name]), "run python -m tests.schemas.write_schema"


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(sorted(RECORDS)),
    edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=6), st.integers(0, 6)), min_size=1, max_size=4),
)
def test_a_damaged_message_is_read_or_refused_by_name(name: str, edits: list[tuple[float, bytes, int]]) -> None:
    message = encode(RECORDS[name])
    for at, put, cut in edits:
        place = int(at * len(message))
        message = message[:place] + put + message[place + cut :]
    with suppress(WireError):
        decode(message)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"")
@example(MARKER)
def test_random_bytes_are_refused_by_name(message: bytes) -> None:
    with pytest.raises(WireError):
        decode(message)


def test_a_number_that_no_spill_can_have_is_refused() -> None:
    for changes in ({"run": -2}, {"run": 2**31}, {"spill": -2}, {"time_us": -1}, {"time_us": 2**62}, {"events": -1}):
        with pytest.raises(WireError, match=next(iter(changes))):
            decode(serialize(raw_spill(**changes)))


def test_a_field_that_a_message_is_too_old_for_has_its_default() -> None:
    later = {"run_control": {"kind": ControlKind.END, "partitions": 0}}
    for kind in ("raw_spill", "run_control"):
        old, new = (decode((FIXTURES / "valid" / f"{kind}.v{v}.avro").read_bytes()) for v in (1, 2))
        assert (old.time_problem, new.time_problem) == ("", "why")
        assert replace(new, time_problem="", **later.get(kind, {})) == old


def test_what_an_action_changed_may_be_longer_than_other_texts_and_not_endless() -> None:
    action = RECORDS["action.v1"]
    assert isinstance(action, Action)
    for changes in ({"after": "x" * MAX_DECIDED_TEXT}, {"before": "x" * MAX_DECIDED_TEXT}, {"who": "x" * MAX_TEXT}):
        longest = replace(action, **changes)
        assert decode(encode(longest)) == longest
        ((name, text),) = changes.items()
        with pytest.raises(WireError, match=rf"Action\.{name} has {len(text) + 1} characters"):
            decode(serialize(replace(action, **{name: f"{text}x"})))


def test_a_trigger_outside_the_spill_is_refused() -> None:
    spill = reconstructed_spill()
    with pytest.raises(WireError, match="particle triggers"):
        decode(serialize(replace(spill, triggers=spill.triggers - 1)))


def test_columns_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="column station"):
        TofSpacePoints(
            trigger=[0, 1], station=[0], slabx=[0], slaby=[0], time_ns=[0], dt_ns=[0], charge=[0], charge_product=[0]
        )


def test_a_rejection_has_no_columns_but_is_read_back() -> None:
    spill = reconstructed_spill(detectors={}, rejection=Rejection(step="unpack", reason="why"))
    back = decode(encode(spill))
    assert isinstance(back, ReconstructedSpill)
    assert back.rejection == Rejection(step="unpack", reason="why")
    assert not isinstance(back, RawSpill)


def tagger(dtype: str) -> type[Detector]:
    """Return a detector of somebody's own, whose one column is of this type."""

    @dataclass(frozen=True, eq=False)
    class TaggerHits(Table):
        """Light of each hit."""

        light: Any = column(dtype)

    @dataclass(frozen=True)
    class Tagger(Detector):
        """Hits of the tagger."""

        hits: TaggerHits

    Tagger.__annotations__["hits"] = TaggerHits
    return Tagger


@pytest.mark.parametrize("then", ["<f4", "<u4", "<i8"])
def test_a_column_of_an_added_detector_is_never_read_as_another(then: str) -> None:
    kind = tagger("<i4")
    light = np.array([1, 2, 3], np.int32)
    hits = replace(reconstructed_spill(3), detectors={"tagger": kind(get_type_hints(kind)["hits"](light))})
    message = wire.encode(hits, {"tagger": kind})
    read = wire.decode(message, {"tagger": kind})
    assert isinstance(read, ReconstructedSpill)
    assert read.detectors["tagger"].tables()["hits"].light.tolist() == [1, 2, 3]  # type: ignore[attr-defined]
    for tables in ({"tagger": tagger(then)}, TABLES, {}):
        with pytest.raises(WireError, match="no schema here has the fingerprint"):
            wire.decode(message, tables)


def test_what_detectors_made_is_read_by_who_knows_them_or_refused_by_name() -> None:
    message = encode(reconstructed_spill())
    with pytest.raises(WireError, match="tables of tof, which is no detector here"):
        wire.decode(message, {name: its for name, its in TABLES.items() if name != "tof"})


def test_an_experiment_with_other_detectors_writes_no_others() -> None:
    tables = {"tagger": tagger("<i4")}
    message = wire.encode(reconstructed_spill(detectors={}), tables)
    assert wire.decode(message, tables).detectors == {}  # type: ignore[union-attr]
    (schema,) = [its for fingerprint, its in wire._schemas(tables).known.items() if message[2:10] == fingerprint]
    own = {f.name for f in fields(ReconstructedSpill)}
    assert [field["name"] for field in schema["fields"] if field["name"] not in own] == ["tagger"]


def test_a_new_detector_gets_a_new_schema_and_what_was_released_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for path in SCHEMAS.glob("reconstructed_spill.v*.avsc"):
        shutil.copy(path, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr(write_schema, "SCHEMAS", tmp_path)
    write_schema.main()
    assert {path.name for path in tmp_path.iterdir()} == before.keys(), "nothing has changed, and nothing is written"
    for dtype in ("<i4", "<f4"):
        monkeypatch.setattr(write_schema, "TABLES", TABLES | {"tagger": tagger(dtype)})
        write_schema.main()
        new = write_schema.newest()
        assert new.name not in before
        assert json.loads(new.read_text())["fields"][-1] == schema_field("tagger", tagger(dtype))
    assert len([*tmp_path.iterdir()]) == len(before) + 1, "it is not released yet"
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
