"""What somebody chose to look at: it stands in the address, so that a link opens the same view."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self
from urllib.parse import parse_qs, urlencode

MAX_RUN = 2**31 - 1
LAST_MINUTE = -1
"""Stands for the newest windows."""
ROTATE_S = (10, 30, 60, 600)
"""Times after which a large screen may go on to the next page."""


class Mode(StrEnum):
    """How a run is compared with a reference."""

    SHAPE = "shape"
    """The reference scaled to as many entries."""
    SPILLS = "spills"
    """The reference scaled to as many spills."""
    ABSOLUTE = "absolute"
    """Entries as they are."""
    RATIO = "ratio"
    """This run over the reference, scaled to as many entries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One view of the plots; what an address does not say is as here."""

    run: int | None = None
    """None follows the current run."""
    window: int | None = None
    """One part alone, in place of the whole run: the window that starts then, s since 1970 UTC, or `LAST_MINUTE`."""
    reference: int | None = None
    """Run to compare with; None leaves it to the page, see `compare`."""
    compare: bool = True
    """Compare with a run, if there is one to compare with."""
    mode: Mode = Mode.SHAPE
    log: frozenset[str] | None = None
    """Axes, of x, y and z, that are logarithmic; None leaves it to each plot."""
    errors: bool = False
    """Draw error bars."""
    rotate_s: int | None = None
    """Go on to the next page after so long; None stays."""
    frozen: bool = False
    """Leave the plots as they are when new spills come."""

    @classmethod
    def of(cls, search: str | None) -> Self:
        """Return what the part of an address from its question mark on says; what cannot be is passed over."""
        said = {
            name: values[-1] for name, values in parse_qs((search or "").lstrip("?"), keep_blank_values=True).items()
        }
        return cls(
            run=_run(said.get("run")),
            window=LAST_MINUTE if said.get("window") == "last" else _run(said.get("window")),
            reference=_run(said.get("reference")),
            compare=said.get("reference") != "none",
            mode=Mode(said["mode"]) if said.get("mode") in set(Mode) else Mode.SHAPE,
            log=frozenset(said["log"]) & frozenset("xyz") if said.get("log") else None,
            errors=said.get("errors") == "1",
            rotate_s=int(said["rotate"]) if said.get("rotate") in {str(each) for each in ROTATE_S} else None,
            frozen=said.get("frozen") == "1",
        )

    def search(self) -> str:
        """Return what `of` reads; empty if all is as usual."""
        said: dict[str, Any] = {
            "run": self.run,
            "window": "last" if self.window == LAST_MINUTE else self.window,
            "reference": self.reference if self.compare else "none",
            "mode": None if self.mode is Mode.SHAPE else self.mode.value,
            "log": None if self.log is None else "".join(sorted(self.log)) or "linear",
            "errors": 1 if self.errors else None,
            "rotate": self.rotate_s,
            "frozen": 1 if self.frozen else None,
        }
        query = urlencode({name: value for name, value in said.items() if value is not None})
        return f"?{query}" if query else ""

    def but(self, **changes: Any) -> Self:
        """Return the same with some things chosen otherwise."""
        return replace(self, **changes)

    def is_log(self, axis: str, *, usual: bool = False) -> bool:
        """Return whether an axis is logarithmic."""
        return usual if self.log is None else axis in self.log


def _run(said: str | None) -> int | None:
    return int(said) if said and said.isascii() and said.isdigit() and int(said[:12]) <= MAX_RUN else None
