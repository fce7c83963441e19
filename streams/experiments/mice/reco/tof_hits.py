"""TOF digits and slab hits: which photomultipliers fired, when and how strongly."""

import numpy as np

from schemas.columns import I4, I8, Bools
from schemas.records import MISSING
from streams.arrays.equal_runs import equal_runs
from streams.arrays.stable_order import stable_order
from streams.experiments.mice.boards import GEOS, LDCS, V1724
from streams.experiments.mice.conditions.model import Conditions
from streams.experiments.mice.conditions.tof import PLANES, PMTS, SLABS, STATIONS, TofCabling
from streams.experiments.mice.tables.tof import TofDigits, TofSlabHits
from streams.experiments.mice.unpack.hits import RawHits, TdcHits

TDC_COUNT_NS = 0.025
TDC_PERIOD = 1 << 21
"""The TDC counter wraps after so many counts, 52.4288 µs."""
PHOTOMULTIPLIERS = STATIONS * PLANES * SLABS * PMTS
_PER_STATION = PLANES * SLABS * PMTS
_NONE = np.iinfo(np.int32).min


def tdc_difference(a: I4, b: I4) -> I4:
    """Return a - b in TDC counts, modulo the counter's period, between -26.2144 and 26.2144 µs."""
    half = TDC_PERIOD // 2
    return ((a.astype(np.int64) - b + half) % TDC_PERIOD - half).astype(np.int32)


def make_digits(hits: RawHits, conditions: Conditions, cabling: TofCabling) -> TofDigits:
    """Return the TDC hits of the stations' photomultipliers, with charges and trigger times.

    A hit is a digit if its board has a trigger and a trigger request in the same particle event, and its station any
    FADC hit; its charge is 0 if its own channel was zero-suppressed. A hit without a leading edge is dropped: the
    stand-in for its time would pass for the earliest. Rows are in the order of particle triggers and stations, and
    within them of the TDC hits.
    """
    tdc, fadc = hits.tdc, hits.fadc.rows(hits.fadc.equipment == V1724)
    fadc_pmt = cabling.fadc[fadc.ldc, fadc.geo, fadc.channel]
    fadc, fadc_pmt = fadc.rows(fadc_pmt >= 0), fadc_pmt[fadc_pmt >= 0]
    charge_mm = np.zeros((hits.triggers, PHOTOMULTIPLIERS), np.int32)
    charge_pm = np.zeros_like(charge_mm)
    charge_mm[fadc.trigger, fadc_pmt] = fadc.charge_mm
    charge_pm[fadc.trigger, fadc_pmt] = fadc.charge_pm
    station_read = np.zeros((hits.triggers, STATIONS), np.bool_)
    station_read[fadc.trigger, fadc_pmt // _PER_STATION] = True

    trigger_times = _first_times(hits.triggers, tdc, conditions.trigger)
    request_times = _first_times(hits.triggers, tdc, conditions.trigger_request)
    pmt = cabling.tdc[tdc.ldc, tdc.geo, tdc.channel]
    trigger_time = trigger_times[tdc.trigger, tdc.ldc, tdc.geo]
    request_time = request_times[tdc.trigger, tdc.ldc, tdc.geo]
    kept = np.flatnonzero(
        (pmt >= 0)
        & (tdc.leading_time != MISSING)
        & (trigger_time != _NONE)
        & (request_time != _NONE)
        & station_read[tdc.trigger, np.maximum(pmt, 0) // _PER_STATION]
    )
    kept = kept[stable_order(tdc.trigger[kept].astype(np.int64) * STATIONS + pmt[kept] // _PER_STATION)]
    pmt, trigger = pmt[kept], tdc.trigger[kept]
    return TofDigits(
        trigger=trigger,
        station=(pmt // _PER_STATION).astype(np.uint8),
        plane=(pmt // (SLABS * PMTS) % PLANES).astype(np.uint8),
        slab=(pmt // PMTS % SLABS).astype(np.uint8),
        pmt=(pmt % PMTS).astype(np.uint8),
        leading_time=tdc.leading_time[kept],
        trailing_time=tdc.trailing_time[kept],
        trigger_time=trigger_time[kept],
        request_time=request_time[kept],
        charge_mm=charge_mm[trigger, pmt],
        charge_pm=charge_pm[trigger, pmt],
    )


def _first_times(triggers: int, tdc: TdcHits, channels: Bools) -> I4:
    """Return (triggers, LDCS, GEOS) leading time of the first hit in these channels of each board, or `_NONE`."""
    found = tdc.rows(channels[tdc.ldc, tdc.geo, tdc.channel] & (tdc.leading_time != MISSING))
    board = (found.trigger.astype(np.int64) * LDCS + found.ldc) * GEOS + found.geo
    boards, first = np.unique(board, return_index=True)
    times = np.full((triggers, LDCS, GEOS), _NONE, np.int32)
    times.reshape(-1)[boards] = found.leading_time[first]
    return times


def make_slab_hits(digits: TofDigits) -> TofSlabHits:
    """Return the slabs whose two photomultipliers both have a digit, each with its earliest one.

    Rows are in the order of particle triggers, stations, planes and slabs.
    """
    # Earliest by the time since the trigger request: the counts themselves may wrap between two hits.
    since_request = tdc_difference(digits.leading_time, digits.request_time)
    pmt = ((digits.station.astype(np.int64) * PLANES + digits.plane) * SLABS + digits.slab) * PMTS + digits.pmt
    key: I8 = digits.trigger.astype(np.int64) * PHOTOMULTIPLIERS + pmt
    order = np.lexsort((since_request, key))
    first = order[equal_runs(key[order]).first]
    key = key[first]
    # PMTs of a slab have neighbouring keys, the even one first.
    both = np.flatnonzero((key[:-1] % PMTS == 0) & (key[1:] == key[:-1] + 1))
    one, two = first[both], first[both + 1]
    time_ns = since_request.astype(np.float64) * TDC_COUNT_NS
    time0_ns, time1_ns = time_ns[one], time_ns[two]
    charge0, charge1 = digits.charge_mm[one], digits.charge_mm[two]
    charge = charge0 + charge1
    product: I8 = charge0.astype(np.int64) * charge1
    return TofSlabHits(
        trigger=digits.trigger[one],
        station=digits.station[one],
        plane=digits.plane[one],
        slab=digits.slab[one],
        raw_time_ns=(time0_ns + time1_ns) / 2,
        raw_time0_ns=time0_ns,
        raw_time1_ns=time1_ns,
        charge=charge,
        charge0=charge0,
        charge1=charge1,
        charge_product=(product // np.where(charge == 0, 1, charge)).astype(np.int32),
    )
