"""Numbers of the old online system's JSON documents, checked one by one."""

from collections.abc import Mapping
from typing import Any

from streams.errors import BadDataError

INT32 = 2**31 - 1
_SHOWN = 40
"""Characters of a name or number that a message or a count shows."""
_SHOWN_KEYS = 300
"""Those of all keys of an object."""


def spelled(document: Mapping[str, Any], key: str, *others: str) -> str:
    """Return which spelling of a key a document has, the first of several.

    Raises
    ------
    BadDataError
        When it has none: with the keys that it has, among which somebody may recognise it.
    """
    for spelling in (key, *others):
        if spelling in document:
            return spelling
    there = short(", ".join(map(short, document)), _SHOWN_KEYS)
    raise BadDataError("json", f"there is no {' or '.join((key, *others))}, but {there or 'nothing'}")


def number(
    document: Mapping[str, Any], key: str, default: int | None = None, *, low: int = -INT32, high: int = INT32
) -> int:
    """Return a whole number of a document, in [low, high], by default of 32 bits.

    Raises
    ------
    BadDataError
        When it is another thing, or absent without a default.
    """
    value = document[spelled(document, key)] if default is None else document.get(key, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not low <= value <= high:
        raise BadDataError("json", f"{key} is {short(value)}, not a whole number from {low} to {high}")
    return value


def own_trigger(hit: Mapping[str, Any], trigger: int) -> None:
    """Refuse a hit that stands among those of another particle event than it says.

    Raises
    ------
    BadDataError
        With both.
    """
    if number(hit, "part_event_number", trigger) != trigger:
        said = hit["part_event_number"]
        raise BadDataError("json", f"a hit of particle event {said} stands among those of {trigger}")


def short(value: Any, characters: int = _SHOWN) -> str:
    """Return a name, a number or the kind of a thing in a few characters that every encoding has."""
    if isinstance(value, dict | list):
        return f"a {type(value).__name__}"
    text = ascii(value)[1:-1] if isinstance(value, str) else ascii(value)
    return text if len(text) <= characters else text[: characters - 3] + "..."
