"""Of this machine: settings, directories, files with secrets, room on disks."""

import os
import shutil
import stat
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from ops.doctor.finding import Check, Finding, Site, trouble
from ops.stack.kafka import DATA
from streams.books.connect import connect
from streams.books.good_spills import read_rules
from streams.books.limits import read_limits
from streams.errors import SpilldeckError
from streams.experiment import experiment
from streams.freshness import Level
from streams.settings import Settings, load_settings, secrets_of, settings_file

_OTHERS = 0o077
_DAY_S = 86_400.0
WEEK_S = 7 * _DAY_S
"""A rate is that of the last week; what is full within another is told."""
LOOKS_S = 2.0
"""So long files are looked at to know how they grow."""
FULL = 0.97
_IN_BALANCE = 0.9
"""Kafka's oldest segment is so near to the end of its time that what comes replaces what goes."""


def _settings(site: Site) -> Iterator[Finding]:
    try:
        site.settings = settings = load_settings()
        experiment()
        site.redis = connect(settings)
    except SpilldeckError as error:
        yield trouble("settings.wrong", str(error))
        return
    for name, path in _directories(settings):
        if why := _unwritable(path):
            yield trouble("settings.directory", f"{name} is {path}: {why}", Level.WARNING, path=path, setting=name)
    for name, path, read in _edited(settings):
        try:
            read(path.expanduser())
        except SpilldeckError as error:
            yield trouble("settings.file", str(error), Level.WARNING, setting=name)
    for path in _private(settings):
        if path.is_file() and (mode := path.stat().st_mode) & _OTHERS:
            words = f"others may read {path} ({stat.filemode(mode)}), which holds secrets"
            yield trouble("settings.secret", words, Level.WARNING, path=path)
    file = settings_file()
    yield SETTINGS.good(f"{file.name if file else 'no file, all defaults'}; session {settings.session}")


def _directories(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield where parts write; releases are of whoever installs them, and no part should be able to change its code."""
    yield "producer.journals", settings.producer.journals
    yield "dashboard.references", settings.dashboard.references
    yield "access.directory", settings.access.directory
    yield from _kept(settings)


def _edited(settings: Settings) -> Iterator[tuple[str, Path, Callable[[Path], object]]]:
    """Yield the files that experts edit: the setting that names one, where it is, what reads it."""
    if settings.checks.limits is not None:
        yield "checks.limits", settings.checks.limits, read_limits
    if settings.checks.good_spills is not None:
        yield "checks.good_spills", settings.checks.good_spills, read_rules


def _kept(settings: Settings) -> Iterator[tuple[str, Path]]:
    for name, path in (("keeper.archive", settings.keeper.archive), ("keeper.products", settings.keeper.products)):
        if path is not None:
            yield name, path


def _unwritable(directory: Path) -> str:
    """Return why nothing can be written to a directory, or it cannot be made; empty if it can."""
    there = _there(directory)
    if not there.is_dir():
        return f"{there} is no directory"
    return "" if os.access(there, os.W_OK | os.X_OK) else f"nothing can be written to {there}"


def _there(directory: Path) -> Path:
    """Return a directory, or the nearest one above it that is there: it is made when something is first written."""
    path = directory.expanduser().absolute()
    return next((each for each in (path, *path.parents) if each.exists()), Path("/"))


def _private(settings: Settings) -> Iterator[Path]:
    """Yield the files that are for their owner alone."""
    access = settings.access.directory.expanduser()
    if access.is_dir():
        yield from (each for each in sorted(access.iterdir()) if each.name != ".lock")
    for signed in (settings.alarms, settings.logbook):
        if signed.secret_file is not None:
            yield signed.secret_file.expanduser()
    file = settings_file()
    if file is not None and _has_secrets(tomllib.loads(file.read_text(encoding="utf-8"))):
        yield file


def _has_secrets(said: Mapping[str, Any], section: type[BaseModel] = Settings) -> bool:
    """Say whether a settings file has a secret in it; an address of Redis is one if it says who asks."""
    own = {name: said[name] for name in secrets_of(section) if said.get(name)}
    if any(name != "url" or "@" in str(its) or "password=" in str(its) for name, its in own.items()):
        return True
    parts = {name: field.annotation for name, field in section.model_fields.items()}
    return any(
        isinstance(part, type) and issubclass(part, BaseModel) and name in said and _has_secrets(said[name], part)
        for name, part in parts.items()
    )


SETTINGS = Check(name="settings", look=_settings)


def _space(site: Site) -> Iterator[Finding]:
    """Say how full each disk is that grows, and when it will be."""
    disks: dict[int, list[tuple[str, Path]]] = {}
    for name, path in _growing(site.settings):
        disks.setdefault(_there(path).stat().st_dev, []).append((name, path))
    wrong, end_s = False, time.monotonic() + LOOKS_S
    words = []
    for its in disks.values():
        name, path = its[0]
        usage = shutil.disk_usage(_there(path))
        rates = [_rate(site.settings, path, end_s) for _, path in its]
        day = None if None in rates else full_on(usage.free, sum(rate or 0.0 for rate in rates))
        is_full = usage.free < (1 - FULL) * usage.total
        said = f"{size(usage.free)} free of {size(usage.total)} for {', '.join(name for name, _ in its)}"
        said += f"; full {day}" if day else "; when full is unknown" if None in rates else "; not growing to its end"
        if is_full or is_soon(usage.free, rates):
            wrong = True
            yield trouble("space.disk", said, Level.BAD if is_full else Level.WARNING, path=path, setting=name)
        words.append(said)
    if not wrong:
        yield SPACE.good("; ".join(words) or "nothing of these settings grows on this machine", Level.GOOD)


def _growing(settings: Settings) -> Iterator[tuple[str, Path]]:
    of_kafka = settings.local.directory.expanduser() / DATA
    if of_kafka.is_dir():  # else Kafka is another's
        yield "local.directory", of_kafka
    yield from ((name, path.expanduser()) for name, path in _kept(settings))


def _rate(settings: Settings, directory: Path, end_s: float) -> float | None:
    """Return how many bytes a second a directory grew by in the last week; None if nothing tells."""
    now_s, oldest_s, lately = time.time(), time.time(), 0
    for where, _, files in os.walk(directory):
        for name in files:
            if time.monotonic() > end_s:
                return None
            try:
                its = os.stat(os.path.join(where, name), follow_symlinks=False)  # noqa: PTH116, PTH118 - of many files
            except OSError:  # it has just gone
                continue
            oldest_s = min(oldest_s, its.st_mtime)
            lately += its.st_size if now_s - its.st_mtime < WEEK_S else 0
    age_s = now_s - oldest_s
    if directory.name == DATA and settings.kafka.retention_days:
        kept_s = settings.kafka.retention_days * _DAY_S
        if age_s > _IN_BALANCE * kept_s:
            return 0.0
    return rate(lately, age_s)


def rate(lately: float, age_s: float) -> float | None:
    """Return the growth a second of what grew by so much in the last week; None if it is no day old."""
    return lately / min(age_s, WEEK_S) if age_s >= _DAY_S else None


def is_soon(free: float, rates: list[float | None]) -> bool:
    """Say whether what is free is full within a week, at what is known of how it grows."""
    return sum(rate or 0.0 for rate in rates) * WEEK_S > free


def full_on(free: float, rate: float) -> str:
    """Return the day when what is free is full; empty if none is near enough to be said."""
    seconds = free / rate if rate > 0 else float("inf")
    if seconds > 3650 * _DAY_S:
        return ""
    return f"about {datetime.fromtimestamp(time.time() + seconds, UTC):%d %b %Y}"


def size(amount: float) -> str:
    """Return a number of bytes in words."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


SPACE = Check(name="disk", look=_space, needs=("settings",))
