"""A raw spill to a reconstructed one: a pure function of its bytes and the run's conditions."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

from schemas.columns import Detector
from schemas.records import (
    DIGEST_BYTES,
    MAX_NAMES,
    MAX_TEXT,
    TIME,
    RawFormat,
    RawSpill,
    ReconstructedSpill,
    Rejection,
)
from schemas.wire import WireError, check_detector
from streams import __version__
from streams.boards import PulseDefinitions
from streams.conditions.model import Conditions
from streams.errors import BadDataError
from streams.log import printable
from streams.read_out import ReadOut
from streams.reco import DetectorError
from streams.reco.ckov import reconstruct_ckov
from streams.reco.emr import reconstruct_emr
from streams.reco.kl import reconstruct_kl
from streams.reco.raw import keep_raw
from streams.reco.scalers import reconstruct_scalers
from streams.reco.tof import doubt_calibration, reconstruct_tof
from streams.reco.tracker import reconstruct_tracker
from streams.unpack.date import unpack_date
from streams.unpack.hits import RawHits
from streams.unpack.losses import ADDED, RAW
from streams.unpack.spill_json import unpack_json

_UNPACKERS: dict[RawFormat, Callable[[bytes, PulseDefinitions, ReadOut], RawHits]] = {
    RawFormat.DATE: unpack_date,
    RawFormat.SPILL_JSON: lambda payload, _, read_out: unpack_json(payload, read_out),
}

FROM_HITS: dict[str, Callable[[RawHits], Detector]] = {"scalers": reconstruct_scalers, "raw": keep_raw}
FROM_HITS_AND_CONDITIONS: dict[str, Callable[[RawHits, Conditions], Detector]] = {
    "tof": reconstruct_tof,
    "ckov": reconstruct_ckov,
    "kl": reconstruct_kl,
    "emr": reconstruct_emr,
    "tracker": reconstruct_tracker,
}
"""What reconstructs each detector, by its name in `schemas.detectors`."""
_OURS = frozenset({*FROM_HITS, *FROM_HITS_AND_CONDITIONS})
"""Detectors of which it is known which boards they read; an experiment may add others."""
DOUBTS: dict[str, Callable[[Any, Conditions], str]] = {"tof": doubt_calibration}
"""Detector → what looks at all that was made of it, and says why its calibration cannot be right."""


def reconstruct(raw: RawSpill, conditions: Conditions | None, lacking: str = "") -> ReconstructedSpill:
    """Return what a spill reconstructs to.

    Bytes that are no good spill give a rejection in place of columns. A detector that fails leaves an error under
    its name and the other detectors go on: one of whose boards cannot be read; or that needs conditions, and the run
    has none at all. What cannot be made as the run's conditions lack tables for it is no error of the spill: it is said
    beside the errors. A detector that is not read out is absent. A time that the source had to replace is told among
    the errors.

    Parameters
    ----------
    raw
        The spill's bytes.
    conditions
        Those of its run; None if it has none.
    lacking
        Why it has none.
    """
    hits, rejection = _unpack(raw, conditions)
    if hits is None:
        return _spill(raw, conditions, rejection=rejection)
    made, errors = _reconstruct(hits, conditions, lacking)
    if raw.time_problem:
        errors[TIME] = raw.time_problem
    return _spill(
        raw,
        conditions,
        triggers=hits.triggers,
        skipped=hits.skipped,
        errors={name: printable(problem)[:MAX_TEXT] for name, problem in errors.items()},
        lacking=_lacking(hits, conditions),
        detectors=made,
    )


def refuse(raw: RawSpill, rejection: Rejection) -> ReconstructedSpill:
    """Return what stands for a spill that is rejected."""
    return _spill(raw, None, rejection=rejection)


def _spill(raw: RawSpill, conditions: Conditions | None, triggers: int = 0, **made: Any) -> ReconstructedSpill:
    return ReconstructedSpill(
        run=raw.run,
        spill=raw.spill,
        time_us=raw.time_us,
        triggers=triggers,
        events=raw.events,
        size=len(raw.payload),
        digest=hashlib.sha256(raw.payload).digest()[:DIGEST_BYTES],
        code=__version__,
        conditions=conditions.digest if conditions is not None else "",
        **made,
    )


def _reconstruct(
    hits: RawHits, conditions: Conditions | None, lacking: str
) -> tuple[dict[str, Detector], dict[str, str]]:
    """Return what each detector makes of the hits, and of those that fail, why."""
    made: dict[str, Detector] = {}
    errors: dict[str, str] = {}
    steps: dict[str, Callable[[], Detector]] = {n: partial(step, hits) for n, step in FROM_HITS.items()}
    for name, step in FROM_HITS_AND_CONDITIONS.items():
        if conditions is not None:
            steps[name] = partial(step, hits, conditions)
        elif name not in hits.absent:
            errors[name] = lacking
    for name in (each for each in steps if each not in hits.absent):
        fault = hits.failed.get(name if name in _OURS else ADDED)
        if fault is not None:
            errors[name] = fault.reason if fault.byte < 0 else f"{fault.reason} (byte {fault.byte} of the spill)"
        if fault is None or name == RAW:
            detector, errors_of = _make(name, steps[name], hits, conditions)
            made |= {name: detector} if detector is not None else {}
            errors |= errors_of
    return made, errors


def _make(
    name: str, step: Callable[[], Detector], hits: RawHits, conditions: Conditions | None
) -> tuple[Detector | None, dict[str, str]]:
    """Return what a detector makes of the hits, and what went wrong, by its name."""
    try:
        detector = step()
        check_detector(detector, hits.triggers)  # a plug-in's tables may not fit together
    except (DetectorError, WireError) as error:
        if conditions is not None and name in conditions.lacking:  # that is said of the run, see `_lacking`
            return None, {}
        return None, {name: str(error)}
    except Exception as error:  # noqa: BLE001 - a fault in one detector's code must not cost the others the spill
        return None, {name: f"fault in the code: {type(error).__name__}: {error}"}
    doubt = DOUBTS[name](detector, conditions) if conditions is not None and name in DOUBTS else ""
    return detector, {f"{name} calibration": doubt} if doubt else {}


def _lacking(hits: RawHits, conditions: Conditions | None) -> dict[str, str]:
    """Return for which detectors, or tables of them, that the spill was read out with the run has no conditions."""
    if conditions is None:
        return {}
    return {name: why for name, why in conditions.lacking.items() if name.partition(".")[0] not in hits.absent}


def _unpack(raw: RawSpill, conditions: Conditions | None) -> tuple[RawHits | None, Rejection | None]:
    if raw.format is RawFormat.UNREADABLE:
        return None, Rejection(step="framing", reason=raw.problem)
    if raw.format not in _UNPACKERS:
        return None, _rejection(
            raw, "unpack", raw.byte, f"this experiment unpacks no spills of the format {raw.format}"
        )
    pulses = conditions.pulses if conditions is not None else PulseDefinitions.SINCE_2013
    read_out = conditions.read_out if conditions is not None else ReadOut()
    try:
        hits = _UNPACKERS[raw.format](raw.payload, pulses, read_out)
        if len(hits.skipped) <= MAX_NAMES:
            return hits, None
        step, byte = "unpack", raw.byte
        reason = f"{len(hits.skipped)} types of equipment that nothing here reads, more than {MAX_NAMES}"
    except BadDataError as error:
        step, byte, reason = error.step, raw.byte + max(error.byte, 0), error.reason
    except Exception as error:  # noqa: BLE001 - whatever bytes provoke, the next spill must go on
        step, byte, reason = "unpack", raw.byte, f"fault in the code: {type(error).__name__}: {error}"
    return None, _rejection(raw, step, byte, reason)


def _rejection(raw: RawSpill, step: str, byte: int, reason: str) -> Rejection:
    # The reason is what somebody must read: a long name of a source must not push it out.
    place = f"{raw.source[: MAX_TEXT // 2]}, run {raw.run}, spill {raw.spill}, byte {byte}"
    return Rejection(step=step, reason=printable(f"{place}: {reason}")[:MAX_TEXT])
