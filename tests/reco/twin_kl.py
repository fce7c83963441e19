"""KL written straight from the experiment's description: loops over hits, no columns."""

from streams.experiments.mice.conditions.kl import KlPmts
from streams.experiments.mice.unpack.hits import RawHits


def digits(hits: RawHits, pmts: KlPmts) -> list[tuple[int, ...]]:
    """Return (trigger, cell, pmt, charge_mm, charge_pm, position_max) of each digit."""
    names = ("trigger", "equipment", "ldc", "geo", "channel", "charge_mm", "charge_pm", "position_max")
    fadc = list(zip(*(getattr(hits.fadc, name).tolist() for name in names), strict=True))
    found = []
    for event in range(hits.triggers):
        for trigger, equipment, ldc, geo, channel, charge_mm, charge_pm, position_max in fadc:
            index = int(pmts.fadc[ldc, geo, channel])
            if trigger == event and equipment == 120 and index >= 0:
                gain = float(pmts.gain[index])
                by_pedestal = -99 if charge_pm == -99 else int(charge_pm / gain)
                found.append((event, *divmod(index, 2), int(charge_mm / gain), by_pedestal, position_max))
    return found


def cell_hits(found: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Return (trigger, cell, charge, charge_product) of each cell with a digit at both ends."""
    charges: dict[tuple[int, int, int], int] = {}
    for event, cell, pmt, charge, _, _ in found:
        charges.setdefault((event, cell, pmt), charge)
    out = []
    for event, cell, pmt in sorted(charges):
        if pmt == 0 and (event, cell, 1) in charges:
            a, b = charges[event, cell, 0], charges[event, cell, 1]
            out.append((event, cell, (a + b) // 2, 2 * a * b // (a + b) if a + b else 0))
    return out
