"""What is told while watchers are harmed: of one run with faults, exactly what is told where nothing is harmed.

It is the last run, so that it stays the current one however long a harm takes; what is an alarm in it follows from its
spills alone. By which spill it is told depends on those that had come by then. Alarms of the way of the spills follow
from the harm, and are held against what was noted of them.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from redis import RedisError

from schemas.records import RunControl
from streams.books.alarming import Seen, due
from streams.books.alarms import Alarm, Alarms, New, Way
from streams.books.connect import connect
from streams.books.decided import newest
from streams.books.judgement import judged
from streams.conditions.store import ConditionsStore
from streams.errors import ServerError
from streams.process import process
from tests.chaos.cluster import Cluster
from tests.chaos.daq import OwnRun, Record
from tests.chaos.harm import processes, redis
from tests.chaos.harm.model import Harm

RUN, SPILLS, TRIGGERS = 700_301, 120, 20
FAULTS = ("dead_pmt:tof1/0/3/1@30-119", "dead_pmt:tof2/0/5/0@60-119", "dead_pmt:tof0/1/4/1@90-119")
PARTS = 3
"""In which the run comes, with harm in each."""
START_US = OwnRun.start_us + 10**13
TOLD_S, QUIET_S = 180.0, 5.0
"""So long is waited for what is to be told, and for what is not."""
HARMS: tuple[Harm, ...] = (
    processes.kill_a_watcher,
    processes.kill_all_watchers,
    processes.stop_a_watcher,
    processes.kill_all_workers,
    processes.kill_a_broker,
    redis.kill_redis,
    redis.lose_redis,
    redis.flush_redis,
)
"""What may happen to who watches, and to what is watched."""


def watched_run(seed: int) -> list[Record]:
    """Return the records of the run."""
    run = OwnRun(run=RUN, spills=SPILLS, seed=seed, mean_triggers=TRIGGERS, detectors=("tof",), start_us=START_US)
    return [*run.with_faults(list(FAULTS)).records()]


def unharmed(cluster: Cluster, records: Sequence[Record]) -> tuple[New, ...]:
    """Return what is an alarm in the run as long as it goes on, by its spills alone."""
    (run,) = process(records, ConditionsStore([(cluster.index, cluster.index.parent)]).for_run).values()
    seen = Seen(session=cluster.settings.session, run=RUN, is_over=False, judgement=judged(run.run_book()))
    return due(seen, (), time.time_ns() // 1000).raised


def judge_alarms(cluster: Cluster, seed: int, rng: random.Random) -> tuple[list[str], list[str]]:
    """Have the run taken and its watchers harmed; return what was done, and what is other than without harm."""
    records = watched_run(seed)
    end = next(record for record in records if isinstance(record, RunControl) and record is records[-1])
    spills, done = records[:-1], list[str]()
    expected = {new.of: new for new in unharmed(cluster, spills)}
    for part in range(PARTS):
        cluster.daq.add(spills[part * len(spills) // PARTS : (part + 1) * len(spills) // PARTS])
        harm = rng.choice(HARMS)
        done.append(harm.__name__.replace("_", " "))
        harm(cluster, rng)
    found = [*_until(cluster, lambda alarms: _are_told(alarms, expected), "told")]
    time.sleep(QUIET_S)
    cluster.daq.add([end])
    found += _until(cluster, lambda alarms: all(not each.is_active for each in _of_run(alarms)), "cleared")
    alarms = _known(cluster) or ()
    raised = {each.new.of: each.new.words for each in _of_run(alarms)}
    found += [f"{words} is no alarm without harm" for its, words in raised.items() if its not in expected]
    found += [f"{new.words} was not raised" for its, new in expected.items() if its not in raised]
    return done, [*found, *_told_otherwise(cluster, alarms)]


def _told_otherwise(cluster: Cluster, alarms: Alarms) -> Iterator[str]:
    """Yield what was told otherwise than Kafka knows it, or more often than once in the run."""
    assert cluster.hook is not None
    by_id: dict[str, set[tuple[tuple[str, int], ...]]] = {}
    heard: Counter[tuple[str, int]] = Counter()
    for told_id, _, body in list(cluster.hook.told):
        said = tuple((each["id"], each["times_told"]) for each in json.loads(body)["alarms"])
        by_id.setdefault(told_id, set()).add(said)
        heard.update(set(said))
    yield from (f"{told_id} is told of {len(its)} things" for told_id, its in by_id.items() if len(its) > 1)
    of_run = {each.id for each in _of_run(alarms)}
    for alarm in alarms:
        noted, was_heard = len(alarm.told_by(Way.WEBHOOK)), [times for its, times in heard if its == alarm.id]
        if not {*range(noted)} <= {*was_heard}:
            yield f"{alarm.new.words} is noted as told {noted} times, and {sorted(was_heard)} was heard"
        if alarm.id in of_run and (noted, was_heard) != (1, [0]):
            yield f"{alarm.new.words} was told {noted} times, of which {sorted(was_heard)} was heard"


def _of_run(alarms: Alarms) -> list[Alarm]:
    return [each for each in alarms if each.new.run == RUN and each.new.is_verdict]


def _are_told(alarms: Alarms, expected: dict[str, New]) -> bool:
    return {each.new.of for each in _of_run(alarms) if each.is_active and each.told_us} == {*expected}


def _known(cluster: Cluster) -> Alarms | None:
    """Return the alarms as Kafka has them; None while it does not answer."""
    try:
        with connect(cluster.settings) as client:
            return newest(cluster.settings, client)().alarms
    except (ServerError, RedisError):
        return None


def _until(cluster: Cluster, is_so: Callable[[Alarms], bool], what: str) -> list[str]:
    """Wait until something is so of all alarms; return a sentence if it is not after a while."""
    deadline, known = time.monotonic() + TOLD_S, None
    while time.monotonic() < deadline:
        known = _known(cluster)
        if known is not None and is_so(known):
            return []
        cluster.look_after()
        time.sleep(0.2)
    its = [(each.new.words, each.is_active, len(each.told_us)) for each in _of_run(known or ())]
    return [f"after {TOLD_S:.0f} s not all is {what}: {its}"]
