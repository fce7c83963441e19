"""What must be true of the books: at any moment, and when all faults are over."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from streams.books import invariants
from streams.books.book import Book, Ranges
from streams.books.kafka_log import LOSSES
from streams.books.layout import Keys
from streams.books.part_reader import RetiredRunError, UnreadableRunError
from streams.books.reader import BookReader
from streams.books.run import RunBook
from streams.experiment import experiment
from streams.settings import LIVE
from tests.simulation import judge
from tests.simulation.cluster import Cluster
from tests.simulation.experiment import RANGES, VALUES, Kind, Sent
from tests.simulation.faults import SAID_BESIDES, Harm
from tests.simulation.kafka_in_memory import Entry
from tests.simulation.redis_in_memory import Hash, SyncClient
from tests.simulation.worker import PREFIX

_Look = tuple[frozenset[int], int, frozenset[int]]
"""The spills that Redis has of a part of a run, how many messages were ever sent, and the spills that were removed."""


class Checks:
    """Looks at the books of a cluster.

    Parameters
    ----------
    cluster
        Whose books.
    harm
        Knows what was done to them.
    """

    def __init__(self, cluster: Cluster, harm: Harm) -> None:
        self._cluster = cluster
        self._harm = harm
        self._redis: Any = SyncClient(None, cluster.redis)
        self._held: dict[tuple[str, int, int], set[int]] = {}
        """Session, partition and run → the spills that were in the book when somebody looked last."""
        self._books: dict[tuple[str, int, int], tuple[Any, RunBook]] = {}
        """Session, partition and run → what Redis had of it when it was read last, and what was read."""

        self._looks: dict[tuple[str, int, int], deque[_Look]] = {}
        """Session, partition and run → the last looks at it."""
        self._right: dict[tuple[str, int, int], Any] = {}
        """Session, partition and run → what Redis and Kafka had of it when all of that was right."""

    def _content(self, session: str, partition: int, run: int) -> list[Any]:
        """Return a copy of what Redis has of a part of a run."""
        keys, stored = Keys(PREFIX, session, partition), self._cluster.keys
        windows, begin = stored.get(keys.windows(run).encode()), keys.windows_of_run(run)[:-1].encode()
        names = [begin + name for name in windows] if isinstance(windows, dict) else []
        values = [stored.get(name) for name in (*map(str.encode, keys.of_run(run)), *names)]
        return [dict(value) if isinstance(value, dict) else value for value in values]

    def _book(self, session: str, partition: int, run: int, ranges: Ranges) -> RunBook:
        """Read a part of a run; what has not changed since is not read again, which takes most of the time."""
        content = ranges, self._content(session, partition, run)
        before = self._books.get((session, partition, run))
        if before is None or before[0] != content:
            book = self._reader(session, partition).run(run, ranges)
            before = self._books[session, partition, run] = content, book
        return before[1]

    def _reader(self, session: str, partition: int) -> BookReader:
        """Return what reads the books of one partition alone."""
        return BookReader(self._redis, PREFIX, session, partition=partition)

    def lag(self) -> str:
        """Return what of Kafka is not in the books, in words; nothing if all is."""
        for session in self._cluster.sessions:
            progress = BookReader(self._redis, PREFIX, session).progress()
            for partition, log in enumerate(self._cluster.kafka.logs):
                its = progress.get(partition)
                if its is None:
                    if log.end:
                        return f"{session}: nothing is in the books of partition {partition}"
                elif its.next != log.end or its.repairs:
                    return (
                        f"{session}: partition {partition} is at {its.next} of {log.end}, repairs {dict(its.repairs)}"
                    )
        return ""

    def at_any_moment(self) -> Iterator[str]:
        """Yield what is wrong now, whatever happens."""
        seen: dict[tuple[str, int, int], set[int]] = {}
        for session, partition, run in self._parts():
            ranges = self._cluster.ranges_of(session, run)
            for what in self._given_up(session, partition, run):
                yield f"{session}[{partition}] run {run}: {what}"
            try:
                book = self._book(session, partition, run, ranges)
            except RetiredRunError:
                continue
            except UnreadableRunError as error:
                if (session, partition, run) in self._held and not self._was_harmed(session, partition, run):
                    yield f"{session}[{partition}] run {run}: {error}"
                continue
            here = seen[session, partition, run] = set(book.ledger)
            gone = self._held.get((session, partition, run), set()) - here
            if gone and not self._was_harmed(session, partition, run):
                yield f"{session}[{partition}] run {run}: spills {sorted(gone)[:5]} are no longer in the book"
            for what in consistent(book):
                yield f"{session}[{partition}] run {run}: {what}"
            if (session, partition, run) in self._harm.said_besides:
                if self._was_harmed(session, partition, run):
                    self._harm.said_besides.discard((session, partition, run))
                elif book.totals.unknown != SAID_BESIDES:
                    yield f"{session}[{partition}] run {run}: what another release said of it is gone"
        self._held = seen

    def _was_harmed(self, session: str, partition: int, run: int) -> bool:
        """Say whether a run may have less than when somebody looked last.

        One that was filled with other axes is made again when a worker comes by it; one that is not whole in Redis, of
        which Kafka lost something, as far as Kafka has it when another message of it comes.
        """
        if self._cluster.conditions or self._losses(session, partition):
            return True
        return self._harm.has_touched(Keys(PREFIX, session, partition), run)

    def _given_up(self, session: str, partition: int, run: int) -> Iterator[str]:
        """Yield what is taken from where it was, of what retention has removed from Kafka, which cannot give it back.

        It stays where it is; only when another message of the run comes, it is set aside.
        """
        keys, part = Keys(PREFIX, session, partition), (session, partition, run)
        here, ever = _spills(self._cluster.keys.get(keys.spills(run).encode())), self._cluster.beam.ever[run, partition]
        removed = self._removed(run, partition)
        looks = self._looks.setdefault(part, deque(maxlen=2))
        earlier = list(looks)
        looks.append((here, len(ever), removed))
        if not earlier or earlier[-1][0] <= here or self._harm.has_touched_one(keys.spills(run)):
            return
        (_, messages, _), (before, _, removed_before) = earlier[0], earlier[-1]
        aside = set[int]()
        for key, value in self._cluster.keys.items():
            if f":spills:{run}".encode() in key and keys.is_aside_of(key.decode(), run):
                aside |= _spills(value)
        gone = (before - here - aside) & removed
        # Of what has neither totals nor a place in the list of runs, nobody knows.
        is_lost = self._is_unknown(keys) and self._harm.has_touched_one(keys.run(run))
        if gone and not is_lost:
            yield f"spills {sorted(gone)[:5]} are in Redis no longer, and Kafka cannot give them back"
        # A part that has what Kafka lost at the end is set aside, too, if it is not whole.
        is_cut = any("lost its messages" in what for what in self._losses(session, partition))
        moved = (before - here) & removed_before
        if moved and messages == len(ever) and not (is_cut or self._is_unknown(keys)):
            yield f"spills {sorted(moved)[:5]} are no longer where they were, and Kafka cannot give them back"

    def _is_unknown(self, keys: Keys) -> bool:
        """Say whether something was done to what tells where runs are."""
        return any(map(self._harm.has_touched_one, (keys.state, keys.index, keys.changed)))

    def _removed(self, run: int, partition: int) -> frozenset[int]:
        """Return the spills of a run that retention has removed."""
        kafka = self._cluster.kafka
        low = kafka.logs[partition].low if partition < len(kafka.logs) else 0
        ever = [entry for topic, entry in self._cluster.beam.ever[run, partition] if topic == kafka.id()]
        gone = (entry.sent for entry in ever if entry.arrived.offset < low)
        return frozenset(sent.spill for sent in gone if sent.kind is Kind.SPILL) if low else frozenset()

    def _parts(self) -> list[tuple[str, int, int]]:
        return [
            (session, partition, run)
            for session in self._cluster.sessions
            for run, partition in self._cluster.beam.ever
        ]

    def in_the_end(self) -> list[str]:
        """Return what is wrong when all that Kafka has should be counted."""
        return [lag] if (lag := self.lag()) else list(self._in_the_end())

    def _in_the_end(self) -> Iterator[str]:
        for session, partition, run in self._parts():
            try:
                for what in self._part(session, partition, run):
                    yield f"{session}[{partition}] run {run}: {what}"
            except UnreadableRunError as error:
                # What Kafka no longer has stays as it is, and is said.
                is_lost = len(self._still_there(run, partition)) < len(self._cluster.beam.ever[run, partition])
                if not (is_lost and self._losses(session, partition)):
                    yield f"{session}[{partition}] run {run}: {error}"
        yield from self._not_said()
        for session in self._cluster.sessions:
            for partition in range(len(self._cluster.kafka.logs)):
                yield from self._lists(session, partition)
                if not self._harm.kafka_lost and (lost := self._losses(session, partition)):
                    yield f"{session}[{partition}]: Kafka lost nothing, and the books say {lost}"

    def _not_said(self) -> Iterator[str]:
        """Yield what Kafka removed before it was counted, of which nothing is said."""
        for partition, entries in [*self._harm.not_counted.items()]:
            keys, losses = Keys(PREFIX, LIVE, partition), self._losses(LIVE, partition)
            is_said = len(losses) == LOSSES or any("were gone when" in what for what in losses)
            lacking = [entry.arrived.offset for entry in entries if self._is_lacking(keys, entry)]
            if lacking and not is_said and not self._harm.has_touched_one(keys.state):
                yield f"live[{partition}]: what Kafka removed at {lacking[:9]} was never counted, and nobody says so"
            else:
                del self._harm.not_counted[partition]

    def _is_lacking(self, keys: Keys, entry: Entry) -> bool:
        run, there = entry.sent.run, self._cluster.keys
        if self._harm.has_touched(keys, run) or self._cluster.servers.asides[LIVE, keys.partition, run]:
            return False
        is_there = entry.sent.spill in _spills(there.get(keys.spills(run).encode()))
        return entry.sent.kind is Kind.SPILL and not is_there

    def _losses(self, session: str, partition: int) -> list[str]:
        progress = BookReader(self._redis, PREFIX, session).progress().get(partition)
        return [loss.what for loss in progress.lost] if progress is not None else []

    def _lists(self, session: str, partition: int) -> Iterator[str]:
        """Yield where the list of runs is not that of the parts."""
        reader = self._reader(session, partition)
        places, runs = reader.places(), reader.runs()
        for run in runs.keys() & places.keys():
            for what in invariants.of_place(places[run], runs[run], partition):
                yield f"{session}[{partition}] run {run}: {what}"
        for run, there in self._cluster.beam.ever:
            is_there = there == partition and bool(self._still_there(run, partition))
            if is_there and run not in places and not self._losses(session, partition):
                yield f"{session}[{partition}] run {run}: it is not in the list of runs"

    def _part(self, session: str, partition: int, run: int) -> Iterator[str]:
        ever = self._cluster.beam.ever[run, partition]
        now = self._still_there(run, partition)
        seen = self._content(session, partition, run), len(ever), [entry.arrived for entry in now]
        if self._right.get((session, partition, run)) == seen:
            return
        wrong = [*self._compared(session, partition, run, ever, now)]
        yield from wrong
        if not wrong:
            self._right[session, partition, run] = seen

    def _compared(
        self, session: str, partition: int, run: int, ever: list[tuple[str, Entry]], now: list[Entry]
    ) -> Iterator[str]:
        here = [entry for _, entry in ever]
        try:
            book = self._book(session, partition, run, {})
        except RetiredRunError:
            yield from self._retired(session, partition, run, here if len(now) == len(ever) else [])
            return
        if len(now) == len(ever) and not any(map(self._harm.came_again, now)):
            expected = judge.expected(here, partition, self._cluster.digest_of(session, run))
            yield from self._equal(session, partition, run, expected, book)
        elif book.totals.received or book.totals.first_raw:
            yield from self._within(session, partition, run, here, now, book)
        elif now and not self._losses(session, partition):
            yield "it is not in the books, and Kafka has something of it"
        else:
            return
        yield from consistent(book)

    def _retired(self, session: str, partition: int, run: int, here: list[Entry]) -> Iterator[str]:
        """Yield what is wrong with a part that has left Redis, of which all that was ever sent is here, or nothing."""
        totals = self._reader(session, partition).totals(run)
        yield from invariants.of_totals(totals)
        _, *rest = self._content(session, partition, run)
        if any(value is not None for value in rest):
            yield "it has left Redis, and something is left of it"
        if here and not any(map(self._harm.came_again, here)):
            expected, found = judge.expected(here, partition, self._cluster.digest_of(session, run)), totals.to_json()
            for name, value in expected.totals.items():
                if found[name] != value:
                    yield f"{name} is {found[name]}, not {value}"

    def _still_there(self, run: int, partition: int) -> list[Entry]:
        kafka = self._cluster.kafka
        ever = self._cluster.beam.ever[run, partition]
        return [entry for topic, entry in ever if topic == kafka.id() and kafka.has(entry)]

    def _equal(self, session: str, partition: int, run: int, expected: judge.Expected, book: RunBook) -> Iterator[str]:
        totals = book.totals.to_json()
        for name, value in expected.totals.items():
            if totals[name] != value:
                yield f"{name} is {totals[name]}, not {value}"
        if book.ledger.keys() != expected.spills.keys():
            yield f"spills {sorted(book.ledger.keys() ^ expected.spills.keys())[:9]} are here or there alone"
        else:
            yield from self._contents(session, partition, run, expected.spills, book)
        if session == LIVE:
            kept = {(spill.partition, spill.offset) for spill in self._cluster.servers.rejected}
            for offset in expected.rejected_at:
                if (partition, offset) not in kept:
                    yield f"what was rejected at {offset} is not in spills.rejected"

    def _within(
        self, session: str, partition: int, run: int, ever: list[Entry], now: list[Entry], book: RunBook
    ) -> Iterator[str]:
        """Yield what is wrong with a book of which Kafka lost something: it may have that, and must have the rest."""
        sent: dict[int, dict[bytes, Sent]] = {}
        for entry in ever:
            if entry.sent.kind is Kind.SPILL:
                sent.setdefault(entry.sent.spill, {})[entry.sent.digest] = entry.sent
        spills = {}
        for spill, its in book.ledger.items():
            found = sent.get(spill, {}).get(its.digest)
            if found is None:
                yield f"spill {spill} is in the book, and was never sent"
                return
            spills[spill] = found
        for entry in now:
            if entry.sent.kind is Kind.SPILL and entry.sent.spill not in spills:
                yield f"spill {entry.sent.spill}, at {entry.arrived.offset}, is not in the book"
        least, most = sum(entry.sent.is_spill for entry in now), sum(entry.sent.is_spill for entry in ever)
        most += sum(map(self._harm.came_again, ever))
        if not least <= book.totals.received <= most:
            yield f"{book.totals.received} were received, not {least} to {most}"
        yield from self._contents(session, partition, run, spills, book)

    def _contents(
        self, session: str, partition: int, run: int, spills: Mapping[int, Sent], book: RunBook
    ) -> Iterator[str]:
        """Yield what is wrong with what spills that are in a book have filled."""
        # A run that nothing was added to keeps the axes that it was filled with.
        scale, ranges = self._cluster.scale, RANGES if book.book[VALUES].axes[0].size == RANGES[VALUES][0] else {}
        yield from same(spills, ranges, book.book, "the book")
        for spill, sent in spills.items():
            entry = book.ledger[spill]
            if (entry.time_us, entry.triggers, entry.digest) != (sent.time_us, sent.triggers, sent.digest):
                yield f"of spill {spill} something else is remembered: {entry}"
            if book.key_numbers.get(spill) != judge.key_numbers(sent, ranges):
                yield f"the key numbers of spill {spill} are wrong"
            if book.channel_counts.get(spill) != judge.channel_counts(sent):
                yield f"the hits by channel of spill {spill} are wrong"
        reader = self._reader(session, partition)
        expected = judge.windows(spills, scale.window_s, 1 if book.totals.ended else scale.windows_kept)
        found = reader.windows(run)
        if found != {window: len(theirs) for window, theirs in expected.items()}:
            yield f"the windows are {found}, not { ({w: len(t) for w, t in expected.items()}) }"
            return
        books = {window: reader.window(run, window, ranges) for window in expected}
        for window, theirs in expected.items():
            yield from same({sent.spill: sent for sent in theirs}, ranges, books[window], str(window))
        yield from invariants.of_windows(book, {window: (found[window], books[window]) for window in found})


def _spills(stored: Any) -> frozenset[int]:
    """Return the spills of a ledger that Redis has."""
    return frozenset(int(spill) for spill in stored if spill.isdigit()) if isinstance(stored, Hash) else frozenset()


def same(spills: Mapping[int, Sent], ranges: Ranges, book: Book, what: str) -> Iterator[str]:
    """Yield the plots of a book that are not what spills fill."""
    for name, counts in judge.histograms(spills.values(), ranges).items():
        if not np.array_equal(book.counts(name), counts):
            yield f"{name} of {what} differs"


def consistent(book: RunBook) -> Iterator[str]:
    """Yield what in a book contradicts itself."""
    yield from invariants.of_part(book)
    for name in experiment().plots:
        entries = int(book.book.counts(name).sum())
        if entries != 4 * book.totals.filled:
            yield f"{name} has {entries} entries of {book.totals.filled} spills"
