"""Hits of the trackers' boards from spills as JSON: the same columns as from DATE bytes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from schemas.records import MISSING
from streams.boards import BANK_CHANNELS, BANKS, BOARD_NAMES, LDCS, VLSB, VLSB_C
from streams.errors import BadDataError
from streams.unpack.hits import VlsbHits
from streams.unpack.json_values import number, own_trigger
from streams.unpack.vlsb import in_order

NAMES = (BOARD_NAMES[VLSB], BOARD_NAMES[VLSB_C])
"""Of the boards in the documents. The branch that they stand in, of one tracker or the other, says no more than the
bank does."""
_HIGHEST = {"bank": BANKS - 1, "channel": BANK_CHANNELS - 1, "adc": 255, "tdc": 255, "discriminator": 1}


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
    triggers = np.array([trigger for trigger, _ in hits], np.int32)
    ldc = [number(hit, "ldc_id", low=0, high=LDCS - 1) if "ldc_id" in hit else MISSING for _, hit in hits]
    order, twice = in_order(columns["bank"], triggers, columns["channel"])
    if twice >= 0:
        place = f"channel {columns['channel'][twice]} of bank {columns['bank'][twice]}"
        raise BadDataError("json", f"{place} comes twice in particle event {triggers[twice]}")
    return VlsbHits(ldc=np.array(ldc, np.int32), trigger=triggers, **columns).rows(order)
