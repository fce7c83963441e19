"""Looks at all of a site at once, each check as soon as those that it needs are well, and no longer than a bound."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import structlog

from ops.doctor import books, host, page, servers
from ops.doctor.finding import Check, Finding, Site, trouble
from streams.freshness import Level
from streams.printable import printable

CHECKS: tuple[Check, ...] = (
    host.SETTINGS,
    servers.KAFKA,
    servers.SENTINELS,
    servers.REDIS,
    servers.TOPICS,
    servers.CLOCKS,
    host.SPACE,
    books.RUNS,
    servers.MEMORY,
    books.CONDITIONS,
    books.WORKERS,
    books.BOOKS,
    books.SPILLS,
    books.ALARMS,
    books.KEEPER,
    page.PAGE,
    page.SHOWN,
    servers.LEFT,
)
"""In the order of causes."""
ALL_S = 6.5
"""All is said by then; starting Python takes the rest of ten seconds."""
DEEP_S = 600.0
"""Reading all runs may take longer."""
_STEP_S = 0.02
_STOPS = (Level.BAD, Level.UNKNOWN)
"""What comes after is not looked at."""


@dataclass(slots=True, kw_only=True)
class _At:
    """How it stands with one check."""

    check: Check
    thread: threading.Thread | None = None
    began_s: float = 0.0
    found: list[Finding] = field(default_factory=list)
    is_over: bool = False
    is_left_out: bool = False

    @property
    def holds(self) -> bool:
        """Whether what needs it can be looked at."""
        return self.is_over and not self.is_left_out and not any(each.level in _STOPS for each in self.found)


def look(*, deep: bool = False, checks: Sequence[Check] = CHECKS) -> tuple[list[Finding], list[str]]:
    """Return what was found, in the order of causes, and the names of the checks that follow from what is wrong.

    Parameters
    ----------
    deep
        Whether to read all runs.
    """
    # What is wrong is found and said here: a library's or our own warning in between would only repeat it.
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), processors=[])
    site, end_s = Site(deep=deep), time.monotonic() + (DEEP_S if deep else ALL_S)
    there = {check.name: _At(check=check) for check in checks}
    while not all(each.is_over for each in there.values()):
        for each in there.values():
            _go_on(each, there, site, end_s)
        time.sleep(_STEP_S)
    found = [finding for each in there.values() for finding in each.found]
    return found, [name for name, each in there.items() if each.is_left_out]


def _go_on(its: _At, there: dict[str, _At], site: Site, end_s: float) -> None:
    """Start a check, take what it found, or give it up."""
    if its.is_over:
        return
    now_s = time.monotonic()
    if its.thread is None:
        needed = [there[name] for name in its.check.needs]
        if any(each.is_over and not each.holds for each in needed):
            its.is_over = its.is_left_out = True
        elif all(each.is_over for each in needed):
            # It may hang for ever: it must not keep us from ending.
            its.thread = threading.Thread(target=_run, args=(its, site, its.found), daemon=True, name=its.check.name)
            its.began_s = now_s
            its.thread.start()
    elif not its.thread.is_alive():
        its.is_over = True
    elif now_s > min(its.began_s + _bound_s(its.check, site), end_s):
        words = f"{its.check.name}: no answer within {now_s - its.began_s:.0f} s"
        level = Level.UNKNOWN if its.check.late == "doctor.late" else Level.BAD
        its.found, its.is_over = [*its.found, trouble(its.check.late, words, level)], True


def _bound_s(check: Check, site: Site) -> float:
    return DEEP_S if site.deep and check.reads_all else check.bound_s


def _run(its: _At, site: Site, found: list[Finding]) -> None:
    try:
        found.extend(replace(each, words=printable(each.words)) for each in its.check.look(site))
    except Exception as error:  # noqa: BLE001 - one check that fails stops no other
        words = printable(f"{its.check.name}: {type(error).__name__}: {error}")
        found.append(trouble("doctor.failed", words, Level.UNKNOWN))
