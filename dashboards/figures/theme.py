"""Colours of the figures, light and dark."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours of a figure."""

    name: str
    ink: str
    faint: str
    grid: str
    line: str
    fill: str
    other: str
    """Of the run that is compared with; told from `line` by everybody, and dashed besides."""
    band: str
    """Of several runs that are compared with."""
    minute: str
    """Of the last minute over the whole run: told from both by its lightness, and thin besides."""
    scale: Sequence[str]
    """From few to many; steps in lightness alone tell them apart, and the first stands out from the paper."""
    less_and_more: Sequence[str]
    """Of ratios: below one, one, above one."""
    good: str
    warning: str
    bad: str
    """Of verdicts, as on the page."""


LIGHT = Theme(
    name="light",
    ink="#243447",
    faint="#5c6b7c",
    grid="#e3e8ee",
    line="#1f6fb2",
    fill="rgba(31,111,178,0.18)",
    other="#c25400",
    band="rgba(194,84,0,0.25)",
    minute="#101820",
    scale=("#bfd9ee", "#6fb0da", "#2f7fbe", "#2a4f9a", "#26145a"),
    less_and_more=("#1f6fb2", "#e3e8ee", "#c25400"),
    good="#0b7256",
    warning="#8a5a00",
    bad="#b3261e",
)
DARK = Theme(
    name="dark",
    ink="#d5dde6",
    faint="#93a1b0",
    grid="#2c3948",
    line="#6fb4ec",
    fill="rgba(111,180,236,0.20)",
    other="#f5a25d",
    band="rgba(245,162,93,0.28)",
    minute="#f7f7d4",
    scale=("#2f5784", "#2f86b5", "#4fb7bd", "#a3dca0", "#fdf2a7"),
    less_and_more=("#6fb4ec", "#2c3948", "#f5a25d"),
    good="#4fc3a1",
    warning="#e6b450",
    bad="#ff8a80",
)
THEMES = {theme.name: theme for theme in (LIGHT, DARK)}
