"""Raw quantities of the trackers' boards, for the expert: counts by bank, and ADC against TDC."""

import numpy.typing as npt

from streams.experiments.mice.boards import BANKS
from streams.experiments.mice.tables.raw import RawVlsbHits
from streams.plots.batch import Batch
from streams.plots.model import Axis, Plot, Words

_BANK = Axis(label="Bank", bins=BANKS, low=-0.5, high=BANKS - 0.5)
_CALL = "DAQ expert on call"


def _counts(label: str) -> Axis:
    return Axis(label=label, unit="counts", bins=128, low=0, high=256)


def _by_bank(quantity: str, words: Words) -> Plot:
    label = quantity.upper()

    def fill(batch: Batch) -> tuple[npt.ArrayLike, ...]:
        hits = batch.join(RawVlsbHits)
        return hits.bank, getattr(hits, quantity)

    return Plot(
        name=f"raw_vlsb_{quantity}",
        detector="raw",
        title=f"VLSB {label} by bank",
        axes=(_BANK, _counts(label)),
        fill=fill,
        expert=True,
        canvas="raw_VLSB",
        boards_of=frozenset({"tracker"}),
        keywords=("raw", "VLSB", label, "bank"),
        words=words,
    )


def _adc_against_tdc() -> Plot:
    def fill(batch: Batch) -> tuple[npt.ArrayLike, ...]:
        hits = batch.join(RawVlsbHits)
        return hits.tdc, hits.adc

    return Plot(
        name="raw_vlsb_adc_tdc",
        detector="raw",
        title="VLSB ADC against TDC",
        axes=(_counts("TDC"), _counts("ADC")),
        fill=fill,
        canvas="raw_VLSB",
        boards_of=frozenset({"tracker"}),
        keywords=("TDC", "ADC", "counts"),
        words=Words(
            shows="ADC and TDC of every channel of the trackers' boards that was read out.",
            normal="A band of light at the time of the beam, above the pedestals.",
            action="Light at other times: the trackers' trigger timing changed. No light: see the trackers' pages.",
            call=_CALL,
        ),
    )


VLSB_PLOTS = (
    _by_bank(
        "adc",
        Words(
            shows="ADC of every channel of the trackers' boards that was read out, by bank; four banks make a board.",
            normal="Alike in the banks of a tracker: pedestals at 12 to 49 counts, light above; some banks have no "
            "cables.",
            action="A bank empty: the board or its cable. A bank at other counts: bias voltage or pedestals.",
            call=_CALL,
        ),
    ),
    _by_bank(
        "tdc",
        Words(
            shows="TDC of every channel of the trackers' boards that was read out, by bank.",
            normal="A spot at the same time in all banks.",
            action="The spot of a board moved: its timing. Of all boards: the trackers' trigger.",
            call=_CALL,
        ),
    ),
    _adc_against_tdc(),
)
