"""Plain values in JSON that anybody may have written: read, or refused."""

import json
import math
from typing import Any

from schemas.wire import MAX_TIME_US


def read_json(text: str | bytes) -> Any:
    """Return the values of a text.

    Raises
    ------
    ValueError
        When it is no JSON, is nested beyond all sense, or has a number or a time (``…_us``) that is none.
    """
    try:
        return json.loads(text, object_hook=_with_times, parse_float=_finite, parse_constant=_finite)
    except RecursionError:
        message = "it is nested too deep"
        raise ValueError(message) from None


def _finite(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is no number")
    return value


def _with_times(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if name.endswith("_us") and isinstance(value, int | float) and not 0 <= value <= MAX_TIME_US:
            raise ValueError(f"{name} is no time: {value}")
    return values
