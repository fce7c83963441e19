"""What somebody chose to look at: it stands in the address, so that a link opens the same view."""

import re
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto
from typing import Any, Self
from urllib.parse import parse_qs, urlencode

from streams.books.imported import is_name

MAX_RUN = 2**31 - 1
MAX_TIME_MS = 10**14
"""In the year 5138."""
NOW = "now"
"""Stands in a link for the time, ms since 1970 UTC, at which somebody clicks on it: the browser puts it there."""
LAST_MINUTE = -1
"""Stands for the newest windows."""
LATELY = -2
"""Stands for those of the last ten minutes, see `dashboards.data.one_run`; in no address."""
ROTATE_S = (10, 30, 60, 600)
"""Times after which a large screen may go on to the next page."""
_BOOK = re.compile(r"([0-9]+)(?:\.([A-Za-z0-9._-]{1,60}))?")


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
    PULL = "pull"
    """This run less the reference, scaled to as many entries, in errors of that."""


class Beside(Enum):
    """What a page shows of a run beside the whole of it."""

    LAST_MINUTE = auto()
    """The last minute, of the run that is being taken."""
    LATELY = auto()
    """What is chosen of it, or the last ten minutes: what changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One view of the plots; what an address does not say is as here."""

    run: int | None = None
    """None follows the current run."""
    session: str | None = None
    """The session, a replay say, whose book of the run is shown; None for the book that is the run's."""
    window: int | None = None
    """One part alone, in place of the whole run: the window that starts then, s since 1970 UTC, or `LAST_MINUTE`."""
    reference: int | None = None
    """Run to compare with; None leaves it to the page, see `compare`."""
    reference_session: str | None = None
    """The session whose book of that run is compared with; None for the book that is the run's."""
    reference_file: str | None = None
    """The file that was imported and is compared with, in place of a run."""
    compare: bool = True
    """Compare with a run, if there is one to compare with."""
    mode: Mode = Mode.SHAPE
    log: frozenset[str] | None = None
    """Axes, of x, y and z, that are logarithmic; None leaves it to each plot."""
    errors: bool = False
    """Draw error bars."""
    against_reference: bool = False
    """What changed is told against the reference, in place of the rest of the run."""
    rotate_s: int | None = None
    """Go on to the next page after so long; None stays."""
    frozen: int | None = None
    """Show what there was at this time, ms since 1970 UTC, and leave it so when new spills come."""

    @classmethod
    def of(cls, search: str | None) -> Self:
        """Return what the part of an address from its question mark on says; what cannot be is passed over."""
        said = _said(search)
        run, session = _book(said.get("run"))
        reference, reference_session = _book(said.get("reference"))
        return cls(
            run=run,
            session=session,
            window=LAST_MINUTE if said.get("window") == "last" else number(said.get("window")),
            reference=reference,
            reference_session=reference_session,
            reference_file=_file(said.get("reference")),
            compare=said.get("reference") != "none",
            mode=Mode(said["mode"]) if said.get("mode") in set(Mode) else Mode.SHAPE,
            log=frozenset(said["log"]) & frozenset("xyz") if said.get("log") else None,
            errors=said.get("errors") == "1",
            against_reference=said.get("against") == "reference",
            rotate_s=int(said["rotate"]) if said.get("rotate") in {str(each) for each in ROTATE_S} else None,
            frozen=_time_ms(said.get("frozen")),
        )

    def search(self) -> str:
        """Return what `of` reads; empty if all is as usual."""
        said: dict[str, Any] = {
            "run": book_of(self.run, self.session),
            "window": "last" if self.window == LAST_MINUTE else self.window,
            "reference": self._reference() if self.compare else "none",
            "mode": None if self.mode is Mode.SHAPE else self.mode.value,
            "log": None if self.log is None else "".join(sorted(self.log)) or "linear",
            "errors": 1 if self.errors else None,
            "against": "reference" if self.against_reference else None,
            "rotate": self.rotate_s,
            "frozen": self.frozen,
        }
        query = urlencode({name: value for name, value in said.items() if value not in {None, ""}})
        return f"?{query}" if query else ""

    def _reference(self) -> str:
        if self.reference_file is not None:
            return address_of(self.reference_file)
        return book_of(self.reference, self.reference_session)

    def but(self, **changes: Any) -> Self:
        """Return the same with some things chosen otherwise."""
        return replace(self, **changes)

    def is_log(self, axis: str, *, usual: bool = False) -> bool:
        """Return whether an axis is logarithmic."""
        return usual if self.log is None else axis in self.log


def book_of(run: int | None, session: str | None = None) -> str:
    """Return how an address names the book of a run, or that which a session made of it: ``5``, ``5.replay-new-t0``."""
    if run is None:
        return ""
    return str(run) if session is None else f"{run}.{session}"


def address_of(file: str) -> str:
    """Return how an address names an imported file: ``file:beam.root``, which is no run."""
    return f"file:{file}"


def passed_over(search: str | None) -> tuple[str, ...]:
    """Return of which choices an address says what cannot be chosen."""
    taken = _said(Choices.of(search).search())
    usual = {"mode": Mode.SHAPE.value}
    said = {name: value for name, value in _said(search).items() if value and value != usual.get(name)}
    return tuple(name for name in _NAMES if name in said and name not in taken)


_NAMES = ("run", "window", "reference", "mode", "log", "errors", "against", "rotate", "frozen")


def _said(search: str | None) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs((search or "").lstrip("?"), keep_blank_values=True).items()}


def _book(said: str | None) -> tuple[int | None, str | None]:
    """Return run and session of what `book_of` returned; neither for all else."""
    found = _BOOK.fullmatch(said or "")
    run = number(found[1]) if found else None
    return (run, found[2]) if found and run is not None else (None, None)


def _file(said: str | None) -> str | None:
    """Return the file of what `address_of` returned."""
    name = (said or "").removeprefix("file:")
    return name if name != said and is_name(name) else None


def number(said: str | None) -> int | None:
    """Return what an address says in the place of a number; None where it is none."""
    digits = said if said and said.isascii() and said.isdigit() and len(said) <= len(str(MAX_RUN)) else None
    return int(digits) if digits is not None and int(digits) <= MAX_RUN else None


def _time_ms(said: str | None) -> int | None:
    is_time = said is not None and said.isascii() and said.isdigit() and len(said) < len(str(MAX_TIME_MS))
    return int(said) or None if is_time and said is not None else None
