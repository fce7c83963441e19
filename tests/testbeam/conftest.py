"""The process is for the test beam while its tests run."""

from collections.abc import Iterator

import pytest

from streams.experiment import experiment
from tests.browser.conftest import chromium, program, seen
from tests.ops.conftest import spilldeck, spilldeck_here

__all__ = ["chromium", "program", "seen", "spilldeck", "spilldeck_here"]


@pytest.fixture(autouse=True, scope="module")
def testbeam() -> Iterator[None]:
    """Have the settings name the test beam; the tests of others find their own experiment again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPILLDECK_EXPERIMENT", "testbeam")
        experiment.cache_clear()
        yield
    experiment.cache_clear()
