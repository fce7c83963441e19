"""Each hostile message is refused by name, without any server."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.known import WireError
from schemas.records import MAX_TEXT, NO_RUN, ReconstructedSpill, RejectedSpill, RunControl
from streams.conditions.store import ConditionsStore
from streams.transform import Message, transform
from streams.words import calendar_time
from tests.edits import EDITS, edited
from tests.hostile.corpus import RAW, RECO, Hostile, for_raw, for_reco
from tests.wire import decode, encode

TOPIC = "spills.raw"
CONDITIONS_OF = ConditionsStore([]).for_run
SMALL = [RAW, RECO, *(bad.value for bad in for_raw() if bad.value is not None and len(bad.value) < 5000)]


def message(value: bytes) -> Message:
    return Message(partition=1, offset=5, start=5, produced_ms=0, value=value)


@pytest.mark.parametrize("bad", for_raw(), ids=lambda bad: bad.name)
def test_what_is_bad_in_spills_raw_is_rejected_with_step_and_reason(bad: Hostile) -> None:
    made = transform(message(bad.value or b""), CONDITIONS_OF)
    assert isinstance(made.record, ReconstructedSpill)
    assert made.record.rejection is not None
    kept = made.rejected(TOPIC, made.record.rejection.step, made.record.rejection.reason)
    decode(encode(made.record))
    decode(encode(kept))
    assert kept.step == bad.step
    assert re.search(bad.reason, kept.reason), kept.reason[:500]
    assert kept.payload == (bad.value or b"")
    assert (kept.topic, kept.partition, kept.offset) == ("spills.raw", 1, 5)
    assert (kept.run == NO_RUN) == (bad.step == "envelope")


@pytest.mark.parametrize("bad", for_reco(), ids=lambda bad: bad.name)
def test_what_is_bad_in_spills_reco_is_refused_by_name_or_has_no_place_there(bad: Hostile) -> None:
    if "has no place" in bad.reason:
        assert not isinstance(decode(bad.value or b""), ReconstructedSpill | RunControl)
        return
    with pytest.raises(WireError, match=bad.reason):
        decode(bad.value or b"")


@settings(max_examples=100, deadline=None)
@given(base=st.sampled_from(SMALL), edits=EDITS)
def test_whatever_the_bytes_something_that_can_be_read_is_sent_on(
    base: bytes, edits: list[tuple[str, int, bytes]]
) -> None:
    made = transform(message(edited(base, edits)), CONDITIONS_OF)
    decode(encode(made.record))
    if isinstance(made.record, ReconstructedSpill) and made.record.rejection is not None:
        kept = decode(encode(made.rejected(TOPIC, made.record.rejection.step, made.record.rejection.reason)))
        assert isinstance(kept, RejectedSpill)
        assert len(kept.reason) <= MAX_TEXT


@pytest.mark.parametrize("time_ms", [2**63 - 1, -(2**63), 253_402_300_800_000])
def test_a_time_of_no_calendar_is_shown_as_unknown(time_ms: int) -> None:
    assert calendar_time(time_ms) == "-"
    assert calendar_time(0) == "01 Jan 00:00:00"
