"""Where a partition's checkpoint lies in Redis, and how its small parts are written.

All keys of a partition carry the hash tag ``{session:partition}``, so that a checkpoint stays one atomic step on a
Redis Cluster. Under ``prefix:{session:partition}:``

========================  ======  ===================================================================
``state``                 hash    ``offset`` (last one in the books), ``raw`` (source offsets seen, as
                                  ranges), ``tail`` (the last messages in the books), ``lost`` (what Kafka no
                                  longer had when it was needed), ``produced_ms`` (when the newest message in
                                  the books was produced)
``runs``                  hash    run → totals, JSON
``spills:RUN``            hash    spill → ledger entry
``handling:RUN``          hash    spill → how it was handled
``key-numbers:RUN``       hash    spill → its key numbers, see `spill_numbers`
``book:RUN``              hash    plot → histogram
``windows:RUN``           hash    start of the window, s → its spills
``window:RUN:START``      hash    plot → histogram
========================  ======  ===================================================================
"""

import json
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from schemas.scalers import SCALER_CHANNELS
from streams.books.ranges import Ranges
from streams.books.run import Handling, LedgerEntry
from streams.books.totals import Totals

_LEDGER = struct.Struct("<qii8s")
_HANDLING = struct.Struct("<ff")
_SCALERS = struct.Struct(f"<{SCALER_CHANNELS}i")


class Counted(NamedTuple):
    """A message of ``spills.reco`` that is in the books."""

    offset: int
    raw_offset: int | None
    """Offset in ``spills.raw`` of the message that it was made of."""
    produced_ms: int
    """When both were produced, Unix milliseconds."""


class Loss(NamedTuple):
    """What Kafka no longer had when it was needed."""

    at_s: int
    """When it was found, Unix seconds."""
    what: str
    """In words."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Names of the keys of one session's partition."""

    prefix: str
    session: str
    partition: int

    def _key(self, *parts: object) -> str:
        return ":".join([self.prefix, f"{{{self.session}:{self.partition}}}", *map(str, parts)])

    @property
    def all(self) -> str:
        """Pattern of all of them."""
        return self._key("*")

    @property
    def state(self) -> str:
        """Offsets."""
        return self._key("state")

    @property
    def runs(self) -> str:
        """Totals by run."""
        return self._key("runs")

    def spills(self, run: int) -> str:
        """Ledger of a run."""
        return self._key("spills", run)

    def handling(self, run: int) -> str:
        """How the spills of a run were handled."""
        return self._key("handling", run)

    def key_numbers(self, run: int) -> str:
        """Key numbers of the spills of a run."""
        return self._key("key-numbers", run)

    def book(self, run: int) -> str:
        """Book of a run."""
        return self._key("book", run)

    def windows(self, run: int) -> str:
        """Windows of a run."""
        return self._key("windows", run)

    def window(self, run: int, start: int) -> str:
        """Book of a window."""
        return self._key("window", run, start)


def run_states(prefix: str, session: str) -> str:
    """Return the name of the hash of the states of runs that were written to the topic of runs: run → state."""
    return f"{prefix}:{session}:run-states"


def changed_channel(prefix: str, session: str) -> str:
    """Return the name of the channel on which each checkpoint is announced."""
    return f"{prefix}:{session}:changed"


def pack_ledger_entry(entry: LedgerEntry) -> bytes:
    """Return a ledger entry as 24 bytes, and the scalers, if they were read, as 128."""
    fixed = _LEDGER.pack(entry.time_us, entry.triggers, entry.size, entry.digest)
    return fixed + _SCALERS.pack(*entry.scalers) if entry.scalers else fixed


def unpack_ledger_entry(data: bytes) -> LedgerEntry:
    """Return the ledger entry in these bytes."""
    time_us, triggers, size, digest = _LEDGER.unpack_from(data)
    scalers = _SCALERS.unpack_from(data, _LEDGER.size) if len(data) > _LEDGER.size else ()
    return LedgerEntry(time_us=time_us, triggers=triggers, size=size, digest=digest, scalers=scalers)


def pack_handling(handling: Handling) -> bytes:
    """Return how a spill was handled as 8 bytes."""
    return _HANDLING.pack(handling.delay_s, handling.resident_mb)


def unpack_handling(data: bytes) -> Handling:
    """Return how a spill was handled from these bytes."""
    delay_s, resident_mb = _HANDLING.unpack(data)
    return Handling(delay_s=delay_s, resident_mb=resident_mb)


def pack_totals(totals: Totals) -> str:
    """Return totals as JSON."""
    return json.dumps(totals.to_json(), separators=(",", ":"))


def unpack_totals(data: bytes) -> Totals:
    """Return the totals in JSON."""
    return Totals.from_json(json.loads(data))


def pack_rows(rows: Iterable[tuple[Any, ...]]) -> str:
    """Return ranges, counted messages or losses as JSON."""
    return json.dumps(list(rows), separators=(",", ":"))


def unpack_tail(data: bytes) -> tuple[Counted, ...]:
    """Return the last messages in JSON."""
    return tuple(
        Counted(int(offset), None if raw_offset is None else int(raw_offset), int(produced_ms))
        for offset, raw_offset, produced_ms in json.loads(data)
    )


def unpack_losses(data: bytes) -> tuple[Loss, ...]:
    """Return the losses in JSON."""
    return tuple(Loss(int(at_s), str(what)) for at_s, what in json.loads(data))


def unpack_ranges(data: bytes) -> Ranges:
    """Return the set of offsets in JSON."""
    return Ranges((start, stop) for start, stop in json.loads(data))
