"""What Prometheus is told of the books and the alarms: what the page shows of them, as of when it was last read."""

from collections.abc import Iterator

from dashboards.data.viewer import Seen
from streams import metrics
from streams.books.alarms import Priority, chattering, figures
from streams.freshness import silence_s
from streams.metrics import Value


def of_books(seen: Seen) -> Iterator[Value]:
    """Yield the figures of the books, and of who watches; what nobody knows is left out."""
    if seen.store.fault:
        return
    observed, run = seen.observed(), seen.store.books.current
    yield Value(metrics.RUN, run)
    yield Value(metrics.RUN_ENDED, observed.run_ended if run is not None else None)
    yield Value(metrics.SILENCE, silence_s(observed))
    if not observed.kafka_lost_s and seen.broker.spans:
        yield Value(metrics.BEHIND, observed.behind)
        yield Value(metrics.BEHIND_S, seen.now_s - observed.behind_since_s if observed.behind else 0)
    yield Value(metrics.MADE_AGAIN, observed.made_again)
    yield Value(metrics.WATCHERS, observed.watchers)
    yield Value(metrics.WATCHER_SILENCE, max(seen.now_s - observed.watched_s, 0.0) if observed.watched_s else None)


def of_alarms(seen: Seen) -> Iterator[Value]:
    """Yield the figures of the alarms; none while nobody has told what people decided."""
    if seen.undecided:
        return
    alarms, now_us = seen.said.alarms, round(seen.now_s * 1e6)
    for priority in Priority:
        active = sum(each.is_active and each.new.priority == priority for each in alarms)
        yield Value(metrics.ALARMS_ACTIVE, active, (priority,))
    its = figures(alarms, now_us)
    yield Value(metrics.ALARMS_WAITING, sum(each.waits(now_us) for each in alarms))
    yield Value(metrics.ALARMS_LATELY, its.lately)
    yield Value(metrics.ALARMS_WORST, its.worst)
    yield Value(metrics.ALARMS_STANDING, its.standing)
    yield Value(metrics.ALARMS_CHATTERING, chattering(alarms, now_us))
