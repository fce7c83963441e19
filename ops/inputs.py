"""Records from the files that a command is given, and their pace."""

import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from ops.console import complain
from schemas.records import NO_RUN, RawSpill, RunControl
from streams.daq.sources import read_source
from streams.errors import SpilldeckError, UsageError

STDIN = Path("-")
LONGEST_PAUSE_S = 60.0
"""A longer pause between two spills of a run, or one that a broken clock pretends, is not waited for."""


class Inputs:
    """Source files to records; use it in a ``with`` block.

    Parameters
    ----------
    sources
        Files, directories (their files in the order of their names), and ``-`` for standard input.

    Attributes
    ----------
    files
        All of them.
    size
        Bytes of all files together.
    exit_status
        0, or that of the worst error which `records` met.

    Raises
    ------
    UsageError
        When a source is neither.
    """

    def __init__(self, sources: Iterable[Path]) -> None:
        self._stack = ExitStack()
        self.files = [file for source in sources for file in self._files_of(source)]
        self.size = sum(file.stat().st_size for file in self.files)
        self.exit_status = 0

    def _files_of(self, source: Path) -> Iterator[Path]:
        if source == STDIN:
            # A file is read by position, which a pipe has not.
            copy = Path(self._stack.enter_context(tempfile.TemporaryDirectory())) / "stdin"
            with copy.open("wb") as output:
                shutil.copyfileobj(sys.stdin.buffer, output)
            yield copy
        elif source.is_dir():
            yield from sorted(path for path in source.iterdir() if path.is_file())
        elif source.is_file():
            yield source
        else:
            raise UsageError(f"{source} is neither a file nor a directory")

    def records(self) -> Iterator[RawSpill | RunControl]:
        """Yield what the files hold; one that is no file of the DAQ is told, and the others go on."""
        for file in self.files:
            yield from self.records_of(file)

    def records_of(self, file: Path) -> Iterator[RawSpill | RunControl]:
        """Yield what one of the files holds; if it is no file of the DAQ, that is told."""
        try:
            yield from read_source(file)
        except SpilldeckError as error:
            complain(error)
            self.exit_status = max(self.exit_status, error.exit_status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


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
