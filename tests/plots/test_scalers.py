"""The scalers' table and strip charts."""

import numpy as np
import pytest

from schemas.records import MISSING
from streams.books.run import spill_facts
from streams.experiments.mice.plots.scalers import SCALERS, scaler_table
from streams.experiments.mice.tables.scalers import Scalers
from streams.plots.spillfacts import SpillFacts
from streams.transform import ledger_entry
from tests.records import reconstructed_spill


def facts(triggers: list[int]) -> SpillFacts:
    """Return spills whose scaler of the triggers counts this."""
    n = len(triggers)
    scalers = np.full((n, 32), MISSING, np.int32)
    scalers[:, 0] = triggers
    zeros = np.zeros(n, np.int32)
    return SpillFacts(
        spill=np.arange(n),
        missed=zeros,
        produced_ms=zeros,
        time_us=np.arange(n),
        triggers=zeros,
        size=zeros,
        scalers=scalers,
        delay_s=zeros,
        resident_mb=zeros,
    )


def test_the_table_has_last_value_recent_mean_and_mean_of_the_run() -> None:
    table = {row.name: row for row in scaler_table(facts([*range(40), MISSING]))}
    assert list(table) == [
        "Triggers",
        "Trigger requests",
        "GVA",
        "TOF0",
        "TOF1",
        "TOF2",
        "LM12",
        "LM34",
        "LM1234",
        "10 MHz clock",
    ]
    triggers = table["Triggers"]
    assert (triggers.last, triggers.recent, triggers.run) == (39, np.mean(range(30, 40)), np.mean(range(40)))
    assert np.isnan([table["GVA"].last, table["GVA"].recent, table["GVA"].run]).all()


def test_a_table_of_no_spills_has_no_numbers() -> None:
    assert all(np.isnan(row.run) for row in scaler_table(facts([])))


def test_strip_charts_show_what_the_spills_counted() -> None:
    spills = [reconstructed_spill(n) for n in range(3)]
    ledger = {spill.spill: ledger_entry(spill) for spill in (*spills, reconstructed_spill(3, scalers=None))}
    found = {trend.title: np.asarray(trend.value(spill_facts(ledger)), float) for trend in SCALERS.trends}
    assert found.keys() == {f"Scaler: {name}" for name in ("Triggers", "Trigger requests", "TOF0", "TOF1", "TOF2")}
    counts = [scalers.counts.count[3] for spill in spills if (scalers := spill.get(Scalers)) is not None]
    assert found["Scaler: TOF0"] == pytest.approx([*counts, np.nan], nan_ok=True)
    assert {trend.last for trend in SCALERS.trends} == {400}
