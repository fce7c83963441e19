"""The faults: what is done to a cluster, and undone."""

import random
import signal
import time
from collections.abc import Callable

from redis import Redis
from redis.exceptions import ReadOnlyError

from ops.stack import free_port
from tests.chaos.cluster import Cluster

Harm = Callable[[Cluster, random.Random], None]


def kill_a_worker(cluster: Cluster, rng: random.Random) -> None:
    """Kill one worker; start another."""
    worker = rng.choice(cluster.workers)
    worker.kill()
    worker.start()


def kill_all_workers(cluster: Cluster, _: random.Random) -> None:
    """Kill all workers; start them again."""
    for worker in cluster.workers:
        worker.kill()
    for worker in cluster.workers:
        worker.start()


def stop_a_worker(cluster: Cluster, rng: random.Random) -> None:
    """Stop a worker for longer than its session, then let it go on with partitions that are another's."""
    worker = rng.choice(cluster.workers)
    worker.signal(signal.SIGSTOP)
    time.sleep(2 * cluster.settings.kafka.session_timeout_s)
    worker.signal(signal.SIGCONT)


def scale_down_and_up(cluster: Cluster, _: random.Random) -> None:
    """Go from four workers to one, and back."""
    for worker in cluster.workers[1:]:
        worker.end()
    time.sleep(3)
    for worker in cluster.workers[1:]:
        worker.start()


def kill_the_producer(cluster: Cluster, _: random.Random) -> None:
    """Kill the producer; it resumes."""
    cluster.producer.kill()
    cluster.producer.start()


def kill_a_broker(cluster: Cluster, rng: random.Random) -> None:
    """Kill one of three brokers; start it again after a while."""
    node = rng.choice(cluster.nodes)
    cluster.kill_broker(node)
    time.sleep(rng.uniform(1, 5))
    cluster.start_broker(node)


def kill_all_brokers(cluster: Cluster, _: random.Random) -> None:
    """Kill all brokers; start them again."""
    for node in cluster.nodes:
        cluster.kill_broker(node)
    time.sleep(1)
    for node in cluster.nodes:
        cluster.start_broker(node)


def kill_redis(cluster: Cluster, _: random.Random) -> None:
    """Kill Redis; it comes back with its file, which may lack the last second."""
    cluster.kill_redis(with_file=False)
    time.sleep(1)
    cluster.start_redis()


def lose_redis(cluster: Cluster, _: random.Random) -> None:
    """Kill Redis and remove its file."""
    cluster.kill_redis(with_file=True)
    cluster.start_redis()


def flush_redis(cluster: Cluster, _: random.Random) -> None:
    """Empty Redis under the workers."""
    with Redis(port=cluster.redis_port) as redis:
        redis.flushall()


def fill_redis(cluster: Cluster, rng: random.Random) -> None:
    """Let Redis be out of memory for a while."""
    with Redis(port=cluster.redis_port) as redis:
        redis.config_set("maxmemory", "1mb")
        time.sleep(rng.uniform(1, 4))
        redis.config_set("maxmemory", "0")


def pause_redis(cluster: Cluster, rng: random.Random) -> None:
    """Let Redis answer nobody for some seconds."""
    with Redis(port=cluster.redis_port) as redis:
        redis.execute_command("CLIENT", "PAUSE", round(rng.uniform(1000, 4000)), "ALL")


def make_redis_read_only(cluster: Cluster, rng: random.Random) -> None:
    """Make Redis the replica of a server that is not there: it answers reads, and refuses writes."""
    with Redis(port=cluster.redis_port) as redis:
        redis.replicaof("127.0.0.1", str(free_port()))
        try:
            redis.set("written", "")
        except ReadOnlyError:
            time.sleep(rng.uniform(1, 4))
        else:
            raise AssertionError("Redis takes writes though it is a replica")
        finally:
            redis.replicaof("NO", "ONE")


def slow_redis(cluster: Cluster, rng: random.Random) -> None:
    """Let each answer of Redis take up to half a second more."""
    cluster.proxy.delay_s = rng.uniform(0.1, 0.5)
    time.sleep(rng.uniform(3, 6))
    cluster.proxy.delay_s = 0.0


def restart_everything(cluster: Cluster, _: random.Random) -> None:
    """Restart each worker, each broker and Redis, one after the other, each when the one before is back."""
    for worker in cluster.workers:
        cluster.restart_worker(worker)
    for node in cluster.nodes:
        cluster.restart_broker(node)
    cluster.restart_redis()


def produce_again(cluster: Cluster, _: random.Random) -> None:
    """Send what has been sent once more, from another producer and under another name: all of it is duplicates."""
    cluster.produce_again()


def set_a_clock_wrong(cluster: Cluster, rng: random.Random) -> None:
    """Start a worker again with a wall clock that is off by an hour, which it keeps."""
    worker = rng.choice(cluster.workers)
    worker.kill()
    worker.program = ("-m", "tests.chaos.shifted_clock", str(rng.choice([-3600, 3600])))
    worker.start()


HARMS: tuple[Harm, ...] = (
    set_a_clock_wrong,
    kill_a_worker,
    kill_all_workers,
    stop_a_worker,
    scale_down_and_up,
    kill_the_producer,
    produce_again,
    kill_a_broker,
    kill_all_brokers,
    kill_redis,
    lose_redis,
    flush_redis,
    fill_redis,
    make_redis_read_only,
    pause_redis,
    slow_redis,
    restart_everything,
)
