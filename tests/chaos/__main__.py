"""Do harm at random from a seed, and compare every bin and counter: python -m tests.chaos --seed 1 --rounds 20."""

import argparse
import random
import sys

from rich.console import Console

from tests.chaos.harm import HARMS, OF_HOSTS, WITHOUT_MEANING
from tests.chaos.network import NoNamespacesError
from tests.chaos.rounds import Scale, chaos
from tests.servers import HOSTS_OF_REDIS, KIND

SCALE = Scale(brokers=3, workers=4, rate=12.0)
ON_HOSTS = Scale(brokers=3, workers=1, rate=6.0, on_hosts=True)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--hosts", action="store_true", help="on hosts of their own, and harm done to these; as root")
    all_names = sorted(harm.__name__ for harm in (*HARMS, *OF_HOSTS))
    parser.add_argument("--only", choices=all_names, help="the one kind of harm to do")
    arguments = parser.parse_args()
    rng, rounds = random.Random(arguments.seed), arguments.rounds
    kinds = [harm for harm in (OF_HOSTS if arguments.hosts else HARMS) if arguments.only in (None, harm.__name__)]
    if not kinds:
        parser.error(f"{arguments.only} is harm of another kind: {'leave out' if arguments.hosts else 'add'} --hosts")
    if arguments.hosts and KIND not in HOSTS_OF_REDIS:
        parser.error(f"servers of that kind are not put on hosts: leave out SERVERS={KIND}, or have SERVERS=sentinel")
    console = Console(highlight=False, soft_wrap=True)
    left_out = WITHOUT_MEANING[KIND]
    for harm in [each for each in kinds if each in left_out]:
        kinds.remove(harm)
        console.print(f"left out: {harm.__name__.replace('_', ' ')}: {left_out[harm]}")
    if not kinds:
        return
    # Each kind once, as far as there are rounds, then any.
    harms = rng.sample(kinds, min(rounds, len(kinds))) + rng.choices(kinds, k=max(0, rounds - len(kinds)))
    try:
        is_identical = chaos(arguments.seed, harms, ON_HOSTS if arguments.hosts else SCALE, console)
    except NoNamespacesError as error:
        console.print(f"skipped: no hosts can be made here: {error}", markup=False)
        return
    sys.exit(not is_identical)


if __name__ == "__main__":
    main()
