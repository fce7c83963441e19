"""The counts of one plot: quick to add and to store, and a histogram when somebody looks at them."""

import json
from functools import lru_cache
from math import prod
from typing import Any, Self

import boost_histogram as bh
import cramjam
import numpy as np
from boost_histogram.serialization import from_uhi, to_uhi

from schemas.columns import I8

Histogram = bh.Histogram[bh.storage.Int64]
"""64-bit counts: sums of integers do not depend on their order, so equal means bit for bit."""

Axes = bh.axis.AxesTuple

MAX_BYTES = 64 << 20
"""Bound of a histogram's size once it is decompressed."""
EDGE = 1e-6
"""Edges that differ by a smaller share of a bin are the same: each library has its own last digit."""
_CELL_BYTES = 12
_SIZE_BYTES = 4
"""In front of what is compressed: the size that it had."""

_heads: dict[str, tuple[Any, bytes]] = {}
"""Plot → axes, and the line of JSON that says so: making it takes longer than all the rest."""


class Cells:
    """The counts of a plot. A histogram of it costs ten times as much to copy or to add.

    Parameters
    ----------
    head
        The line of JSON that has axes and metadata, as UHI has them.
    counts
        (cells,) flow included, the first axis fastest.
    """

    __slots__ = ("counts", "head")

    def __init__(self, head: bytes, counts: I8) -> None:
        self.head = head
        self.counts = counts

    @classmethod
    def of(cls, histogram: Histogram) -> Self:
        """Return a copy of the counts of a histogram."""
        return cls(_head(histogram), histogram.view(flow=True).flatten(order="F"))

    def histogram(self) -> Histogram:
        """Return a histogram of the counts as they are now."""
        histogram = _empty(self.head).copy(deep=False)  # counts, not axes, which nothing changes
        view = histogram.view(flow=True)
        view[...] = self.counts.reshape(view.shape, order="F")
        return histogram

    @property
    def axes(self) -> Axes:
        """Those of the histogram."""
        return _empty(self.head).axes

    def view(self) -> I8:
        """Return the counts by bin along each axis, flow included, as a histogram's view has them."""
        return self.counts.reshape(self.axes.extent, order="F")

    def copy(self) -> "Cells":
        """Return counts that grow by themselves."""
        return Cells(self.head, self.counts.copy())

    def __iadd__(self, other: "Cells") -> Self:
        """Add the counts of another; raises ValueError if its axes are others."""
        if self.head != other.head and _empty(self.head).axes != _empty(other.head).axes:
            raise ValueError("histograms with other axes do not add")
        self.counts += other.counts
        return self

    def pack(self) -> bytes:
        """Return the counts as compressed bytes.

        One line of JSON; then, of the cells with counts, their distances as 32-bit integers, their counts as 64-bit
        ones, little-endian.
        """
        filled = self.counts.nonzero()[0]
        distances = filled.astype("<u4")
        distances[1:] -= distances[:-1].copy()
        plain = self.head + distances.tobytes() + self.counts[filled].astype("<i8", copy=False).tobytes()
        # A checkpoint has hundreds of them: lz4 takes an eighth of the time of zlib, and two thirds more room.
        return bytes(cramjam.lz4.compress_block(plain))

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """Return the counts that `pack` made these bytes of.

        Raises
        ------
        ValueError
            When they are not such bytes.
        """
        size = int.from_bytes(data[:_SIZE_BYTES], "little")
        try:
            plain = bytes(cramjam.lz4.decompress_block(data)) if size <= MAX_BYTES else b""
        except cramjam.DecompressionError as error:
            raise ValueError(f"no compressed histogram: {error}") from error
        end = plain.find(b"\n") + 1
        if not end or len(plain) != size or (len(plain) - end) % _CELL_BYTES:
            raise ValueError("no histogram: it is cut short, or larger than can be")
        head, number = plain[:end], (len(plain) - end) // _CELL_BYTES
        counts = np.zeros(_cells_of(head), np.int64)
        filled = np.frombuffer(plain, "<u4", number, offset=end).cumsum()
        if number and filled[-1] >= len(counts):
            raise ValueError(f"no histogram: it has no cell {filled[-1]}")
        counts[filled] = np.frombuffer(plain, "<i8", number, offset=end + 4 * number)
        return cls(head, counts)


def _head(histogram: Histogram) -> bytes:
    name: str = vars(histogram)["name"]
    axes, head = _heads.get(name, (None, b""))
    if axes != histogram.axes:
        uhi: dict[str, Any] = to_uhi(histogram)
        del uhi["storage"]["values"]
        head = json.dumps(uhi, separators=(",", ":")).encode() + b"\n"
        if len(head) + histogram.size * _CELL_BYTES > MAX_BYTES:
            raise ValueError(f"{histogram.size} cells are more than can be stored")
        _heads[name] = histogram.axes, head
    return head


@lru_cache(1000)
def _empty(head: bytes) -> Histogram:
    """Return the histogram of a line of JSON: making it takes longer than all the rest."""
    uhi = json.loads(head)
    shape = [axis["bins"] + axis["underflow"] + axis["overflow"] for axis in uhi["axes"]]
    if prod(shape) * 8 > MAX_BYTES:
        raise ValueError(f"no histogram: {shape} cells are more than can be")
    uhi["storage"]["values"] = np.zeros(shape, np.int64)
    return bh.Histogram(from_uhi(uhi))


@lru_cache(1000)
def _cells_of(head: bytes) -> int:
    return _empty(head).view(flow=True).size


def same_bins(one: Axes, other: Axes) -> bool:
    """Return whether axes have the same bins, whatever they are called and however they are written."""
    if one == other:  # nearly all are, and to look at their edges takes far longer
        return True
    return one.size == other.size and all(
        np.allclose(ours.edges, theirs.edges, rtol=0, atol=EDGE * np.diff(ours.edges).min())
        for ours, theirs in zip(one, other, strict=True)
    )


def bin_words(axes: Axes) -> str:
    """Return bins as the list of plots has them: ``200 [20, 40]``."""
    return " × ".join(f"{axis.size} [{axis.edges[0]:.10g}, {axis.edges[-1]:.10g}]" for axis in axes)
