"""Raw quantities: each channel in its own column."""

from collections import Counter

import numpy as np

from streams.books.book import fill
from streams.experiments.mice.boards import V1724, V1731
from streams.experiments.mice.tables.raw import Raw, RawDbbHits, RawFadcHits, RawTdcHits, RawVlsbHits
from tests.records import reconstructed_spill


def test_each_channel_fills_its_own_column() -> None:
    spills = [reconstructed_spill(n) for n in range(4)]
    filled = fill(spills, {})
    book, failures = filled.book, filled.failures
    assert failures == {}
    hits = Counter(
        32 * geo + channel
        for spill in spills
        if (raw := spill.get(Raw)) is not None
        for geo, channel in zip(raw.tdc.geo.tolist(), raw.tdc.channel.tolist(), strict=True)
    )
    assert {int(at): n for at, n in enumerate(book["raw_v1290_hits"].view()) if n} == hits
    assert book["raw_v1290_time"].view().sum(axis=1).tolist() == book["raw_v1290_hits"].view().tolist()


def test_boards_and_numbers_that_are_lacking_stay_apart() -> None:
    fadc = RawFadcHits(
        trigger=[0, 0, 0],
        equipment=[V1724, V1731, V1731],
        geo=[2, 3, 3],
        channel=[1, 4, 5],
        pedestal=[9000.0, 144.0, 145.0],
        charge_mm=[700, 12, 13],
        position_min=[10, 40, -99],
    )
    raw = Raw(
        tdc=RawTdcHits.empty(),
        fadc=fadc,
        vlsb=RawVlsbHits(trigger=[0], bank=[40], adc=[51], tdc=[100]),
        dbb=RawDbbHits(geo=[47, 47, 3], channel=[63, 63, 0]),
    )
    book = fill([reconstructed_spill(0, raw=raw, triggers=1)], {}).book
    assert np.argwhere(book["raw_v1724_charge_mm"].view()).tolist() == [[17, 700 // 50]]
    assert np.argwhere(book["raw_v1731_pedestal"].view()).tolist() == [[28, 32], [29, 34]]
    assert np.argwhere(book["raw_v1731_position_min"].view()).tolist() == [[28, 10]]
    assert np.argwhere(book["raw_vlsb_adc"].view()).tolist() == [[40, 25]]
    assert np.argwhere(book["raw_vlsb_tdc"].view()).tolist() == [[40, 50]]
    assert np.argwhere(book["raw_vlsb_adc_tdc"].view()).tolist() == [[50, 25]]
    assert np.argwhere(book["raw_dbb_hits"].view()).tolist() == [[3, 0], [47, 63]]
    assert book["raw_dbb_hits"].view()[47, 63] == 2
