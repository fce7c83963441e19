"""Processes and servers that are killed, stopped, started again and changed; Kafka that is away, or forgets."""

import random
import signal
import time
from collections.abc import Sequence

from streams.books.reader import BookReader
from streams.freshness import WATCHER_SILENT_S
from tests.chaos.cluster import FAULTS, OTHER_SESSION, Child, Cluster
from tests.chaos.harm.model import Mended
from tests.chaos.judge import is_whole
from tests.chaos.plugins import LONGEST_TIME_OUT_S

AGAIN = 40
"""So many records are sent once more."""


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


def kill_a_watcher(cluster: Cluster, rng: random.Random) -> None:
    """Kill one of those who watch for alarms; start it again."""
    watcher = rng.choice(cluster.watchers)
    watcher.kill()
    watcher.start()


def kill_all_watchers(cluster: Cluster, rng: random.Random) -> None:
    """Kill all who watch for alarms; start them again after a while."""
    for watcher in cluster.watchers:
        watcher.kill()
    time.sleep(rng.uniform(0, 3))
    for watcher in cluster.watchers:
        watcher.start()


def stop_a_watcher(cluster: Cluster, rng: random.Random) -> None:
    """Stop one who watches for longer than it takes to be missed, then let it go on with what it knew."""
    watcher = rng.choice(cluster.watchers)
    watcher.signal(signal.SIGSTOP)
    time.sleep(WATCHER_SILENT_S + 1)
    watcher.signal(signal.SIGCONT)


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


def restart_everything(cluster: Cluster, _: random.Random) -> None:
    """Restart each worker, each broker and Redis, one after the other, each when the one before is back."""
    for worker in cluster.workers:
        cluster.restart_worker(worker)
    for node in cluster.nodes:
        cluster.restart_broker(node)
    cluster.store.restart()


def produce_again(cluster: Cluster, _: random.Random) -> None:
    """Send what has been sent once more, from another producer and under another name: all of it is duplicates."""
    cluster.produce_again(AGAIN)


def set_a_clock_wrong(cluster: Cluster, rng: random.Random) -> None:
    """Start a worker again with a wall clock that is off by an hour, which it keeps."""
    worker = rng.choice(cluster.workers)
    worker.kill()
    worker.program = ("-m", "tests.chaos.shifted_clock", str(rng.choice([-3600, 3600])))
    worker.start()


def keep_brokers_away(cluster: Cluster, _: random.Random) -> None:
    """Kill all brokers for longer than the longest time-out of the workers, which were shortened for it."""
    start_with(cluster.workers, "short_time_outs")
    for node in cluster.nodes:
        cluster.kill_broker(node)
    time.sleep(2 * LONGEST_TIME_OUT_S)
    for node in cluster.nodes:
        cluster.start_broker(node)
    cluster.until_in_step()
    start_with(cluster.workers)


def forget_the_group(cluster: Cluster, _: random.Random) -> None:
    """End all workers, have Kafka forget how far they have read, and start them again."""
    end_all(cluster.workers)
    cluster.forget_the_group()
    for worker in cluster.workers:
        worker.start()


def add_partitions(cluster: Cluster, rng: random.Random) -> None:
    """End all workers, add partitions, and start them again, while the producer goes on."""
    end_all(cluster.workers)
    cluster.add_partitions(rng.randint(1, 2))
    for worker in cluster.workers:
        worker.start()


def run_another_session(cluster: Cluster, rng: random.Random) -> None:
    """Let a worker of another session, with other tables, count beside live for a while; kill it."""
    other = cluster.other_session()
    other.start()
    books = BookReader.of(cluster.redis, cluster.settings, OTHER_SESSION)
    cluster.until(lambda: bool(books.progress()), "the other session")
    time.sleep(rng.uniform(3, 6))
    other.kill()


def go_back_a_release_and_forth(cluster: Cluster, _: random.Random) -> Mended:
    """Start half of the workers as an older release, then all, then all as they were."""
    start_with(cluster.workers[: len(cluster.workers) // 2], "older_release")
    time.sleep(5)
    start_with(cluster.workers, "older_release")
    cluster.until_counted()
    start_with(cluster.workers)
    return lambda: all(is_whole(cluster.books, run) for run in cluster.books.places())


def end_all(workers: Sequence[Child]) -> None:
    """Ask workers to end, all at once, and wait until they have."""
    for worker in workers:
        worker.signal(signal.SIGCONT)
        worker.signal(signal.SIGTERM)
    for worker in workers:
        worker.end()


def start_with(workers: Sequence[Child], *plugins: str) -> None:
    """Start workers again with these plug-ins."""
    end_all(workers)
    for worker in workers:
        worker.plugins = [FAULTS, *plugins]
        worker.start()
