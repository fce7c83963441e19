"""Do harm at random from a seed, and compare every bin and counter: python -m tests.chaos --seed 1 --rounds 20."""

import argparse
import random
import sys

from rich.console import Console

from tests.chaos.harm import HARMS
from tests.chaos.rounds import Scale, chaos

SCALE = Scale(brokers=3, workers=4, rate=12.0)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", choices=sorted(harm.__name__ for harm in HARMS), help="the one kind of harm to do")
    arguments = parser.parse_args()
    rng, rounds = random.Random(arguments.seed), arguments.rounds
    kinds = [harm for harm in HARMS if arguments.only in (None, harm.__name__)]
    # Each kind once, as far as there are rounds, then any.
    harms = rng.sample(kinds, min(rounds, len(kinds))) + rng.choices(kinds, k=max(0, rounds - len(kinds)))
    sys.exit(not chaos(arguments.seed, harms, SCALE, Console(highlight=False, soft_wrap=True)))


if __name__ == "__main__":
    main()
