"""What may befall the cluster, each as a function; what it does is said in the trace of a seed."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from redis.exceptions import ResponseError

from streams.books import layout
from streams.books.layout import Keys
from streams.books.stored import PartitionState, pack_state, unpack_places, unpack_state
from streams.settings import LIVE
from tests.simulation.cluster import Cluster
from tests.simulation.experiment import TAIL
from tests.simulation.kafka_in_memory import Entry
from tests.simulation.redis_in_memory import Hash, Value
from tests.simulation.worker import PREFIX, Worker

SAID_BESIDES = {"sparks": 7}
"""What another release has in the totals of a run."""


class Harm:
    """Does harm, and takes note of what it touched.

    Parameters
    ----------
    cluster
        To what.
    rng
        Decides which, and when.
    """

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self.cluster = cluster
        self.rng = rng
        self.kafka_lost = False
        """Whether Kafka lost something, or removed what was old."""
        self.touched: set[bytes] = set()
        """Keys of Redis that something was done to, since somebody looked last; the empty one stands for all."""
        self.said_besides: set[tuple[str, int, int]] = set()
        """Session, partition and run of which another release said `SAID_BESIDES`."""
        self.not_counted: dict[int, list[Entry]] = {}
        """Partition → what Kafka removed before live had counted it, since somebody looked last."""
        self._again: list[tuple[int, int, int, int]] = []
        """Partition, from which offset on to which it was counted again, and how many messages Kafka had ever taken."""
        cluster.on_set_back = self._was_set_back

    def _later(self, within_s: float, call: Callable[..., None], *arguments: Any) -> None:
        asyncio.get_running_loop().call_later(self.rng.uniform(0.5, within_s), call, *arguments)

    def _worker(self) -> Worker | None:
        workers = [worker for worker in self.cluster.workers if not worker.host.is_stopped]
        return self.rng.choice(workers) if workers else None

    def kill_a_worker(self) -> None:
        if worker := self._worker():
            self.cluster.end_worker(worker, comes_back_s=self.rng.uniform(0.5, 30))

    def end_a_worker(self) -> None:
        if worker := self._worker():
            self.cluster.end_worker(worker, leaves=True, comes_back_s=self.rng.uniform(0.5, 10))

    def kill_all_workers(self) -> None:
        for worker in list(self.cluster.workers):
            self.cluster.end_worker(worker, comes_back_s=self.rng.uniform(0.5, 20))

    def start_one_more_worker(self) -> None:
        if len(self.cluster.workers) < 4:
            worker = self.cluster.start_worker(self.rng.choice(["live", "live", "test"]))
            asyncio.get_running_loop().call_later(60, self._end, worker)

    def _end(self, worker: Worker) -> None:
        if worker in self.cluster.workers:
            self.cluster.end_worker(worker, leaves=True)

    def stop_a_worker(self) -> None:
        if worker := self._worker():
            self.cluster.stop_worker(worker, self.rng.choice([2.0, 15.0, 40.0]))

    def move_partitions(self) -> None:
        for group in self.cluster.groups.values():
            group.rebalance()

    def two_workers_have_one_partition(self) -> None:
        worker = self._worker()
        if worker is not None:
            worker.consumer.give(set(range(len(self.cluster.kafka.logs))))
            self._later(30, self.move_partitions)  # Kafka's coordinator tells a worker that has been left out

    def forget_committed_offsets(self) -> None:
        for group in self.cluster.groups.values():
            group.committed.clear()

    def commit_any_offset(self) -> None:
        for group in self.cluster.groups.values():
            for partition, log in enumerate(self.cluster.kafka.logs):
                group.committed[partition] = self.rng.randint(0, log.end + 5)
            group.rebalance()

    def pass_over_messages(self) -> None:
        if worker := self._worker():
            worker.was_led_astray = True
            worker.consumer.pass_over(self.rng.randint(1, 8))

    def kafka_away(self) -> None:
        self.cluster.kafka.is_away = True
        self._later(40, self.cluster.kafka.heal)

    def kafka_slow(self) -> None:
        self.cluster.kafka.slow_s = 2.0
        self._later(30, self.cluster.kafka.heal)

    def a_leader_shows_less(self) -> None:
        log = self.rng.choice(self.cluster.kafka.logs)
        log.epoch += 1
        log.shown = max(log.low, log.end - self.rng.randint(1, 20))
        self._later(20, self.cluster.kafka.heal)

    def remove_old_messages(self) -> None:
        self.kafka_lost = True
        for number, log in enumerate(self.cluster.kafka.logs):
            if self.rng.random() < 0.7:
                counted = self._counted(Keys(PREFIX, LIVE, number))
                log.low = max(log.low, log.end - self.rng.choice([0, 5, 30, 100]))
                if not self.has_touched_one(Keys(PREFIX, LIVE, number).state):
                    self.not_counted.setdefault(number, []).extend(filter(None, log.slots[counted : log.low]))

    def remove_what_nobody_counted(self) -> None:
        """Have no worker for a while, in which retention takes what came meanwhile."""
        for worker in list(self.cluster.workers):
            self.cluster.end_worker(worker, comes_back_s=self.rng.uniform(31, 50))
        asyncio.get_running_loop().call_later(30, self.remove_old_messages)

    def _counted(self, keys: Keys) -> int:
        """Return how far a partition is; the end of all where that cannot be read."""
        stored = self.cluster.keys.get(keys.state.encode())
        try:
            return unpack_state(stored).next  # type: ignore[arg-type]
        except layout.UNREADABLE:
            return self.cluster.kafka.logs[keys.partition].end

    def power_cut(self) -> None:
        """Take the end of a log that was not on the disk yet."""
        states = [Keys(PREFIX, LIVE, partition).state.encode() for partition in range(len(self.cluster.kafka.logs))]
        if any(state not in self.cluster.keys for state in states) or self._is_behind_its_parts():
            return
        self.kafka_lost = True
        log = self.rng.choice(self.cluster.kafka.logs)
        keep = max(log.low, log.end - self.rng.choice([1, 1, 3, 10, 40]))
        del log.slots[keep:]
        log.epoch += 1
        self._lead_astray()
        self.cluster.kafka.wake()

    def _is_behind_its_parts(self) -> bool:
        """Say whether a partition is read again from before what its parts have.

        What comes then in place of what Kafka loses is taken for what they have.
        """
        for keys in self._keys():
            counted = self._counted(keys)
            if any(place.last >= counted for place in self._places(keys).values()):
                return True
        return False

    def _lead_astray(self) -> None:
        """Take note that consumers are behind the end of a log, for which they go to its begin."""
        for worker in self.cluster.workers:
            worker.was_led_astray = True

    def _was_set_back(self, partition: int, before: PartitionState, now: PartitionState) -> None:
        """Take note of what is counted again, as Kafka has lost what was counted; no more than must be."""
        kafka = self.cluster.kafka
        self._again.append((partition, now.next, before.next, kafka.taken))
        there = [kafka.still_has(partition, *counted) for counted in before.tail]
        lost = [counted.offset for counted, is_there in zip(before.tail, there, strict=True) if not is_there]
        is_known = len(there) < TAIL or before.tail[0].offset < before.sound
        if lost and there[0] and is_known:
            sure = max(counted.offset for counted in before.tail if counted.offset < lost[0]) + 1
            if now.next < min(sure, kafka.logs[partition].end):
                self.cluster.wrong.append(
                    f"partition {partition} was set back to {now.next}, and all before {sure} is there"
                )

    def came_again(self, entry: Entry) -> int:
        """Return how often a message was counted again, as others beside it were lost by Kafka."""
        there = entry.arrived
        return sum(
            there.partition == partition and first <= there.offset < end and entry.number <= number
            for partition, first, end, number in self._again
        )

    def make_topic_anew(self) -> None:
        self.kafka_lost = True
        self.cluster.kafka.make_anew(len(self.cluster.kafka.logs))
        self._lead_astray()
        for group in self.cluster.groups.values():
            if self.rng.random() < 0.5:
                group.committed.clear()
            group.rebalance()

    def add_a_partition(self) -> None:
        if len(self.cluster.kafka.logs) < 4:
            self.cluster.kafka.add_partition()

    def redis_away(self) -> None:
        self.cluster.redis.is_away = True
        self._later(40, self.cluster.redis.heal)

    def redis_slow(self) -> None:
        self.cluster.redis.slow_s = 1.0
        self._later(30, self.cluster.redis.heal)

    def redis_loses_answers(self) -> None:
        self.cluster.redis.loses_answers = 0.3
        self._later(30, self.cluster.redis.heal)

    def redis_out_of_memory(self) -> None:
        self.cluster.redis.refuse_writes()
        self._later(30, self.cluster.redis.heal)

    def _is_known(self) -> bool:
        """Say whether the topic of runs tells where all runs begin.

        It does not for some seconds after Kafka lost the end of a log and has other messages in its place: if Redis is
        emptied meanwhile, nothing is left that knows of them.
        """
        kafka, beam = self.cluster.kafka, self.cluster.beam
        known = [self.cluster.servers.known(partition) for partition in range(len(kafka.logs))]
        for (run, partition), ever in beam.ever.items():
            there = [entry.arrived.offset for topic, entry in ever if topic == kafka.id() and kafka.has(entry)]
            if there and min(there) < known[partition].runs.get(run, known[partition].below):
                return False
        return True

    def empty_redis(self) -> None:
        if not self._is_known():
            return
        self.touched.add(b"")
        self.cluster.keys.clear()

    def set_redis_back(self) -> None:
        """Set all keys back to what they were some time ago."""
        earlier = self.cluster.redis.keys.copy()
        self._later(60, self._set_back, earlier)

    def _set_back(self, earlier: dict[bytes, Value]) -> None:
        if not self._is_known():
            return
        self.touched.add(b"")
        self.cluster.keys.clear()
        self.cluster.keys.update(earlier)

    def set_a_key_back(self) -> None:
        """Set one key back to what it was some time ago."""
        if key := self._key():
            value = self.cluster.redis.keys.copy()[key]
            self._later(60, self._set_key, key, value)

    def _set_key(self, key: bytes, value: Value) -> None:
        self.touched.add(key)
        self.cluster.keys[key] = value

    def _key(self) -> bytes | None:
        keys = [key for key in self.cluster.keys if b":aside:" not in key and b":given-up:" not in key]
        return self.rng.choice(keys) if keys else None

    def evict_a_key(self) -> None:
        if key := self._key():
            self.touched.add(key)
            del self.cluster.keys[key]

    def evict_keys(self) -> None:
        if not self._is_known():
            return
        for key in [key for key in self.cluster.keys if self.rng.random() < 0.2]:
            self.touched.add(key)
            del self.cluster.keys[key]

    def flip_a_bit(self) -> None:
        key = self._key()
        found = self.cluster.keys.get(key or b"")
        if key is None or not isinstance(found, Hash):
            return
        self.touched.add(key)
        field = self.rng.choice(list(found))
        value = bytearray(found[field])
        if value:
            value[self.rng.randrange(len(value))] ^= 1 << self.rng.randrange(8)
            found[field] = bytes(value)

    def rubbish_in_a_key(self) -> None:
        if key := self._key():
            self.touched.add(key)
            self.cluster.keys[key] = self.rng.choice([b"rubbish", Hash({b"rubbish": b"rubbish"})])

    def rubbish_in_a_field(self) -> None:
        key = self._key()
        found = self.cluster.keys.get(key or b"")
        if key is not None and isinstance(found, Hash):
            self.touched.add(key)
            found[self.rng.choice([*found, b"rubbish"])] = self.rng.choice([b"", b"rubbish", b"\xff" * 40])

    def another_release_counts(self) -> None:
        """Have a worker of another release, which says more of a run, have a partition for a moment."""
        keys = self.rng.choice(self._keys())
        runs = [run for run, partition in self.cluster.beam.ever if partition == keys.partition]
        key, stored = keys.state.encode(), self.cluster.keys
        run = self.rng.choice(runs) if runs else 0
        totals = stored.get(keys.run(run).encode())
        try:
            state = unpack_state(stored[key])  # type: ignore[arg-type]
            values = layout.unpack_json(totals[b"totals"])  # type: ignore[index]
        except layout.UNREADABLE:
            return
        state = replace(state, fence=f"another:{state.number + 1}")
        stored[key] = Hash({b"fence": state.fence.encode(), b"state": pack_state(state)["state"]})
        totals[b"totals"] = layout.pack_json(values | SAID_BESIDES)  # type: ignore[index]
        self.said_besides.add((keys.session, keys.partition, run))

    def retire_runs(self) -> None:
        """Ask that runs leave Redis, as a keeper does when all of them is in files; some go on all the same."""
        for keys in self._keys():
            for run, place in self._places(keys).items():
                if self.rng.random() < 0.5:
                    self.touched.add(keys.spills(run).encode())
                    self._ask(keys.retire, f"{run}:{place.last}")

    def bring_back_runs(self) -> None:
        """Ask that runs that have left come back."""
        for keys in self._keys():
            for run, place in self._places(keys).items():
                if place.retired and self.rng.random() < 0.5:
                    self._ask(keys.repair, str(run))

    def _ask(self, key: str, member: str) -> None:
        with suppress(ResponseError):  # Redis is full, or has rubbish there: the keeper asks again one day
            self.cluster.redis.keys.sadd(key, member)

    def _places(self, keys: Keys) -> dict[int, layout.Place]:
        stored = self.cluster.keys.get(keys.index.encode())
        return unpack_places(stored if isinstance(stored, Hash) else {})[0]

    def _keys(self) -> list[Keys]:
        """Return the names of the keys of all partitions."""
        partitions = range(len(self.cluster.kafka.logs))
        return [Keys(PREFIX, session, number) for session in self.cluster.sessions for number in partitions]

    def kill_the_producer(self) -> None:
        messages = self.rng.randint(1, 40)
        self.cluster.beam.host.begin(lambda: self.cluster.beam.again(messages))

    def wrong_clock_of_the_producer(self) -> None:
        self.cluster.beam.clock_off_s = self.rng.choice([0.0, -5000.0, 5000.0, 0.1])

    def correct_the_conditions(self) -> None:
        """Give runs' plots other axes, and start all workers again, as somebody does who corrects the tables."""
        self.touched.add(b"")
        self.cluster.conditions += 1
        for worker in list(self.cluster.workers):
            self.cluster.end_worker(worker, leaves=True, comes_back_s=self.rng.uniform(0.5, 3))

    def has_touched_one(self, key: str) -> bool:
        """Say whether something was done to a key."""
        return not self.touched.isdisjoint((b"", key.encode()))

    def has_touched(self, keys: Any, run: int) -> bool:
        """Say whether something was done to what Redis has of a run in a partition."""
        ours = {key.encode() for key in (*keys.of_run(run), keys.state, keys.index, keys.changed)}
        window = keys.windows_of_run(run)[:-1].encode()
        return any(not key or key in ours or key.startswith(window) for key in self.touched)


KINDS: dict[str, float] = {
    "kill_a_worker": 3,
    "end_a_worker": 1,
    "kill_all_workers": 1,
    "start_one_more_worker": 1,
    "stop_a_worker": 3,
    "move_partitions": 2,
    "two_workers_have_one_partition": 1,
    "forget_committed_offsets": 1,
    "commit_any_offset": 1,
    "pass_over_messages": 2,
    "kafka_away": 1,
    "kafka_slow": 1,
    "a_leader_shows_less": 1,
    "remove_old_messages": 1,
    "remove_what_nobody_counted": 0.3,
    "power_cut": 1,
    "make_topic_anew": 0.3,
    "add_a_partition": 0.3,
    "redis_away": 1,
    "redis_slow": 1,
    "redis_loses_answers": 2,
    "redis_out_of_memory": 1,
    "empty_redis": 1,
    "set_redis_back": 1,
    "set_a_key_back": 2,
    "evict_a_key": 2,
    "evict_keys": 0.5,
    "flip_a_bit": 3,
    "rubbish_in_a_key": 1,
    "rubbish_in_a_field": 1,
    "another_release_counts": 1,
    "retire_runs": 1,
    "bring_back_runs": 0.5,
    "kill_the_producer": 1,
    "wrong_clock_of_the_producer": 0.5,
    "correct_the_conditions": 0.3,
}
"""Kind of harm → how often it is done beside the others."""
