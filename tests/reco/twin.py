"""TOF written straight from the experiment's description: loops over hits, no columns."""

import math

import numpy as np

from streams.experiments.mice.conditions.tof import PLANES, PMTS, SLABS, TofCalibration
from streams.experiments.mice.unpack.hits import RawHits

NOT_THERE = -99


def digits(hits: RawHits, conditions) -> list[tuple]:
    """Return (trigger, station, plane, slab, pmt, leading, request, charge) of each digit."""
    found = []
    cabling = conditions.tof_cabling
    tdc = list(
        zip(*(getattr(hits.tdc, n).tolist() for n in ("trigger", "ldc", "geo", "channel", "leading_time")), strict=True)
    )
    fadc = list(
        zip(
            *(getattr(hits.fadc, n).tolist() for n in ("trigger", "ldc", "geo", "channel", "charge_mm", "equipment")),
            strict=True,
        )
    )
    for event in range(hits.triggers):
        charges = {}
        for trigger, ldc, geo, channel, charge, equipment in fadc:
            if trigger == event and equipment == 120 and cabling.fadc[ldc, geo, channel] >= 0:
                charges[int(cabling.fadc[ldc, geo, channel])] = charge
        stations = {pmt // (PLANES * SLABS * PMTS) for pmt in charges}
        first = {}
        for trigger, ldc, geo, channel, leading in tdc:
            for name, mask in (("trigger", conditions.trigger), ("request", conditions.trigger_request)):
                if trigger == event and mask[ldc, geo, channel] and leading != NOT_THERE:
                    first.setdefault((name, ldc, geo), leading)
        for station in range(3):
            for trigger, ldc, geo, channel, leading in tdc:
                pmt = int(cabling.tdc[ldc, geo, channel])
                if trigger != event or pmt < 0 or pmt // (PLANES * SLABS * PMTS) != station or leading == NOT_THERE:
                    continue
                if station not in stations or ("trigger", ldc, geo) not in first or ("request", ldc, geo) not in first:
                    continue
                place = (pmt // (SLABS * PMTS) % PLANES, pmt // PMTS % SLABS, pmt % PMTS)
                found.append((event, station, *place, leading, first["request", ldc, geo], charges.get(pmt, 0)))
    return found


def slab_hits(found: list[tuple]) -> list[tuple]:
    """Return (trigger, station, plane, slab, time0, time1, charge0, charge1) of each slab hit, in their order."""
    earliest: dict[tuple, tuple] = {}
    for *place, leading, request, charge in found:
        counts = (leading - request) % 2**21
        counts -= 2**21 if counts >= 2**20 else 0
        key = tuple(place)
        if key not in earliest or counts < earliest[key][0]:
            earliest[key] = (counts, charge)
    out = []
    for *slab, pmt in sorted(earliest):
        if pmt == 0 and (*slab, 1) in earliest:
            (t0, q0), (t1, q1) = earliest[*slab, 0], earliest[*slab, 1]
            out.append((*slab, t0 * 0.025, t1 * 0.025, q0, q1))
    return out


def correction(station, plane, slab, pmt, charge, delay_ps, calibration: TofCalibration) -> float:
    """Return dT in ns, NaN if not calibrated."""
    index = ((station * PLANES + plane) * SLABS + slab) * PMTS + pmt
    p0, p1, p2, p3 = calibration.pmts.time_walk[index].tolist()
    t0 = float(calibration.pmts.t0_ps[index])
    x = charge + p0
    if 0 in (p0, p1, p2, p3, t0, x):
        return math.nan
    walk = p1 + p2 / x + p3 / x**2
    total = t0 - walk - delay_ps
    if station == calibration.trigger_station:
        reference = int(calibration.pmts.reference_slab[index])
        pixel = (slab, reference) if plane == 0 else (reference, slab)
        total += float(calibration.trigger_delay_ps[pixel])
    return total / 1000


def space_points(triggers: int, hits: list[tuple], calibration: TofCalibration) -> list[tuple]:
    """Return (trigger, station, slabx, slaby, time, dt) of each space point."""

    def time(hit, delay_ps) -> float:
        _, station, plane, slab, t0, t1, q0, q1 = hit
        raw = [
            t - correction(station, plane, slab, pmt, q, delay_ps, calibration)
            for pmt, (t, q) in enumerate(((t0, q0), (t1, q1)))
        ]
        return sum(raw) / 2

    out = []
    for event in range(triggers):
        of = {s: {p: [h for h in hits if h[:3] == (event, s, p)] for p in (0, 1)} for s in range(3)}
        delay = None
        trigger_station = of[calibration.trigger_station]
        for x in trigger_station[0]:
            for y in trigger_station[1]:
                candidate = float(calibration.trigger_delay_ps[x[3], y[3]])
                if delay is None and abs((time(x, candidate) + time(y, candidate)) / 2) < 0.5:
                    delay = candidate
        if delay is None:
            continue
        for station in range(3):
            for x in of[station][0]:
                for y in of[station][1]:
                    tx, ty = time(x, delay), time(y, delay)
                    if abs(tx - ty) < 0.5:
                        out.append((event, station, x[3], y[3], (tx + ty) / 2, tx - ty))
    return out


def near(a: list[tuple], b: list[tuple]) -> bool:
    """Say whether rows are the same, times to a femtosecond."""
    return len(a) == len(b) and all(np.allclose(x, y, rtol=0, atol=1e-6) for x, y in zip(a, b, strict=True))
