"""TOML that an expert edits, checked: read, or refused in words that say where it is wrong."""

import tomllib
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from streams.errors import UsageError

MOST_BYTES = 1 << 20
"""Of such a file."""
FAULTS_SAID, LONGEST = 3, 100
"""So many faults of a file are said, and characters of where each is."""
T = TypeVar("T")


class Strict(BaseModel):
    """What a table of such a file says: an unknown key is an error, so that a misspelt one is never passed over."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def parse_toml(text: bytes, shape: TypeAdapter[T], called: str) -> T:
    """Return what a text says; `called` it is, the error says.

    Raises
    ------
    UsageError
        Says what of it is wrong, and where.
    """
    try:
        return shape.validate_python(tomllib.loads(text.decode()))
    except ValidationError as error:
        faults = [f"{'.'.join(str(part) for part in e['loc'])[:LONGEST]}: {e['msg']}" for e in error.errors()]
        more = [f"and {len(faults) - FAULTS_SAID:,} more"] if len(faults) > FAULTS_SAID else []
        raise UsageError(f"{called} is wrong: {'; '.join([*faults[:FAULTS_SAID], *more])}") from error
    except (ValueError, RecursionError) as error:  # of a number of 5,000 digits, too
        raise UsageError(f"{called} is no TOML: {error}") from error
