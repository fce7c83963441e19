"""Compressed sources: known by their first bytes, and decompressed a piece at a time, whatever they expand to."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Protocol

from lz4.frame import LZ4FrameDecompressor

from streams.daq.source import PIECE_BYTES
from streams.errors import BadDataError
from streams.zstd import ZstdDecompressor, ZstdError


class _Decompressor(Protocol):
    """As those of the standard library are, for one stream or frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _GzipDecompressor:
    """zlib's decompressor, with the methods of the others."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data


_SLICE_BYTES = 16 << 10
"""What is decompressed at once: behind damage, so much is lost with it."""
_MEMORY_BYTES = 256 << 20
"""That a file may ask for to be decompressed."""
COMPRESSED: dict[bytes, Callable[[], _Decompressor]] = {
    b"\x1f\x8b\x08": _GzipDecompressor,
    b"\x28\xb5\x2f\xfd": ZstdDecompressor,
    b"\x04\x22\x4d\x18": LZ4FrameDecompressor,
    b"BZh": bz2.BZ2Decompressor,
    b"\xfd7zXZ\0": partial(lzma.LZMADecompressor, memlimit=_MEMORY_BYTES),
}
"""First bytes → what reads such a file."""
_LONGEST_MAGIC = max(map(len, COMPRESSED))
_DAMAGED = (zlib.error, lzma.LZMAError, ZstdError, OSError, EOFError, RuntimeError, ValueError, MemoryError)


def is_compressed(head: bytes) -> bool:
    """Say whether a file that begins so is a compressed one."""
    return any(head.startswith(magic) for magic in COMPRESSED)


def decompressed(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Yield pieces of a source decompressed, if it is compressed; none gets longer than `PIECE_BYTES`.

    Raises
    ------
    BadDataError
        When the compressed bytes are damaged or cut; what could be read comes before.
    """
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= _LONGEST_MAGIC:
            break
        yield b""
    make = next((make for magic, make in COMPRESSED.items() if head.startswith(magic)), None)
    if make is None:
        yield head
        yield from pieces
    else:
        yield from _content(make, chain([head], pieces), name)


def _content(make: Callable[[], _Decompressor], pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    frame: _Decompressor | None = None
    at, came = 0, False
    slices = _slices(pieces)
    for piece in slices:
        rest = piece
        while rest or (frame is not None and not frame.needs_input):
            if frame is None:
                # One frame may follow another, and zeros the last one.
                rest = rest.lstrip(b"\0")
                frame = make() if rest else None
                continue
            try:
                content = frame.decompress(rest, PIECE_BYTES)
            except _DAMAGED as error:
                if not came:  # its first bytes are all that is like a compressed one
                    yield piece
                    yield from slices
                    return
                problem = f"{name} is damaged: what is compressed in it cannot be read behind byte {at}: {error}"
                raise BadDataError("framing", problem, at) from error
            came = came or bool(content)
            yield content
            rest = b""
            if frame.eof:
                rest, frame = frame.unused_data or b"", None
        at += len(piece)
        yield b""
    if frame is not None:
        raise BadDataError("framing", f"{name} was cut: what is compressed in its {at} bytes has no end", at)


def _slices(pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:_SLICE_BYTES]
        for start in range(_SLICE_BYTES, len(piece), _SLICE_BYTES):
            yield piece[start : start + _SLICE_BYTES]
