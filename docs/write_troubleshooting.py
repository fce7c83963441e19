#!/usr/bin/env python3
"""Write docs/troubleshooting.md from the table of doctor: .venv/bin/python docs/write_troubleshooting.py."""

import re
from collections.abc import Iterator
from pathlib import Path

from ops.doctor.troubles import TROUBLES

TROUBLESHOOTING_MD = Path(__file__).resolve().parent / "troubleshooting.md"
_HEAD = """# Troubleshooting

`spilldeck doctor` looks at all of this, names the first cause, and says what to do; status 0 means that all is well.
The list is in the order of causes: what comes first may be why something below it is wrong, too. It is made by
`docs/write_troubleshooting.py` from the table in `ops/doctor/troubles.py`: change it there.

| what you see | cause | what to do | as doctor calls it |
|---|---|---|---|"""


def lines() -> Iterator[str]:
    """Yield the lines of the list."""
    yield _HEAD
    for each in TROUBLES:
        advice = re.sub(r"\{(\w+)\}", lambda found: found[1].upper(), each.advice)
        cells = (each.symptom, each.cause, advice[:1].upper() + advice[1:], f"`{each.id}`")
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def text() -> str:
    """Return the whole list."""
    return "\n".join(lines()) + "\n"


if __name__ == "__main__":
    TROUBLESHOOTING_MD.write_text(text())
