"""TOML that an expert edits, checked: read, or refused in words that say where it is wrong."""

import json
import tomllib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from streams.errors import UsageError

MOST_BYTES = 1 << 20
"""Of such a file."""
FAULTS_SAID, LONGEST = 3, 100
"""So many faults of a file are said, and characters of where each is."""
LONGEST_VALUE = 40
"""Characters of a value that is wrong."""
LINES_OF_BYTES = 65_536
"""In a file that is longer no line is looked for: that reads it some twenty times."""
_IS_NOT = {
    "float_type": "no number",
    "int_type": "no whole number",
    "string_type": "no text in quotes",
    "bool_type": "neither true nor false",
    "model_type": "no table: a line in brackets, as [NAME], begins one",
    "dict_type": "no table: a line in brackets, as [NAME], begins one",
}
_BOUNDS = {
    "greater_than": ("gt", "it must be more than"),
    "greater_than_equal": ("ge", "it must be at least"),
    "less_than": ("lt", "it must be less than"),
    "less_than_equal": ("le", "it must be at most"),
}
T = TypeVar("T")


class Strict(BaseModel):
    """What a table of such a file says: an unknown key is an error, so that a misspelt one is never passed over.

    A value is of the type that TOML says: true is not 1, and a number in quotes none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


def parse_toml(text: bytes, shape: TypeAdapter[T], called: str) -> T:
    """Return what a text says; `called` it is, the error says.

    Raises
    ------
    UsageError
        Says what of it is wrong, and where.
    """
    try:
        said = tomllib.loads(_decoded(text))
    except (ValueError, RecursionError) as error:  # of a number of 5,000 digits, too
        raise UsageError(f"{called} is no TOML: {error}") from error
    try:
        return shape.validate_python(said)
    except ValidationError as error:
        faults = error.errors()
        words = [_words(fault, text) for fault in faults[:FAULTS_SAID]]
        more = [f"and {len(faults) - FAULTS_SAID:,} more"] if len(faults) > FAULTS_SAID else []
        raise UsageError(f"{called} is wrong: {'; '.join([*words, *more])}") from error


def where(text: bytes, keys: Sequence[int | str]) -> str:
    """Return where in a text something stands that it says: ``physics.matters (line 2)``."""
    name = ".".join(map(str, keys))[:LONGEST]
    line = _line(_decoded(text), keys) if len(text) <= LINES_OF_BYTES else None
    return f"{name} (line {line})" if line else name


def _decoded(text: bytes) -> str:
    # An editor may have put a mark before it that nobody sees.
    return text.decode("utf-8-sig").replace("\r\n", "\n")


def _words(fault: Any, text: bytes) -> str:
    """Return what is wrong with a value, and where."""
    its, kind = where(text, fault["loc"]), fault["type"]
    value = json.dumps(fault["input"], default=str, ensure_ascii=False)[:LONGEST_VALUE]
    if kind == "extra_forbidden":
        return f"{its} is not known"
    if kind in _IS_NOT or fault["input"] != fault["input"]:  # only what is no number is not itself
        return f"{its} is {value}, which is {_IS_NOT.get(kind, 'no number')}"
    if kind in _BOUNDS:
        name, must = _BOUNDS[kind]
        return f"{its} is {value}: {must} {fault['ctx'][name]:g}"
    return f"{its}: {fault['msg']}"


def _line(text: str, keys: Sequence[int | str]) -> int | None:
    """Return the first line with which a text says something; None where that is not one line."""
    lines = text.split("\n")

    def said_by(count: int) -> bool | None:
        """Return whether so many lines say it; None where they end within a value."""
        try:
            its: Any = tomllib.loads("\n".join(lines[:count]))
        except ValueError:
            return None
        try:
            for key in keys:
                its = its[key]
        except (KeyError, IndexError, TypeError):
            return False
        return True

    line = bisect_left(range(len(lines)), True, key=lambda before: bool(said_by(before + 1))) + 1
    return line if said_by(line) and said_by(line - 1) is False else None
