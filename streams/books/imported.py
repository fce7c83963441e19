"""Histograms of a file that were imported to be compared with: no run, in no list of runs, and in no total.

Each import is a JSON file in the directory that the settings name, so an emptied Redis takes none of them away.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

import boost_histogram as bh
import uhi.io.json
from boost_histogram.serialization import to_uhi

from streams.books.cells import MAX_BYTES, Histogram
from streams.errors import SpilldeckError, UsageError
from streams.settings import Settings

KEPT = 8
"""Imports that a page remembers."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The histograms of one file."""

    name: str
    """The file's own, without its directory."""
    imported_ms: int
    """When, Unix milliseconds."""
    sha256: str
    """Of the file."""
    histograms: Mapping[str, Histogram]
    """Plot → its counts, in the bins of the file."""

    def to_json(self) -> str:
        """Return what `from_json` reads; each histogram is as UHI has it."""
        plots = {name: to_uhi(histogram) for name, histogram in self.histograms.items()}
        what = {"imported_ms": self.imported_ms, "sha256": self.sha256, "plots": plots}
        return json.dumps(what, default=uhi.io.json.default)

    @classmethod
    def from_json(cls, name: str, text: str) -> Self:
        """Return what `to_json` wrote of the file of this name; raises whatever Python does of another text."""
        what = json.loads(text, object_hook=uhi.io.json.object_hook)
        return cls(
            name=name,
            imported_ms=int(what["imported_ms"]),
            sha256=str(what["sha256"]),
            histograms={name: counts(bh.Histogram(its)) for name, its in what["plots"].items()},
        )


class Imports:
    """All that was imported.

    Parameters
    ----------
    directory
        Where they lie; need not be there.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory.expanduser()

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return those of the settings."""
        return cls(settings.dashboard.references)

    def path(self, name: str) -> Path:
        """Return where an import lies."""
        return self.directory / f"{name}.json"

    def names(self) -> tuple[str, ...]:
        """Return what is there, in the order of the alphabet.

        Raises
        ------
        SpilldeckError
            When the directory cannot be read.
        """
        try:
            stems = [each.stem for each in self.directory.iterdir() if each.suffix == ".json"]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise SpilldeckError(f"the references in {self.directory} cannot be read: {error.strerror}") from error
        return tuple(sorted(filter(is_name, stems)))

    def read(self, name: str) -> Imported:
        """Return one that is there.

        Raises
        ------
        UsageError
            When it is not.
        SpilldeckError
            When it cannot be read.
        """
        if not is_name(name):  # it would lead elsewhere
            raise self._absent(name)
        path = self.path(name)
        try:
            stat = path.stat()
            return _read(name, path, stat.st_mtime_ns, stat.st_size)
        except FileNotFoundError as error:
            raise self._absent(name) from error
        except Exception as error:  # whatever somebody wrote there, the page goes on
            why = error.strerror if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
            raise SpilldeckError(f"the reference {name} cannot be read ({path}: {why}): import it again") from error

    def remove(self, name: str) -> None:
        """Remove one, also one that cannot be read.

        Raises
        ------
        UsageError
            When it is not there, or cannot be removed.
        """
        if name not in self.names():
            raise self._absent(name)
        try:
            self.path(name).unlink()
        except OSError as error:
            raise UsageError(f"the reference {name} cannot be removed: {error.strerror}") from error

    def _absent(self, name: str) -> UsageError:
        return UsageError(f"no reference {name} is kept in {self.directory}: see spilldeck references list")


@lru_cache(KEPT)
def _read(name: str, path: Path, mtime_ns: int, size: int) -> Imported:  # noqa: ARG001 - another time is another file
    if size > MAX_BYTES:
        raise ValueError(f"{size} bytes are more than can be")
    return Imported.from_json(name, path.read_text(encoding="utf-8"))


def is_name(name: str) -> bool:
    """Return whether an import may be called so: as it stands in an address, and leads to no other directory."""
    return _NAME.fullmatch(name) is not None


def name_of(file: Path) -> str:
    """Return under which name a file is imported.

    Raises
    ------
    UsageError
        When an address cannot have it.
    """
    if not is_name(file.name):
        raise UsageError(f"{file.name} cannot be a reference's name: give the file one of letters, digits and . _ -")
    return file.name


def counts(histogram: bh.Histogram[bh.storage.Int64]) -> Histogram:
    """Return a histogram that holds counts; raises ValueError if it does not."""
    if histogram.storage_type is not bh.storage.Int64 or histogram.view(flow=True).min(initial=0) < 0:
        raise ValueError("a histogram does not hold counts")
    return histogram
