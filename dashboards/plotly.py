"""The plotly.js that draws the figures: its cartesian part, a third of the whole, where `make` could fetch it.

Without it the page takes the whole one of the package plotly, and is usable somewhat later.
"""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import plotly
from plotly.offline import get_plotlyjs_version

from streams.errors import ServerError

PACKAGE = "plotly.js-cartesian-dist-min"
VERSION = "4.1.1"
"""That of the whole one, or it is not used: both must draw the same."""
SHA256 = "79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a"
FETCH_S = 60


def script() -> Path:
    """Return the file to serve: the cartesian part if it is the one that was pinned, else the whole."""
    if get_plotlyjs_version() == VERSION and _digest(_cached()) == SHA256:
        return _cached()
    return Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def fetch() -> None:
    """Fetch the cartesian part with npm into the cache, unless it is there.

    Raises
    ------
    ServerError
        When there is no npm, or it cannot fetch the file that was pinned.
    """
    if _digest(_cached()) == SHA256:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise ServerError("there is no npm to fetch it with")
    with tempfile.TemporaryDirectory() as directory:
        command = [npm, "pack", "--silent", f"{PACKAGE}@{VERSION}"]
        try:
            subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=FETCH_S)  # noqa: S603
            with tarfile.open(next(Path(directory).glob("*.tgz"))) as archive:
                archive.extract("package/plotly-cartesian.min.js", directory, filter="data")
        except (subprocess.SubprocessError, StopIteration, tarfile.TarError, KeyError) as error:
            raise ServerError(f"npm could not fetch {PACKAGE} {VERSION} ({type(error).__name__})") from error
        found = Path(directory) / "package" / "plotly-cartesian.min.js"
        if _digest(found) != SHA256:
            raise ServerError(f"{PACKAGE} {VERSION} is not the file that was pinned: its SHA-256 is another")
        _cached().parent.mkdir(parents=True, exist_ok=True)
        partial = _cached().with_suffix(f".{os.getpid()}.part")
        shutil.copyfile(found, partial)
        partial.replace(_cached())


def _cached() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "spilldeck" / f"plotly-cartesian-{VERSION}.min.js"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


if __name__ == "__main__":
    try:
        fetch()
    except ServerError as error:
        print(f"the page takes plotly.js whole: {error}")  # noqa: T201 - make shows it
