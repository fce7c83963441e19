"""What Redis holds of a partition and of its parts of runs: as values, as the fields of hashes, and back."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Self

from streams.books import layout, spill_numbers
from streams.books.book import Book, Ranges, plots_digest
from streams.books.cells import Cells
from streams.books.run import Handling, Ledger, RunPart
from streams.books.windows import Window


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionState:
    """How far one partition is in the books."""

    next: int = 0
    """The first offset of ``spills.raw`` that is not in them."""
    fence: str = ""
    """Of the checkpoint that wrote it, ``WRITER:NUMBER``; empty if there is none. The next one must name it."""
    log: str = ""
    """Id of the topic: one that is made anew has another."""
    epoch: int = -1
    """Of the leader under which it was last known that Kafka has what was counted; -1 if nobody looked."""
    sound: int = 0
    """The first offset that was counted since, maybe under another leader."""
    tail: tuple[layout.Counted, ...] = ()
    """The last messages in them, the last one at the end: Kafka must still have them, and not others in their place."""
    lost: tuple[layout.Loss, ...] = ()
    """What Kafka no longer had when it was needed."""
    produced_ms: int = 0
    """When the newest message in them was produced, Unix milliseconds."""
    repairs: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """Run that is made again from Kafka → its first offset that is not in its part. Its messages are left out else."""

    index: str = ""
    """The stamp that the list of the partition's runs must have."""

    @property
    def number(self) -> int:
        """How many checkpoints there were."""
        return number_of(self.fence)

    def with_repair(self, run: int, first: int, low: int) -> Self:
        """Return a state in which a run is made again from an offset on, of what Kafka has from `low` on.

        What is not counted yet comes by itself, to the run that is made again, too: never must one begin behind it,
        as where the log lost its end and others have come in its place.
        """
        return replace(self, repairs={**self.repairs, run: max(min(first, self.next), low)})


@dataclass(slots=True, kw_only=True)
class StoredPart:
    """A part of a run as Redis has it."""

    part: RunPart = field(default_factory=RunPart)
    book: Book
    windows: dict[Window, int] = field(default_factory=dict)
    """A window that is kept → spills in it."""
    upto: int = 0
    """The offset behind its last message: what is before it comes again, and changes nothing."""
    is_whole: bool = True
    """Whether all before that is in it; not while it is made again."""
    log: str = ""
    """Id of the topic that the offset is of."""
    with_channels: int = 0
    """Its spills of which is kept how often each channel was hit: an earlier version did not keep it."""
    stamps: dict[str, str] = field(default_factory=dict)
    """Key → the stamp that it has. One without is none of the part's."""
    retired: bool = False
    """Whether all but totals and place has left Redis, see `retiring`."""
    place: layout.Place | None = None
    """Where the list of runs says that it is."""


def number_of(fence: str) -> int:
    """Return how many checkpoints there were when this fence was written."""
    return int(fence.rpartition(":")[2] or 0)


def pack_state(state: PartitionState) -> dict[str, Any]:
    """Return how far a partition is as the fields of a hash; the fence is compared there, and is under no checksum."""
    plain = {
        "fence": state.fence,
        "next": state.next,
        "log": state.log,
        "epoch": state.epoch,
        "sound": state.sound,
        "tail": state.tail,
        "lost": state.lost,
        "produced_ms": state.produced_ms,
        "repairs": dict(state.repairs),
        "index": state.index,
    }
    return {"fence": state.fence, "state": layout.pack_json(plain)}


def unpack_state(stored: Mapping[bytes, bytes]) -> PartitionState:
    """Return how far a partition is; the beginning if nothing is stored.

    Raises
    ------
    ValueError, LookupError, TypeError
        When it is none of ours.
    """
    if not stored:
        return PartitionState()
    plain = layout.unpack_json(stored[b"state"])
    if stored[b"fence"] != plain["fence"].encode():
        raise ValueError("its fence is another than what was written")
    return PartitionState(
        fence=plain["fence"],
        next=int(plain["next"]),
        log=str(plain["log"]),
        epoch=int(plain["epoch"]),
        sound=int(plain["sound"]),
        tail=tuple(layout.Counted(int(offset), int(produced_ms)) for offset, produced_ms in plain["tail"]),
        lost=tuple(layout.Loss(int(at_s), str(what)) for at_s, what in plain["lost"]),
        produced_ms=int(plain["produced_ms"]),
        repairs={int(run): int(offset) for run, offset in plain["repairs"].items()},
        index=str(plain["index"]),
    )


def unpack_places(stored: Mapping[bytes, bytes]) -> tuple[dict[int, layout.Place], str]:
    """Return where runs are, and the stamp of that list; none if something of it cannot be read."""
    found = {}
    stamp = stored.get(layout.STAMP.encode(), b"").decode(errors="replace")
    for run, data in stored.items():
        if run == layout.STAMP.encode():
            continue
        try:
            found[int(run)] = layout.unpack_place(data)
        except layout.UNREADABLE:
            stamp = ""
    return found, stamp


def place_of(stored: Mapping[bytes, bytes], partition: int) -> layout.Place:
    """Return where a run is in a partition, from what `pack_part` made; raises `layout.UNREADABLE`."""
    log = str(layout.unpack_json(stored[b"unit"])["log"])
    place = layout.Place.of(layout.unpack_totals(stored[b"totals"]), partition, log)
    return replace(place, retired=int(is_retired(stored)))


def pack_part(stored: StoredPart) -> dict[str, Any]:
    """Return the totals of a part, how far it is, and the stamps of its keys, as the fields of a hash."""
    unit = {
        "upto": stored.upto,
        "is_whole": stored.is_whole,
        "log": stored.log,
        "plots": plots_digest(stored.book.ranges),
        "with_channels": stored.with_channels,
        "stamps": stored.stamps,
        "retired": stored.retired,
    }
    return {"totals": layout.pack_totals(stored.part.totals), "unit": layout.pack_json(unit)}


def is_retired(stored: Mapping[bytes, bytes]) -> bool:
    """Say whether what `pack_part` made says that the rest of the part has left Redis; raises `layout.UNREADABLE`."""
    return bool(layout.unpack_json(stored[b"unit"]).get("retired", False))


def unpack_part(stored: Mapping[bytes, bytes], ranges: Ranges) -> StoredPart:
    """Return what `pack_part` was given, without what is in other keys.

    Raises
    ------
    ValueError
        When it was filled with other plots than it would be now: some would lack what others have.
    """
    unit = layout.unpack_json(stored[b"unit"])
    if unit["plots"] != plots_digest(ranges):
        raise ValueError("its plots or their axes are others than now")
    return StoredPart(
        part=RunPart({}, layout.unpack_totals(stored[b"totals"])),
        book=Book(ranges),
        upto=int(unit["upto"]),
        is_whole=bool(unit.get("is_whole", True)),
        log=str(unit["log"]),
        with_channels=int(unit.get("with_channels", 0)),
        stamps=dict(unit["stamps"]),
        retired=is_retired(stored),
    )


def unpack_ledger(stored: Mapping[bytes, bytes]) -> Ledger:
    """Return the ledger in the fields of a hash."""
    return {int(s): layout.unpack_ledger_entry(e) for s, e in stored.items() if s != layout.STAMP.encode()}


def unpack_key_numbers(stored: Mapping[bytes, bytes]) -> dict[int, bytes]:
    """Return the key numbers of spills in the fields of a hash."""
    return {int(s): unpack_numbers(n) for s, n in stored.items() if s != layout.STAMP.encode()}


def unpack_channel_counts(stored: Mapping[bytes, bytes], part: Mapping[bytes, bytes]) -> dict[int, bytes]:
    """Return the hits by channel of spills in the fields of a hash, as they were packed.

    Raises
    ------
    ValueError
        When one cannot be read, or they are not of as many spills as what `pack_part` made of the part says.
    """
    found = {int(s): layout.unseal(c) for s, c in stored.items() if s != layout.STAMP.encode()}
    if len(found) != (wanted := int(layout.unpack_json(part[b"unit"]).get("with_channels", 0))):
        raise ValueError(f"hits by channel are kept of {len(found)} spills, not of {wanted}")
    return found


def unpack_numbers(stored: bytes) -> bytes:
    """Return the key numbers of a spill as they are stored."""
    return spill_numbers.check(layout.unseal(stored))


def unpack_handling(stored: Mapping[bytes, bytes]) -> dict[int, Handling]:
    """Return how spills were handled from the fields of a hash; what cannot be read is left out: no book lacks it."""
    found = {}
    for spill, data in stored.items():
        with suppress(*layout.UNREADABLE):
            found[int(spill)] = layout.unpack_handling(data)
    return found


def unpack_windows(stored: Mapping[bytes, bytes]) -> dict[Window, int]:
    """Return window → its spills from the fields of a hash."""
    return {layout.unpack_window(w): int(layout.unseal(n)) for w, n in stored.items() if w != layout.STAMP.encode()}


def unpack_book(stored: Mapping[bytes, bytes], ranges: Ranges) -> Book:
    """Return the book in the fields of a hash."""
    book = Book(ranges)
    for name, data in stored.items():
        if name != layout.STAMP.encode():
            book.cells[name.decode()] = Cells.unpack(layout.unseal(data))
    return book
