"""The SHA-256 beside an archive."""

import hashlib
from pathlib import Path

from streams.errors import SpilldeckError, UsageError

CHECKSUM_SUFFIX = ".sha256"
"""Of the file beside an archive, which ``sha256sum --check`` reads."""
_READ_AT_ONCE = 1 << 20


def check_archive(file: Path) -> None:
    """Compare an archive with its checksum, if one lies beside it.

    Raises
    ------
    SpilldeckError
        When it has changed, or cannot be read.
    """
    try:
        checksum = file.with_name(file.name + CHECKSUM_SUFFIX)
        wanted = checksum.read_text().partition(" ")[0] if checksum.is_file() else None
        digest = hashlib.sha256()
        with file.open("rb") as content:
            while part := content.read(_READ_AT_ONCE):
                digest.update(part)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    if wanted is not None and digest.hexdigest() != wanted:
        raise SpilldeckError(f"{file} is damaged: its SHA-256 is not the one in {checksum.name}")
