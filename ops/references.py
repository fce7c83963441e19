"""Files of ROOT read as references: their histograms under the names of our plots, all of them or none."""

import hashlib
import io
import re
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import boost_histogram as bh
import numpy as np
import psutil
import uproot

from ops.files import write_whole
from streams.books.book import new_histogram
from streams.books.cells import MAX_BYTES, Histogram, bin_words, same_bins
from streams.books.imported import Imported, Imports, name_of
from streams.errors import UsageError
from streams.experiment import experiment
from streams.files import open_file

_HISTOGRAM = re.compile(r"TH([12])[CSIFDL]")
_EXACT = 2**53
"""Beyond it a double is no count."""
MEMORY = 512 << 20
"""So many bytes may be taken to read a file: what is compressed says nothing true of how large it will be."""
NAMED = 8
"""So many of a file's names are said."""


def read_root(file: Path, ours: Mapping[str, str]) -> Imported:
    """Return the histograms of a file that are plots of ours.

    Parameters
    ----------
    ours
        Name in the file → name of our plot, where they differ.

    Raises
    ------
    UsageError
        When it is no file of ROOT, has none, or one that cannot be compared: each is named.
    """
    name = name_of(file)
    if unknown := sorted(set(ours.values()) - experiment().plots.keys()):
        raise UsageError(f"there is no plot {unknown[0]}: docs/plots.md lists them")
    if twice := [plot for plot, times in Counter(ours.values()).items() if times > 1]:
        raise UsageError(f"the plot {twice[0]} can have one histogram of the file, and is given several")
    content = _content(file)
    try:
        # Of bytes: uproot takes some names for addresses.
        with _little_memory(), uproot.open(io.BytesIO(content), object_cache=None, array_cache=None) as root:
            kinds = _kinds(root, len(content), ours)
            read = {plot: _read(root, their, kinds[their], plot) for their, plot in _wanted(kinds, ours).items()}
    except _RefusedError as error:
        raise UsageError(f"{file} is not imported: {error}") from error
    except Exception as error:  # a damaged file has uproot raise anything
        raise UsageError(f"{file} cannot be read as a file of ROOT: {_first_line(error)}") from error
    sha256 = hashlib.sha256(content).hexdigest()
    return Imported(name=name, imported_ms=time.time_ns() // 1_000_000, sha256=sha256, histograms=read)


def keep(imports: Imports, new: Imported) -> None:
    """Write an import, in place of one of the same name.

    Raises
    ------
    UsageError
        When it cannot be written; then what was there stays.
    """
    try:
        imports.directory.mkdir(parents=True, exist_ok=True)
        write_whole(imports.path(new.name), new.to_json())
    except OSError as error:
        raise UsageError(f"the reference cannot be written to {imports.directory}: {error.strerror}") from error


def other_bins(imported: Imported) -> Iterator[str]:
    """Yield of which plots the bins are not those of the catalogue: they compare with runs alone that have the same."""
    for name, histogram in imported.histograms.items():
        if not same_bins(ours := new_histogram(name, {}).axes, histogram.axes):
            theirs, usual = bin_words(histogram.axes), bin_words(ours)
            yield f"{name} has other bins, and is compared with no run that has the usual ones: {theirs}, usual {usual}"


class _RefusedError(Exception):
    """A histogram that cannot be compared with a plot, and why."""


@contextmanager
def _little_memory() -> Iterator[None]:
    """Have whatever asks for more than `MEMORY` in a ``with`` block fail, in place of the machine."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bounds = [bound for bound in (soft, hard) if bound != resource.RLIM_INFINITY]
    most = min(psutil.Process().memory_info().vms + MEMORY, *bounds, sys.maxsize)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _content(file: Path) -> bytes:
    try:
        with open_file(file) as opened:
            content = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > MAX_BYTES:
        raise UsageError(f"{file} is larger than a reference may be ({MAX_BYTES >> 20} MiB)")
    return content


def _kinds(root: Any, size: int, ours: Mapping[str, str]) -> dict[str, str]:
    """Return the class of what the file has, by name; of what is in its directories, of that alone which is mapped."""
    if size < (its := root.file.fEND):
        raise _RefusedError(f"it is cut short, {size:,} of {its:,} bytes")
    kinds: dict[str, str] = root.classnames(cycle=False, recursive=False)  # a directory may have itself in it
    for their in ours:
        with suppress(KeyError):
            kinds[their] = root.classname_of(their)
    return kinds


def _wanted(kinds: Mapping[str, str], ours: Mapping[str, str]) -> dict[str, str]:
    """Return the names in the file → our plots; at least one."""
    if absent := sorted(ours.keys() - kinds.keys()):
        raise _RefusedError(f"it has no {absent[0]}, but {_listed(kinds)}")
    same = {name: name for name in kinds if name in experiment().plots and name not in ours.values()}
    if not same and not ours:
        raise _RefusedError(f"no name in it is that of a plot of ours, see --map: it has {_listed(kinds)}")
    return same | dict(ours)


def _read(root: Any, their: str, kind: str, plot: str) -> Histogram:
    """Return a histogram of the file as counts."""
    axes = len(experiment().plots[plot].axes)
    found = _HISTOGRAM.fullmatch(kind)
    if not found or int(found[1]) != axes:
        raise _RefusedError(f"{their} is a {kind}, and {plot} a histogram of {axes} ax{'es' if axes > 1 else 'is'}")
    if (size := root.key(their).data_uncompressed_bytes) > MAX_BYTES:
        raise _RefusedError(f"{their} has {size:,} bytes, more than can be kept")
    histogram = root[their]
    edges = [np.asarray(histogram.axis(number).edges(flow=False), np.float64) for number in range(axes)]
    values = np.asarray(histogram.values(flow=True), np.float64)
    if not all(np.isfinite(each).all() and (np.diff(each) > 0).all() for each in edges):
        raise _RefusedError(f"the bins of {their} have edges that do not rise")
    if (values < 0).any():
        raise _RefusedError(f"{their} has bins with less than no entries")
    if not (values == np.rint(values)).all() or values.sum() >= _EXACT:
        raise _RefusedError(f"{their} has bins with no whole number of entries: it was scaled or filled with weights")
    new = bh.Histogram(*map(bh.axis.Variable, edges), storage=bh.storage.Int64())
    if new.view(flow=True).shape != values.shape:
        raise _RefusedError(f"{their} has {values.size} contents for {new.size} bins")
    new.view(flow=True)[...] = values
    return new


def _listed(kinds: Mapping[str, str]) -> str:
    return ", ".join([*kinds][:NAMED]) + (", …" if len(kinds) > NAMED else "") or "nothing"


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
