"""Whether an archive is whole: by what it says itself, and by the SHA-256 beside it."""

import hashlib
from pathlib import Path

from streams.daq.archive_file import check_messages, is_archive
from streams.errors import SpilldeckError, UsageError

CHECKSUM_SUFFIX = ".sha256"
"""Of the file beside an archive, which ``sha256sum --check`` reads."""


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file; raises `OSError` when it cannot be read."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def check_archive(file: Path) -> None:
    """Read an archive through, and compare it with its checksum, if one lies beside it.

    Raises
    ------
    SpilldeckError
        When it has changed, or cannot be read.
    """
    if is_archive(file):
        check_messages(file)
    try:
        checksum = file.with_name(file.name + CHECKSUM_SUFFIX)
        wanted = checksum.read_text().partition(" ")[0] if checksum.is_file() else None
        there = sha256_of(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if wanted is not None and there != wanted:
        raise SpilldeckError(f"{file} is damaged: its SHA-256 is not the one in {checksum.name}")
