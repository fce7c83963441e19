"""Calorimeter (KL): digits and cell hits over the columns of a whole spill."""

import numpy as np

from schemas.columns import F8, I4
from schemas.records import MISSING
from streams.arrays.stable_order import stable_order
from streams.errors import DetectorError
from streams.experiments.mice.boards import V1724
from streams.experiments.mice.conditions.kl import CELLS, PMTS, KlPmts
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.tables.kl import Kl, KlCellHits, KlDigits
from streams.experiments.mice.unpack.hits import FadcHits, RawHits

_MAX_CHARGE = np.iinfo(np.int32).max


def reconstruct_kl(hits: RawHits, conditions: Conditions) -> Kl:
    """Return what the calorimeter makes of a spill.

    Raises
    ------
    DetectorError
        When the conditions lack its cabling or gains, or a charge cannot be.
    """
    if conditions.kl_pmts is None:
        raise DetectorError("no cabling or no gains: the run's conditions lack a table kl_channels or kl_gains")
    digits = make_digits(hits.fadc, conditions.kl_pmts)
    return Kl(digits=digits, hits=make_cell_hits(digits))


def make_digits(fadc: FadcHits, pmts: KlPmts) -> KlDigits:
    """Return every FADC hit of the calorimeter's photomultipliers, both its charges divided by the gain and truncated.

    Rows are in the order of particle triggers, and within them of the FADC hits.
    """
    pmt = np.where(fadc.equipment == V1724, pmts.fadc[fadc.ldc, fadc.geo, fadc.channel], -1)
    mine = np.flatnonzero(pmt >= 0)
    mine = mine[stable_order(fadc.trigger[mine])]
    pmt = pmt[mine]
    charge_mm, charge_pm = (charge[mine] / pmts.gain[pmt] for charge in (fadc.charge_mm, fadc.charge_pm))
    _check(charge_mm, charge_pm, fadc.trigger[mine], pmt)
    return KlDigits(
        trigger=fadc.trigger[mine],
        cell=(pmt // PMTS).astype(np.uint8),
        pmt=(pmt % PMTS).astype(np.uint8),
        charge_mm=charge_mm.astype(np.int32),
        charge_pm=np.where(fadc.charge_pm[mine] == MISSING, MISSING, charge_pm).astype(np.int32),
        position_max=fadc.position_max[mine],
    )


def _check(charge_mm: F8, charge_pm: F8, trigger: I4, pmt: I4) -> None:
    """Refuse charges that none can be, which a document may hold: a maximum is at least the minimum."""
    for charge, least in ((charge_mm, 0), (charge_pm, -_MAX_CHARGE)):
        if (bad := (charge < least) | (charge > _MAX_CHARGE)).any():
            at = bad.argmax()
            place = f"cell {pmt[at] // PMTS}, photomultiplier {pmt[at] % PMTS}, particle trigger {trigger[at]}"
            raise DetectorError(f"a charge of {charge[at]:.0f} ADC counts in {place}")


def make_cell_hits(digits: KlDigits) -> KlCellHits:
    """Return the cells whose two photomultipliers both have a digit, of each its first.

    Rows are in the order of particle triggers and cells.
    """
    key = (digits.trigger.astype(np.int64) * CELLS + digits.cell) * PMTS + digits.pmt
    key, first = np.unique(key, return_index=True)
    # The photomultipliers of a cell have neighbouring keys, the even one first.
    both = np.flatnonzero((key[:-1] % PMTS == 0) & (key[1:] == key[:-1] + 1))
    one, two = first[both], first[both + 1]
    charge0, charge1 = digits.charge_mm[one].astype(np.int64), digits.charge_mm[two].astype(np.int64)
    charge = charge0 + charge1
    return KlCellHits(
        trigger=digits.trigger[one],
        cell=digits.cell[one],
        charge=(charge // 2).astype(np.int32),
        charge_product=(2 * charge0 * charge1 // np.maximum(charge, 1)).astype(np.int32),
    )
