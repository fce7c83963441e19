"""Messages that nobody should write: good records with a small edit each, why they are bad, and what refuses them."""

import json
import random
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.records import MAX_NAMES, MAX_TEXT, ControlKind, RawFormat, RejectedSpill, Rejection, RunControl
from schemas.wire import HEADER_BYTES
from streams.experiments.mice.tables.scalers import ScalerCounts, Scalers
from tests.date_builder import event
from tests.records import raw_spill, reconstructed_spill
from tests.wire import serialize


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A message that ends in spills.rejected."""

    name: str
    value: bytes | None = field(repr=False)
    reason: str
    """Regular expression that is found in why it was refused."""
    step: str = "envelope"
    key: bytes | None = b"not a number"


def long(number: int) -> bytes:
    """Return an Avro long: zigzag, seven bits a byte."""
    rest, out = (number << 1) ^ (number >> 63) if number >= 0 else ((-number) << 1) - 1, bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def text(value: bytes) -> bytes:
    """Return an Avro string, whatever the bytes are."""
    return long(len(value)) + value


RAW = serialize(raw_spill())
RECO = serialize(reconstructed_spill())
HUGE = 10**12


def raw_fields(**changes: bytes) -> bytes:
    """Return the message of a raw spill with the bytes of some fields replaced."""
    fields = {
        "run": long(900001),
        "spill": long(7),
        "time_us": long(1_700_000_000_000_000),
        "format": text(b"date"),
        "source": text(b"a file"),
        "byte": long(640),
        "events": long(3),
        "payload": text(b"not a DATE event"),
        "problem": text(b""),
        "time_problem": text(b""),
    }
    return RAW[:HEADER_BYTES] + b"".join((fields | changes).values())


def reco_fields(errors: bytes, rejection: bytes = long(0)) -> bytes:
    """Return the message of a reconstructed spill that ends with these bytes of the union and the map."""
    numbers = b"".join(map(long, (900001, 7, 1_700_000_000_000_000, 1, 3, 100)))
    return RECO[:HEADER_BYTES] + numbers + text(bytes(8)) + text(b"test") + text(b"") + rejection + errors


def no_message() -> list[Hostile]:
    """Return what is bad in every topic."""
    bad = [
        ("empty", b"", "0 bytes"),
        ("no value", None, "0 bytes"),
        ("random", random.Random(1).randbytes(5000), "begins with"),
        ("zeros", bytes(5000), "begins with 0000"),
        ("deep nesting of JSON", b"[" * 100_000, "begins with 5b5b"),
        ("header alone", RAW[:HEADER_BYTES], "EOFError|IndexError|StopIteration|cannot be read"),
        ("unknown fingerprint", RAW[:2] + bytes(8) + RAW[HEADER_BYTES:], "fingerprint 0000"),
        ("another schema's bytes", RECO[:HEADER_BYTES] + RAW[HEADER_BYTES:], "cannot be read"),
        ("truncated", RAW[:-3], "cannot be read"),
        ("bytes that follow", RAW + b"x", "1 bytes follow"),
        ("string of 2^62 bytes", raw_fields(source=long(2**62)), "cannot be read"),
        ("string of -2^63 bytes", raw_fields(source=long(-(2**63))), "cannot be read"),
        ("string of -5 bytes", raw_fields(source=long(-5)), "cannot be read"),
        ("payload of 10^12 bytes", raw_fields(payload=long(HUGE)), "cannot be read"),
        ("number without an end", RAW[:HEADER_BYTES] + b"\xff" * 3000, "cannot be read|is -?[0-9]+, not in"),
        ("no UTF-8", raw_fields(source=text(b"\xff\xfe")), "cannot be read: UnicodeDecodeError"),
        ("unknown format", raw_fields(format=text(b"x" * 50_000)), "is not a valid RawFormat|cannot be read"),
        ("map of 10^12 items", reco_fields(long(HUGE)), "cannot be read"),
        ("map of -2^63 items", reco_fields(long(-(2**63)) + long(0)), "cannot be read|not in|bytes follow"),
        ("map of -10^12 items", reco_fields(long(-HUGE) + long(5)), "cannot be read"),
        ("union's branch 99", reco_fields(long(0), rejection=long(99)), "cannot be read"),
        ("union's branch -1", reco_fields(long(0), rejection=long(-1)), "cannot be read"),
        ("rejected spill", serialize(rejected_spill()), "a RejectedSpill has no place"),
        (
            "control of another kind",
            _control().replace(b"\x06end", b"\x06odd"),
            "not a valid ControlKind",
        ),
        ("control of no run", _control(run=-1), "run is -1"),
        ("control with a text of 20,000 characters", _control(run_type="x" * 20_000), "run_type has 20000"),
    ]
    numbers: list[tuple[str, int]] = [
        *(("run", n) for n in (-2, -1, 2**31, 2**63 - 1, -(2**63))),
        *(("spill", n) for n in (-2, -1, 2**31, 2**63 - 1)),
        *(("time_us", n) for n in (-2_208_988_800_000_000, 253_370_764_800_000_000, 2**63 - 1)),  # the years 1900, 9999
        *(("events", n) for n in (-1, 2**31)),
    ]
    bad += [(f"{name} {n}", serialize(raw_spill(**{name: n})), f"{name} is {n}, not in") for name, n in numbers]
    bad.append(("source too long", serialize(raw_spill(source="s" * (MAX_TEXT + 1))), "source has 10001"))
    return [Hostile(name=name, value=value, reason=reason) for name, value, reason in bad]


def for_raw() -> list[Hostile]:
    """Return what is bad in spills.raw: no messages of ours, and spills whose payload no unpacker takes."""

    def document(**daq: Any) -> bytes:
        return json.dumps({"daq_event_type": "physics_event", "daq_data": daq}).encode()

    def spill_json(name: str, payload: bytes, reason: str, step: str = "json") -> Hostile:
        spill = raw_spill(format=RawFormat.SPILL_JSON, payload=payload)
        return Hostile(name=name, value=serialize(spill), reason=reason, step=step, key=b"900001")

    unknown = [{f"V{n}": [{}] for n in range(MAX_NAMES + 1)}]
    long_reason = raw_spill(format=RawFormat.UNREADABLE, problem="p" * (30 << 20))
    return [
        *no_message(),
        Hostile(name="reconstructed spill", value=RECO, reason="a ReconstructedSpill has no place"),
        Hostile(name="problem of 30 MiB", value=serialize(long_reason), reason="problem has"),
        Hostile(name="no DATE event", value=RAW, reason="a file, run 900001, spill 7, byte", step="unpack", key=None),
        Hostile(
            name="DATE event of 4 GiB",
            value=serialize(raw_spill(payload=b"\xff" * 4 + event(7)[4:])),
            reason="a file, run 900001",
            step="unpack",
        ),
        Hostile(
            name="long source and a bad payload",
            value=serialize(raw_spill(source="s" * MAX_TEXT)),
            reason="s, run 900001, spill 7, byte",
            step="unpack",
        ),
        Hostile(
            name="spill of a format that the experiment does not unpack",
            value=serialize(raw_spill(format=RawFormat.MIDAS)),
            reason="a spill in the format midas, which MICE does not write",
            step="unpack",
            key=None,
        ),
        spill_json("deep JSON", b'{"daq_data":' + b"[" * 200_000, "nested too deeply"),
        spill_json("number of 10,000 digits", b'{"daq_data":' + b"9" * 10_000 + b"}", "no JSON that can be read"),
        spill_json("no object", b"NaN", "not an object"),
        spill_json("data NaN", b'{"daq_data":NaN}', "daq_data is nan"),
        spill_json("unknown boards by the thousand", document(tof=unknown), f"{MAX_NAMES + 1} types", step="unpack"),
    ]


def for_reco() -> list[Hostile]:
    """Return what is bad in spills.reco."""
    good = reconstructed_spill()
    channel = ScalerCounts(channel=[1], count=[5])
    object.__setattr__(channel, "channel", channel.channel + 199)
    bad = [
        ("scaler of channel 200", replace(good, detectors={"scalers": Scalers(counts=channel)}), "channel 200"),
        ("hits of triggers that are not there", replace(good, triggers=0), "particle triggers"),
        ("a million triggers", replace(good, triggers=10**6), "triggers is 1000000"),
        ("size -1", replace(good, size=-1), "size is -1"),
        ("digest of 7 bytes", replace(good, digest=bytes(7)), "7 bytes, not 8"),
        ("errors by the thousand", replace(good, errors={str(n): "" for n in range(2000)}), "errors has 2000 names"),
        ("long name of an error", replace(good, errors={"e" * 20_000: ""}), "a text of 20000"),
        ("skipped -1", replace(good, skipped={"V": -1}), "is -1, not in"),
        ("skipped 2^62", replace(good, skipped={"V": 2**62}), "not in"),
        ("code of 20,000 characters", replace(good, code="c" * 20_000), "code has 20000"),
        (
            "step of 20,000 characters",
            replace(good, detectors={}, rejection=Rejection(step="s" * 20_000, reason="")),
            "Rejection.step has 20000",
        ),
        ("good spill without a number", replace(good, spill=-1), "spill is -1"),
    ]
    return [
        *no_message(),
        Hostile(name="raw spill", value=RAW, reason="a RawSpill has no place"),
        *(Hostile(name=name, value=serialize(spill), reason=reason) for name, spill, reason in bad),
    ]


def rejected_spill(**changes: Any) -> RejectedSpill:
    """Return a rejected spill."""
    values: dict[str, Any] = {
        "run": 900001,
        "spill": 7,
        "step": "unpack",
        "reason": "a fault",
        "source": "a file",
        "byte": 0,
        "topic": "spills.raw",
        "partition": 0,
        "offset": 0,
        "payload": RAW,
    }
    return RejectedSpill(**(values | changes))


def _control(**changes: Any) -> bytes:
    values = {"run": 900001, "kind": ControlKind.END, "time_us": 0, "source": "", "byte": 0, "events": 1}
    return serialize(RunControl(**(values | changes)))
