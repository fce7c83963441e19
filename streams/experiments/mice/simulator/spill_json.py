"""Raw hits of a spill as the old online system's JSON document, and a run's records as its documents.

A branch of ``daq_data`` is one function in `BRANCHES`.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from schemas.columns import Table
from schemas.records import ControlKind, RawSpill, RunControl
from streams.errors import BadDataError
from streams.experiments.mice.boards import BOARD_NAMES, DBB, V830, V1290, V1731, VLSB
from streams.experiments.mice.conditions.addresses import Address
from streams.experiments.mice.conditions.tracker import TRACKERS
from streams.experiments.mice.simulator.tracker_tables import BANKS_OF_TRACKER
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.dbb import TRIGGER_CHANNEL
from streams.experiments.mice.unpack.hits import RawHits
from streams.experiments.mice.unpack.losses import RAW

_UNKNOWN = "unknown"
"""Detector of channels that the DAQ channel map leaves out."""
_DAQ_EVENTS = {ControlKind.START: "start_of_run", ControlKind.END: "end_of_run"}
_PHYSICS = "physics_event"

Event = dict[str, list[dict[str, Any]]]
"""Board → its hits in one particle event."""


@dataclass(frozen=True)
class Source:
    """What a document is made of."""

    hits: RawHits
    raw: RawSpill
    detectors: Mapping[Address, str]
    """(ldc, geo, channel, equipment type) → detector."""

    @property
    def time_s(self) -> int:
        """The spill's time in whole seconds: the documents have no finer one."""
        return self.raw.time_us // 1_000_000

    @cached_property
    def events(self) -> Mapping[str, list[Event]]:
        """Detector → for each particle event, the hits of its boards."""
        found: dict[str, list[Event]] = {}
        for equipment, trigger, hit in self._hits():
            name = hit["detector"]
            events = found.setdefault(name, [{} for _ in range(self.hits.triggers)])
            events[trigger].setdefault(BOARD_NAMES[equipment], []).append(hit)
        return found

    def _hits(self) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield equipment type, particle event and hit."""
        boards = {(row["equipment"], row["ldc"], row["geo"], row["trigger"]): row for row in _rows(self.hits.boards)}
        for row in _rows(self.hits.tdc):
            board = boards[V1290, row["ldc"], row["geo"], row["trigger"]]
            yield V1290, row["trigger"], self._hit(V1290, row, board) | {"bunch_id": board["bunch_id"]}
        for row in _rows(self.hits.fadc):
            equipment, trigger = row.pop("equipment"), row["trigger"]
            place = row["ldc"], row["geo"], row["channel"]
            hit = self._hit(equipment, row, boards[equipment, row["ldc"], row["geo"], trigger])
            if equipment == V1731 and place in self.hits.samples:
                hit["samples"] = self.hits.samples[place][trigger].tolist()
            yield equipment, trigger, hit

    def _hit(self, equipment: int, row: dict[str, Any], board: Mapping[str, Any]) -> dict[str, Any]:
        """Return a hit: the columns of its row, with what the document says of a channel in other words."""
        ldc, geo, channel, trigger = (row.pop(name) for name in ("ldc", "geo", "channel", "trigger"))
        detector = self.detectors.get((ldc, geo, channel, equipment), _UNKNOWN)
        key = {"channel_key": f"DAQChannelKey {ldc} {geo} {channel} {equipment} {detector}"}
        return row | {
            "ldc_id": ldc,
            "geo": geo,
            "channel": channel,
            "equip_type": equipment,
            "detector": detector,
            **(key if detector != _UNKNOWN else {}),
            "part_event_number": trigger,
            "phys_event_number": self.raw.spill,
            "trigger_time_tag": board["time_tag"],
            "time_stamp": self.time_s,
        }


def _rows(table: Table) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table of plain columns, by column."""
    columns = {name: getattr(table, name).tolist() for name in vars(table)}
    for values in zip(*columns.values(), strict=True):
        yield dict(zip(columns, values, strict=True))


def _per_trigger(detector: str, source: Source) -> list[Event]:
    return source.events.get(detector, [{} for _ in range(source.hits.triggers)])


def _tracker(number: int, source: Source) -> list[Event]:
    """Return the hits of a tracker's banks."""
    events: list[Event] = [{} for _ in range(source.hits.triggers)]
    for row in _rows(source.hits.vlsb):
        if row["bank"] // BANKS_OF_TRACKER == number:
            trigger = row.pop("trigger")
            hit = row | {
                "ldc_id": row.pop("ldc"),
                "equip_type": VLSB,
                "detector": f"tracker{number}",
                "part_event_number": trigger,
                "phys_event_number": source.raw.spill,
                "time_stamp": source.time_s,
            }
            events[trigger].setdefault(BOARD_NAMES[VLSB], []).append(hit)
    return events


def _scaler(source: Source) -> dict[str, Any] | None:
    """Return the scaler's counts: the documents have room for one."""
    for (ldc, geo), counts in source.hits.scalers.items():
        return {
            "channels": {f"ch{channel}": count for channel, count in enumerate(counts.tolist())},
            "equip_type": V830,
            "geo": geo,
            "ldc_id": ldc,
            "phys_event_number": source.raw.spill,
            "time_stamp": source.time_s,
        }
    return None


def _emr(source: Source) -> dict[str, Any] | None:
    """Return boards that are read out once a spill, and FADC hits by particle event."""
    if not len(source.hits.dbb_spills) and "emr" not in source.events:
        return None
    found: dict[tuple[int, int], dict[str, Any]] = {}
    for board in _rows(source.hits.dbb_spills):
        ldc, geo = board.pop("ldc"), board.pop("geo")
        about = {"ldc_id": ldc, "geo": geo, "equip_type": DBB, "time_stamp": source.time_s}
        found[ldc, geo] = board | about | {"hits": [], "triggers": []}
    for hit in _rows(source.hits.dbb_hits):
        edges = {"channel": hit["channel"], "l_time": hit["leading_time"], "t_time": hit["trailing_time"]}
        which = "triggers" if hit["channel"] == TRIGGER_CHANNEL else "hits"
        found[hit["ldc"], hit["geo"]][which].append(edges)
    v1731 = [event.get("V1731", []) for event in _per_trigger("emr", source)]
    return {"dbb": [*found.values()], "V1731": v1731}


Branch = Callable[[Source], Any]
BRANCHES: dict[str, Branch] = {
    "V830": _scaler,
    **{
        name: partial(_per_trigger, name)
        for name in ("tof0", "tof1", "tof2", "kl", "tag", "ckov", "trigger", "trigger_request", _UNKNOWN)
    },
    "emr": _emr,
    **{f"tracker{number}": partial(_tracker, number) for number in range(TRACKERS)},
}
"""Branch of ``daq_data`` → what gives it; one that gives None is left out."""


def document(hits: RawHits, raw: RawSpill, detectors: Mapping[Address, str]) -> dict[str, Any]:
    """Return the document of a spill's physics event.

    Parameters
    ----------
    hits
        What is in the spill.
    raw
        Run, number, time and size of it.
    detectors
        Those of the run's conditions.
    """
    source = Source(hits, raw, detectors)
    branches = {name: branch(source) for name, branch in BRANCHES.items()}
    daq = {name: branch for name, branch in branches.items() if branch is not None}
    return _document(raw, _PHYSICS, raw.spill) | {"daq_data": daq | {"event_size": len(raw.payload)}}


def _document(record: RawSpill | RunControl, daq_event: str, spill: int) -> dict[str, Any]:
    return {
        "maus_event_type": "Spill",
        "daq_event_type": daq_event,
        "run_number": record.run,
        "spill_number": spill,
        "event_id": max(spill, 0),
        "time_stamp": record.time_us // 1_000_000,
        "daq_data": None,
        "recon_events": [],
        "errors": {},
    }


def documents(record: RawSpill | RunControl, detectors: Mapping[Address, str]) -> Iterator[dict[str, Any]]:
    """Yield the documents of a record of DATE bytes, one for each of its DAQ events.

    A spill that cannot be read whole has its error in place of its data, as in the old system.
    """
    if isinstance(record, RunControl):
        spill = 0 if record.kind is ControlKind.START else -1
        for _ in range(record.events):
            yield _document(record, _DAQ_EVENTS[record.kind], spill)
        return
    yield _document(record, "start_of_burst", record.spill)
    try:
        hits = unpack_date(record.payload)
        if RAW in hits.failed:  # the old system refused spills as a whole
            raise hits.failed[RAW]
    except BadDataError as error:
        yield _document(record, _PHYSICS, record.spill) | {"errors": {error.step: error.reason}}
    else:
        yield document(hits, record, detectors)
    yield _document(record, "end_of_burst", record.spill)


def json_lines(record: RawSpill | RunControl, detectors: Mapping[Address, str]) -> bytes:
    """Return the documents of a record, a line each."""
    found = (json.dumps(one, separators=(",", ":")) + "\n" for one in documents(record, detectors))
    return "".join(found).encode()
