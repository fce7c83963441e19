"""Raw quantities of the boards' channels, as they are."""

import numpy as np

from schemas.records import MISSING
from streams.experiments.mice.tables.raw import Raw, RawDbbHits, RawFadcHits, RawTdcHits, RawVlsbHits
from streams.experiments.mice.unpack.hits import RawHits


def keep_raw(hits: RawHits) -> Raw:
    """Return the quantities that the expert's pages show."""
    tdc = hits.tdc.rows(hits.tdc.leading_time != MISSING)
    fadc, vlsb = hits.fadc, hits.vlsb
    dbb = hits.dbb_hits.rows(hits.dbb_hits.leading_time != MISSING)
    return Raw(
        tdc=RawTdcHits(trigger=tdc.trigger, geo=tdc.geo, channel=tdc.channel, leading_time=tdc.leading_time),
        fadc=RawFadcHits(
            trigger=fadc.trigger,
            equipment=fadc.equipment,
            geo=fadc.geo,
            channel=fadc.channel,
            pedestal=fadc.pedestal.astype(np.float32),
            charge_mm=fadc.charge_mm,
            position_min=fadc.position_min,
        ),
        vlsb=RawVlsbHits(trigger=vlsb.trigger, bank=vlsb.bank, adc=vlsb.adc, tdc=vlsb.tdc),
        dbb=RawDbbHits(geo=dbb.geo, channel=dbb.channel),
    )
