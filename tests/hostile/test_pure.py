"""Each hostile message is refused by name, without any server."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ops.console import calendar_time
from schemas.records import MAX_TEXT, NO_RUN, ReconstructedSpill, RejectedSpill, RunControl
from schemas.wire import WireError, decode
from streams.agents.transform import Source, transform
from streams.conditions.store import ConditionsStore
from tests.edits import EDITS, edited
from tests.hostile.corpus import RAW, RECO, Hostile, for_raw, for_reco

SOURCE = Source(topic="spills.raw", partition=1, offset=5)
CONDITIONS_OF = ConditionsStore([]).for_run
SMALL = [RAW, RECO, *(bad.value for bad in for_raw() if bad.value is not None and len(bad.value) < 5000)]


@pytest.mark.parametrize("bad", for_raw(), ids=lambda bad: bad.name)
def test_what_is_bad_in_spills_raw_is_rejected_with_step_and_reason(bad: Hostile) -> None:
    made = transform(bad.value or b"", SOURCE, CONDITIONS_OF)
    spill, kept = decode(made.value), decode(made.rejected or b"")
    assert isinstance(spill, ReconstructedSpill)
    assert isinstance(kept, RejectedSpill)
    assert spill.rejection is not None
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
    made = transform(edited(base, edits), SOURCE, CONDITIONS_OF)
    decode(made.value)
    if made.rejected is not None:
        kept = decode(made.rejected)
        assert isinstance(kept, RejectedSpill)
        assert len(kept.reason) <= MAX_TEXT


@pytest.mark.parametrize("time_ms", [2**63 - 1, -(2**63), 253_402_300_800_000])
def test_a_time_of_no_calendar_is_shown_as_unknown(time_ms: int) -> None:
    assert calendar_time(time_ms) == "-"
    assert calendar_time(0) == "01 Jan 00:00:00"
