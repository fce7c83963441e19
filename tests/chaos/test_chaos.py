"""Some harm of `make chaos`, in small: three brokers, two workers, what is mended within seconds."""

import subprocess
import sys

import pytest
from rich.console import Console

from tests.chaos.harm.processes import kill_a_broker, kill_a_worker
from tests.chaos.harm.redis import lose_redis
from tests.chaos.rounds import Scale, chaos

SCALE = Scale(brokers=3, workers=2, rate=12.0)


@pytest.mark.servers
@pytest.mark.timeout(400)  # as long as it moves, however slowly, there is no fault
def test_three_rounds_of_harm_change_no_bin_and_no_counter(
    servers_can_be_had: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chaos(7, [kill_a_worker, lose_redis, kill_a_broker], SCALE, Console()), capsys.readouterr().out


def test_a_shifted_clock_is_what_faust_reads() -> None:
    program = (
        "import time; before = time.time()\n"
        "from tests.chaos.shifted_clock import shift; shift(-3600)\n"
        "from faust.agents import agent; from aiokafka.consumer import fetcher\n"
        "assert agent.time() < before - 3500 and fetcher.time.time() < before - 3500\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
