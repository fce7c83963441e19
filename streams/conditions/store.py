"""Conditions by run: directories of tables, each with an index that gives every table its range of runs."""

import hashlib
import threading
import tomllib
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from streams.conditions.model import Conditions
from streams.conditions.read import KINDS, make_conditions
from streams.conditions.rows import Tables
from streams.errors import UsageError
from streams.settings import Settings, settings_file

SIMULATED = Path(__file__).parent / "simulated"
"""Tables of the simulated beam line, for runs 900000 to 999999. Always there."""
LAST_RUN = 2**31 - 1
_MAX_TABLE_BYTES = 64 << 20
"""Of a compressed table, when it is unpacked."""
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One table of an index."""

    kind: str
    file: Path
    first_run: int
    last_run: int


class ConditionsStore:
    """Gives a run its conditions. Safe to use from several threads.

    Parameters
    ----------
    sources
        (index file, directory of its tables) pairs. A table that is not in the directory may lie beside the index.
    preferred
        Index file whose tables, which lie beside it, go before those of the sources; the rest comes from these.

    Raises
    ------
    UsageError
        When an index has an entry that cannot be, or two tables of a kind for one run.
    """

    def __init__(self, sources: Sequence[tuple[Path, Path]], preferred: Path | None = None) -> None:
        self.missing: list[Path] = [tables for _, tables in sources if not tables.is_dir()]
        """Directories of tables that are not there: their sources are left out."""
        there = [(index, tables) for index, tables in sources if tables.is_dir()]
        self._entries = [
            entry
            for index, tables in [(SIMULATED / "index.toml", SIMULATED), *there]
            for entry in _read_index(index, tables)
        ]
        self._preferred = _read_index(preferred, preferred.parent) if preferred is not None else []
        for entries in (self._entries, self._preferred):
            _refuse_overlaps(entries)
        self._lock = threading.Lock()
        self._made: dict[tuple[Path, ...], Conditions] = {}

    @classmethod
    def from_settings(cls, settings: Settings, preferred: Path | None = None) -> "ConditionsStore":
        """Return the store that the settings describe."""
        named = settings_file()
        base = named.parent if named is not None else Path()
        return cls([(base / source.index, base / source.tables) for source in settings.conditions], preferred)

    def has_preferred(self, run: int) -> bool:
        """Say whether a run has a table of the index that goes before the others."""
        return any(_is_for(entry, run) for entry in self._preferred)

    def for_run(self, run: int) -> Conditions | None:
        """Return a run's conditions, as far as there are tables for it; None where there is none.

        Raises
        ------
        UsageError
            When a table cannot be read; says which line is wrong.
        """
        entries = {e.kind: e for e in (*self._entries, *self._preferred) if _is_for(e, run)}
        if not entries:
            return None
        key = tuple(entries[kind].file for kind in sorted(entries))
        with self._lock:
            if key not in self._made:
                self._made[key] = _load(entries)
            return self._made[key]


def _is_for(entry: Entry, run: int) -> bool:
    return entry.first_run <= run <= entry.last_run


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
            content = unpacker.decompress(content, _MAX_TABLE_BYTES)
        except zlib.error as error:
            raise UsageError(f"the table {file} cannot be unpacked: {error}") from error
        if not unpacker.eof or unpacker.unused_data:
            raise UsageError(f"the table {file} is cut, longer than {_MAX_TABLE_BYTES} bytes, or followed by others")
    return content.decode()


def _load(entries: Mapping[str, Entry]) -> Conditions:
    digest = hashlib.blake2b(digest_size=8)
    tables: Tables = {}
    for kind in sorted(entries):
        file = entries[kind].file
        try:
            content = file.read_bytes()
            tables[kind] = (file, table_text(file, content))
        except OSError as error:
            raise UsageError(f"the table {file} cannot be read: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise UsageError(f"the table {file} is no text: byte {error.start}") from error
        digest.update(f"{kind} {file.name} {len(content)}\n".encode())
        digest.update(content)
    return make_conditions(tables, digest.hexdigest())


def _read_index(index: Path, tables: Path) -> list[Entry]:
    try:
        document = tomllib.loads(index.read_text())
    except OSError as error:
        raise UsageError(f"the index {index} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the index {index} is no TOML: {error}") from error
    found = document.pop("table", [])
    if document or not isinstance(found, list):
        raise UsageError(f"the index {index} must hold [[table]] entries alone")
    return [_entry(index, tables, number, values) for number, values in enumerate(found, start=1)]


def _entry(index: Path, tables: Path, number: int, values: Any) -> Entry:
    where = f"the index {index}, table {number}"

    def value(name: str, kind: type, default: Any = None) -> Any:
        found = values.pop(name, default)
        if type(found) is not kind:
            raise UsageError(f"{where}: {name} is {found!r}, not of the type {kind.__name__}")
        return found

    if not isinstance(values, dict):
        raise UsageError(f"{where} is no [[table]]")
    kind, name = value("kind", str), value("file", str)
    first_run, last_run = value("first_run", int), value("last_run", int, LAST_RUN)
    if values:
        raise UsageError(f"{where}: unknown key {next(iter(values))}")
    if kind not in KINDS:
        raise UsageError(f"{where}: the kind {kind!r} is none of {', '.join(KINDS)}")
    if not 0 <= first_run <= last_run <= LAST_RUN:
        raise UsageError(f"{where}: runs {first_run} to {last_run} are no range of runs")
    file = tables / name
    return Entry(
        kind=kind, file=file if file.is_file() else index.parent / name, first_run=first_run, last_run=last_run
    )


def _refuse_overlaps(entries: Sequence[Entry]) -> None:
    in_order = sorted(entries, key=lambda e: (e.kind, e.first_run))
    for before, after in pairwise(in_order):
        if before.kind == after.kind and after.first_run <= before.last_run:
            raise UsageError(
                f"two tables of the kind {after.kind} for run {after.first_run}: {before.file} and {after.file}"
            )
