"""Scalers: which channels counted what."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from schemas.columns import I4
from schemas.records import MISSING
from streams.errors import DetectorError
from streams.experiments.mice.reco.scalers import reconstruct_scalers
from streams.experiments.mice.unpack.hits import BoardEvents, FadcHits, RawHits, TdcHits
from streams.experiments.mice.unpack.spill_json import unpack_json


def raw(scalers: dict[tuple[int, int], I4]) -> RawHits:
    return RawHits(triggers=0, boards=BoardEvents.empty(), tdc=TdcHits.empty(), fadc=FadcHits.empty(), scalers=scalers)


def test_the_channels_of_run_2873_have_their_counts(shared: Path) -> None:
    hits = unpack_json((shared / "data/02873-spill0.json").read_bytes())
    counts = reconstruct_scalers(hits).counts
    expected = json.loads((shared / "expected/02873-spill0.json").read_text())["V830"]["channels"]
    assert {f"ch{c}": n for c, n in zip(counts.channel.tolist(), counts.count.tolist(), strict=True)} == expected


def test_a_channel_that_was_not_read_has_no_row() -> None:
    counts = np.full(32, MISSING, np.int32)
    counts[[3, 7]] = [0, 5]
    found = reconstruct_scalers(raw({(0, 0): counts})).counts
    assert (found.channel.tolist(), found.count.tolist()) == ([3, 7], [0, 5])
    assert len(reconstruct_scalers(raw({})).counts) == 0


def test_two_boards_are_an_error_that_names_them() -> None:
    hits = replace(raw({}), scalers={(0, 1): np.zeros(32, np.int32), (1, 2): np.zeros(32, np.int32)})
    with pytest.raises(DetectorError, match="2 scaler boards where one belongs: LDC 0 geo 1, LDC 1 geo 2"):
        reconstruct_scalers(hits)


def test_a_count_beyond_what_is_stored_is_an_error_of_the_scalers_alone() -> None:
    channels = {"ch0": 2**31 - 1, "ch4": 5}
    document = {"daq_data": {"V830": {"ldc_id": 0, "geo": 3, "channels": channels}}}
    found = reconstruct_scalers(unpack_json(json.dumps(document).encode())).counts
    assert found.count.tolist() == [2**31 - 1, 5]
    channels["ch4"] = 2**31
    hits = unpack_json(json.dumps(document).encode())
    with pytest.raises(DetectorError, match="channel 4 of the scaler counted 2147483648 in a spill"):
        reconstruct_scalers(hits)
    channels["ch4"] = 2**32
    failed = unpack_json(json.dumps(document).encode()).failed
    assert failed.keys() == {"scalers", "raw"}
    said = "V830: ch4 is 4294967296, not a whole number from -2147483647 to 4294967295"
    assert failed["scalers"].reason == said
