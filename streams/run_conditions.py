"""What the engine needs to know of the conditions of a run; an experiment's own say more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TableFiles = dict[str, tuple[Path, str]]
"""Kind of table → file and what it holds."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RunConditions:
    """What is valid for a run."""

    digest: str
    """16 hex digits of BLAKE2b over the names and contents of the tables used."""
    lacking: Mapping[str, str] = field(default_factory=dict)
    """Detector, or ``detector.table`` → which kinds of tables the run has not, without which it cannot be made."""
    plot_ranges: Mapping[str, tuple[int, float, float]] = field(default_factory=dict)
    """Plot → bins, low, high of its first axis, where this run's differ from the catalogue's."""


def lacking(needed: Mapping[str, Sequence[str]], tables: TableFiles) -> Mapping[str, str]:
    """Return what of a run cannot be made, and for want of which kinds of tables.

    Parameters
    ----------
    needed
        Detector, or ``detector.table`` → the kinds without which it cannot be made.
    """
    missing = {name: [kind for kind in kinds if kind not in tables] for name, kinds in needed.items()}
    return {name: f"the run has no table of the kind {', '.join(kinds)}" for name, kinds in missing.items() if kinds}
