"""A detector that is not read out is no error: it is said once; one that is not read out at times is counted."""

import io
from dataclasses import fields

import pytest
from rich.console import Console

from dashboards.make import why_empty
from dashboards.pages import plots
from dashboards.pages.dialogs import counted
from dashboards.pages.strip import strip
from ops.tables import problems, run_table
from schemas.records import RawSpill
from streams.books import situation
from streams.books.totals import Totals
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import RunResult, process
from tests.catalogue import PLOTS
from tests.dashboards.views import CONDITIONS, text_of, view

OTHERS = {"ckov", "kl", "emr", "tracker", "scalers"}


def run_of(*detectors: tuple[str, ...], spills: int = 3) -> RunResult:
    """Return a run in which so many spills have each of these sets of detectors, one set after the other."""
    records, number = [], SimulatedRun().run
    for part, names in enumerate(detectors):
        run = SimulatedRun(spills=spills * len(detectors), mean_triggers=5, **({"detectors": names} if names else {}))
        records += [run.spill(part * spills + at).raw for at in range(spills)]
    assert all(isinstance(record, RawSpill) for record in records)
    return process(records, CONDITIONS)[number]


def test_a_detector_that_the_run_does_not_have_is_absent_without_an_error() -> None:
    result = run_of(("tof",))
    totals = result.part.totals
    assert (totals.filled, totals.errors, totals.first_errors) == (3, {}, {})
    assert situation.not_read_out(totals) == OTHERS
    assert situation.lapses(totals) == {}
    assert list(problems(result)) == []
    page = view(result.run_book())
    assert why_empty(PLOTS["hPMT1"], page) == "Cherenkov: not read out in this run"
    # A plot of several detectors names that which is missing.
    assert why_empty(PLOTS["across_kl"], page) == "Calorimeter: not read out in this run"
    assert "Cherenkov: not in the run" in text_of(counted(page))
    assert "Errors 0" in text_of(strip(page))
    links = {link.children: link for link in plots.navigation("/", situation.not_read_out(totals))}
    assert links["Cherenkov"].className == "absent"
    assert links["Cherenkov"].title == "Not read out in this run"
    assert links["Time of flight"].className == ""
    text = io.StringIO()
    Console(file=text, width=100).print(run_table(result))
    assert "ckov, emr, kl, scalers, tracker" in text.getvalue()


def test_a_detector_that_is_not_read_out_in_some_spills_is_told_with_their_number() -> None:
    result = run_of((), ("tof", "kl"))
    totals = result.part.totals
    assert (totals.filled, totals.errors) == (6, {})
    assert situation.not_read_out(totals) == set()
    assert situation.lapses(totals) == dict.fromkeys(sorted(OTHERS - {"kl"}), 3)
    assert "emr was not read out in 3 of 6 spills" in list(problems(result))
    page = view(result.run_book())
    assert "Errors 12" in text_of(strip(page))
    assert "Electron-muon ranger: 3 spills" in text_of(counted(page))


def test_what_is_absent_and_what_failed_first_add_up_in_any_order_and_come_back_from_where_they_are_stored() -> None:
    first, second = run_of((), ("tof",)).part.totals, Totals()
    first.first_errors = {"tof": (4, "b"), "kl": (2, "c")}
    second.first_errors, second.absent["kl"] = {"tof": (3, "z"), "emr": (9, "d")}, 2
    sums = []
    for one, other in ((first, second), (second, first)):
        both = Totals()
        both += one
        both += other
        sums.append(both)
    assert sums[0] == sums[1]
    assert sums[0].first_errors == {"tof": (3, "z"), "kl": (2, "c"), "emr": (9, "d")}
    assert sums[0].absent["kl"] == 5
    assert Totals.from_json(sums[0].to_json()) == sums[0]


@pytest.mark.parametrize("name", ["absent", "first_errors"])
def test_totals_of_before_are_read_without_what_they_did_not_keep(name: str) -> None:
    values = Totals(filled=3).to_json() | {"format": 2}
    del values[name]
    assert name in {each.name for each in fields(Totals)}
    assert Totals.from_json(values) == Totals(filled=3)
    assert situation.not_read_out(Totals.from_json(values)) == set()
