"""Good-spill lists: which spills are good by a rule over detectors, so that anybody makes the same list again.

A rule has a name and versions, in a file that an expert edits. What a list follows from stands in it: the rule, up to
which action people's flags were heard, and of each run whose book it is, its conditions and its code.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, model_validator

from streams.books.flags import ALL, Flags, Verdict, intervals
from streams.books.run import Ledger
from streams.books.totals import REFUSED_KEPT, Totals
from streams.checked_toml import MOST_BYTES, Strict, parse_toml
from streams.errors import UsageError
from streams.experiment import experiment
from streams.files import read_whole

FORMAT = 1
"""Of a list."""
_Detectors = Annotated[tuple[str, ...], Field(strict=False)]  # TOML has lists
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,60}$")]


class Rule(Strict):
    """One version of a rule."""

    version: Annotated[int, Field(ge=1)]
    good: Annotated[_Detectors, Field(min_length=1)]
    """Detectors that must be flagged good: what nobody looked at is not."""
    not_bad: _Detectors | None = None
    """Those that may be anything but flagged bad; all others, unless some are named."""

    @model_validator(mode="after")
    def _names_detectors(self) -> "Rule":
        unknown = sorted({*self.good, *(self.not_bad or ())} - experiment().tables.keys())
        if unknown:
            raise ValueError(f"there is no detector {unknown[0]}: there are {', '.join(experiment().tables)}")
        return self


_FILE = TypeAdapter(dict[_Name, Annotated[tuple[Rule, ...], Field(min_length=1)]])
Rules = Mapping[str, Sequence[Rule]]
"""Name → versions, in the order of the file."""


class Named(NamedTuple):
    """A version of a rule, with its name."""

    name: str
    rule: Rule

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, with a digest by which a version that was edited since is told."""
        said = {"name": self.name, **self.rule.model_dump(mode="json")}
        return said | {"digest": hashlib.sha256(canonical(said).encode()).hexdigest()}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpills:
    """The spills of a run, as its book has them."""

    run: int
    session: str
    """Whose book: live, or a replay that was promoted."""
    totals: Totals
    ledger: Ledger
    flags: Flags


def read_rules(path: Path) -> Rules:
    """Return the rules of a file.

    Raises
    ------
    UsageError
        Says what of it is wrong, and where.
    """
    path = path.expanduser()
    called = f"The file of rules {path}"
    found = parse_toml(read_whole(path, MOST_BYTES, "The file of rules"), _FILE, called)
    for name, rules in found.items():
        versions = [rule.version for rule in rules]
        if len(set(versions)) < len(versions):
            raise UsageError(f"{called} is wrong: {name} has a version twice")
    return found


def choose(rules: Rules, asked: str) -> Named:
    """Return a rule by its name, the newest version of it; or, as NAME@VERSION, that one.

    Raises
    ------
    UsageError
        When there is none.
    """
    name, at, version = asked.partition("@")
    if name not in rules:
        raise UsageError(f"there is no rule {name}: there are {', '.join(sorted(rules)) or 'none'}")
    its = {str(rule.version): rule for rule in rules[name]}
    if not at:
        return Named(name, max(rules[name], key=lambda rule: rule.version))
    if version not in its:
        raise UsageError(f"the rule {name} has no version {version}: it has {', '.join(its)}")
    return Named(name, its[version])


def good_spills(rule: Rule, flags: Flags, spills: Iterable[int]) -> list[int]:
    """Return which of some spills are good by a rule, in their order."""
    flagged = {flag.detector for flag in flags} - {ALL}
    others = experiment().tables.keys() | flagged if rule.not_bad is None else {*rule.not_bad}
    found = {*spills}
    for detector in rule.good:
        found &= _flagged(flags, detector, Verdict.GOOD, found)
    for detector in others - {*rule.good}:
        found -= _flagged(flags, detector, Verdict.BAD, found)
    return sorted(found)


def _flagged(flags: Flags, detector: str, verdict: Verdict, spills: Iterable[int]) -> set[int]:
    """Return the spills of which something was said of a detector."""
    said = [each for each in intervals(flags, detector) if each.verdict is verdict]
    return {spill for spill in spills if any(each.first <= spill <= each.last for each in said)}


def spill_list(named: Named, runs: Iterable[RunSpills], *, code: str, upto: int, last_action: str) -> dict[str, Any]:
    """Return a list as plain values.

    Parameters
    ----------
    code
        The version that makes it.
    upto, last_action
        The first offset of the topic of quality that was not heard, and a digest of the action before it: of another
        topic it is another.
    """
    return {
        "format": FORMAT,
        "code": code,
        "rule": named.to_json(),
        "quality": {"upto": upto, "last": last_action},
        "runs": [_of_run(named.rule, each) for each in sorted(runs, key=lambda each: each.run)],
    }


def _of_run(rule: Rule, its: RunSpills) -> dict[str, Any]:
    totals, good = its.totals, good_spills(rule, its.flags, its.ledger)
    there = {*its.ledger, *totals.refused}
    missing = [spill for spill in range(totals.last_spill + 1) if spill not in there]
    return {
        "run": its.run,
        "book": its.session,
        "conditions": sorted(totals.conditions),
        "code": sorted(totals.code),
        "good": ranges(good),
        "rejected": ranges(totals.refused),
        # Of more that were rejected nobody knows the numbers: they would be among what is missing.
        "missing": ranges(missing) if len(totals.refused) < REFUSED_KEPT else None,
        "counts": {"good": len(good), "counted": len(its.ledger), "rejected": totals.all_rejected},
    }


def ranges(spills: Iterable[int]) -> list[list[int]]:
    """Return the first and the last of numbers that follow one another, of each such range."""
    found: list[list[int]] = []
    for spill in sorted(spills):
        if found and spill == found[-1][1] + 1:
            found[-1][1] = spill
        else:
            found.append([spill, spill])
    return found


def canonical(values: Any) -> str:
    """Return plain values as JSON in the one way in which equal ones are equal bytes."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
