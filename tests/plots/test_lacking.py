"""A plot needs the tables that it is filled from."""

from dataclasses import replace

from streams.experiment import experiment
from tests.catalogue import PLOTS


def test_a_plot_needs_the_detector_and_the_tables_that_it_asks_for() -> None:
    assert experiment().needs(PLOTS["ht01"]) == {"tof", "tof.space_points"}
    assert experiment().needs(PLOTS["tof_A"]) == {"tof", "tof.space_points", "ckov", "ckov.digits"}
    assert [name for name, plot in PLOTS.items() if not experiment().needs(plot)] == [], "each is of some detector"


def test_it_lacks_as_many_spills_as_the_worst_of_them() -> None:
    lacking = {"tof.space_points": 3, "ckov": 4, "tracker": 9}
    found = {
        name: experiment().spills_without(PLOTS[name], lacking)
        for name in ("ht01", "hslabhits00", "tof_A", "hPMT1", "h1")
    }
    assert found == {"ht01": 3, "hslabhits00": 0, "tof_A": 4, "hPMT1": 4, "h1": 0}


def test_a_plot_that_fails_on_nothing_needs_what_it_asked_for_before() -> None:
    def failing(batch: object) -> tuple[()]:
        PLOTS["ht01"].fill(batch)  # type: ignore[arg-type]
        raise IndexError

    assert experiment().needs(replace(PLOTS["h1"], fill=failing)) == {"tof", "tof.space_points"}
