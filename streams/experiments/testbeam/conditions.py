"""The tables of a run to its conditions: which channel is what, and what its counts mean."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from schemas.columns import F8, I8
from streams.conditions.rows import rows
from streams.run_conditions import RunConditions, TableFiles, lacking

SIMULATED = Path(__file__).parent / "simulated" / "index.toml"
BOARDS = {"V1290": 32, "V1730": 16}
"""Board → channels."""
DETECTORS = {"counters": 4, "hodoscope": 24, "calorimeter": 9}
"""Detector → channels: scintillators; 12 strips that measure x and 12 that measure y; blocks."""
NEEDED = {"counters": ("cabling", "calibration"), "hodoscope": ("cabling",), "calorimeter": ("cabling", "calibration")}
"""Detector → kinds of tables without which it cannot be made."""
NOT_CABLED = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeamConditions(RunConditions):
    """The conditions of a run, as far as it has the tables."""

    cables: Mapping[tuple[str, str], I8]
    """Board and detector → (channels of the board,) which of the detector it is, or `NOT_CABLED`."""
    gain: Mapping[str, F8]
    """Detector → (its channels,) MeV per ADC count; NaN where it is not calibrated."""
    t0_ns: Mapping[str, F8]


def make_conditions(tables: TableFiles, digest: str) -> BeamConditions:
    """Return the conditions that these tables give; what is wrong in a row is a `UsageError`."""
    gain, t0_ns = _read_calibration(tables)
    return BeamConditions(
        digest=digest, lacking=lacking(NEEDED, tables), cables=_read_cables(tables), gain=gain, t0_ns=t0_ns
    )


def _read_cables(tables: TableFiles) -> dict[tuple[str, str], I8]:
    """``board channel detector first count``: so many of the detector's channels, side by side."""
    cables = {(board, name): np.full(n, NOT_CABLED) for board, n in BOARDS.items() for name in DETECTORS}
    for row in rows(*tables["cabling"], 5) if "cabling" in tables else ():
        board, _, name, *_ = row.words
        if (board, name) not in cables:
            raise row.fail(f"there is no {board} or no {name}")
        channel, first = row.whole(1, 0, BOARDS[board] - 1), row.whole(3, 0, DETECTORS[name] - 1)
        count = row.whole(4, 1, min(BOARDS[board] - channel, DETECTORS[name] - first))
        cables[board, name][channel : channel + count] = first + np.arange(count)
    return cables


def _read_calibration(tables: TableFiles) -> tuple[dict[str, F8], dict[str, F8]]:
    """``detector channel gain t0``."""
    gain, t0_ns = ({name: np.full(n, np.nan) for name, n in DETECTORS.items()} for _ in range(2))
    for row in rows(*tables["calibration"], 4) if "calibration" in tables else ():
        name = row.words[0]
        if name not in gain:
            raise row.fail(f"there is no detector {name}")
        channel = row.whole(1, 0, DETECTORS[name] - 1)
        gain[name][channel], t0_ns[name][channel] = row.real(2), row.real(3)
    return gain, t0_ns


def odd(conditions: BeamConditions) -> Iterator[tuple[bool, str]]:
    """Yield what is odd in the tables of a run, and whether it is wrong, or lacking only."""
    for board in BOARDS:
        of_board = [cables != NOT_CABLED for (its, _), cables in conditions.cables.items() if its == board]
        for channel in np.flatnonzero(np.sum(of_board, axis=0) > 1):
            yield True, f"channel {channel} of {board} is cabled to two detectors"
    for name in (name for name, kinds in NEEDED.items() if "calibration" in kinds):
        for channel in np.flatnonzero(np.isnan(conditions.gain[name])):
            yield False, f"channel {channel} of {name} is not calibrated"
