"""Some harm of `make chaos`, in small: three brokers, two workers, what is mended within seconds."""

import subprocess
import sys

import pytest
from rich.console import Console

from tests.chaos.harm import flush_redis, kill_a_worker, produce_again
from tests.chaos.rounds import Scale, chaos

SCALE = Scale(brokers=3, workers=2, spills_a_round=150, rate=30.0)


@pytest.mark.servers
def test_three_rounds_of_harm_change_no_bin_and_no_counter(
    servers_can_be_had: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # The harness sets these, and more; so that they are taken back.
    for name in ("BOOTSTRAP_SERVERS", "REPLICATION", "SESSION_TIMEOUT_S"):
        monkeypatch.setenv(f"SPILLDECK_KAFKA__{name}", "")
    monkeypatch.setenv("SPILLDECK_REDIS__URL", "")
    monkeypatch.setenv("SPILLDECK_PRODUCER__JOURNALS", "")
    assert chaos(7, [kill_a_worker, flush_redis, produce_again], SCALE, Console()), capsys.readouterr().out


def test_a_shifted_clock_is_what_faust_reads() -> None:
    program = (
        "import time; before = time.time()\n"
        "from tests.chaos.shifted_clock import shift; shift(-3600)\n"
        "from faust.agents import agent; from aiokafka.consumer import fetcher\n"
        "assert agent.time() < before - 3500 and fetcher.time.time() < before - 3500\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
