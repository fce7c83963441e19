"""How numbers of things are said."""


def several(count: int, what: str) -> str:
    """Return a number of things in words: ``1 spill``, ``2,000 entries``."""
    plural = f"{what[:-1]}ies" if what.endswith("y") else f"{what}s"
    return f"{count:,} {what if count == 1 else plural}"
