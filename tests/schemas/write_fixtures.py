"""Write the fixtures of new messages, which are then kept for ever: python -m tests.schemas.write_fixtures.

A file that is there is left alone, since it stands for what was once written: delete one that has never been released.
"""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import fastavro
import numpy as np

from schemas.known import WireError, schemas_of
from schemas.records import (
    MISSING,
    Action,
    ActionKind,
    ControlKind,
    Record,
    RejectedSpill,
    RunControl,
    RunRecord,
    RunState,
)
from schemas.wire import MARKER, _plain
from streams.experiments.mice.tables.raw import RawDbbHits
from streams.experiments.mice.tables.tracker import TrackerTracks
from tests.catalogue import TABLES
from tests.records import raw_spill, reconstructed_spill
from tests.wire import decode, encode, serialize

FIXTURES = Path(__file__).parent / "fixtures"

_SPILL = reconstructed_spill(errors={"tof": "why"}, skipped={"141": 2})
_RAW, _EMR, _TRACKER = (_SPILL.detectors[name] for name in ("raw", "emr", "tracker"))
_BEFORE_TRACKS = replace(
    _SPILL,
    detectors={
        **_SPILL.detectors,
        "emr": replace(
            _EMR,
            tracks=replace(_EMR.tracks, density_ma=np.full(len(_EMR.tracks), np.nan)),
            daughters=replace(_EMR.daughters, wait=np.full(len(_EMR.daughters), MISSING)),
        ),
        "tracker": replace(_TRACKER, tracks=TrackerTracks.empty()),
    },
)
"""As it is read of a message from before the trackers had tracks."""
_CONTROL = RunControl(
    run=900001, kind=ControlKind.END, time_us=1, source="a file", byte=9, events=2, run_type="beam", payload=b"\1"
)

_RUN = RunRecord(
    run=900001,
    run_type="beam",
    state=RunState.ENDED,
    began_us=1,
    ended_us=9,
    first_spill_us=2,
    last_spill_us=8,
    last_spill=6,
    spills=5,
    particle_triggers=300,
    received=8,
    duplicates=1,
    out_of_order=2,
    rejected={"unpack": 2},
    errors={"tof": 1},
    late_spills=True,
    code=["0.1.0"],
    conditions=["0123456789abcdef"],
    products=["00900001.000"],
    log="aUuId",
    firsts={"0": 3},
    lasts={"0": 9},
    counted={"0": 12, "1": 7},
)

RECORDS: dict[str, Record] = {
    "raw_spill.v1": raw_spill(),
    "raw_spill.v2": raw_spill(time_problem="why"),
    "run_control.v1": _CONTROL,
    "run_control.v2": replace(_CONTROL, kind=ControlKind.START, time_problem="why", partitions=4),
    "rejected_spill.v1": RejectedSpill(
        run=1, spill=2, step="unpack", reason="why", source="f", byte=3, topic="t", partition=4, offset=5, payload=b"x"
    ),
    "run_record.v1": replace(_RUN, log="", firsts={}, lasts={}, counted={}),
    "run_record.v2": _RUN,
    "action.v1": Action(
        who="shifter@control-room",
        at_us=1_700_000_000_000_000,
        origin="spilldeck replays promote better",
        kind=ActionKind.PROMOTE,
        subject="replay-better",
        before='{"900001": null}',
        after='{"900001": "replay-better"}',
        reason="the new t0",
    ),
    "reconstructed_spill.v1": replace(
        _BEFORE_TRACKS, detectors={**_BEFORE_TRACKS.detectors, "raw": replace(_RAW, dbb=RawDbbHits.empty())}
    ),
    "reconstructed_spill.v2": _BEFORE_TRACKS,
    "reconstructed_spill.v3": replace(_SPILL, lacking={"tof.space_points": "why"}),
}
"""What the valid fixtures hold; the newest of each kind is what is written now."""


def _forged(record: Record, **values: Any) -> bytes:
    """Return a message with values that no record can have."""
    fingerprint, schema = schemas_of(TABLES).written[type(record).__name__]
    out = io.BytesIO()
    out.write(MARKER + fingerprint)
    fastavro.schemaless_writer(out, schema, _plain(record) | values)
    return out.getvalue()


def _invalid() -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each invalid message."""
    raw, reco = raw_spill(), reconstructed_spill()
    tof = _plain(reco)["tof"]
    digits = tof["digits"]
    column = np.frombuffer(digits["leading_time"], np.uint8)

    def with_digits(**columns: Any) -> dict[str, Any]:
        return tof | {"digits": digits | columns}

    yield "empty", b""
    yield "short", encode(raw)[:9]
    yield "no_marker", b"\0\1" + encode(raw)[2:]
    yield "unknown_fingerprint", encode(raw)[:2] + bytes(8) + encode(raw)[10:]
    yield "truncated", encode(raw)[:-4]
    yield "trailing_bytes", encode(raw) + b"abc"
    yield "format_unknown", _forged(raw, format="dote")
    yield "run_too_large", serialize(replace(raw, run=2**31))
    yield "spill_negative", serialize(replace(raw, spill=-5))
    yield "time_beyond_2100", serialize(replace(raw, time_us=5 * 10**15))
    yield "partitions_negative", serialize(replace(_CONTROL, partitions=-1))
    yield "action_beyond_2100", _forged(RECORDS["action.v1"], at_us=5 * 10**15)
    yield "digest_short", serialize(replace(reco, digest=b"1234"))
    yield "too_many_triggers", serialize(replace(reco, triggers=1_000_000))
    yield "trigger_outside", serialize(replace(reco, triggers=1))
    yield "column_cut", _forged(reco, tof=with_digits(leading_time=column[:-1]))
    yield "columns_unequal", _forged(reco, tof=with_digits(station=digits["station"][:-1]))


def main() -> None:
    """Write the fixtures that are not there."""
    for name, record in RECORDS.items():
        path = FIXTURES / "valid" / f"{name}.avro"
        if not path.exists():
            path.write_bytes(encode(record))
    for name, message in _invalid():
        path = FIXTURES / "invalid" / f"{name}.avro"
        if path.exists():
            continue
        try:
            decode(message)
        except WireError as error:
            path.write_bytes(message)
            path.with_suffix(".txt").write_text(f"{error}\n")
        else:
            raise SystemExit(f"{name} is read: it is not invalid")


if __name__ == "__main__":
    main()
