"""Raw quantities by board and channel, for the expert: all channels of a kind of board side by side."""

import numpy as np
import numpy.typing as npt

from schemas.records import MISSING
from streams.experiments.mice.boards import BOARD_NAMES, DBB_CHANNELS, DBB_GEOS, V1290, V1724, V1731
from streams.experiments.mice.plots.raw_vlsb import VLSB_PLOTS
from streams.experiments.mice.tables.raw import RawDbbHits, RawFadcHits, RawTdcHits
from streams.plots.batch import Batch
from streams.plots.model import Axis, DetectorPlots, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_CALL = "DAQ expert on call"
_CHANNELS = {V1290: 32, V1724: 8, V1731: 8}
"""Channels of a board."""
_BOARDS = {V1290: 8, V1724: 24, V1731: 16}
"""Geos that the experiment uses lie below; what lies above is counted in the overflow."""
_DETECTORS = {V1290: frozenset({"tof"}), V1724: frozenset({"tof", "kl"}), V1731: frozenset({"ckov", "emr"})}
"""That are cabled to boards of a kind."""
_TDC_PERIOD = 1 << 21


def _channel_axis(board: int) -> Axis:
    bins = _BOARDS[board] * _CHANNELS[board]
    names = tuple(f"geo {number // _CHANNELS[board]}, channel {number % _CHANNELS[board]}" for number in range(bins))
    return Axis(label=f"Geo × {_CHANNELS[board]} + channel", bins=bins, low=-0.5, high=bins - 0.5, names=names)


def _hits_plot() -> Plot:
    def fill(batch: Batch) -> _Values:
        hits = batch.join(RawTdcHits)
        return (hits.geo.astype(np.int32) * _CHANNELS[V1290] + hits.channel,)

    return Plot(
        name="raw_v1290_hits",
        detector="raw",
        title="V1290 hits by channel",
        axes=(_channel_axis(V1290),),
        fill=fill,
        canvas="raw_V1290",
        boards_of=_DETECTORS[V1290],
        keywords=("raw", "TDC", "V1290", "hits", "channel"),
        words=Words(
            shows="Leading edges of each channel of the TDC boards.",
            normal="Channels 0 and 1 of each board have one hit a particle trigger; the others follow the beam's spot.",
            action="A channel that is empty between full ones: its discriminator or cable. One far above: noise.",
            call=_CALL,
        ),
        log=True,
    )


def _times_plot() -> Plot:
    def fill(batch: Batch) -> _Values:
        hits = batch.join(RawTdcHits)
        return hits.geo.astype(np.int32) * _CHANNELS[V1290] + hits.channel, hits.leading_time

    return Plot(
        name="raw_v1290_time",
        detector="raw",
        title="V1290 leading time by channel",
        axes=(
            _channel_axis(V1290),
            Axis(label="Leading time", unit="counts of 25 ps", bins=64, low=0, high=_TDC_PERIOD),
        ),
        fill=fill,
        canvas="raw_V1290",
        boards_of=_DETECTORS[V1290],
        keywords=("raw", "TDC", "V1290", "time", "channel"),
        words=Words(
            shows="The TDC's own counter at each leading edge; it wraps every 52.4 µs.",
            normal="Flat along each channel: triggers come at any phase of the counter.",
            action="Bands or gaps: a clock or a bit of the board is stuck.",
            call=_CALL,
        ),
    )


def _fadc_plot(board: int, quantity: str, axis: Axis, words: Words) -> Plot:
    name = BOARD_NAMES[board]

    def fill(batch: Batch) -> _Values:
        hits = batch.join(RawFadcHits)
        values = getattr(hits, quantity)
        here = (hits.equipment == board) & (values != MISSING)
        return hits.geo[here].astype(np.int32) * _CHANNELS[board] + hits.channel[here], values[here]

    return Plot(
        name=f"raw_{name.lower()}_{quantity}",
        detector="raw",
        title=f"{name} {axis.label.lower()} by channel",
        axes=(_channel_axis(board), axis),
        fill=fill,
        canvas=f"raw_{name}",
        boards_of=_DETECTORS[board],
        keywords=("raw", "FADC", name, quantity, "channel"),
        words=words,
    )


def _pedestal(board: int, bins: int, low: float, high: float) -> Plot:
    words = Words(
        shows="Mean of the samples away from the pulse, of each channel with samples.",
        normal=f"One narrow spot a channel, level in time; above it those of pulses that reach into these samples. A "
        f"bin is {(high - low) / bins:g} counts.",
        action="A wide or a second spot: noise or a pedestal that moved. A channel without entries while its hits are "
        "there: a pedestal beyond the axis, as without input.",
        call=_CALL,
    )
    axis = Axis(label="Pedestal", unit="ADC counts", bins=bins, low=low, high=high)
    return _fadc_plot(board, "pedestal", axis, words)


def _charge(board: int, bins: int, high: float) -> Plot:
    words = Words(
        shows="Maximum minus minimum of the samples, of each channel with samples.",
        normal="A falling or humped distribution, alike in neighbouring channels.",
        action="One channel much lower than its neighbours: high voltage or a dying photomultiplier.",
        call=_CALL,
    )
    axis = Axis(label="Charge", unit="ADC counts", bins=bins, low=0, high=high)
    return _fadc_plot(board, "charge_mm", axis, words)


def _position(board: int, high: float) -> Plot:
    words = Words(
        shows="Sample of the minimum, of each channel with samples.",
        normal="V1731: a spot inside the gate, samples 20 to 80, over a flat floor. V1724, whose pulses are positive: "
        "flat.",
        action="The spot moved: the timing of the trigger or of a cable changed.",
        call=_CALL,
    )
    axis = Axis(label="Position of the minimum", unit="samples", bins=64, low=0, high=high)
    return _fadc_plot(board, "position_min", axis, words)


def _dbb_plot() -> Plot:
    def fill(batch: Batch) -> _Values:
        hits = batch.join(RawDbbHits)
        return hits.geo, hits.channel

    return Plot(
        name="raw_dbb_hits",
        detector="raw",
        title="DBB hits by channel",
        axes=(
            Axis(label="Geo", bins=DBB_GEOS, low=-0.5, high=DBB_GEOS - 0.5),
            Axis(label="Channel", bins=DBB_CHANNELS, low=-0.5, high=DBB_CHANNELS - 0.5),
        ),
        fill=fill,
        expert=True,
        canvas="raw_DBB",
        boards_of=frozenset({"emr"}),
        keywords=("raw", "DBB", "hits", "channel"),
        words=Words(
            shows="Leading edges of each channel of the EMR's boards, one board a plane.",
            normal="The channel that records the triggers has one hit a particle trigger; the others follow the beam, "
            "fewer the deeper the plane.",
            action="A column empty: the board or its high voltage. A single channel empty: a fibre or a threshold. "
            "One far above its neighbours: noise.",
            call=_CALL,
        ),
        log=True,
    )


RAW = DetectorPlots(
    name="raw",
    title="Raw (expert)",
    plots=(
        _hits_plot(),
        _times_plot(),
        _pedestal(V1724, 100, 8_000, 10_000),
        _charge(V1724, 100, 5_000),
        _position(V1724, 256),
        _pedestal(V1731, 64, 128, 160),
        _charge(V1731, 80, 160),
        _position(V1731, 256),
        *VLSB_PLOTS,
        _dbb_plot(),
    ),
    overview=(),
)
