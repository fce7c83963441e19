"""Copies of the simulated beam line's tables, for runs that it does not cover; a test may change them."""

import json
import shutil
from pathlib import Path

from streams.experiments.mice.conditions.read import SIMULATED


def copy_tables(directory: Path, first_run: int, last_run: int) -> Path:
    """Copy the tables for these runs, and return the index, beside which they lie."""
    shutil.copytree(SIMULATED, directory)
    index = directory / "index.toml"
    index.write_text(index.read_text().replace("900000", str(first_run)).replace("999999", str(last_run)))
    return index


def naming(*indices: Path) -> dict[str, str]:
    """Return the environment that has a program use the tables that lie beside these."""
    sources = [{"index": str(index), "tables": str(index.parent)} for index in indices]
    return {"SPILLDECK_CONDITIONS": json.dumps(sources)}


def recalibrate(index: Path) -> None:
    """Have every photomultiplier of TOF0 come a nanosecond later."""
    table = index.parent / "tof_t0.txt"
    lines = [line.split() for line in table.read_text().splitlines()]
    for words in lines:
        if words[5] == "tof0":
            words[6] = str(float(words[6]) + 1000)
    table.write_text("\n".join(" ".join(words) for words in lines) + "\n")
