"""Runs of kinds of which no file is at hand, built from the layouts, through to their books."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from streams.conditions.store import ConditionsStore
from streams.daq.sources import read_source
from streams.process import RunResult, process
from tests.conftest import PROJECT
from tests.date_builder import END_OF_BURST, END_OF_RUN, PHYSICS, START_OF_BURST, START_OF_RUN, equipment, super_event

OF_2012, OF_2015 = 4100, 7100


def bank(number: int, triggers: int) -> bytes:
    """Return a bank that writes all its channels."""
    words = [t + 1 << 24 | channel << 16 | 100 << 8 | 20 + channel for t in range(triggers) for channel in range(128)]
    return equipment(132, words, geo=number)


def board(number: int, triggers: Sequence[int]) -> bytes:
    """Return a board of four banks with so many triggers each: their lengths, and the banks."""
    lengths = equipment(131, [0x0001000F, *(128 * n for n in triggers)], geo=number)
    return lengths + b"".join(bank(4 * number + at, n) for at, n in enumerate(triggers))


def written(shared: Path, path: Path, run: int, ldc: int, head: int, spills: Sequence[bytes]) -> RunResult:
    """Write a run whose physics events are these equipments of one LDC; return its books."""

    def pair(kind: int) -> bytes:
        return b"".join(super_event(kind, {ldc: b""}, run=run, number=n, system=n, head=head) for n in (1, 2))

    content = pair(START_OF_RUN)
    for number, boards in enumerate(spills):
        for kind, parts in ((START_OF_BURST, equipment(110)), (PHYSICS, boards), (END_OF_BURST, equipment(110))):
            content += super_event(kind, {ldc: parts}, run=run, number=number, head=head)
    path.write_bytes(content + pair(END_OF_RUN))
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    return process(read_source(path), ConditionsStore([(index, shared / "data" / "mice-conditions")]).for_run)[run]


def test_a_run_of_2012_with_trackers_alone_is_read(shared: Path, tmp_path: Path) -> None:
    """A single-station test: the first spill's master has counted triggers that no bank had accepted yet."""
    counts = (0, 7, 5)
    spills = [equipment(130, [61 if n == 0 else n, 0x9F]) + board(0, [n] * 4) + board(1, [n, n, 0, n]) for n in counts]
    result = written(shared, tmp_path / "04100.000", OF_2012, 3, 68, spills)
    totals = result.part.totals
    assert (totals.filled, totals.all_rejected) == (3, 0)
    assert (totals.errors, totals.skipped, totals.triggers) == ({}, {}, sum(counts))
    assert totals.detectors["raw"]["vlsb"] == 7 * 128 * sum(counts)
    assert result.book["raw_vlsb_adc"].sum() > 0
    assert "tof" not in totals.detectors


@pytest.mark.parametrize("words", [[0xA << 28 | 3 << 16 | 0x9F], [3, 0x9F]])
def test_a_run_of_2015_is_read_with_either_layout_of_the_trackers_master(
    shared: Path, tmp_path: Path, words: list[int]
) -> None:
    hits = equipment(132, [1 << 24 | 9 << 16 | 60, 3 << 24 | 9 << 16 | 60], geo=2)
    result = written(shared, tmp_path / "07100.000", OF_2015, 4, 80, [equipment(130, words) + hits])
    totals = result.part.totals
    assert (totals.filled, totals.all_rejected, totals.errors, totals.triggers) == (1, 0, {}, 3)
    assert totals.detectors["raw"]["vlsb"] == 2
