"""A raw spill to a reconstructed one: a pure function of its bytes and the run's conditions."""

import hashlib
from typing import Any

from schemas.columns import Detector
from schemas.known import WireError
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
from schemas.wire import check_detector
from streams import __version__
from streams.errors import BadDataError, DetectorError
from streams.experiment import Reconstruction, experiment
from streams.printable import printable
from streams.run_conditions import RunConditions
from streams.unpacked import Hits


def reconstruct(raw: RawSpill, conditions: RunConditions | None, lacking: str = "") -> ReconstructedSpill:
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


def _spill(raw: RawSpill, conditions: RunConditions | None, triggers: int = 0, **made: Any) -> ReconstructedSpill:
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
    hits: Hits, conditions: RunConditions | None, lacking: str
) -> tuple[dict[str, Detector], dict[str, str]]:
    """Return what each detector makes of the hits, and of those that fail, why."""
    made: dict[str, Detector] = {}
    errors: dict[str, str] = {}
    for name, its in experiment().reconstructions.items():
        if name in hits.absent:
            continue
        if its.needs_conditions and conditions is None:
            errors[name] = lacking
            continue
        fault = hits.failed.get(name)
        if fault is not None:
            errors[name] = fault.reason if fault.byte < 0 else f"{fault.reason} (byte {fault.byte} of the spill)"
        if fault is None or its.takes_what_is_left:
            detector, errors_of = _make(name, its, hits, conditions)
            made |= {name: detector} if detector is not None else {}
            errors |= errors_of
    return made, errors


def _make(
    name: str, its: Reconstruction, hits: Hits, conditions: RunConditions | None
) -> tuple[Detector | None, dict[str, str]]:
    """Return what a detector makes of the hits, and what went wrong, by its name."""
    if conditions is not None and name in conditions.lacking:  # that is said of the run, see `_lacking`
        return None, {}
    try:
        detector = its.step(hits, conditions)
        check_detector(detector, hits.triggers)  # an experiment's tables may not fit together
    except (DetectorError, WireError) as error:
        return None, {name: str(error)}
    except Exception as error:  # noqa: BLE001 - a fault in one detector's code must not cost the others the spill
        return None, {name: f"fault in the code: {type(error).__name__}: {error}"}
    doubt = its.doubt(detector, conditions) if conditions is not None and its.doubt is not None else ""
    return detector, {f"{name} calibration": doubt} if doubt else {}


def _lacking(hits: Hits, conditions: RunConditions | None) -> dict[str, str]:
    """Return for which detectors, or tables of them, that the spill was read out with the run has no conditions."""
    if conditions is None:
        return {}
    used = experiment().reconstructions.keys() - hits.absent
    return {name: why for name, why in conditions.lacking.items() if name.partition(".")[0] in used}


def _unpack(raw: RawSpill, conditions: RunConditions | None) -> tuple[Hits | None, Rejection | None]:
    if raw.format is RawFormat.UNREADABLE:
        return None, Rejection(step="framing", reason=raw.problem)
    its = experiment().format_of(raw.format)
    if its is None:
        reason = f"a spill in the format {raw.format}, which {experiment().title} does not write"
        return None, _rejection(raw, "unpack", raw.byte, reason)
    try:
        hits = its.unpack(raw.payload, conditions)
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
