"""Hosts that are lost, cut off, far away or hours off; and what a page says that is cut off."""

import random
import time
from collections.abc import Sequence

from redis.exceptions import ResponseError

from streams.books.patience import lacks_replicas
from tests.chaos.cluster import OURS, Child, Cluster
from tests.chaos.network import CUT, Host, Link, Network
from tests.redis_servers import Replicated

AWAY_S = 12.0
"""A host is lost for so long, at least: Kafka knows of it after 9 s by its default."""
TOLD_S = 40.0
"""Within it the page says that a server does not answer: a question that nobody answers takes its time-out."""
HOURS = (-7, -3, 3, 7)
KAFKA_AWAY = ("Kafka does not answer: spills unknown",)
REDIS_AWAY = ("Redis does not answer: lag unknown", "Redis does not answer: nobody knows who watches for alarms")
SILENT = ("No spills for", "Run ended, nothing more for")
NOT_SEEN = ("No spill yet", "Spills came before this page looked")
CLOCK_OFF = ("Clock ahead by", "Clock behind by")
LOOKED_AT_S = 5.0
ALL_WELL = "All spills processed"


def lose_a_host_of_workers(cluster: Cluster, rng: random.Random) -> None:
    """Kill all workers of a host whose link is down; start them again after a while."""
    host, theirs = _workers_of_one(cluster, rng)
    with _network(cluster).without(host):
        for worker in theirs:
            worker.kill()
        time.sleep(AWAY_S)
    for worker in theirs:
        worker.start()


def lose_a_brokers_host(cluster: Cluster, rng: random.Random) -> None:
    """Kill a broker whose link is down; start it again after a while."""
    node = rng.choice(cluster.nodes)
    with _network(cluster).without(cluster.places.brokers[node.number - 1]):
        cluster.kill_broker(node)
        time.sleep(AWAY_S)
    cluster.start_broker(node)
    cluster.until_in_step()


def lose_the_host_of_redis(cluster: Cluster, _: random.Random) -> None:
    """Kill Redis, or its master, whose link is down; it comes back with its file, and follows who has its place."""
    store, master = cluster.store, cluster.store.holding[0]
    with _network(cluster).without(store.host_of(master)):
        store.lose(store.host_of(master))
        time.sleep(AWAY_S)
    store.mend()


def lose_the_host_of_the_replica(cluster: Cluster, _: random.Random) -> None:
    """Kill the replica of Redis, whose link is down, until the master takes nothing without it; it comes back."""
    store = _replicated(cluster)
    with _network(cluster).without(store.host_of(store.replica)):
        store.lose(store.host_of(store.replica))
        _until_it_takes_nothing(cluster, store.master)
        time.sleep(AWAY_S)
    store.mend()


def cut_a_broker_off_from_the_others(cluster: Cluster, rng: random.Random) -> None:
    """Let a broker reach all but the other brokers, for longer than it may be silent."""
    brokers = cluster.places.brokers
    with _network(cluster).linked([rng.choice(brokers)], brokers, CUT):
        time.sleep(AWAY_S)
    cluster.until_in_step()


def cut_redis_off_from_the_others(cluster: Cluster, _: random.Random) -> None:
    """Let the master of Redis reach all but its replica and the other sentinels, which have another take its place."""
    _cut_the_master_off(cluster, [], [])


def cut_redis_and_workers_off_from_the_others(cluster: Cluster, rng: random.Random) -> None:
    """Let the workers of a host reach of Redis the master alone, which nobody else reaches: they know of no other."""
    host, _ = _workers_of_one(cluster, rng)
    parts = [worker.host for worker in cluster.workers] + ([cluster.page.host] if cluster.page is not None else [])
    _cut_the_master_off(cluster, [host], [each for each in parts if each != host])


def _cut_the_master_off(cluster: Cluster, here: Sequence[Host], there: Sequence[Host]) -> None:
    """Cut the master off from the other hosts of Redis, until another has its place and it takes nothing.

    What it took until then is lost when it follows the other. Some hosts are on its side of the cut, and some on the
    other; all else is reached from both.
    """
    network, store = _network(cluster), _replicated(cluster)
    master, its = store.master, store.host_of(store.master)
    others = [host for host in cluster.places.redis if host != its]
    with network.linked([its], [*others, *there], CUT), network.linked(here, others, CUT):
        store.replaced()
        _until_it_takes_nothing(cluster, master)
        time.sleep(AWAY_S)
    store.mend()


def _replicated(cluster: Cluster) -> Replicated:
    assert isinstance(cluster.store, Replicated), "one Redis has no other beside it"
    return cluster.store


def _until_it_takes_nothing(cluster: Cluster, master: int) -> None:
    """Wait until a server of Redis takes nothing without a replica."""

    def takes_nothing() -> bool:
        with cluster.store.asking(master) as redis:
            try:
                redis.set("written", "")
            except ResponseError as error:
                return lacks_replicas(error)
        return False

    cluster.until(takes_nothing, "NOREPLICAS")


def cut_workers_off_from_kafka(cluster: Cluster, rng: random.Random) -> None:
    """Let the workers of a host reach Redis alone, for longer than their session."""
    _cut_off(cluster, rng, cluster.places.brokers)


def cut_workers_off_from_redis(cluster: Cluster, rng: random.Random) -> None:
    """Let the workers of a host reach Kafka alone."""
    _cut_off(cluster, rng, cluster.places.redis)


def cut_workers_off_from_both(cluster: Cluster, rng: random.Random) -> None:
    """Let the workers of a host reach no server."""
    _cut_off(cluster, rng, [*cluster.places.redis, *cluster.places.brokers])


def have_slow_and_lossy_links(cluster: Cluster, rng: random.Random) -> None:
    """Let each packet of each link take some time more, and some of them be lost."""
    network = _network(cluster)
    hosts = [*network.hosts.values()]
    with network.linked(hosts, hosts, Link(delay_s=rng.uniform(0.005, 0.04), loss=rng.uniform(0.002, 0.01))):
        time.sleep(rng.uniform(8, 12))


def have_clocks_hours_apart(cluster: Cluster, rng: random.Random) -> None:
    """Start the workers of a host again with a wall clock that is hours off, which they keep."""
    _, theirs = _workers_of_one(cluster, rng)
    hours = rng.choice(HOURS)
    for worker in theirs:
        _start_hours_off(worker, hours)


def set_the_pages_clock_hours_off(cluster: Cluster, _: random.Random) -> None:
    """Start the page again with a wall clock that is hours ahead: it takes no spill that comes for an old one."""
    page, hours = cluster.page, max(HOURS)
    assert page is not None
    _start_hours_off(page, hours)
    _until_the_page_says(cluster, [], [*SILENT, *NOT_SEEN])
    until = time.monotonic() + LOOKED_AT_S
    while time.monotonic() < until:
        assert not any(each in cluster.page_says() for each in SILENT), f"{hours} h ahead, it says that no spill comes"
        time.sleep(0.2)
    page.kill()
    page.program = OURS
    page.start()
    _until_the_page_says(cluster, [], [*SILENT, *NOT_SEEN, *CLOCK_OFF])


def cut_the_page_off_from_kafka(cluster: Cluster, _: random.Random) -> None:
    """Let the page reach Redis alone: it says that nobody knows of spills."""
    _cut_the_page_off(cluster, cluster.places.brokers, KAFKA_AWAY)


def cut_the_page_off_from_redis(cluster: Cluster, _: random.Random) -> None:
    """Let the page reach Kafka alone: it says that nobody knows what is counted."""
    _cut_the_page_off(cluster, cluster.places.redis, REDIS_AWAY)


def cut_the_page_off_from_both(cluster: Cluster, _: random.Random) -> None:
    """Let the page reach no server: it says both, and so does doctor there, which takes nothing for good unseen."""
    page, servers = cluster.page, [*cluster.places.redis, *cluster.places.brokers]
    assert page is not None
    _cut_the_page_off(cluster, servers, (*KAFKA_AWAY, REDIS_AWAY[0]))
    with _network(cluster).linked([page.host], servers, CUT):
        found = cluster.doctor_finds(page)
    assert found == {"kafka.away", "sentinels.away" if cluster.settings.redis.sentinels else "redis.away"}, found


def _cut_the_page_off(cluster: Cluster, servers: Sequence[Host], words: Sequence[str]) -> None:
    assert cluster.places.page is not None
    _until_the_page_says(cluster, [], [*KAFKA_AWAY, *REDIS_AWAY])
    with _network(cluster).linked([cluster.places.page], servers, CUT):
        _until_the_page_says(cluster, words, [ALL_WELL])
    _until_the_page_says(cluster, [], [*KAFKA_AWAY, *REDIS_AWAY])


def _until_the_page_says(cluster: Cluster, words: Sequence[str], not_those: Sequence[str]) -> None:
    """Wait until the page says all these words, and none of the others."""
    deadline, said = time.monotonic() + TOLD_S, ""
    while not said or not all(each in said for each in words) or any(each in said for each in not_those):
        assert time.monotonic() < deadline, f"the page does not say {words}, or says {not_those}: {said}"
        time.sleep(0.2)
        said = cluster.page_says()


def _start_hours_off(child: Child, hours: int) -> None:
    child.kill()
    child.program = ("-m", "tests.chaos.shifted_clock", str(3600 * hours))
    child.start()


def _cut_off(cluster: Cluster, rng: random.Random, servers: Sequence[Host]) -> None:
    host, _ = _workers_of_one(cluster, rng)
    with _network(cluster).linked([host], servers, CUT):
        time.sleep(2 * cluster.settings.kafka.session_timeout_s)


def _workers_of_one(cluster: Cluster, rng: random.Random) -> tuple[Host, list[Child]]:
    host = rng.choice([*dict.fromkeys(cluster.places.workers)])
    return host, [worker for worker in cluster.workers if worker.host == host]


def _network(cluster: Cluster) -> Network:
    assert cluster.places.network is not None, "there is one host alone"
    return cluster.places.network
