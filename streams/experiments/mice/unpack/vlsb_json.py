"""Hits of the trackers' boards from spills as JSON: the same columns as from DATE bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from schemas.records import MISSING
from streams.errors import BadDataError
from streams.experiments.mice.boards import (
    BANK_CHANNELS,
    BANKS,
    BANKS_OF_BOARD,
    BOARD_NAMES,
    COSMIC_GEOS,
    LDCS,
    VLSB,
    VLSB_C,
)
from streams.experiments.mice.unpack.hits import VlsbHits
from streams.experiments.mice.unpack.json_values import number, own_trigger, spelled
from streams.experiments.mice.unpack.vlsb import in_order

NAMES = (BOARD_NAMES[VLSB], BOARD_NAMES[VLSB_C])
"""Of the boards in the documents. The branch that they stand in, of one tracker or the other, says no more than the
bank does."""
_HIGHEST = {"channel": BANK_CHANNELS - 1, "adc": 255, "tdc": 255}


def vlsb_hits(hits: Sequence[tuple[int, Mapping[str, Any]]]) -> VlsbHits:
    """Return the hits, (particle event, hit) each, in the order that they have in DATE bytes.

    Raises
    ------
    BadDataError
        When a number is absent or cannot be, or a channel comes twice in a particle event (step ``json``).
    """
    for trigger, hit in hits:
        own_trigger(hit, trigger)
    columns = {
        name: np.array([number(hit, name, low=0, high=high) for _, hit in hits], np.uint8)
        for name, high in _HIGHEST.items()
    }
    ldc = [number(hit, "ldc_id", low=0, high=LDCS - 1) if "ldc_id" in hit else MISSING for _, hit in hits]
    return in_order_of_date(
        VlsbHits(
            ldc=np.array(ldc, np.int32),
            bank=np.array([_bank(hit) for _, hit in hits], np.uint8),
            trigger=np.array([trigger for trigger, _ in hits], np.int32),
            discriminator=np.array([_discriminator(hit) for _, hit in hits], np.uint8),
            **columns,
        )
    )


def in_order_of_date(hits: VlsbHits) -> VlsbHits:
    """Return hits in the order that they have in DATE bytes.

    Raises
    ------
    BadDataError
        When a channel comes twice in a particle event (step ``json``).
    """
    order, twice = in_order(hits.bank, hits.trigger, hits.channel)
    if twice >= 0:
        place = f"channel {hits.channel[twice]} of bank {hits.bank[twice]}"
        raise BadDataError("json", f"{place} comes twice in particle event {hits.trigger[twice]}")
    return hits.rows(order)


def _bank(hit: Mapping[str, Any]) -> int:
    """Return the number of a hit's bank, 0 to 63; the boards in the cosmic format count their own four."""
    key = spelled(hit, "bank_id", "bank")
    if key == "bank_id" or hit.get("equip_type") != VLSB_C:
        return number(hit, key, low=0, high=BANKS - 1)
    board = COSMIC_GEOS.index(number(hit, "geo", low=COSMIC_GEOS[0], high=COSMIC_GEOS[-1]))
    return board * BANKS_OF_BOARD + number(hit, key, low=0, high=BANKS_OF_BOARD - 1)


def _discriminator(hit: Mapping[str, Any]) -> int:
    """Return the discriminator's bit: until 2012 a boolean, and not in all files since."""
    found = hit.get("discriminator", 0)
    return int(found) if isinstance(found, bool) else number(hit, "discriminator", 0, low=0, high=1)
