"""Kafka's jars: a pinned list, fetched in parallel from Maven's repository, each compared with its SHA-256."""

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from streams.errors import ServerError

PARALLEL = 8
TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class Jar:
    """One artifact."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Where a repository of Maven's layout has it."""
        return f"{self.group.replace('.', '/')}/{self.artifact}/{self.version}/{self.name}"


def pinned() -> Iterator[Jar]:
    """Yield the jars of the list that ships with this module."""
    for line in (files("ops.stack") / "kafka.jars").read_text().splitlines():
        if not line.startswith("#"):
            coordinates, sha256 = line.split()
            group, artifact, version = coordinates.split(":")
            yield Jar(group, artifact, version, sha256)


def directory() -> Path:
    """Return where the jars are kept: a folder of its own for each list."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    digest = hashlib.sha256(repr(list(pinned())).encode()).hexdigest()
    return cache / "spilldeck" / f"kafka-{digest[:12]}"


def missing() -> list[Jar]:
    """Return the jars that are not there as they must be."""
    folder = directory()
    return [jar for jar in pinned() if not _is_right(folder / jar.name, jar)]


def class_path() -> str:
    """Return the class path of all jars; fetch those that are missing.

    Raises
    ------
    ServerError
        When they can be had neither from the cache nor from the repository.
    """
    folder, wanted = directory(), missing()
    if wanted:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ServerError(f"Kafka's jars cannot be kept in {folder}: {error.strerror}") from error
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(lambda jar: _fetch(jar, folder), wanted))
    return str(folder / "*")


def _is_right(file: Path, jar: Jar) -> bool:
    return file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == jar.sha256


def _fetch(jar: Jar, folder: Path) -> None:
    try:
        from jgo import MAVEN_CENTRAL_URL  # noqa: PLC0415 - optional: the one address that we need, kept by others
    except ImportError:
        raise ServerError("no packages to fetch Kafka with: pip install spilldeck[local]") from None
    try:
        # With the certificates that this machine trusts, like make's installations.
        with urllib.request.urlopen(f"{MAVEN_CENTRAL_URL.rstrip('/')}/{jar.path}", timeout=TIMEOUT_S) as answer:  # noqa: S310
            content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServerError(
            f"Kafka's jars are not in the cache and cannot be fetched ({jar.name}: {type(error).__name__}): connect "
            f"this machine to Maven's repository once, or name a Kafka of your own in kafka.bootstrap_servers"
        ) from error
    partial = folder / f"{jar.name}.{os.getpid()}.part"
    partial.write_bytes(content)
    if not _is_right(partial, jar):
        partial.unlink()
        raise ServerError(f"{jar.name} from Maven's repository is not the file that was pinned: its SHA-256 is another")
    # Whole or not at all, also when two commands fetch at the same time.
    partial.replace(folder / jar.name)
