"""The kinds of harm: what is done to a cluster, and undone."""

from collections.abc import Mapping

from tests.chaos.harm import hosts, processes, redis, spills
from tests.chaos.harm.model import Harm

HARMS: tuple[Harm, ...] = (
    processes.set_a_clock_wrong,
    processes.kill_a_worker,
    processes.kill_all_workers,
    processes.stop_a_worker,
    processes.kill_a_watcher,
    processes.kill_all_watchers,
    processes.stop_a_watcher,
    processes.scale_down_and_up,
    processes.go_back_a_release_and_forth,
    processes.run_another_session,
    processes.forget_the_group,
    processes.produce_again,
    processes.kill_a_broker,
    processes.kill_all_brokers,
    processes.keep_brokers_away,
    processes.kill_the_producer,
    processes.add_partitions,
    processes.restart_everything,
    redis.kill_redis,
    redis.lose_redis,
    redis.flush_redis,
    redis.restore_an_older_redis,
    redis.restore_an_older_key,
    redis.evict_keys,
    redis.write_rubbish_into_a_run,
    redis.fill_redis,
    redis.make_redis_read_only,
    redis.pause_redis,
    redis.slow_redis,
    spills.replace_the_followed_file,
    spills.set_the_daqs_clock,
    spills.lower_a_topics_limit,
    spills.write_an_oversized_spill,
    spills.plant_faults,
    spills.break_a_table,
)

_ALONE = "one Redis has no other beside it, as it has with SERVERS=sentinel"
WITHOUT_MEANING: Mapping[str, Mapping[Harm, str]] = {
    "": {
        hosts.lose_the_host_of_the_replica: _ALONE,
        hosts.cut_redis_off_from_the_others: _ALONE,
        hosts.cut_redis_and_workers_off_from_the_others: _ALONE,
    },
    "secured": {},
    "sentinel": {},
    "cluster": {
        redis.make_redis_read_only: "a node that is made a replica sends writers on, as one that comes back killed",
    },
}
"""What cannot be done to which servers, and why."""

OF_HOSTS: tuple[Harm, ...] = (
    hosts.lose_a_host_of_workers,
    hosts.lose_a_brokers_host,
    hosts.lose_the_host_of_redis,
    hosts.lose_the_host_of_the_replica,
    hosts.cut_a_broker_off_from_the_others,
    hosts.cut_redis_off_from_the_others,
    hosts.cut_redis_and_workers_off_from_the_others,
    hosts.cut_workers_off_from_kafka,
    hosts.cut_workers_off_from_redis,
    hosts.cut_workers_off_from_both,
    hosts.cut_the_page_off_from_kafka,
    hosts.cut_the_page_off_from_redis,
    hosts.cut_the_page_off_from_both,
    hosts.have_slow_and_lossy_links,
    hosts.have_clocks_hours_apart,
    hosts.set_the_pages_clock_hours_off,
)
"""They need several hosts."""
