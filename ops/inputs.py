"""Records from the files that a command is given, and their pace."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from ops.console import complain
from ops.replay.checksum import CHECKSUM_SUFFIX
from schemas.records import NO_RUN, RawSpill, RunControl
from streams.daq.compressed import is_compressed
from streams.daq.source import STDIN, Source
from streams.daq.sources import read_opened
from streams.errors import SpilldeckError, UsageError
from streams.source_format import FirstCounts

LONGEST_PAUSE_S = 60.0
"""A longer pause between two spills of a run, or one that a broken clock pretends, is not waited for."""


class Inputs:
    """Sources to records, one after the other; the numbering of a run goes on over its files.

    Parameters
    ----------
    sources
        Files, pipes, directories (their files in the order of their names, without hidden ones and checksums), and
        ``-`` for standard input.
    firsts
        What is known of runs that began in other files.

    Attributes
    ----------
    files
        All of them.
    size
        Bytes of all together; None if nobody knows how many will come.
    exit_status
        0, or that of the worst error which was met.

    Raises
    ------
    UsageError
        When a source is none of them.
    """

    def __init__(self, sources: Iterable[Path], firsts: FirstCounts | None = None) -> None:
        self.files = [file for source in sources for file in _files_of(source)]
        self.firsts: FirstCounts = {} if firsts is None else firsts
        sizes = [_size_of(file) for file in self.files]
        self.size = None if None in sizes else sum(size for size in sizes if size is not None)
        self.exit_status = 0

    def records(self) -> Iterator[RawSpill | RunControl]:
        """Yield what the files hold; one that is no file of the DAQ is told, and the others go on."""
        for source in self.opened():
            yield from self.records_of(source)

    def opened(self) -> Iterator[Source]:
        """Yield the sources, open; one that cannot be opened is told."""
        for file in self.files:
            try:
                source = Source(file)
            except SpilldeckError as error:
                self._tell(error)
                continue
            with source:
                yield source

    def records_of(self, source: Source) -> Iterator[RawSpill | RunControl]:
        """Yield what one of the sources holds; if it is no file of the DAQ, that is told."""
        try:
            yield from read_opened(source, self.firsts)
        except SpilldeckError as error:
            self._tell(error)

    def _tell(self, error: SpilldeckError) -> None:
        complain(error)
        self.exit_status = max(self.exit_status, error.exit_status)


def _files_of(source: Path) -> Iterator[Path]:
    if source == STDIN or source.is_file() or source.is_fifo():
        yield source
    elif source.is_dir():
        files = (path for path in source.iterdir() if path.is_file())
        yield from sorted(path for path in files if not path.name.startswith(".") and path.suffix != CHECKSUM_SUFFIX)
    else:
        raise UsageError(f"{source} is neither a file nor a directory")


def _size_of(file: Path) -> int | None:
    """Return the size of what a source holds; None of a pipe, and of what is compressed."""
    if not file.is_file():
        return None
    with Source(file) as source:
        return None if is_compressed(source.head) else source.size


def paced(
    records: Iterable[RawSpill | RunControl], rate: float | None, *, as_recorded: bool = False
) -> Iterator[RawSpill | RunControl]:
    """Yield records no sooner than they are due.

    Parameters
    ----------
    rate
        Spills a second; None for no limit.
    as_recorded
        Keep the distances of a run's own times instead, up to `LONGEST_PAUSE_S`.
    """
    due_s = time.monotonic()
    run, last_us = NO_RUN, 0
    for record in records:
        if as_recorded and record.time_us:
            if record.run == run:
                due_s += min(max(record.time_us - last_us, 0) / 1e6, LONGEST_PAUSE_S)
            run, last_us = record.run, record.time_us
        time.sleep(max(0.0, due_s - time.monotonic()))
        yield record
        if rate is not None and isinstance(record, RawSpill):
            due_s += 1 / rate
