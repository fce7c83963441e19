"""A Redis that is away, full, slow, emptied, set back or damaged; of several servers one master, or all."""

import random
import shutil
import time

from redis.exceptions import ReadOnlyError

from ops.stack import free_port
from streams.books import layout
from streams.books.connect import masters
from tests.chaos.cluster import Cluster
from tests.chaos.harm.model import Mended
from tests.chaos.judge import is_whole


def kill_redis(cluster: Cluster, _: random.Random) -> None:
    """Kill Redis; it comes back with its file, which may lack the last second, or follows who has its place."""
    cluster.store.fail()
    time.sleep(1)
    cluster.store.mend()


def lose_redis(cluster: Cluster, _: random.Random) -> None:
    """Kill Redis and remove its file."""
    cluster.store.kill_all()
    for file in cluster.store.files:
        shutil.rmtree(file)
    cluster.store.mend()


def flush_redis(cluster: Cluster, _: random.Random) -> None:
    """Empty Redis under the workers."""
    for master in masters(cluster.redis):
        master.flushall()


def fill_redis(cluster: Cluster, rng: random.Random) -> None:
    """Let Redis be out of memory for a while."""
    for master in masters(cluster.redis):
        master.config_set("maxmemory", "1mb")
    time.sleep(rng.uniform(1, 4))
    for master in masters(cluster.redis):
        master.config_set("maxmemory", "0")


def pause_redis(cluster: Cluster, rng: random.Random) -> None:
    """Let Redis answer nobody for some seconds."""
    _pause(cluster, rng.uniform(1, 4))


def make_redis_read_only(cluster: Cluster, rng: random.Random) -> None:
    """Make Redis the replica of a server that is not there: it answers reads, and refuses writes."""
    with cluster.store.asking(cluster.store.holding[0]) as master:
        master.replicaof("127.0.0.1", str(free_port()))
        try:
            master.set("written", "")
        except ReadOnlyError:
            time.sleep(rng.uniform(1, 4))
        else:
            raise AssertionError("Redis takes writes though it is a replica")
        finally:
            master.replicaof("NO", "ONE")
    cluster.store.mend()


def slow_redis(cluster: Cluster, rng: random.Random) -> None:
    """Let each answer of Redis take up to half a second more: it is paused again when it has answered once."""
    delay_s, ends_s = rng.uniform(0.1, 0.5), time.monotonic() + rng.uniform(3, 6)
    while time.monotonic() < ends_s:
        _pause(cluster, delay_s)


def _pause(cluster: Cluster, seconds: float) -> None:
    for master in masters(cluster.redis):
        master.execute_command("CLIENT", "PAUSE", round(1000 * seconds), "ALL")


def restore_an_older_redis(cluster: Cluster, rng: random.Random) -> None:
    """Kill Redis; it comes back with what its file had some seconds ago."""
    olders = {file: file.with_name("older") for file in cluster.store.files}
    for file, older in olders.items():
        shutil.copytree(file, older)
    time.sleep(rng.uniform(2, 5))
    cluster.store.kill_all()
    for file, older in olders.items():
        shutil.rmtree(file)
        older.rename(file)
    cluster.store.mend()


def restore_an_older_key(cluster: Cluster, rng: random.Random) -> Mended:
    """Give a key that has changed meanwhile the value that it had some seconds ago."""
    before = {key: cluster.redis.dump(key) for key in _keys(cluster)}
    time.sleep(rng.uniform(2, 5))
    changed = [key for key, value in before.items() if cluster.redis.dump(key) not in (value, None)]
    key = rng.choice(changed)
    cluster.redis.restore(key, 0, before[key], replace=True)
    return _whole_again(cluster, [key])


def evict_keys(cluster: Cluster, rng: random.Random) -> Mended:
    """Remove some keys, whichever, as a Redis does that has no room."""
    keys = _keys(cluster)
    gone = rng.sample(keys, min(len(keys), rng.randint(1, 8)))
    cluster.redis.unlink(*gone)
    return _whole_again(cluster, gone)


def write_rubbish_into_a_run(cluster: Cluster, rng: random.Random) -> Mended:
    """Damage a key of a run: a bit, a value, a field that nobody knows, or all of it."""
    key = rng.choice([key for key in _keys(cluster) if _run_of(key) is not None])
    redis, rubbish = cluster.redis, rng.randbytes(rng.randint(0, 40))
    how = rng.choice(["bit", "value", "field", "all"])
    if how == "all":
        redis.set(key, rubbish)
    elif how == "field":
        redis.hset(key, rng.randbytes(8), rubbish)
    else:
        field, value = rng.choice(sorted(redis.hgetall(key).items()))
        if how == "bit" and value:
            at = rng.randrange(len(value))
            rubbish = value[:at] + bytes([value[at] ^ 1 << rng.randrange(8)]) + value[at + 1 :]
        redis.hset(key, field, rubbish)
    return _whole_again(cluster, [key])


def _keys(cluster: Cluster) -> list[bytes]:
    """Return the keys of live, but what was set aside, in a settled order."""
    settings = cluster.settings
    prefix, session = settings.redis.key_prefix, settings.session
    more = [layout.partitions(prefix, session).encode(), layout.run_states(prefix, session).encode()]
    there = cluster.redis.scan_iter(layout.of_session(prefix, session), 1000)
    found = [key for key in there if b":aside:" not in key and b":given-up:" not in key]
    return sorted([*found, *(key for key in more if cluster.redis.exists(key))])


def _run_of(key: bytes) -> int | None:
    """Return the run that a key is of; None of one that is of no run."""
    _, _, name = key.partition(b"}:")
    return next((int(part) for part in name.split(b":")[1:2]), None)


def _whole_again(cluster: Cluster, keys: list[bytes]) -> Mended:
    """Return what says whether the runs of keys are whole, and the other keys there."""
    runs = {run for key in keys if (run := _run_of(key)) is not None}
    others = [key for key in keys if _run_of(key) is None]

    def is_mended() -> bool:
        there = all(cluster.redis.exists(key) for key in others if not key.endswith(b":repair"))
        return there and all(is_whole(cluster.books, run) for run in runs)

    return is_mended
