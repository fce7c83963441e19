"""Histograms as bytes: UHI, axes and metadata as JSON, then the cells that have counts; compressed."""

import json
import zlib
from math import prod
from typing import Any

import boost_histogram as bh
import numpy as np
from boost_histogram.serialization import from_uhi, to_uhi

from streams.books.book import Histogram

MAX_BYTES = 64 << 20
"""Bound of a histogram's size once it is decompressed."""
_CELL_BYTES = 12

_heads: dict[str, tuple[Any, bytes]] = {}
"""Plot → axes, and the line of JSON that says so: making it takes longer than all the rest."""


def encode(histogram: Histogram) -> bytes:
    """Return a histogram of 64-bit counts as compressed bytes.

    One line of JSON; then, of the cells with counts, flow included, the first axis fastest: their distances as 32-bit
    integers, their counts as 64-bit ones, little-endian.
    """
    counts = histogram.view(flow=True).ravel(order="F")
    filled = np.flatnonzero(counts)
    distances = np.diff(filled, prepend=0).astype("<u4")
    return zlib.compress(_head(histogram) + distances.tobytes() + counts[filled].astype("<i8").tobytes(), level=1)


def _head(histogram: Histogram) -> bytes:
    name: str = vars(histogram)["name"]
    axes, head = _heads.get(name, (None, b""))
    if axes != histogram.axes:
        uhi: dict[str, Any] = to_uhi(histogram)
        del uhi["storage"]["values"]
        head = json.dumps(uhi, separators=(",", ":")).encode() + b"\n"
        _heads[name] = histogram.axes, head
    return head


def decode(data: bytes) -> Histogram:
    """Return the histogram that `encode` made these bytes of.

    Raises
    ------
    ValueError
        When they are not such bytes.
    """
    inflate = zlib.decompressobj()
    try:
        plain = inflate.decompress(data, MAX_BYTES)
    except zlib.error as error:
        raise ValueError(f"no compressed histogram: {error}") from error
    head, newline, cells = plain.partition(b"\n")
    if not newline or not inflate.eof or len(cells) % _CELL_BYTES:
        raise ValueError("no histogram: it is cut short, or larger than can be")
    uhi = json.loads(head)
    shape = [axis["bins"] + axis["underflow"] + axis["overflow"] for axis in uhi["axes"]]
    if prod(shape) * 8 > MAX_BYTES:
        raise ValueError(f"no histogram: {shape} cells are more than can be")
    number = len(cells) // _CELL_BYTES
    counts = np.zeros(prod(shape), np.int64)
    filled = np.frombuffer(cells, "<u4", number).cumsum()
    if number and filled[-1] >= len(counts):
        raise ValueError(f"no histogram: it has no cell {filled[-1]}")
    counts[filled] = np.frombuffer(cells, "<i8", number, offset=4 * number)
    uhi["storage"]["values"] = counts.reshape(shape, order="F")
    return bh.Histogram(from_uhi(uhi))
