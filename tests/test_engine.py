"""The engine knows no experiment: what is said of one is in its folder."""

import re
from pathlib import Path

from tests.catalogue import DETECTORS

PROJECT = Path(__file__).parents[1]
EXPERIMENTS = PROJECT / "streams" / "experiments"
DEFAULT = '    experiment: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,200}$")] = "mice"\n'
"""Of the settings: which experiment it is unless somebody says otherwise."""


def test_the_engine_names_no_experiment_and_no_detector() -> None:
    detectors = {name for name in DETECTORS if name not in ("daq", "raw", "scalers", "across")}
    words = re.compile(rf"\b(mice|test ?beam|{'|'.join(sorted(detectors))})\b", re.IGNORECASE)
    found = {}
    for path in sorted(p for top in ("schemas", "streams", "dashboards", "ops") for p in (PROJECT / top).rglob("*.py")):
        if not path.is_relative_to(EXPERIMENTS):
            text = path.read_text().replace(DEFAULT, "")
            found |= {
                f"{path.relative_to(PROJECT)}: {m.group()}": text[: m.start()].count("\n") for m in words.finditer(text)
            }
    assert found == {}
