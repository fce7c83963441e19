"""Scripts of the page that `make` fetches with npm, pinned: without them it takes larger ones, and is usable later."""

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

import plotly
from plotly.offline import get_plotlyjs_version

from streams.errors import ServerError

FETCH_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """A file of an npm package."""

    package: str
    version: str
    path: str
    """In the package."""
    sha256: str

    @property
    def file(self) -> Path | None:
        """Where it lies; None if it is not there, or another one is."""
        return self._cached if _digest(self._cached) == self.sha256 else None

    def fetch(self) -> None:
        """Fetch it into the cache, unless it is there.

        Raises
        ------
        ServerError
            When there is no npm, or it cannot fetch the file that was pinned.
        """
        if self.file is not None:
            return
        npm = shutil.which("npm")
        if npm is None:
            raise ServerError("there is no npm to fetch it with")
        with tempfile.TemporaryDirectory() as directory:
            command = [npm, "pack", "--silent", f"{self.package}@{self.version}"]
            try:
                subprocess.run(command, cwd=directory, check=True, capture_output=True, timeout=FETCH_S)  # noqa: S603
                with tarfile.open(next(Path(directory).glob("*.tgz"))) as archive:
                    member = archive.extractfile(self.path)
                    content = member.read() if member is not None else b""
            except (subprocess.SubprocessError, StopIteration, tarfile.TarError, KeyError) as error:
                raise ServerError(f"npm could not fetch it ({type(error).__name__})") from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise ServerError("it is not the file that was pinned: its SHA-256 is another")
        self._cached.parent.mkdir(parents=True, exist_ok=True)
        partial = self._cached.with_suffix(f".{os.getpid()}.part")
        partial.write_bytes(content)
        partial.replace(self._cached)

    @property
    def _cached(self) -> Path:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "spilldeck" / f"{self.package}-{self.version}.js"


PLOTLY = Script(
    package="plotly.js-cartesian-dist-min",
    version="4.1.1",
    path="package/plotly-cartesian.min.js",
    sha256="79542150855a52c567260e3137095dbe2b744e6d702a5cabe67da246942fba7a",
)
"""What draws the figures: a third of the whole. Its version is that of the whole one: both must draw the same."""
REGENERATOR = Script(
    package="regenerator-runtime",
    version="0.14.1",
    path="package/runtime.js",
    sha256="7beda998b3fd277f3548e12b277bafc3037d243421f007032d38dffee412224c",
)
"""All that Dash uses of its polyfill, whose rest is for browsers of long ago, and is read for a tenth of a second."""


def plotly_file() -> Path:
    """Return the plotly.js to serve: its part if it is there, else the whole of the package plotly."""
    part = PLOTLY.file if get_plotlyjs_version() == PLOTLY.version else None
    return part or Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else ""


if __name__ == "__main__":
    for script in (PLOTLY, REGENERATOR):
        try:
            script.fetch()
        except ServerError as error:
            print(f"the page does without {script.package} {script.version}: {error}")  # noqa: T201 - make shows it
