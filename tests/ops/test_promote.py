"""spilldeck replays promote, restore: a replay's book in place of live's, and back."""

import re
from pathlib import Path

import pytest

from dashboards.choices import Choices
from dashboards.data import Data
from streams.books.compare import differences
from streams.books.promotions import Promotions
from streams.books.reader import BookReader
from streams.conditions.store import ConditionsStore
from streams.process import process
from tests.live import OWN_TABLES, Live, own_run
from tests.ops.conftest import Spilldeck, assert_one_sentence

pytestmark = pytest.mark.servers


def test_a_promoted_replay_is_the_book_of_its_run_until_that_is_taken_back(
    spilldeck: Spilldeck, live: Live, tables: Path
) -> None:
    prefix = live.settings.redis.key_prefix
    reader = BookReader(live.redis, prefix, "live", live.settings.kafka.partitions, Promotions(live.redis, prefix).all)
    table = tables / "tof_t0.txt"
    good = table.read_text()
    store = ConditionsStore([(tables / "index.toml", tables)])
    first = process(own_run(), store.for_run)[OWN_TABLES].run_book()
    table.write_text(re.sub(r"tof0 -(\d+)", lambda found: f"tof0 -{int(found[1]) + 1000}", good))
    try:
        now = process(own_run(), ConditionsStore([(tables / "index.toml", tables)]).for_run)[OWN_TABLES].run_book()
        done = spilldeck("replay", str(OWN_TABLES), "--name", "better", env=live.env)
        assert done.returncode == 0, done.stderr
    finally:
        table.write_text(good)
    assert differences(first, reader.run(OWN_TABLES, first.book.ranges)) == []

    assert "is that of the replay better" in spilldeck("replays", "promote", "better", env=live.env).stdout
    assert differences(now, reader.run(OWN_TABLES, now.book.ranges)) == []
    assert reader.runs()[OWN_TABLES].conditions == now.totals.conditions
    assert len(reader.runs()) == len(live.reader.runs())
    assert differences(first, live.reader.run(OWN_TABLES, first.book.ranges)) == []
    with Data(live.settings) as data:
        (warning,) = data.view(Choices(run=OWN_TABLES)).warnings
        assert "replay-better, which was promoted" in warning
    refused = assert_one_sentence(spilldeck("replays", "drop", "better", env=live.env), 2)
    assert f"spilldeck replays restore {OWN_TABLES} first" in refused

    assert "is that of live" in spilldeck("replays", "restore", str(OWN_TABLES), env=live.env).stdout
    assert differences(first, reader.run(OWN_TABLES, first.book.ranges)) == []
    assert "no replay of it was promoted" in assert_one_sentence(
        spilldeck("replays", "restore", str(OWN_TABLES), env=live.env), 2
    )
    assert "there is no replay worse" in assert_one_sentence(spilldeck("replays", "promote", "worse", env=live.env), 2)
    assert spilldeck("replays", "drop", "better", env=live.env).returncode == 0
