"""Simulate hours of beam with faults from a seed: python -m tests.simulation --seed 1 --hours 1."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from multiprocessing import Pool

from tests.simulation.faults import KINDS
from tests.simulation.simulation import Result, simulate


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="so many, from that one on")
    parser.add_argument("--spills", type=int, default=0, help="as many seeds as it takes to simulate so many")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--only", choices=sorted(KINDS), action="append", help="kinds of harm")
    parser.add_argument("--story", action="store_true", help="print what happened when")
    arguments = parser.parse_args()
    kinds = {kind: often for kind, often in KINDS.items() if kind in (arguments.only or KINDS)}
    begun, spills, faults, failed = time.monotonic(), 0, 0, []
    one = partial(_one, hours=arguments.hours, kinds=kinds, tell=arguments.story)
    with Pool(os.cpu_count()) as pool:
        for number, (result, seconds) in enumerate(pool.imap(one, _seeds(arguments)), start=1):
            _print(result, seconds, story=arguments.story)
            spills += result.spills
            faults += sum(result.faults.values())
            failed += [result.again] if result.wrong else []
            if number >= arguments.seeds and spills >= arguments.spills:
                break
        pool.terminate()
    print(
        f"{number} seeds, {number * arguments.hours:g} h of beam, {spills} spills, {faults} faults in "
        f"{time.monotonic() - begun:.0f} s: {f'{len(failed)} seeds wrong' if failed else 'all right'}"
    )
    if failed:
        print(*failed, sep="\n")
    sys.exit(bool(failed))


def _seeds(arguments: argparse.Namespace) -> Iterator[int]:
    """Yield seeds; those of a wanted number of spills are handed out ahead, so that no process waits."""
    yield from range(arguments.seed, arguments.seed + arguments.seeds)
    if arguments.spills:
        yield from range(arguments.seed + arguments.seeds, arguments.seed + arguments.spills)


def _one(seed: int, *, hours: float, kinds: dict[str, float], tell: bool) -> tuple[Result, float]:
    begun = time.process_time()
    return simulate(seed, hours, kinds, tell=tell), time.process_time() - begun


def _print(result: Result, seconds: float, *, story: bool) -> None:
    if story:
        print(*result.story, sep="\n")
    faults = ", ".join(f"{kind.replace('_', ' ')} {times}" for kind, times in sorted(result.faults.items()))
    print(
        f"seed {result.seed}: {result.hours:g} h of beam, {result.spills} spills, {result.steps} steps, "
        f"digest {result.digest:08x}, {seconds:.2f} s; all counted {result.slowest_s:.0f} s after the faults at most"
    )
    print(f"  {sum(result.faults.values())} faults: {faults}")
    for what in result.wrong[:10]:
        print(f"  WRONG {what}")
    if result.wrong:
        print(f"  again: {result.again}")


if __name__ == "__main__":
    main()
