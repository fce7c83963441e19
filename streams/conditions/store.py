"""Conditions by run: directories of tables, each with an index that gives every table its range of runs."""

import hashlib
import threading
import tomllib
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

from streams.errors import UsageError
from streams.experiment import experiment
from streams.files import read_whole
from streams.run_conditions import RunConditions, TableFiles
from streams.settings import Settings, settings_file

LAST_RUN = 2**31 - 1
_MAX_BYTES = 64 << 20
"""Of an index, and of a table, when it is unpacked too."""
_MAX_NAME_BYTES = 255
"""Of a file's name, by most file systems."""
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One table of an index."""

    kind: str
    file: Path
    first_run: int
    last_run: int
    note: str = ""
    """What the index says of it, as how sure its range is."""
    fault: str = ""
    """Why it cannot be: of such a one nothing is known but the runs that it may be for."""

    def is_for(self, run: int) -> bool:
        """Say whether its range covers a run."""
        return self.first_run <= run <= self.last_run

    def content(self) -> bytes:
        """Return the bytes of its file.

        Raises
        ------
        UsageError
            When it cannot be read.
        """
        return read_whole(self.file, _MAX_BYTES, "the table")


class ConditionsStore:
    """Gives a run its conditions. Safe to use from several threads.

    Parameters
    ----------
    places
        (index file, directory of its tables) pairs. A table that is not in the directory may lie beside the index.
    preferred
        Index file whose tables, which lie beside it, go before those of the places; the rest comes from these.

    Raises
    ------
    UsageError
        When an index cannot be read.
    """

    def __init__(self, places: Sequence[tuple[Path, Path]], preferred: Path | None = None) -> None:
        self.missing: list[Path] = [tables for _, tables in places if not tables.is_dir()]
        """Directories of tables that are not there: their indices are left out."""
        self._entries = all_entries(places)
        self._preferred = _read_index(preferred, preferred.parent) if preferred is not None else []
        self._lock = threading.Lock()
        self._made: dict[tuple[tuple[str, Path], ...], RunConditions] = {}

    @classmethod
    def from_settings(cls, settings: Settings, preferred: Path | None = None) -> "ConditionsStore":
        """Return the store that the settings describe."""
        return cls(places(settings), preferred)

    def has_preferred(self, run: int) -> bool:
        """Say whether a run has a table of the index that goes before the others."""
        return any(entry.is_for(run) for entry in self._preferred)

    def entries(self, run: int) -> list[Entry]:
        """Return the tables that serve a run, one of a kind, by kind.

        Raises
        ------
        UsageError
            When there are two of a kind, of which nothing tells which one is right, or an entry that cannot be may be
            for the run. Other runs have their tables all the same.
        """
        of_run = self._of_run(run)
        for *_, why in chain.from_iterable(map(problems, of_run)):
            raise UsageError(why)
        found = {entry.kind: entry for entry in chain.from_iterable(of_run)}
        return [found[kind] for kind in sorted(found)]

    def differ(self, run: int, other: int) -> list[str]:
        """Return the kinds of tables in which two runs differ, whatever the files are called.

        Raises
        ------
        UsageError
            When a table cannot be read, or there are two of a kind.
        """
        ours, theirs = ({each.kind: each.content() for each in self.entries(its)} for its in (run, other))
        return sorted(kind for kind in ours.keys() | theirs.keys() if ours.get(kind) != theirs.get(kind))

    def named(self, run: int) -> list[Entry]:
        """Return the tables that the indices name for a run, by kind, also if they cannot all be right."""
        return sorted(chain.from_iterable(self._of_run(run)), key=lambda entry: entry.kind)

    def _of_run(self, run: int) -> list[list[Entry]]:
        return [[entry for entry in each if entry.is_for(run)] for each in (self._entries, self._preferred)]

    def problems(self) -> list[str]:
        """Return what is wrong with the indices, a sentence each: some runs have no conditions for it."""
        return [why for each in (self._entries, self._preferred) for *_, why in problems(each)]

    def for_run(self, run: int) -> RunConditions | None:
        """Return a run's conditions, as far as there are tables for it; None where there is none.

        Raises
        ------
        UsageError
            When a table cannot be read, which says what line is wrong, or there are two of a kind.
        """
        entries = self.entries(run)
        if not entries:
            return None
        key = tuple((entry.kind, entry.file) for entry in entries)
        with self._lock:
            if key not in self._made:
                self._made[key] = load(entries)
            return self._made[key]


def table_text(file: Path, content: bytes) -> str:
    """Return the text of a table that a file's bytes hold; a file with the ending ``.gz`` is compressed.

    Raises
    ------
    UsageError
        When the bytes are no whole gzip file, or one of more than 64 MiB.
    UnicodeDecodeError
        When they are no text.
    """
    if file.suffix == ".gz":
        unpacker = zlib.decompressobj(_GZIP)
        try:
            content = unpacker.decompress(content, _MAX_BYTES)
        except zlib.error as error:
            raise UsageError(f"the table {file} cannot be unpacked: {error}") from error
        if not unpacker.eof or unpacker.unused_data:
            raise UsageError(f"the table {file} is cut, longer than {_MAX_BYTES} bytes, or followed by others")
    return content.decode()


def load(entries: Sequence[Entry]) -> RunConditions:
    """Return the conditions that these tables give, one of a kind, by kind.

    Raises
    ------
    UsageError
        When a table cannot be read; says which line is wrong.
    """
    digest = hashlib.blake2b(digest_size=8)
    tables: TableFiles = {}
    for entry in entries:
        content = entry.content()
        try:
            tables[entry.kind] = (entry.file, table_text(entry.file, content))
        except UnicodeDecodeError as error:
            raise UsageError(f"the table {entry.file} is no text: byte {error.start}") from error
        digest.update(f"{entry.kind} {entry.file.name} {len(content)}\n".encode())
        digest.update(content)
    try:
        return experiment().conditions.make(tables, digest.hexdigest())
    except UsageError:
        raise
    except Exception as error:  # whatever stands in a table, it must not cost the run its spills
        files = ", ".join(entry.file.name for entry in entries)
        raise UsageError(f"fault in the code that reads {files}: {type(error).__name__}: {error}") from error


def all_entries(places: Sequence[tuple[Path, Path]]) -> list[Entry]:
    """Return the entries of all indices whose tables are there, those of simulated runs first.

    Raises
    ------
    UsageError
        When an index cannot be read.
    """
    there = [(index, tables) for index, tables in places if tables.is_dir()]
    simulated = experiment().conditions.simulated
    if simulated is not None:
        there.insert(0, (simulated, simulated.parent))
    return [entry for index, tables in there for entry in _read_index(index, tables)]


def places(settings: Settings) -> list[tuple[Path, Path]]:
    """Return the (index file, directory of its tables) pairs that the settings name for their experiment."""
    named = settings_file()
    base = named.parent if named is not None else Path()
    its = [source for source in settings.conditions if source.experiment in (None, settings.experiment)]
    return [(base / source.index, base / source.tables) for source in its]


def _read_index(index: Path, tables: Path) -> list[Entry]:
    try:
        document = tomllib.loads(read_whole(index, _MAX_BYTES, "the index").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"the index {index} is no TOML: {error}") from error
    found = document.pop("table", [])
    if document or not isinstance(found, list):
        raise UsageError(f"the index {index} must hold [[table]] entries alone")
    return [_entry(index, tables, number, values) for number, values in enumerate(found, start=1)]


def _entry(index: Path, tables: Path, number: int, values: Any) -> Entry:
    where = f"the index {index}, table {number}"
    if not isinstance(values, dict):
        raise UsageError(f"{where} is no [[table]]")
    try:
        return _good_entry(index, tables, where, dict(values))
    except UsageError as error:
        bounds = ("first_run", 0), ("last_run", LAST_RUN)
        first, last = (found if type(found := values.get(name)) is int else bound for name, bound in bounds)
        if not 0 <= first <= last <= LAST_RUN:
            first, last = 0, LAST_RUN
        return Entry(kind="", file=index, first_run=first, last_run=last, fault=str(error))


def _good_entry(index: Path, tables: Path, where: str, values: dict[str, Any]) -> Entry:
    def value(name: str, kind: type, default: Any = None) -> Any:
        found = values.pop(name, default)
        if type(found) is not kind:
            raise UsageError(f"{where}: {name} is {found!r}, not of the type {kind.__name__}")
        return found

    kind, name = value("kind", str), value("file", str)
    first_run, last_run = value("first_run", int), value("last_run", int, LAST_RUN)
    note = value("note", str, "")
    if values:
        raise UsageError(f"{where}: unknown key {next(iter(values))}")
    if kind not in (kinds := experiment().conditions.kinds):
        raise UsageError(f"{where}: the kind {kind!r} is none of {', '.join(kinds)}")
    if not 0 <= first_run <= last_run <= LAST_RUN:
        raise UsageError(f"{where}: runs {first_run} to {last_run} are no range of runs")
    if not name.isprintable() or len(name.encode()) > _MAX_NAME_BYTES:
        raise UsageError(f"{where}: {name[:_MAX_NAME_BYTES]!r} is no name of a file")
    file = tables / name
    return Entry(
        kind=kind,
        file=file if file.exists() else index.parent / name,
        first_run=first_run,
        last_run=last_run,
        note=note,
    )


def problems(entries: Sequence[Entry]) -> Iterator[tuple[int, int, str]]:
    """Yield first and last run of those that entries leave without conditions, and why: a fault, or two of a kind."""
    in_order = sorted(entries, key=lambda e: (e.kind, e.first_run))
    yield from ((entry.first_run, entry.last_run, entry.fault) for entry in in_order if entry.fault)
    for before, after in pairwise(entry for entry in in_order if not entry.fault):
        if before.kind == after.kind and after.first_run <= before.last_run:
            first, last = after.first_run, min(before.last_run, after.last_run)
            runs = f"run {first}" if first == last else f"runs {first} to {last}"
            yield first, last, f"two tables of the kind {after.kind} for {runs}: {before.file} and {after.file}"
