"""How numbers of things, times and what lacks tables are said."""

from datetime import UTC, datetime


def several(count: int, what: str) -> str:
    """Return a number of things in words: ``1 spill``, ``2,000 entries``."""
    plural = f"{what[:-1]}ies" if what.endswith("y") and what[-2] not in "aeiou" else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"


def calendar_time(time_ms: float, form: str = "%d %b %H:%M:%S") -> str:
    """Return a time of day, UTC, as a table has it; - for one of no calendar, as whoever writes may give any time."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return "-"


def called(lacking: str) -> str:
    """Return what a detector, or a table of it, for which conditions lack tables is called."""
    return lacking.replace(".", " ").replace("_", " ")
