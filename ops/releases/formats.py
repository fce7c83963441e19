"""Which formats this version reads and writes, and what the code is that does."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from streams.books import decisions, layout, totals
from streams.daq import archive_file

FOLLOWING = 1
"""Version of how a release that is tried is asked, and answers: see `ops.releases.follow`. Another one is refused."""
PACKAGES = ("dashboards", "ops", "schemas", "streams")


@dataclass(frozen=True, slots=True, kw_only=True)
class Formats:
    """The formats that a release writes; of each kind it reads those before, or says in words that it does not."""

    books: str
    """Of what is in Redis: the part of the keys' names."""
    totals: int
    decisions: int
    archive: int
    messages: dict[str, int]
    """Schema of a message in Kafka → its newest version."""
    following: int
    """How it can be tried."""


def formats() -> Formats:
    """Return those of the code that runs."""
    newest: dict[str, int] = {}
    for path in files("schemas").iterdir():
        name, _, version = path.name.removesuffix(".avsc").partition(".v")
        if path.name.endswith(".avsc"):
            newest[name] = max(int(version), newest.get(name, 0))
    return Formats(
        books=layout.VERSION,
        totals=totals.FORMAT,
        decisions=decisions.FORMAT,
        archive=archive_file.FORMAT,
        messages=dict(sorted(newest.items())),
        following=FOLLOWING,
    )


def digest_of(directory: Path) -> str:
    """Return what is the same for the same code: of the names and contents of all files of the packages in it."""
    digest = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((directory / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                digest.update(f"{path.relative_to(directory).as_posix()} {len(content)}\n".encode())
                digest.update(content)
    return digest.hexdigest()[:16]
