"""Simulate hours of beam with faults from a seed: python -m tests.simulation --seed 1 --hours 1."""

import argparse
import sys
import time

from tests.simulation.faults import KINDS
from tests.simulation.simulation import Result, simulate


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=1, help="so many, from that one on")
    parser.add_argument("--hours", type=float, default=1.0)
    parser.add_argument("--only", choices=sorted(KINDS), action="append", help="kinds of harm")
    parser.add_argument("--story", action="store_true", help="print what happened when")
    arguments = parser.parse_args()
    kinds = {kind: often for kind, often in KINDS.items() if kind in (arguments.only or KINDS)}
    failed = 0
    for seed in range(arguments.seed, arguments.seed + arguments.seeds):
        start = time.process_time()
        result = simulate(seed, arguments.hours, kinds, tell=arguments.story)
        _print(result, time.process_time() - start, story=arguments.story)
        failed += bool(result.wrong)
    sys.exit(bool(failed))


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
