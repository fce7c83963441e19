"""What is written is read back, and nothing else is read."""

import json
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import fastavro
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import schemas
from schemas.columns import Table
from schemas.known import WireError
from schemas.records import (
    MAX_DECIDED_TEXT,
    MAX_TAKEN_OVER_TEXT,
    MAX_TEXT,
    Action,
    ActionKind,
    ControlKind,
    RawSpill,
    ReconstructedSpill,
    Rejection,
)
from schemas.wire import MARKER
from streams.experiments.mice.tables.tof import TofSpacePoints
from tests.records import raw_spill, reconstructed_spill
from tests.schemas.write_fixtures import FIXTURES, RECORDS
from tests.wire import decode, encode, serialize

SCHEMAS = Path(schemas.__file__).parent


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
    all_of_it = replace(action, kind=ActionKind.TAKE_OVER, after="x" * MAX_TAKEN_OVER_TEXT)
    assert decode(encode(all_of_it)) == all_of_it
    with pytest.raises(WireError, match=r"Action\.after has"):
        decode(serialize(replace(all_of_it, after=f"{all_of_it.after}x")))


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
