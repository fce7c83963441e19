"""spilldeck replay and verify: what is made again equals live, and what does not is named."""

from collections.abc import Iterator

import pytest

from ops.stack import LocalStack
from tests.live import RUNS, Live, count_live, interleaved, settings_on, small_run
from tests.ops.conftest import Spilldeck

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def live(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Return ten runs, interleaved, that workers counted which were killed meanwhile."""
    records = interleaved([small_run(run) for run in RUNS])
    half = len(records) // 2
    logs = tmp_path_factory.mktemp("live")
    with count_live(settings_on(stack), logs, [records[:half], records[half:]], {}) as counted:
        yield counted


def test_verify_says_identical_of_each_of_ten_interleaved_runs(spilldeck: Spilldeck, live: Live) -> None:
    totals = live.reader.runs()[RUNS[0]]
    assert totals.duplicates
    assert totals.all_rejected
    done = spilldeck("verify", f"{RUNS[0]}-{RUNS[-1]}", env=live.env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"run {run}: identical" for run in RUNS]
    # Nothing stays behind.
    assert not list(live.redis.scan_iter(match=f"{live.settings.redis.key_prefix}:*verify*"))
