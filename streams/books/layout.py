"""Where a partition's checkpoint lies in Redis, and how its parts are written.

All keys of a partition carry the hash tag ``{session:partition}``, so that a checkpoint stays one atomic step on a
Redis Cluster. Under ``prefix:v2:{session:partition}:``

========================  ======  ===================================================================
``state``                 hash    see `stored.PartitionState`
``index``                 hash    run → where it is and how far it came: what a list of runs needs
``changed``               zset    run → number of the checkpoint that changed it last
``run:RUN``               hash    ``totals``; ``unit``: the first offset that is not in the part, and the stamps that
                                  the keys below must have
``spills:RUN``            hash    spill → ledger entry
``key-numbers:RUN``       hash    spill → its key numbers, see `spill_numbers`
``channel-counts:RUN``    hash    spill → how often each channel was hit, see `streams.checks.channels`
``book:RUN``              hash    plot → histogram
``windows:RUN``           hash    window, ``START:LENGTH`` in seconds → its spills
``window:RUN:WINDOW``     hash    plot → histogram
``handling:RUN``          hash    spill → how it was handled; no part of the run, and without a stamp
``repair``                set     runs of which somebody could not read something
``retire``                set     ``RUN:LAST`` of runs that are to leave Redis, see `retiring`
========================  ======  ===================================================================

A part of a run is a unit: each key holds the stamp of the checkpoint that wrote it last (in the field `STAMP`), which
``run:RUN`` repeats. So a key that is gone, or older than the others, is known; and every value ends with its checksum,
so that a damaged one is. The name has the version of all this: another version's keys are never taken for ours.
"""

import json
import struct
import zlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, NamedTuple, Self

from schemas.records import ControlKind
from streams.books.run import Handling
from streams.books.totals import Totals, earlier
from streams.books.windows import Window
from streams.plain import read_json
from streams.plots.spillfacts import SCALER_CHANNELS, LedgerEntry

VERSION = "v2"
STAMP = ""
"""The field of a key that holds its stamp: no plot and no spill has such a name."""

_LEDGER = struct.Struct("<qii8s")
_HANDLING = struct.Struct("<ffq")
_HANDLING_WITHOUT_WHEN = struct.Struct("<ff")
_SCALERS = struct.Struct(f"<{SCALER_CHANNELS}i")
_SUM = struct.Struct("<I")


UNREADABLE = LookupError, ValueError, TypeError, AttributeError, struct.error
"""What is raised by reading what is none of ours."""


class Loss(NamedTuple):
    """What Kafka no longer had when it was needed."""

    at_s: int
    """When it was found, Unix seconds."""
    what: str
    """In words."""


class Counted(NamedTuple):
    """A message of ``spills.raw`` that is in the books."""

    offset: int
    produced_ms: int
    """When it was produced, Unix milliseconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a run is in one partition, and how far it came; or, summed, in all."""

    log: str
    """Id of the topic that the offsets are of."""
    first: int
    last: int
    """Offsets of its first and its last message in ``spills.raw``; in a sum, their sum, which changes when one does."""
    began_us: int
    """When it began, as the DAQ said, else its first spill; 0 if unknown. All times in microseconds since 1970."""
    last_us: int
    """The newest of its spills' times; 0 without one."""
    ended_us: int
    """When the DAQ said that it ended; 0 if it did not."""
    first_ms: int
    """When its first message was produced, Unix milliseconds; 0 where nobody knows."""
    produced_ms: int
    """When its newest message was produced."""
    ended_ms: int
    """When the newest of its ends was produced; 0 without one."""
    received: int
    filled: int
    triggers: int
    run_type: str
    partitions: int = 1
    """Those that have something of it."""
    retired: int = 0
    """In how many of them all but its totals has left Redis."""

    @property
    def ended(self) -> bool:
        """Whether the DAQ said that it ended."""
        return bool(self.ended_ms or self.ended_us)

    @classmethod
    def of(cls, totals: Totals, partition: int, log: str) -> Self:
        """Return where a run is in a partition, from its totals there."""
        said, end = (totals.control.get(kind.value) for kind in (ControlKind.START, ControlKind.END))
        return cls(
            log=log,
            first=totals.first_raw.get(partition, 0),
            last=totals.last_raw.get(partition, -1),
            began_us=said.time_us if said is not None else totals.first_us,
            last_us=totals.last_us,
            ended_us=end.time_us if end is not None else 0,
            first_ms=totals.first_ms,
            produced_ms=totals.produced_ms,
            ended_ms=totals.ended_ms,
            received=totals.received,
            filled=totals.filled,
            triggers=totals.triggers,
            run_type=totals.run_type,
        )

    def __add__(self, other: Self) -> "Place":
        return Place(
            log=self.log,
            first=self.first + other.first,
            last=self.last + other.last,
            began_us=earlier(self.began_us, other.began_us),
            last_us=max(self.last_us, other.last_us),
            ended_us=earlier(self.ended_us, other.ended_us),
            first_ms=earlier(self.first_ms, other.first_ms),
            produced_ms=max(self.produced_ms, other.produced_ms),
            ended_ms=max(self.ended_ms, other.ended_ms),
            received=self.received + other.received,
            filled=self.filled + other.filled,
            triggers=self.triggers + other.triggers,
            run_type=self.run_type or other.run_type,
            partitions=self.partitions + other.partitions,
            retired=self.retired + other.retired,
        )


_PLACE = {each.name for each in fields(Place)}


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the keys of one session's partition."""

    prefix: str
    session: str
    partition: int

    def _key(self, *parts: object) -> str:
        return ":".join([self.prefix, VERSION, f"{{{self.session}:{self.partition}}}", *map(str, parts)])

    @property
    def state(self) -> str:
        """How far the partition is."""
        return self._key("state")

    @property
    def index(self) -> str:
        """Where its runs are."""
        return self._key("index")

    @property
    def changed(self) -> str:
        """When they changed last."""
        return self._key("changed")

    @property
    def repair(self) -> str:
        """Runs of which somebody could not read something."""
        return self._key("repair")

    @property
    def retire(self) -> str:
        """Runs that are to leave."""
        return self._key("retire")

    def run(self, run: int | str) -> str:
        """Totals of a run, and the stamps of its keys; of ``*`` the pattern of all of them."""
        return self._key("run", run)

    def spills(self, run: int) -> str:
        """Ledger of a run."""
        return self._key("spills", run)

    def handling(self, run: int) -> str:
        """How the spills of a run were handled."""
        return self._key("handling", run)

    def key_numbers(self, run: int) -> str:
        """Key numbers of the spills of a run."""
        return self._key("key-numbers", run)

    def channel_counts(self, run: int) -> str:
        """How often each channel was hit in the spills of a run."""
        return self._key("channel-counts", run)

    def book(self, run: int) -> str:
        """Book of a run."""
        return self._key("book", run)

    def windows(self, run: int) -> str:
        """Windows of a run."""
        return self._key("windows", run)

    def window(self, run: int, window: Window) -> str:
        """Book of a window."""
        return self._key("window", run, pack_window(window))

    def of_run(self, run: int) -> tuple[str, ...]:
        """All keys of a run but those of its windows' books."""
        of_spills = (self.spills, self.handling, self.key_numbers, self.channel_counts)
        return tuple(key(run) for key in (self.run, *of_spills, self.book, self.windows))

    def windows_of_run(self, run: int) -> str:
        """Pattern of the keys of its windows' books."""
        return self._key("window", run, "*")

    def aside(self, fence: str, key: str) -> str:
        """Name of a key that was set aside before the checkpoint that has this fence was followed by another."""
        return self._key("aside", fence, key.removeprefix(self._key("")))

    def given_up(self, fence: str, key: str) -> str:
        """Name of a key that was set aside so for good: Kafka cannot give all of it back."""
        return self._key("given-up", fence, key.removeprefix(self._key("")))

    def is_aside_of(self, aside: str, run: int) -> bool:
        """Say whether a key that was set aside is one of a run's."""
        ours = tuple(":" + key.removeprefix(self._key("")) for key in self.of_run(run))
        return aside.endswith(ours) or f":{self.windows_of_run(run).removeprefix(self._key(''))[:-1]}" in aside


def of_session(prefix: str, session: str) -> str:
    """Return the pattern of all keys of a session's partitions."""
    return f"{prefix}:{VERSION}:{{{session}:*}}:*"


def partitions(prefix: str, session: str) -> str:
    """Return the name of the set of partitions that a session has counted something of."""
    return f"{prefix}:{VERSION}:{session}:partitions"


def run_states(prefix: str, session: str) -> str:
    """Return the name of the hash of the states of runs that were written to the topic of runs: run → state."""
    return f"{prefix}:{VERSION}:{session}:run-states"


def restored_runs(prefix: str, session: str) -> str:
    """Return the name of the hash of the runs that somebody wanted back: run → when, Unix seconds."""
    return f"{prefix}:{VERSION}:{session}:restored"


def watchers_key(prefix: str, session: str) -> str:
    """Return the name of the sorted set of who watches for a session's alarms: watcher → its last word, Unix ms."""
    return f"{prefix}:{VERSION}:{session}:watchers"


def not_told_key(prefix: str, session: str) -> str:
    """Return the name of the hash of what could not be told of a session's alarms: way → when and why, in words."""
    return f"{prefix}:{VERSION}:{session}:not-told"


def changed_channel(prefix: str, session: str) -> str:
    """Return the name of the channel on which each checkpoint is announced."""
    return f"{prefix}:{VERSION}:{session}:changed"


def runs_among(names: Iterable[bytes]) -> set[int]:
    """Return the runs that some fields or members are named for; others name none."""
    return {int(name) for name in names if name.lstrip(b"-").isdigit()}


def seal(data: bytes) -> bytes:
    """Return a value with its checksum behind it."""
    return data + _SUM.pack(zlib.crc32(data))


def unseal(data: bytes) -> bytes:
    """Return the value that `seal` was given.

    Raises
    ------
    ValueError
        When it is not what was written.
    """
    value, checksum = data[: -_SUM.size], data[-_SUM.size :]
    if checksum != _SUM.pack(zlib.crc32(value)):
        raise ValueError("its checksum is wrong")
    return value


def pack_ledger_entry(entry: LedgerEntry) -> bytes:
    """Return a ledger entry as 28 bytes, and the scalers, if they were read, as 128."""
    fixed = _LEDGER.pack(entry.time_us, entry.triggers, entry.size, entry.digest)
    return seal(fixed + _SCALERS.pack(*entry.scalers) if entry.scalers else fixed)


def unpack_ledger_entry(data: bytes) -> LedgerEntry:
    """Return the ledger entry in these bytes."""
    data = unseal(data)
    time_us, triggers, size, digest = _LEDGER.unpack_from(data)
    scalers = _SCALERS.unpack_from(data, _LEDGER.size) if len(data) > _LEDGER.size else ()
    return LedgerEntry(time_us=time_us, triggers=triggers, size=size, digest=digest, scalers=scalers)


def pack_handling(handling: Handling) -> bytes:
    """Return how a spill was handled as 16 bytes."""
    return _HANDLING.pack(handling.delay_s, handling.resident_mb, handling.produced_ms)


def unpack_handling(data: bytes) -> Handling:
    """Return how a spill was handled from these bytes; older versions did not say when it was produced."""
    if len(data) == _HANDLING_WITHOUT_WHEN.size:
        data += bytes(_HANDLING.size - len(data))
    delay_s, resident_mb, produced_ms = _HANDLING.unpack(data)
    return Handling(delay_s=delay_s, resident_mb=resident_mb, produced_ms=produced_ms)


def pack_totals(totals: Totals) -> bytes:
    """Return totals as JSON."""
    return pack_json(totals.to_json())


def unpack_totals(data: bytes) -> Totals:
    """Return the totals in JSON."""
    return Totals.from_json(unpack_json(data))


def pack_place(place: Place) -> bytes:
    """Return where a run is as JSON."""
    return pack_json(asdict(place))


def unpack_place(data: bytes) -> Place:
    """Return where a run is, from JSON; what another version says besides is passed over."""
    values = unpack_json(data)
    return Place(**{name: values[name] for name in values.keys() & _PLACE})


def pack_window(window: Window) -> str:
    """Return a window as the name of a field or a key."""
    return f"{window.start}:{window.length}"


def unpack_window(name: bytes) -> Window:
    """Return the window of such a name."""
    start, length = name.split(b":")
    return Window(int(start), int(length))


def pack_json(value: Any) -> bytes:
    """Return plain values as JSON with its checksum."""
    return seal(json.dumps(value, separators=(",", ":")).encode())


def unpack_json(data: bytes) -> Any:
    """Return the plain values in JSON.

    Raises
    ------
    ValueError
        When it is not what was written.
    """
    return read_json(unseal(data))
