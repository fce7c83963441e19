"""Counts by channel are kept in few bytes, and read back as they were or not at all."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.checks.channels import MAX_COUNT, Channels, pack, unpack
from streams.experiment import experiment
from tests.catalogue import TABLES
from tests.edits import EDITS, edited
from tests.records import reconstructed_spill

GROUPS = tuple(
    Channels(name=name, names=[f"channel {n}" for n in range(number)], of=lambda hits: hits)
    for name, number in (("A", 1), ("B", 40), ("C", 3000))
)
COUNTS = st.fixed_dictionaries(
    {}, optional={g.name: st.dictionaries(st.integers(0, len(g.names) - 1), st.integers(1, MAX_COUNT)) for g in GROUPS}
)


def packed(counts: dict[str, dict[int, int]]) -> bytes:
    """Return the bytes of counts by group and channel."""
    found = {}
    for group in GROUPS:
        if group.name in counts:
            found[group.digest] = np.zeros(len(group.names), np.int64)
            for channel, count in counts[group.name].items():
                found[group.digest][channel] = count
    return pack(found)


@settings(max_examples=100, deadline=None)
@given(COUNTS)
def test_what_was_counted_is_read_back(counts: dict[str, dict[int, int]]) -> None:
    found = unpack(packed(counts), GROUPS)
    assert {name: {int(c): int(its[c]) for c in np.flatnonzero(its)} for name, its in found.items()} == counts


@settings(max_examples=200, deadline=None)
@given(counts=COUNTS, edits=EDITS)
def test_damaged_counts_are_refused_or_are_counts(
    counts: dict[str, dict[int, int]], edits: list[tuple[str, int, bytes]]
) -> None:
    with suppress(ValueError):
        for name, its in unpack(edited(packed(counts), edits), GROUPS).items():
            assert its.shape == (next(len(g.names) for g in GROUPS if g.name == name),)


def test_counts_of_a_group_that_has_other_channels_now_are_left_out() -> None:
    other = Channels(name="B", names=["another", *GROUPS[1].names[1:]], of=GROUPS[1].of)
    data = packed({"A": {0: 2}, "B": {3: 1}})
    assert unpack(data, [GROUPS[0], other]).keys() == {"A"}
    assert unpack(data, []) == {}
    assert unpack(b"", GROUPS) == {}


def test_a_noisy_channel_is_counted_up_to_a_bound() -> None:
    assert unpack(pack({GROUPS[0].digest: np.array([10**7])}), GROUPS)["A"].tolist() == [MAX_COUNT]


def test_a_hit_of_no_channel_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="B has 40 channels, and a hit is of channel 40"):
        GROUPS[1].counts(np.array([3, 40]))
    with pytest.raises(ValueError, match="no names"):
        Channels(name="no names", names=[], of=lambda _: np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="plane of D has a channel that is none of its 2"):
        Channels(name="D", names=["0", "1"], of=lambda hits: hits, parts={"plane": range(3)})


@pytest.mark.parametrize("name", experiment().channels)
def test_every_hit_of_a_detector_has_a_channel_with_a_name(name: str) -> None:
    made = reconstructed_spill().detectors[name]
    assert type(made) is TABLES[name]
    for group in experiment().channels[name]:
        counts = group.counts(made)
        assert counts.shape == (len(group.names),)
        assert len({*group.names}) == len(group.names)
    empty = TABLES[name](**{table: type(columns).empty() for table, columns in made.tables().items()})
    assert not any(group.counts(empty).any() for group in experiment().channels[name])
