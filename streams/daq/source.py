"""A source's bytes as they come, a piece at a time: of a file, a pipe, or a file that grows.

An empty piece says that nothing came for `LOOK_S`. Nothing is mapped: a mapping would end the process when somebody
makes the file shorter.
"""

import os
import select
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from streams.errors import UsageError
from streams.printable import printable

STDIN = Path("-")
PIECE_BYTES = 4 << 20
"""The longest piece."""
LOOK_S = 0.1
"""Time between two looks at what does not grow."""
SETTLED_S = 0.5
"""The DAQ writes the events of a spill's end within milliseconds."""
HEAD_BYTES = 4096
"""Of a file's beginning, by which it is known again."""


class Source:
    """An open file or pipe; use it in a ``with`` block.

    Parameters
    ----------
    path
        Its name; ``-`` for standard input.

    Attributes
    ----------
    name
        That its records give as their source: of a link, that of the file, so that one file has one name.
    place
        Where it is, links resolved.
    head
        Its first bytes; of a pipe none.
    at
        How many bytes were read.

    Raises
    ------
    UsageError
        When it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.at, self.head = path, 0, b""
        resolved = path.resolve()
        # What /dev/stdin is a link to has no name that can be opened.
        self.place = resolved if resolved.is_file() else path
        self.name = "stdin" if path == STDIN else printable(self.place.name)  # a name may be no text
        try:
            self._file = open(  # noqa: SIM115 - it is closed with the source
                0 if path == STDIN else self.place, "rb", buffering=0, closefd=path != STDIN
            )
            # Of standard input the begin may be gone.
            self.is_file = path != STDIN and stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
            if self.is_file:
                self.head = os.pread(self._file.fileno(), HEAD_BYTES, 0)
        except OSError as error:
            raise self._unreadable(error) from error

    @property
    def size(self) -> int:
        """Bytes of the file now."""
        return os.fstat(self._file.fileno()).st_size

    def pieces(self) -> Iterator[bytes]:
        """Yield all that there is.

        Raises
        ------
        UsageError
            When it cannot be read, or becomes shorter or another one meanwhile.
        """
        if not self.is_file:
            yield from self._pieces_of_pipe()
            return
        size = self.size
        while piece := self._read():
            yield piece
        if self._is_rewritten() or self.at < size:
            raise UsageError(
                f"{self.path} has become shorter, or was written anew, while it was read: produce it again"
            )

    def pieces_as_it_grows(self) -> Iterator[bytes]:
        """Yield all that there is, and what is written from now on, until another file has its name.

        A file that is written anew in its place is another one, too; what was not read of it before is gone.
        """
        grown_s = time.monotonic()
        while True:
            if piece := self._read():
                grown_s = time.monotonic()
            elif self._is_rewritten() or (time.monotonic() - grown_s > SETTLED_S and self._is_elsewhere()):
                return
            else:
                time.sleep(LOOK_S)
            yield piece

    def _read(self) -> bytes:
        """Return what follows; nothing at its end, or when what is there is of another file."""
        try:
            piece = self._file.read(PIECE_BYTES)
            if self._is_rewritten():
                return b""
        except OSError as error:
            raise self._unreadable(error) from error
        if len(self.head) < HEAD_BYTES:
            self.head += piece[len(self.head) - self.at : HEAD_BYTES - self.at]
        self.at += len(piece)
        return piece

    def _is_rewritten(self) -> bool:
        return self.size < self.at or os.pread(self._file.fileno(), len(self.head), 0) != self.head

    def _is_elsewhere(self) -> bool:
        """Say whether its name is that of another file; one that nobody has is still its own."""
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno()))
        except FileNotFoundError:
            return False

    def _pieces_of_pipe(self) -> Iterator[bytes]:
        waiting = select.poll()
        waiting.register(self._file.fileno(), select.POLLIN)
        try:
            while True:
                if not waiting.poll(LOOK_S * 1000):
                    yield b""
                elif piece := self._file.read(PIECE_BYTES):
                    self.at += len(piece)
                    yield piece
                else:
                    return
        except OSError as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> UsageError:
        return UsageError(f"{self.path} cannot be read: {error.strerror}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
