"""Causes: each fault told once, where it comes from, with all that follows from it.

A plane that is dead has hundreds of silent channels, few hits in its station, and few entries in a peak. What belongs
together, the experiment says; that it is together, its begin says. From cause to what follows: a detector, a group of
its channels, a part of the group, a channel, a peak.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import partial

import numpy as np

from streams.checks.agree import common, together
from streams.checks.begin import Begin
from streams.checks.channels import Channels
from streams.checks.counts import Finding
from streams.checks.judge import Verdict
from streams.checks.means import Moved
from streams.checks.peaks import Peak

LEAST = 3
"""Channels that may be taken for their part: two die beside each other. Of a smaller part it is all of them."""
MOST = 0.5
"""More than this share of a part is taken for all of it."""
_STEP = 0.25
"""A part may die in steps, each of so much of it at least. Fewer than that follow from the step before them."""
_ERRORS = 3.0
"""By so many errors a peak may differ from what others say of the source that moved it."""


class _Reach(IntEnum):
    """How much a cause takes with it, the most first."""

    GROUP = 0
    PART = 1
    CHANNEL = 2
    PEAK = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """A fault, and what follows from it."""

    verdict: Verdict
    """One of the run's; or what several of them say together, which are the first that follow."""
    follows: tuple[Verdict, ...] = ()
    members: str = ""
    """What says it together: ``channels``, ``peaks``; empty where the verdict is one of the run's."""
    told: int = 0
    """How many of them do."""
    of: int = 0
    """Among how many of which it would be known by now."""

    @property
    def where(self) -> str:
        """Name of the group or the peak in which it was seen."""
        return self.follows[0].group if self.members else self.verdict.group


@dataclass(slots=True, eq=False)
class _Node:
    """A cause while what follows from it is looked for."""

    verdict: Verdict
    reach: _Reach
    parts: list[Verdict]
    """The run's verdicts that say it."""
    follows: list[Verdict] = field(default_factory=list)
    """Other ones."""
    members: str = ""
    of: int = 0

    @property
    def begin(self) -> Begin:
        return self.verdict.finding.begin

    @property
    def side(self) -> int:
        """-1 if there are fewer counts, 1 if there are more, 0 if counts are as they were."""
        finding = self.verdict.finding
        return 0 if not isinstance(finding, Finding) else -1 if finding.factor < 1 else 1

    @property
    def groups(self) -> set[str]:
        """Names of those that it was seen in."""
        return {each.group for each in self.parts}

    @property
    def missing(self) -> float:
        """Hits a spill that there are too few, or too many."""
        its = [each.finding for each in self.parts if isinstance(each.finding, Finding)]
        return sum(abs(each.expected - each.counted) / max(each.told - each.begin.first + 1, 1) for each in its)

    def lasts_to(self, spill: int) -> bool:
        """Say whether it was not over before a spill."""
        return self.verdict.ended is None or self.verdict.ended >= spill

    def explains(self, other: "_Node") -> bool:
        """Say whether another began together with it; what is wrong is not put under what is over."""
        is_hidden = self.verdict.ended is not None and other.verdict.ended is None
        return self is not other and not is_hidden and len(together([self.begin, other.begin])) == 1


def causes(
    verdicts: Sequence[Verdict], watched: Sequence[Channels | Peak], hits: Mapping[str, Sequence[float]], last: int
) -> tuple[Cause, ...]:
    """Return the causes: those that take most with them, and then those that began, first. Each verdict is there once.

    Parameters
    ----------
    verdicts
        What is and was wrong with a run.
    watched
        What they may be of.
    hits
        Group → hits that each of its channels has in a spill. Where it lacks, all have plenty.
    last
        Number of the last spill that was judged.
    """
    groups = [each for each in watched if isinstance(each, Channels)]
    peaks = [each for each in watched if isinstance(each, Peak)]
    nodes = [_Node(each, _reach(each, [peak.name for peak in peaks]), [each]) for each in verdicts]
    there = {each.group for each in verdicts}
    for group in groups:
        if group.name in there:
            _fold_parts(nodes, group, hits.get(group.name, ()), last)
            _fold_group(nodes, group)
    _fold_wholes(nodes, groups)
    sources = _sources(peaks)
    _fold_moved(nodes, sources, {peak.name: peak.matters for peak in peaks})
    for peak in peaks:
        _fold_entries(nodes, peak)
    for source, signs in sources.items():
        for its in _together(_of(nodes, signs, _Reach.PEAK, side=-1)):
            if len(signs) == len({node.verdict.group for node in its}):
                _tell_together(nodes, its, _summed, (source, ""), ("peaks", len(signs)))
    return tuple(_cause(node) for node in sorted(nodes, key=_order))


def _reach(verdict: Verdict, peaks: Collection[str]) -> _Reach:
    if verdict.channel:
        return _Reach.CHANNEL
    return _Reach.PEAK if verdict.group in peaks else _Reach.GROUP


def _order(node: _Node) -> tuple[_Reach, int, str, str]:
    return node.reach, node.begin.first, node.verdict.group, node.verdict.channel


def _cause(node: _Node) -> Cause:
    if not node.members:
        return Cause(verdict=node.verdict, follows=tuple(node.follows))
    told = len({(each.group, each.channel) for each in node.parts})
    return Cause(
        verdict=node.verdict,
        follows=(*node.parts, *node.follows),
        members=node.members,
        told=told,
        of=max(told, node.of),
    )


def _of(nodes: Sequence[_Node], groups: Collection[str], *reaches: _Reach, side: int) -> list[_Node]:
    """Return what has moved (0), has fewer or more counts (-1, 1), of some groups or peaks."""
    return [n for n in nodes if n.reach in reaches and n.side == side and n.verdict.group in groups]


def _together(nodes: Sequence[_Node]) -> list[list[_Node]]:
    return [[nodes[at] for at in places] for places in together([node.begin for node in nodes])]


def _fold_parts(nodes: list[_Node], group: Channels, hits: Sequence[float], last: int) -> None:
    """Tell a part of a group in place of most of its channels."""
    for name, channels in group.parts.items():
        inside = {group.names[channel]: channel for channel in channels}
        for side in (-1, 1):
            its = [n for n in _of(nodes, [group.name], _Reach.CHANNEL, side=side) if n.verdict.channel in inside]
            # Noise is the same in all, however often the beam hits them.
            enough = partial(_enough, inside, hits if side < 0 else (), last)
            for step, of in _steps(its, len(inside), enough):
                _tell_together(nodes, step, _summed, (group.name, name), ("channels", of))


def _enough(inside: Mapping[str, int], hits: Sequence[float], last: int, its: Sequence[_Node]) -> set[str]:
    """Return the channels of a part that were to have as many hits as others had when they were told."""
    if not hits:
        return {*inside}
    until = max(last if node.verdict.ended is None else node.verdict.ended for node in its)
    spills = until - common([node.begin for node in its]).first + 1
    least = np.median([each.expected for each in _findings(its)])
    return {name for name, channel in inside.items() if hits[channel] * spills >= least}


def _findings(nodes: Sequence[_Node]) -> list[Finding]:
    return [each.finding for node in nodes for each in node.parts if isinstance(each.finding, Finding)]


def _steps(
    its: Sequence[_Node], size: int, enough: Callable[[Sequence[_Node]], set[str]]
) -> Iterator[tuple[list[_Node], int]]:
    """Yield changes of channels that are one of their part, and of how many channels it would be known by now."""
    steps: list[tuple[list[_Node], int]] = []
    left = [*its]
    for those in _together(its):
        told = {node.verdict.channel for node in those}
        if len(told) < min(LEAST, size):
            break
        since = common([node.begin for node in those]).first
        changed = {node.verdict.channel for node in its if node.lasts_to(since)}
        of = told | enough(those)
        if len(changed & of) > MOST * len(of) and len(told) >= _STEP * len(of):
            steps.append((those, len(of)))
            left = [node for node in left if node not in those]
    steps.sort(key=lambda step: common([node.begin for node in step[0]]))
    begins = [common([node.begin for node in step]).first for step, _ in steps]
    for node in left:
        for begin, (step, _) in zip(reversed(begins), reversed(steps), strict=True):
            if begin <= node.begin.latest and any(each.lasts_to(node.begin.first) for each in step):
                step.append(node)
                break
    yield from steps


def _fold_group(nodes: list[_Node], group: Channels) -> None:
    """Put what a group lacks under the one part or channel that makes most of it; if none does, these under it."""
    for side in (-1, 1):
        for whole in _of(nodes, [group.name], _Reach.GROUP, side=side):
            its = _of(nodes, [group.name], _Reach.PART, _Reach.CHANNEL, side=side)
            agree = sorted((node for node in its if node.explains(whole)), key=lambda node: -node.missing)
            if agree and (_makes_most(agree, whole) or not whole.explains(agree[0])):
                _put(nodes, agree[0], [whole])
            else:
                _put(nodes, whole, [node for node in its if whole.explains(node)])


def _makes_most(parts: Sequence[_Node], whole: _Node) -> bool:
    """Say whether the first of some parts is why there are too few, or too many hits of all."""
    others = sum(node.missing for node in parts[1:])
    is_silent = any(each.change.name == "silent" for each in _findings([whole]))
    worst = parts[0].missing
    return not is_silent and others < MOST * worst and worst > MOST * whole.missing


def _fold_wholes(nodes: list[_Node], groups: Sequence[Channels]) -> None:
    """Tell a detector in place of most of its groups."""
    wholes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for group in groups:
        if group.whole is not None:
            wholes[group.whole].append(group.name)
    for (name, pieces), names in wholes.items():
        for side in (-1, 1):
            for its in _together(_of(nodes, names, _Reach.GROUP, side=side)):
                if len({node.verdict.group for node in its}) > max(1, MOST * len(names)):
                    _tell_together(nodes, its, _summed, (name, ""), (pieces, len(names)))


def _sources(peaks: Sequence[Peak]) -> dict[str, dict[str, int]]:
    """Return what moves several peaks → these, and to which side each is moved by what comes later."""
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for peak in peaks:
        for source, sign in peak.moved_by.items():
            found[source][peak.name] = sign
    return {source: signs for source, signs in found.items() if len(signs) > 1}


def _fold_moved(nodes: list[_Node], sources: Mapping[str, Mapping[str, int]], matters: Mapping[str, float]) -> None:
    """Tell what has moved all of its peaks, and all as far, in place of these."""
    for source, signs in sources.items():
        mean = partial(_mean, signs)
        there = [node for node in _of(nodes, signs, _Reach.PEAK, side=0) if isinstance(node.verdict.finding, Moved)]
        for its in _together(there):
            moved = [(n.verdict.group, f) for n in its if isinstance(f := n.verdict.finding, Moved)]
            by = mean(its).by
            far = (abs(signs[name] * f.by - by) > max(_ERRORS * f.error, matters[name]) for name, f in moved)
            if {name for name, _ in moved} == signs.keys() and not any(far):
                _tell_together(nodes, its, mean, (source, ""), ("peaks", len(signs)))


def _fold_entries(nodes: list[_Node], peak: Peak) -> None:
    """Put fewer entries of a peak under what befell its sources, or under its move."""
    for fewer in _of(nodes, [peak.name], _Reach.PEAK, side=-1):
        why = [
            node
            for node in nodes
            if node.explains(fewer)
            and (node.groups & peak.moved_by.keys() or (peak.name in node.groups and node.side == 0))
        ]
        if why:
            _put(nodes, min(why, key=lambda node: (node.reach, -node.missing)), [fewer])


def _put(nodes: list[_Node], cause: _Node, its: Sequence[_Node]) -> None:
    """Have some follow from a cause."""
    for node in its:
        cause.follows += [*node.parts, *node.follows]
        nodes.remove(node)


def _tell_together(
    nodes: list[_Node],
    its: Sequence[_Node],
    combine: Callable[[Sequence[_Node]], Finding | Moved],
    name: tuple[str, str],
    members: tuple[str, int],
) -> None:
    """Tell some in one: those that are wrong now, and those that are over."""
    for is_over in (False, True):
        half = [node for node in its if (node.verdict.ended is not None) == is_over]
        if len(half) > 1:
            ended = max(node.verdict.ended or 0 for node in half) if is_over else None
            first = half[0].verdict
            verdict = Verdict(group=name[0], channel=name[1], finding=combine(half), unit=first.unit, ended=ended)
            one = _Node(verdict, _Reach.PART if name[1] else half[0].reach, [node.verdict for node in half])
            one.members, one.of = members
            one.follows = [each for node in half for each in node.follows]
            for node in half:
                nodes.remove(node)
            nodes.append(one)


def _summed(nodes: Sequence[_Node]) -> Finding:
    """Return what counts of some say together."""
    its = _findings(nodes)
    counted, expected = sum(each.counted for each in its), sum(each.expected for each in its)
    return replace(
        its[0],
        change=Counter(each.change for each in its).most_common(1)[0][0],
        factor=counted / expected if expected else its[0].factor,
        counted=counted,
        expected=expected,
        begin=common([each.begin for each in its]),
        told=min(each.told for each in its),
        from_the_begin=all(each.from_the_begin for each in its),
    )


def _mean(signs: Mapping[str, int], nodes: Sequence[_Node]) -> Moved:
    """Return how far the source of some peaks has moved, by how far these have, the surest counting most."""
    its = [(signs[n.verdict.group], f) for n in nodes if isinstance(f := n.verdict.finding, Moved)]
    weights = [1 / max(each.error, 1e-9) ** 2 for _, each in its]
    return replace(
        its[0][1],
        by=sum(w * sign * each.by for w, (sign, each) in zip(weights, its, strict=True)) / sum(weights),
        error=sum(weights) ** -0.5,
        begin=common([each.begin for _, each in its]),
        told=min(each.told for _, each in its),
    )
