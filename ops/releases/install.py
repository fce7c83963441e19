"""A release made from a wheel or a checkout: an environment of its own, with the packages that the source pins."""

import re
import shutil
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uv

from ops.releases.formats import Formats, digest_of
from ops.releases.shelf import NAME, PREVIOUS, Release, Shelf, run
from streams.errors import SpilldeckError, UsageError
from streams.moving import CURRENT

PINS = "requirements.txt"
"""In a checkout; a wheel carries it as data."""
_PINS_OF_WHEEL = re.compile(rf"spilldeck-[^/]+\.data/data/share/spilldeck/{re.escape(PINS)}")
_VERSION = re.compile(r'^version = "([^"+]+)"$', re.MULTILINE)
_NOT_CODE = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "tests", "docs")
COMMIT_DIGITS = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What is installed."""

    version: str
    commit: str
    what: Path
    """That the installer takes: a wheel, or a copy of a checkout."""
    pins: Path


def install(shelf: Shelf, source: Path, name: str | None, say: Callable[[str], object]) -> Release:
    """Install a release; killed at any moment, nothing of it is listed.

    Parameters
    ----------
    source
        A wheel, or a checkout.
    name
        Of the release; without, its version.
    say
        Hears what is done.

    Raises
    ------
    SpilldeckError
        When the source is none of ours, the name is taken, or packages cannot be had.
    """
    with TemporaryDirectory(prefix="spilldeck-release-") as directory, shelf.alone():
        its = _from_wheel(source, Path(directory)) if source.is_file() else _from_checkout(source, Path(directory))
        name = name or its.version
        if not NAME.fullmatch(name) or name in (CURRENT, PREVIOUS):
            raise UsageError(f"{name!r} is no name of a release: letters, digits and . _ + -, at most 60 in all")
        if shelf.path(name).exists():
            raise UsageError(f"there is a release {name}: give another --name, or spilldeck release remove {name}")
        with shelf.making(name) as where:
            return _make(shelf, where, its, str(source.resolve()), say)


def _make(shelf: Shelf, where: Path, its: _Source, source: str, say: Callable[[str], object]) -> Release:
    python = where / "bin" / "python"
    say(f"installing {its.version}: packages")
    _uv("venv", "--no-project", "--python", sys.executable, str(where))
    pip = ("pip", "install", "--python", str(python))
    _uv(*pip, "--require-hashes", "-r", str(its.pins))
    say(f"installing {its.version}: its code")
    _uv(*pip, "--no-deps", "--no-build-isolation", str(its.what))
    # What a worker and the page import is compiled now: one that moves to it has no time for that.
    done = run([python, "-P", "-c", "import ops.cli, streams.app, dashboards.app"])
    if done.returncode:
        raise SpilldeckError(f"what was installed does not run: {(done.stderr.strip() or 'nothing').splitlines()[-1]}")
    (code,) = where.glob("lib/python*/site-packages")
    release = Release(
        name=where.name,
        version=its.version,
        digest=digest_of(code),
        source=source,
        commit=its.commit,
        installed_s=time.time(),
        formats=_formats(shelf, where.name),
    )
    shelf.add(release)
    return release


def _formats(shelf: Shelf, name: str) -> Formats | None:
    """Return what a release says that it reads and writes, if it says so."""
    try:
        return Formats(**shelf.ask(name, "release", "about", "--json")["formats"])
    except (SpilldeckError, TypeError, LookupError):
        return None  # from before releases said so, or a later one that says it otherwise


def _uv(*arguments: str) -> None:
    """Run the installer; raise what it says when it fails."""
    done = run([uv.find_uv_bin(), "--quiet", "--system-certs", "--no-config", *arguments])
    if done.returncode:
        said = " ".join(done.stderr.split()) or "nothing"
        raise SpilldeckError(f"the release cannot be installed; uv says: {said}")


def _from_wheel(wheel: Path, directory: Path) -> _Source:
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            if not any(re.fullmatch(r"spilldeck-[^/]+\.dist-info/METADATA", name) for name in names):
                raise UsageError(f"{wheel} is no wheel of spilldeck")
            pins = next(filter(_PINS_OF_WHEEL.fullmatch, names), None)
            if pins is None:
                raise UsageError(f"{wheel} does not say which packages it needs, with hashes: install its checkout")
            (directory / PINS).write_bytes(archive.read(pins))
    except (OSError, zipfile.BadZipFile) as error:
        raise UsageError(f"{wheel} cannot be read as a wheel: {error}") from error
    return _Source(version=wheel.name.split("-")[1], commit="", what=wheel.resolve(), pins=directory / PINS)


def _from_checkout(checkout: Path, directory: Path) -> _Source:
    """Copy a checkout, so that nothing is built in it and nothing that was built there before is taken for code."""
    project = checkout / "pyproject.toml"
    if not project.is_file() or not (checkout / PINS).is_file():
        raise UsageError(f"{checkout} is no checkout of spilldeck: it lacks pyproject.toml or {PINS}")
    text = project.read_text(encoding="utf-8")
    found = _VERSION.search(text)
    if found is None or 'name = "spilldeck"' not in text:
        raise UsageError(f"{project} is not spilldeck's")
    copy = directory / "checkout"
    shutil.copytree(checkout, copy, ignore=_NOT_CODE)
    commit, is_changed = commit_of(checkout)
    parts = [f"g{commit[:COMMIT_DIGITS]}"] if commit else []
    parts += [f"d{digest_of(copy)[:8]}"] if is_changed else []
    version = f"{found[1]}+{'.'.join(parts)}"
    # Books say which version filled them: the number alone is the same for many commits.
    (copy / "pyproject.toml").write_text(_VERSION.sub(f'version = "{version}"', text), encoding="utf-8")
    return _Source(version=version, commit=commit, what=copy, pins=copy / PINS)


def commit_of(checkout: Path) -> tuple[str, bool]:
    """Return the commit that a checkout is at, empty if it is none of git's, and whether it may have other code."""
    commit = _git(checkout, "rev-parse", "HEAD")
    return commit, not commit or bool(_git(checkout, "status", "--porcelain"))


def _git(checkout: Path, *arguments: str) -> str:
    """Return what git says of a checkout; nothing if it is none of git's, or there is no git."""
    try:
        done = run(["git", "-C", checkout, *arguments])
    except SpilldeckError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
