"""Spills as the old online system's JSON documents: the same columns as from DATE bytes.

Old spellings of keys are read too. Features of pulses are taken as the document has them.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from schemas.columns import Table
from schemas.records import MISSING
from schemas.wire import MAX_TRIGGERS
from streams.errors import BadDataError
from streams.experiments.mice.boards import CHANNELS, GEOS, LDCS, V1290, V1724, V1731
from streams.experiments.mice.read_out import ReadOut
from streams.experiments.mice.unpack.emr_json import fadc_events, read_dbb
from streams.experiments.mice.unpack.hits import BoardEvents, DbbHits, DbbSpills, FadcHits, RawHits, TdcHits, VlsbHits
from streams.experiments.mice.unpack.json_values import INT32, number, own_trigger, short, spelled
from streams.experiments.mice.unpack.losses import RAW
from streams.experiments.mice.unpack.vlsb_json import NAMES, in_order_of_date, vlsb_hits

_TableT = TypeVar("_TableT", bound=Table)
_BOARDS = {"V1290": V1290, "V1724": V1724, "V1731": V1731}
_READ = ("V830", "emr")
"""Branches that are objects, not lists of particle events."""
_NOT_READ = ("trigger_engine", "epics_interface")
"""Branches whose shape is not known: once a spill, so they are no detector's lists of particle events."""
_UINT32 = 2**32 - 1
_MAX_SAMPLE = 255
_TDC = ("leading_time", "trailing_time")
_CHARGES = ("charge_mm", "charge_pm")
_FEATURES = ("pulse_area", "position_min", "position_max", "arrival_time")
_OLD_SPELLING = {"position_max": ("max_pos",)}
"""Until 2012; read where the new key is absent."""
_DETECTORS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("trigger", "trigger_request", "tof0", "tof1", "tof2"), ("tof",)),
    **dict.fromkeys(("tracker0", "tracker1", "tracker2", "single_station"), ("tracker",)),
    **{name: (name,) for name in ("ckov", "kl", "emr")},
    **dict.fromkeys(("tag", "unknown"), ()),
    "V830": ("scalers",),
}
"""Branch → the detectors that need it. The raw plots show what can be read, and tell of each that cannot."""


def parse(document: bytes) -> dict[str, Any]:
    """Return the JSON object in these bytes.

    Raises
    ------
    BadDataError
        When they hold none (step ``json``).
    """
    try:
        found = json.loads(document.decode())
    except json.JSONDecodeError as error:
        raise BadDataError("json", f"no JSON: {error.msg}", len(error.doc[: error.pos].encode())) from error
    except UnicodeDecodeError as error:
        raise BadDataError("json", f"no UTF-8: {error.reason}", error.start) from error
    except RecursionError as error:
        raise BadDataError("json", "nested too deeply for a spill", 0) from error
    except ValueError as error:  # a number of more digits than Python reads
        raise BadDataError("json", f"no JSON that can be read: {error}", 0) from error
    if not isinstance(found, dict):
        raise BadDataError("json", f"a JSON {type(found).__name__}, not an object", 0)
    return found


def unpack_json(payload: bytes | memoryview, read_out: ReadOut | None = None) -> RawHits:
    """Return the raw hits of a physics event's document, by board, trigger and channel.

    A branch that cannot be read is left out, and told of the detectors that need it (`RawHits.failed`). Whose hits one
    of an unknown name has, tells `read_out`.

    Raises
    ------
    BadDataError
        When the document, or how many particle events it has, is not as it must be (step ``json``).
    """
    daq = parse(bytes(payload)).get("daq_data")
    if not isinstance(daq, dict):
        raise BadDataError("json", f"daq_data is {short(daq)}, not an object")
    failed = _Failed()
    good: dict[str, Any] = {}
    for name, branch in daq.items():
        with failed.by(name):
            good[name] = _of_its_shape(name, branch)
    detectors = {short(n): branch for n, branch in good.items() if isinstance(branch, list) and n not in _NOT_READ}
    emr = good.get("emr") or {}
    with failed.by("emr"):
        if events := fadc_events(emr):
            detectors["emr"] = events
    triggers = _triggers(detectors)
    if triggers > MAX_TRIGGERS:
        raise BadDataError("json", f"{triggers} particle events, more than the {MAX_TRIGGERS} that a spill can have")
    parts = [RawHits(triggers=triggers, boards=BoardEvents.empty(), tdc=TdcHits.empty(), fadc=FadcHits.empty())]
    others = []
    for name, events in detectors.items():
        with failed.by(name):
            parts.append(_branch(name, events, triggers))
            others += [parts[-1]] if name not in _DETECTORS else []
    scalers: dict[tuple[int, int], Any] = {}
    with failed.by("V830"):
        scalers = _scalers(good.get("V830"))
    dbb = DbbSpills.empty(), DbbHits.empty()
    with failed.by("emr"):
        dbb = read_dbb(emr)
    vlsb = VlsbHits.empty()
    with failed.by("tracker0"):
        vlsb = in_order_of_date(VlsbHits.concat([part.vlsb for part in parts]))
    skipped = sum((Counter(part.skipped) for part in parts), Counter[str]())
    skipped.update(short(n) for n, branch in daq.items() if isinstance(branch, dict) and n not in (*_READ, *_NOT_READ))
    skipped.update(name for name in _NOT_READ if daq.get(name))
    return RawHits(
        triggers=triggers,
        boards=_once(BoardEvents.concat([part.boards for part in parts])),
        tdc=_in_order(TdcHits.concat([part.tdc for part in parts])),
        fadc=_in_order(FadcHits.concat([part.fadc for part in parts])),
        samples={place: samples for part in parts for place, samples in part.samples.items()},
        scalers=scalers,
        dbb_spills=dbb[0],
        dbb_hits=dbb[1],
        vlsb=vlsb,
        skipped=dict(skipped),
        failed=failed.why,
        absent=_absent(daq, others, read_out or ReadOut()),
    )


def _of_its_shape(name: str, branch: Any) -> Any:
    """Return a branch; refuse one that is neither absent (null) nor of the shape that its name has."""
    shape = dict if name in _READ else list
    if name in _DETECTORS and branch is not None and not isinstance(branch, shape):
        raise BadDataError("json", f"{name} is {short(branch)}, not a JSON {shape.__name__}")
    return branch


def _triggers(detectors: Mapping[str, Sequence[Any]]) -> int:
    """Return how many particle triggers the lists of particle events tell.

    There is one event per particle trigger; where the trigger itself was not recorded, the longest list tells. If most
    lists agree on more, the trigger's own is the one that is wrong; and if they do on less, which may be lists that end
    early, where the trigger's request agrees with them: it is recorded with each trigger.
    """
    lengths = [len(events) for events in detectors.values() if events]
    found = len(detectors.get("trigger", ())) or max(lengths, default=0)
    agreed = next((length for length, lists in Counter(lengths).items() if 2 * lists > len(lengths)), found)
    return agreed if agreed > found or agreed == len(detectors.get("trigger_request", ())) else found


def _absent(daq: Mapping[str, Any], others: Sequence[RawHits], read_out: ReadOut) -> frozenset[str]:
    """Return the detectors of which neither a branch is there nor a hit in the `others`, whose names nobody knows."""
    there = {detector for branch, found in daq.items() if found is not None for detector in _DETECTORS.get(branch, ())}
    for boards in (part.boards for part in others):
        places = set(zip(boards.equipment.tolist(), boards.ldc.tolist(), boards.geo.tolist(), strict=True))
        there |= {detector for place in places & read_out.named for detector in read_out.readers(*place)}
    if any(len(part.vlsb) for part in others):
        there.add("tracker")
    return frozenset({detector for detectors in _DETECTORS.values() for detector in detectors} - there)


class _Failed:
    """Takes note of the branches that cannot be read.

    Attributes
    ----------
    why
        See `RawHits.failed`.
    """

    def __init__(self) -> None:
        self.why: dict[str, BadDataError] = {}

    @contextmanager
    def by(self, branch: str) -> Iterator[None]:
        """Read a branch in a ``with`` block: what refuses it fails the detectors that need it."""
        try:
            yield
        except BadDataError as error:
            said = BadDataError(error.step, f"{branch}: {error.reason}", error.byte)
            for detector in (*_DETECTORS.get(branch, ()), RAW):
                self.why.setdefault(detector, said)


def _branch(name: str, events: Sequence[Any], triggers: int) -> RawHits:
    """Return what one branch holds, a list of particle events, none longer than the spill's, nor the trigger's shorter.

    An empty list of the trigger is none.
    """
    if len(events) > triggers or (name == "trigger" and 0 < len(events) < triggers):
        raise BadDataError("json", f"trigger mismatch: {name} has {len(events)} particle events, not {triggers}")
    hits: dict[int, list[tuple[int, Mapping[str, Any]]]] = {board: [] for board in _BOARDS.values()}
    vlsb: list[tuple[int, Mapping[str, Any]]] = []
    skipped: Counter[str] = Counter()
    for trigger, board, hit in _hits(name, events):
        if board in _BOARDS:
            hits[_BOARDS[board]].append((trigger, hit))
        elif board in NAMES:
            vlsb.append((trigger, hit))
        elif name in _DETECTORS:
            raise BadDataError("json", f"unknown board {short(board)} in particle event {trigger}")
        else:
            skipped[short(board)] += 1
    tdc, fadc = hits[V1290], hits[V1724] + hits[V1731]
    _check_once(hits[V1724])
    _check_once(hits[V1731])
    return RawHits(
        triggers=triggers,
        boards=_board_events(hits),
        tdc=TdcHits(**_addresses(tdc), **{key: _column(tdc, key) for key in _TDC}),
        fadc=FadcHits(
            **_addresses(fadc),
            equipment=np.repeat(np.array([V1724, V1731], np.uint8), [len(hits[V1724]), len(hits[V1731])]),
            pedestal=np.array([_real(hit, "pedestal") for _, hit in fadc], np.float64),
            **{key: _column(fadc, key) for key in _CHARGES},
            **{key: _features(hits, key) for key in _FEATURES},
        ),
        samples=_samples(hits[V1731], triggers),
        vlsb=vlsb_hits(vlsb),
        skipped=dict(skipped),
    )


def _hits(detector: str, events: Sequence[Any]) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
    """Yield particle event, board and hit of one detector; an event may be null or shorter lists than others."""
    for trigger, event in enumerate(events):
        if event is None:
            continue
        if not isinstance(event, dict):
            raise BadDataError("json", f"particle event {trigger} of {detector} is {short(event)}, not an object")
        for board, found in event.items():
            if found is None:
                continue
            if not isinstance(found, list) or not all(isinstance(hit, dict) for hit in found):
                raise BadDataError(
                    "json", f"{short(board)} in particle event {trigger} of {detector} is no list of hits"
                )
            for hit in found:
                yield trigger, board, hit


def _addresses(hits: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """Return the columns that say where hits come from."""
    found: dict[str, Any] = {"trigger": np.array([trigger for trigger, _ in hits], np.int32)}
    for key, column, bound in (("ldc_id", "ldc", LDCS), ("geo", "geo", GEOS), ("channel", "channel", CHANNELS)):
        values = np.array([number(hit, key, low=0) for _, hit in hits], np.int64)
        if (values >= bound).any():
            raise BadDataError("json", f"{key} is {values.max()}, not below {bound}")
        found[column] = values
    for trigger, hit in hits:
        own_trigger(hit, trigger)
    return found


def _check_once(hits: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Refuse a channel of an FADC that comes twice in a particle event: nothing tells which pulse is its own."""
    places = Counter((trigger, *(number(hit, key) for key in ("ldc_id", "geo", "channel"))) for trigger, hit in hits)
    for (trigger, ldc, geo, channel), times in places.most_common(1):
        if times > 1:
            where = f"channel {channel} of LDC {ldc}, geo {geo}"
            raise BadDataError("json", f"{where} comes twice in particle event {trigger}")


def _in_order(table: _TableT) -> _TableT:
    """Return the rows by board, trigger and channel; those of one channel keep their order."""
    names = ("channel", "trigger", "geo", "ldc", "equipment")
    return table.rows(np.lexsort([getattr(table, name) for name in names if hasattr(table, name)]))


def _column(hits: Sequence[tuple[int, Mapping[str, Any]]], key: str) -> Any:
    old = _OLD_SPELLING.get(key, ())
    return np.array([number(hit, spelled(hit, key, *old)) for _, hit in hits], np.int32)


def _features(hits: Mapping[int, Sequence[tuple[int, Mapping[str, Any]]]], key: str) -> Any:
    """Return a feature of the pulses, which a V1731 has always, and a V1724 not until 2012."""
    spellings = (key, *_OLD_SPELLING.get(key, ()))
    slow = [next((number(hit, k) for k in spellings if k in hit), MISSING) for _, hit in hits[V1724]]
    return np.concatenate([np.array(slow, np.int32), _column(hits[V1731], key)])


def _real(hit: Mapping[str, Any], key: str) -> float:
    value = hit[spelled(hit, key)]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= INT32:
        raise BadDataError("json", f"{key} is {short(value)}, not a number of the ADC")
    return float(value)


def _board_events(hits: Mapping[int, Sequence[tuple[int, Mapping[str, Any]]]]) -> BoardEvents:
    """Return one row a board and particle event that has a hit: the documents keep no other."""
    found: dict[tuple[int, int, int, int], tuple[int, int]] = {}
    for board, theirs in hits.items():
        for trigger, hit in theirs:
            place = (board, number(hit, "ldc_id", low=0), number(hit, "geo", low=0), trigger)
            if place not in found:
                tag = number(hit, "trigger_time_tag", MISSING, high=_UINT32)
                # Files of the experiment have the 32 bits of the word as a number with a sign.
                found[place] = tag & _UINT32 if tag != MISSING else MISSING, number(hit, "bunch_id", MISSING)
    places = np.array([*found], np.int32).reshape(-1, 4)
    tags = np.array([*found.values()], np.int64).reshape(-1, 2)
    return BoardEvents(
        equipment=places[:, 0].astype(np.uint8),
        ldc=places[:, 1].astype(np.uint8),
        geo=places[:, 2].astype(np.uint8),
        trigger=places[:, 3],
        event_counter=np.full(len(places), MISSING, np.int32),
        time_tag=tags[:, 0],
        bunch_id=tags[:, 1].astype(np.int32),
    )


def _once(events: BoardEvents) -> BoardEvents:
    """Return the events in their order, each once: several branches have hits of one board."""
    ordered = _in_order(events)
    places = np.stack([ordered.equipment, ordered.ldc, ordered.geo, ordered.trigger])
    return ordered.rows(np.append(True, (np.diff(places) != 0).any(axis=0))[: len(ordered)])


def _samples(hits: Sequence[tuple[int, Mapping[str, Any]]], triggers: int) -> dict[tuple[int, int, int], Any]:
    """Return the waveforms of channels that have one in every particle event."""
    found: dict[tuple[int, int, int], dict[int, Any]] = {}
    for trigger, hit in hits:
        samples = hit.get("samples")
        if samples is None:
            continue
        if (
            not isinstance(samples, list)
            or {*map(type, samples)} - {int}
            or not 0 <= min(samples, default=0) <= max(samples, default=0) <= _MAX_SAMPLE
        ):
            raise BadDataError("json", "samples of a V1731 are no list of 8-bit numbers")
        place = (number(hit, "ldc_id"), number(hit, "geo"), number(hit, "channel"))
        found.setdefault(place, {})[trigger] = np.array(samples, np.uint8)
    whole = {}
    for place, by_trigger in found.items():
        lengths = {len(waveform) for waveform in by_trigger.values()}
        if len(by_trigger) == triggers and len(lengths) == 1:
            whole[place] = np.stack([by_trigger[trigger] for trigger in range(triggers)])
    return whole


def _scalers(board: Any) -> dict[tuple[int, int], Any]:
    """Return what the scaler counted: it is read once a spill."""
    if board is None:
        return {}
    channels = board.get("channels")
    if not isinstance(channels, dict):
        raise BadDataError("json", f"channels of V830 is {short(channels)}, not an object")
    names = [f"ch{channel}" for channel in range(CHANNELS)]
    if unknown := next((key for key in channels if key not in names), ""):
        raise BadDataError("json", f"unknown channel {short(unknown)}, there are {names[0]} to {names[-1]}")
    counts = [number(channels, name, MISSING, high=_UINT32) for name in names]
    return {(number(board, "ldc_id", low=0), number(board, "geo", low=0)): np.array(counts, np.int64)}
