"""How soon a fault is told, at one false alarm in eight hours: python -m tests.bench.judgement.

Counts by channel are drawn from the rates that a simulated run has, with a beam that fluctuates by 30 % from spill to
spill and drifts by 20 % over the hours. Nothing else stands between them and what the page would say.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from rich.console import Console
from rich.table import Table

from dashboards.data.automatic import TOGETHER
from schemas.columns import F8
from streams.books.judgement import cause_words, judged
from streams.books.limits import TypeLimits
from streams.books.run import RunBook
from streams.books.shapes import PlotVerdict, State, against_run, plot_verdicts
from streams.checks.channels import Channels
from streams.checks.judge import Judge, Verdict
from streams.checks.means import Moved
from streams.checks.peaks import Peak, PeakJudge
from streams.conditions.store import ConditionsStore
from streams.experiment import experiment
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process
from streams.reconstruct import reconstruct
from tests.checks.faults import BORNE, CASES, judged_case

LEARNED_FROM = 60
"""Simulated spills that the rates are taken from."""
EIGHT_HOURS = 11_250
"""Spills of 2.56 s in them."""
TRIGGERS = 60.0
FLUCTUATION, DRIFT = 0.3, 0.2
"""Of the triggers: from spill to spill (standard deviation), and over a run."""
SIMULATED_AT = 60
REFERENCE_SPILLS, RUN_SPILLS = 300, 200
FEW_SEEDS = 5
"""Of the faults of the simulator: two and a half minutes."""
PEAK_NS, WIDTH_NS, PEAK_ENTRIES, MOVED_NS = 25.6, 0.5, 50.0, 0.1
"""A peak: place, width (standard deviation), entries a spill, and how far it moves."""
PEAK = Peak(name="peak", unit="ns", low=PEAK_NS - 2, high=PEAK_NS + 2, bins=200, matters=0.05, of=lambda values: values)
FAULT_AT = 3000
"""Two hours of beam after the run began."""
AFTER = 1200
"""Spills that are looked at from the fault's begin on."""
WINDOW = 23
"""Spills in a minute, a window of the rule that ours is compared with."""
P_VALUE = 0.001
"""Of that rule: two windows in a row below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A change that is made, and how soon it must be told."""

    what: str
    group: str
    rate: float
    """Hits a spill before it, of a channel or of all of the group."""
    factor: float
    """What is left of them."""
    within: int
    """Spills, by the median."""
    is_of_all: bool = False
    """Whether all channels of the group have it."""


_STATION = "Tracker upstream station 3"
FAULTS = (
    Fault(what="slab PMT dead", group="TOF1", rate=5, factor=0, within=8),
    Fault(what="tracker dead", group=_STATION, rate=1, factor=0, within=40),
    Fault(what="EMR bar dead", group="EMR", rate=5, factor=0, within=10),
    Fault(what="tracker hot", group=_STATION, rate=1, factor=3, within=30),
    Fault(what="slab PMT weak", group="TOF2", rate=6, factor=0.5, within=45),
    Fault(what="slab PMT weak", group="TOF2", rate=6, factor=0.8, within=300),
    Fault(what="all of a counter", group="CkovA", rate=60, factor=0.95, within=450, is_of_all=True),
)


@cache
def rates() -> dict[str, F8]:
    """Return of each group the hits of each channel in a particle trigger."""
    run = SimulatedRun(spills=LEARNED_FROM, mean_triggers=TRIGGERS)
    totals = {group.name: np.zeros(len(group.names)) for group in groups()}
    triggers = 0
    for number in range(LEARNED_FROM):
        spill = reconstruct(run.spill(number).raw, run.conditions, "")
        triggers += spill.triggers
        for name, its in experiment().channels.items():
            for group in its:
                totals[group.name] += group.counts(spill.detectors[name])
    return {name: total / triggers for name, total in totals.items()}


def groups() -> list[Channels]:
    """Return all groups of channels."""
    return [*experiment().groups]


def beam(rng: np.random.Generator, spills: int) -> Iterator[tuple[int, int]]:
    """Yield spills and their particle triggers."""
    phase = rng.uniform(0, 2 * np.pi)
    for spill in range(spills):
        drift = 1 + DRIFT * np.sin(phase + np.pi * spill / EIGHT_HOURS)
        yield spill, int(rng.poisson(TRIGGERS * drift * max(0.1, 1 + FLUCTUATION * rng.standard_normal())))


def without_fault(seed: int) -> list[Verdict]:
    """Return what is told of eight hours in which nothing is wrong."""
    rng, judge, its = np.random.default_rng(seed), Judge(groups(), BORNE), rates()
    for spill, triggers in beam(rng, EIGHT_HOURS):
        judge.add(spill, triggers, {name: rng.poisson(rate * triggers) for name, rate in its.items()})
    return judge.verdicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What came of a fault."""

    spills: float
    """From its first one until it was told; infinite if it was not."""
    off: int
    """The first spill that was told, less the true one."""
    is_within: bool
    """Whether the true one lies in the interval that was told."""
    others: int
    """Channels and groups that were told, and had nothing."""
    windows: float
    """Spills until two windows in a row were below `P_VALUE`."""


def with_fault(fault: Fault, seed: int) -> Told:
    """Return what is told of a fault."""
    rng, its = np.random.default_rng([seed, 1]), dict(rates())
    number = next(n for n, group in enumerate(groups()) if group.name == fault.group)
    group, rate = groups()[number], its[fault.group].copy()
    channel = -1 if fault.is_of_all else int(rng.choice(np.flatnonzero(rate > np.median(rate))))
    hit = slice(None) if fault.is_of_all else channel
    rate[hit] *= fault.rate / TRIGGERS / rate[hit].sum()
    judge = Judge(groups(), BORNE)
    counted: list[tuple[int, float]] = []
    for spill, triggers in beam(rng, FAULT_AT + AFTER):
        now = rate.copy()
        if spill >= FAULT_AT:
            now[hit] *= fault.factor
        counts = rng.poisson(now * triggers)
        judge.add(spill, triggers, {fault.group: counts})
        if spill >= FAULT_AT:
            counted.append((int(counts[hit].sum()), float(rate[hit].sum() * triggers)))
    found = [v for v in judge.verdicts if v.group == group.name]
    name = "" if fault.is_of_all else group.names[channel]
    ours = [v.finding for v in found if v.channel == name and v.finding.told >= FAULT_AT]
    return Told(
        spills=ours[0].told - FAULT_AT + 1 if ours else np.inf,
        off=ours[0].begin.first - FAULT_AT if ours else 0,
        is_within=bool(ours) and ours[0].begin.earliest <= FAULT_AT <= ours[0].begin.latest,
        others=len([v for v in found if v.channel != name]),
        windows=_by_windows(counted),
    )


def with_moved_peak(seed: int) -> Told:
    """Return what is told of a peak that moves by `MOVED_NS`."""
    rng, judge = np.random.default_rng([seed, 2]), PeakJudge([PEAK], BORNE)
    for spill, triggers in beam(rng, FAULT_AT + WINDOW * 10):
        place = PEAK_NS + (MOVED_NS if spill >= FAULT_AT else 0)
        values = rng.normal(place, WIDTH_NS, rng.poisson(PEAK_ENTRIES * triggers / TRIGGERS))
        judge.add(spill, triggers, {PEAK.name: PEAK.counts(values)})
    ours = [each.finding for each in judge.verdicts if isinstance(each.finding, Moved)]
    return Told(
        spills=ours[0].told - FAULT_AT + 1 if ours else np.inf,
        off=ours[0].begin.first - FAULT_AT if ours else 0,
        is_within=bool(ours) and ours[0].begin.earliest <= FAULT_AT <= ours[0].begin.latest,
        others=len(judge.verdicts) - len(ours),
        windows=np.nan,
    )


def _by_windows(counted: Sequence[tuple[int, float]]) -> float:
    """Return after how many spills two windows in a row were less likely than `P_VALUE`, the rate being known."""
    below = 0
    for begin in range(0, len(counted) - WINDOW + 1, WINDOW):
        seen, expected = np.sum(counted[begin : begin + WINDOW], axis=0)
        is_below = 2 * min(_up_to(int(seen), expected), 1 - _up_to(int(seen) - 1, expected)) < P_VALUE
        below = below + 1 if is_below else 0
        if below == 2:
            return begin + WINDOW
    return np.inf


def _up_to(count: int, mean: float) -> float:
    """Return how likely so many counts or fewer are of a Poisson distribution."""
    if count < 0:
        return 0.0
    logs = np.arange(1, count + 1)
    terms = np.concatenate([[0.0], np.cumsum(np.log(mean) - np.log(logs))]) - mean
    return float(np.exp(terms).sum())


def bound(fault: Fault) -> float:
    """Return the spills that no procedure does with less on average: the threshold over the information of a spill."""
    information = fault.rate * (fault.factor * np.log(fault.factor) - fault.factor + 1 if fault.factor else 1.0)
    return Judge(groups(), BORNE).limits[fault.is_of_all] / information


def print_faults(console: Console, seeds: int) -> None:
    """Print what is told of each fault of the simulator, with a run of so many spills before it."""
    table = Table(title=f"Faults from spill {SIMULATED_AT} on, {seeds} seeds")
    for name in ("fault", "causes", "follow", "the first of them", "right?"):
        table.add_column(name)
    asked = [(case, SIMULATED_AT, 1 + seed) for case in CASES for seed in range(seeds)]
    with ProcessPoolExecutor() as pool:
        for (case, _, _), (problem, found) in zip(asked, pool.map(judged_case, *zip(*asked, strict=True)), strict=True):
            follow = sum(len(each.follows) for each in found)
            first = cause_words(found[0]) if found else ""
            table.add_row(case.fault or "none", str(len(found)), str(follow), first, problem or "right")
    console.print(table)


FROM_THE_BEGIN = (
    ("dead_pmt:tof1/0/3/1", "TOF1 horizontal slab 3, PMT 1 silent from the begin on", "hslabhits10"),
    ("dead_pmt:emr/20", "EMR plane 20: ", "emr_occupancy_xz"),
    ("dead_pmt:ckov/0/1", "CkovA PMT 1 silent from the begin on", "hPMT2"),
    ("hot_channel:kl/0/0", "KL cell 0, PMT 0 hot", "h4"),
    ("dead_pmt:tracker0/3/1", "Tracker upstream station 3 plane w", "Ef_TkU3"),
    ("shifted_timing:tof1=0.5", "", "ht01"),
    ("shifted_timing:ckov=60", "CkovB silent from the begin on", "harr_time1"),
)
"""Faults of the simulator that a run has from its begin on; how what is told of it begins; and a plot that is off."""


@cache
def simulated(seed: int, spills: int, triggers: int, fault: str = "") -> RunBook:
    """Return the book of a simulated run, with a fault from its begin on."""
    run = SimulatedRun(spills=spills, seed=seed, mean_triggers=triggers)
    asked = [f"{fault}@0-{spills - 1}"] if fault else []
    return process(run.with_faults(asked).records(), ConditionsStore([]).for_run)[run.run].run_book()


def from_the_begin(seed: int, triggers: int, fault: str = "") -> tuple[list[str], dict[str, PlotVerdict]]:
    """Return what is told of a run by those that were good: causes, and plots that are off."""
    reference, *before = (simulated(1000 + each, REFERENCE_SPILLS, int(TRIGGERS)) for each in range(TOGETHER))
    book = simulated(seed, RUN_SPILLS, triggers, fault)
    shapes = plot_verdicts(book, against_run(0, reference, dict(enumerate(before, 1))), TypeLimits())
    bad = {name: its for name, its in shapes.items() if its.state is State.BAD}
    return [cause_words(cause) for cause in judged(book, reference).causes], bad


def print_begins(console: Console, seeds: int) -> None:
    """Print what is told against a reference, of runs with nothing wrong and with faults from their begin on."""
    with ProcessPoolExecutor() as pool:
        triggers = [int(TRIGGERS * factor) for factor in np.linspace(0.5, 1.5, seeds)]
        good = list(pool.map(from_the_begin, range(1, 1 + seeds), triggers))
        told = sum(len(causes) + len(bad) for causes, bad in good)
        console.print(
            f"{seeds} runs of {RUN_SPILLS} spills, of 0.5 to 1.5 times the triggers, against {TOGETHER} of "
            f"{REFERENCE_SPILLS}: {told} false alarms in {len(experiment().plots)} plots and all channels"
        )
        table = Table(title=f"Faults from the begin on, {FEW_SEEDS} seeds each, {RUN_SPILLS} spills")
        for name in ("fault", "named", "others", "plot", "off", "plots off"):
            table.add_column(name)
        for fault, words, plot in FROM_THE_BEGIN:
            args = (range(1, 1 + FEW_SEEDS), [int(TRIGGERS)] * FEW_SEEDS, [fault] * FEW_SEEDS)
            found = list(pool.map(from_the_begin, *args))
            named = sum(any(each.startswith(words) for each in causes) for causes, _ in found) if words else None
            causes = [each for its, _ in found for each in its]
            others = sum(not words or not each.startswith(words) for each in causes)
            off = [bad[plot].shape for _, bad in found if plot in bad]
            share = np.median([its.elsewhere for its in off if its is not None]) if off else 0.0
            table.add_row(
                fault,
                "" if named is None else f"{named}/{FEW_SEEDS}",
                str(others),
                plot,
                f"{len(off)}/{FEW_SEEDS}: {100 * share:.0f} %",
                f"{np.median([len(bad) for _, bad in found]):.0f}",
            )
    console.print(table)


def cost_ms() -> float:
    """Return what the counts of a spill cost to be judged."""
    rng, judge, its = np.random.default_rng(1), Judge(groups(), BORNE), rates()
    spills = [{name: rng.poisson(rate * TRIGGERS) for name, rate in its.items()} for _ in range(LEARNED_FROM)]
    began = time.perf_counter()
    for number, counts in enumerate(spills):
        judge.add(number, int(TRIGGERS), counts)
    return 1000 * (time.perf_counter() - began) / len(spills)


def _measured(found: Sequence[Told], within: int, least: float) -> tuple[str, ...]:
    """Return the cells of a row: told after, asked for, bound, by windows, named, first spill, in its interval."""
    right = [each for each in found if np.isfinite(each.spills) and not each.others]
    return (
        f"{np.median([each.spills for each in found]):.0f}",
        f"{within}",
        f"{least:.0f}",
        "" if np.isnan(windows := np.median([each.windows for each in found])) else f"{windows:.0f}",
        f"{len(right)}/{len(found)}",
        f"{np.median([abs(each.off) for each in found]):.0f}",
        f"{sum(each.is_within for each in found)}/{len(found)}",
    )


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=6, help="runs of eight hours without a fault")
    parser.add_argument("--seeds", type=int, default=20, help="runs with each fault")
    parser.add_argument("--begins", action="store_true", help="what is told against a reference run, alone")
    parser.add_argument("--faults", action="store_true", help="what is told of each fault of the simulator, alone")
    asked = parser.parse_args()
    console, began = Console(), time.monotonic()
    if asked.faults:
        print_faults(console, min(asked.seeds, 2))
        return
    if asked.begins:
        print_begins(console, asked.seeds)
        return
    console.print(f"a spill costs {cost_ms():.1f} ms")
    with ProcessPoolExecutor() as pool:
        told = list(pool.map(without_fault, range(asked.runs)))
        channels = sum(len(group.names) for group in groups())
        hours = 8 * asked.runs
        console.print(
            f"{hours} hours of beam without a fault, {channels:,} channels in {len(groups())} groups: "
            f"{sum(map(len, told))} false alarms; borne is one in 8 hours"
        )
        table = Table(title=f"Faults from spill {FAULT_AT} on, {asked.seeds} seeds each; medians in spills")
        for name in ("fault", "hits", "×", "told", "asked", "bound", "windows", "named", "first ±", "within"):
            table.add_column(name, justify="left" if name == "fault" else "right")
        for fault in FAULTS:
            found = list(pool.map(partial(with_fault, fault), range(asked.seeds)))
            what = (fault.what, f"{fault.rate:g}", f"{fault.factor:g}")
            table.add_row(*what, *_measured(found, fault.within, bound(fault)))
        found = list(pool.map(with_moved_peak, range(asked.seeds)))
        information = PEAK_ENTRIES * (MOVED_NS / WIDTH_NS) ** 2 / 2
        least = PeakJudge([PEAK], BORNE).limit / information
        table.add_row("peak +0.1 ns", f"{PEAK_ENTRIES:g}", "", *_measured(found, 60, least))
    console.print(table)
    console.print(f"in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
