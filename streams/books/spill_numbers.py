"""The key numbers of each spill: a function of the spill alone, in so few bytes that they are kept of every one."""

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

import numpy as np

from schemas.columns import F4, I4, I8
from streams.plots.model import Axis, Plot

_NUMBER = np.dtype([("what", "<u4"), ("value", "<f4")])
"""One number. A float has the entries of a spill exactly, up to 16 million."""
_MEAN = ":mean"
"""After the name of a plot: the mean of its entries, not how many they are."""


class SpillNumber(NamedTuple):
    """The key number of a plot in one spill."""

    spill: int
    value: float
    entries: int
    """Those that the value stands on."""


def is_kept(plot: Plot) -> bool:
    """Return whether the key number of a plot is kept of each spill: of those that the shifter sees."""
    return not plot.expert


def of_entries(plot: Plot, entries: int) -> dict[str, float]:
    """Return the key number of a plot whose key number is the entries, by what it is called."""
    return {plot.name: entries}


def of_bins(plot: Plot, axis: Axis, bins: I4) -> dict[str, float]:
    """Return the key number of a plot whose key number is the mean, and of how many entries it is.

    Parameters
    ----------
    axis
        The plot's.
    bins
        (entries,) in which bin of it each entry is; -1 and ``axis.bins`` for those beside it.
    """
    inside = bins[(bins >= 0) & (bins < axis.bins)]
    if not inside.size:
        return {plot.name: 0}
    # By the bins, as the histogram has it; of integers, so that the order of the entries does not matter.
    mean = axis.low + (axis.high - axis.low) / axis.bins * (int(inside.sum()) / inside.size + 0.5)
    return {plot.name: inside.size, plot.name + _MEAN: mean}


def pack(numbers: Mapping[str, float]) -> bytes:
    """Return the key numbers of a spill as bytes: 4 for which it is, 4 for the value, each."""
    return b"".join(struct.pack("<If", _what(name), value) for name, value in numbers.items())


def check(data: bytes) -> bytes:
    """Return what `pack` gave.

    Raises
    ------
    ValueError
        When it cannot have.
    """
    if not np.isfinite(np.frombuffer(data, _NUMBER)["value"]).all():
        raise ValueError("the key numbers of a spill are no numbers")
    return data


def without(data: bytes, plots: Iterable[str]) -> bytes:
    """Return what `pack` gave without the key numbers of some plots."""
    gone = [_what(name) for plot in plots for name in (plot, plot + _MEAN)]
    numbers = np.frombuffer(data, _NUMBER)
    return numbers[~np.isin(numbers["what"], gone)].tobytes()


def of_plot(packed: Mapping[int, bytes], plot: Plot) -> tuple[SpillNumber, ...]:
    """Return the key number of a plot of each spill that has one, in the order of their numbers.

    Parameters
    ----------
    packed
        Spill → its key numbers, none if they are not known.
    """
    names = [plot.name, *([plot.name + _MEAN] if plot.has_mean else [])]
    found = {name: zip(its.tolist(), value.tolist(), strict=True) for name, (its, value) in of_spills(packed, names)}
    entries = dict(found[plot.name])
    values = found[names[-1]] if plot.has_mean else entries.items()
    return tuple(SpillNumber(spill, value, int(entries.get(spill, 0))) for spill, value in values)


def of_spills(packed: Mapping[int, bytes], names: Iterable[str]) -> Iterator[tuple[str, tuple[I8, F4]]]:
    """Yield for each name of a key number the spills that have it, in the order of their numbers, and its values."""
    order = sorted(packed)
    numbers = np.frombuffer(b"".join(packed[spill] for spill in order), _NUMBER)
    spills = np.repeat(np.array(order, np.int64), [len(packed[spill]) // _NUMBER.itemsize for spill in order])
    what, value = (np.ascontiguousarray(numbers[column]) for column in ("what", "value"))
    for name in names:
        these = np.flatnonzero(what == _what(name))
        yield name, (spills[these], value[these])


@lru_cache(1000)
def _what(name: str) -> int:
    # The names themselves would need more room than the numbers; that two of a hundred agree has a chance of 10^-6.
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "little")
