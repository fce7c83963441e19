"""Plots of the calorimeter (KL)."""

import numpy as np
import numpy.typing as npt

from schemas.columns import F8
from streams.experiments.mice.conditions.kl import CELLS, PMTS
from streams.experiments.mice.plots.kinds import CHARGES, KIND, UNKNOWN, kinds
from streams.experiments.mice.tables.kl import KlCellHits, KlDigits
from streams.plots.batch import Batch
from streams.plots.model import Axis, DetectorPlots, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_EXPERT = "KL expert on call"
_CELL = Axis(label="Cell", bins=CELLS, low=-0.5, high=CELLS - 0.5)
_PMT = Axis(label="Photomultiplier", bins=PMTS, low=-0.5, high=PMTS - 0.5)


def _charge(label: str) -> Axis:
    return Axis(label=label, unit="ADC counts", bins=100, low=0, high=5000)


def _cell_and_pmt(batch: Batch) -> _Values:
    digits = batch.join(KlDigits)
    return digits.cell, digits.pmt


def charge_of_cells(batch: Batch) -> F8:
    """Return (triggers,) charge of all cells together; ask for it with `Batch.once`."""
    hits = batch.join(KlCellHits)
    return np.bincount(hits.trigger, weights=hits.charge, minlength=batch.triggers).astype(np.float64)


def _charge_and_kind(batch: Batch) -> _Values:
    """Return kind and charge of each particle trigger of a known kind that left a cell hit."""
    hits, charge = batch.join(KlCellHits), batch.once(charge_of_cells)
    kind = batch.once(kinds)
    known = np.flatnonzero((kind != UNKNOWN) & (np.bincount(hits.trigger, minlength=batch.triggers) > 0))
    return kind[known], charge[known]


PLOTS = (
    Plot(
        name="h1",
        detector="kl",
        title="KL charge",
        axes=(_charge("Charge"),),
        fill=lambda batch: (batch.join(KlDigits).charge_mm,),
        canvas="KL",
        keywords=("KL",),
        words=Words(
            shows="Charge of every photomultiplier that is above the threshold, maximum minus minimum over the gain.",
            normal="A hump of muons and pions near 1 100 counts with a long tail of electrons' showers to its right.",
            action="The hump moved: high voltage or gains changed. A spike at the left end: noise at the threshold.",
            call=_EXPERT,
        ),
    ),
    Plot(
        name="h2",
        detector="kl",
        title="KL product of charges",
        axes=(_charge("Product of the two charges over their mean"),),
        fill=lambda batch: (batch.join(KlCellHits).charge_product,),
        canvas="KL",
        keywords=("KL",),
        words=Words(
            shows="2 a b / (a + b) of the charges a and b at the two ends of each cell that both saw light: "
            "it hardly depends on where along the cell the particle went.",
            normal="The hump of the charges, narrower.",
            action="Empty while the charges are not: one side is not read out. Wider than the charges: two cables of "
            "a cell are swapped with another's.",
            call=_EXPERT,
        ),
    ),
    Plot(
        name="h3",
        detector="kl",
        title="KL beam profile in y",
        axes=(_CELL,),
        fill=lambda batch: (batch.join(KlDigits).cell,),
        canvas="KL",
        keywords=("KL",),
        words=Words(
            shows="Cells whose photomultipliers saw light, from bottom to top.",
            normal="One smooth hump near the middle: the beam's profile, widened by showers.",
            action="A cell at half its neighbours' height: one of its photomultipliers is silent; see which in the map "
            "beside. A shifted hump: ask the beam operator for the last change of a magnet.",
            call=_EXPERT,
        ),
    ),
    Plot(
        name="h4",
        detector="kl",
        title="KL digits by cell and photomultiplier",
        axes=(_CELL, _PMT),
        fill=_cell_and_pmt,
        canvas="KL",
        keywords=("KL",),
        words=Words(
            shows="Which photomultiplier of which cell saw light.",
            normal="Both rows alike, full in the middle.",
            action="An empty field between full ones: check that photomultiplier's high voltage and cable. A field far "
            "above the other of its cell: noise.",
            call=_EXPERT,
        ),
    ),
    Plot(
        name="kl_charge_kind",
        detector="kl",
        title="KL charge by kind of particle",
        axes=(KIND, Axis(label="Charge of all cells", unit="ADC counts", bins=100, low=0, high=10_000)),
        fill=_charge_and_kind,
        expert=True,
        canvas="KL_kinds",
        keywords=("KL", "kind", "charge"),
        words=Words(
            shows="Charge of all cells together, of each particle whose time of flight from TOF0 to TOF1 tells its "
            "kind.",
            normal="Muons and pions in one band near 1 700 counts; electrons far above it, with their showers.",
            action="Bands alike: the times of flight are shifted, look there first; a beam of another momentum has "
            "muons and pions elsewhere. All bands moved: high voltage or gains.",
            call=_EXPERT,
        ),
        measures=CHARGES,
    ),
)

KL = DetectorPlots(name="kl", title="Calorimeter", plots=PLOTS, overview=("h1", "h3"))
