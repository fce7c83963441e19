"""Hours of beam with faults, in seconds: `make simulate-faults` goes on from other seeds."""

import pytest

from tests.lanes import first
from tests.simulation.simulation import simulate

SEEDS, AT_ONCE = 200, 10


@pytest.mark.parametrize("seed", first(range(1, SEEDS + 1, AT_ONCE), 1))
def test_whatever_befalls_servers_and_workers_the_books_are_those_of_the_log(seed: int) -> None:
    for its in range(seed, seed + AT_ONCE):
        result = simulate(its)
        assert result.wrong == [], result.again


def test_a_seed_gives_the_same_each_time() -> None:
    once, again = (simulate(5, 0.5, tell=True) for _ in range(2))
    assert (once.digest, once.story) == (again.digest, again.story)


def test_another_seed_gives_something_else() -> None:
    assert simulate(5, 0.2).digest != simulate(6, 0.2).digest
