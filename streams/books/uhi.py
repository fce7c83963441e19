"""Histograms as bytes: UHI, axes and metadata as JSON, counts as little-endian integers, compressed."""

import json
import zlib
from typing import Any

import boost_histogram as bh
import numpy as np
from boost_histogram.serialization import from_uhi, to_uhi

from streams.books.book import Histogram

MAX_BYTES = 64 << 20
"""Bound of a histogram's size once it is decompressed."""


def encode(histogram: Histogram) -> bytes:
    """Return a histogram of 64-bit counts as compressed bytes: one line of JSON, then the counts, flow included."""
    uhi: dict[str, Any] = to_uhi(histogram)
    counts = np.ascontiguousarray(uhi["storage"].pop("values"), "<i8")
    head = json.dumps(uhi, separators=(",", ":")).encode()
    return zlib.compress(head + b"\n" + counts.tobytes(), level=1)


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
    head, newline, counts = plain.partition(b"\n")
    if not newline or not inflate.eof:
        raise ValueError("no histogram: it is cut short, or larger than can be")
    uhi = json.loads(head)
    shape = [axis["bins"] + axis["underflow"] + axis["overflow"] for axis in uhi["axes"]]
    uhi["storage"]["values"] = np.frombuffer(counts, "<i8").reshape(shape)
    return bh.Histogram(from_uhi(uhi))
