"""What `make test` leaves to `make test-all`: what shows again, with other values, what one test has shown."""

from collections.abc import Iterable
from typing import Any

import pytest

from tests.servers import KIND

again = pytest.mark.nightly
"""A test whose promise another one holds already, on other servers or a shorter way."""
on_others = pytest.mark.servers if KIND else pytest.mark.nightly
"""A test whose promise depends on which servers there are: on others than a local stack it is tested each time."""


def first(values: Iterable[Any], count: int) -> list[Any]:
    """Return parameters of which the first so many are tested each time, and all of them in `make test-all`."""
    return [each if at < count else pytest.param(each, marks=again) for at, each in enumerate(values)]
