"""A run's spills in Kafka: each is found by its number wherever it lies, and the newest come first."""

from collections import Counter

import pytest

from schemas.records import RawSpill
from streams.books import topic_spills
from streams.books.topic_spills import find_raw, newest_first, run_spans
from tests.live import RUNS, SPILLS, Live, small_run

pytestmark = pytest.mark.servers
RUN = RUNS[5]


def test_a_spill_is_found_where_it_lies_though_others_came_twice_or_changed_places(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_spills, "NEAR", 1)
    totals = live.reader.run(RUN, {}).totals
    sent = {record.spill: record for record in small_run(RUN) if isinstance(record, RawSpill)}
    for spill in (0, 3, SPILLS - 1):
        found = find_raw(live.settings, RUN, spill, totals)
        assert found is not None
        assert (found.run, found.spill, found.payload) == (RUN, spill, sent[spill].payload)
    assert find_raw(live.settings, RUN, 4000, totals) is None


def test_the_newest_come_first_and_each_message_once(live: Live) -> None:
    spans = run_spans(live.settings, live.reader.run(RUN, {}).totals)
    found = [raw.spill for raw in newest_first(live.settings, RUN, spans, at_once=4)]
    assert Counter(found) == Counter(record.spill for record in small_run(RUN) if isinstance(record, RawSpill))
    assert found.index(SPILLS - 1) < found.index(0)
    gone = tuple((stop, stop) for _, stop in spans)
    assert not list(newest_first(live.settings, RUN, gone))
