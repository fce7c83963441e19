"""MIDAS events and banks for tests, written from the format's description alone."""

from collections.abc import Sequence

BEGIN_OF_RUN, END_OF_RUN, MESSAGE = 0x8000, 0x8001, 0x8002
TRIGGER, SCALER, BEGIN_OF_SPILL, END_OF_SPILL = 1, 2, 8, 9
FORMS = {"16": 0x01, "32": 0x11, "32 aligned": 0x31}
ORDERS = {"little": "<", "big": ">"}
TIME_S = 1_700_000_000
DUMP = b'<?xml version="1.0"?><odb root="/"><key name="Run number" type="INT">407</key></odb>'
KINDS = {
    1: 1,
    2: 1,
    3: 1,
    4: 2,
    5: 2,
    6: 4,
    7: 4,
    8: 4,
    9: 4,
    10: 8,
    11: 4,
    12: 1,
    13: 1,
    14: 1,
    15: 1,
    16: 1,
    17: 8,
    18: 8,
}
"""Type of a bank → bytes of a value."""

Banks = Sequence[tuple[str, int, bytes]]
"""Name, type and data, in the byte order of the file."""


def number(value: int, size: int, order: str) -> bytes:
    return value.to_bytes(size, order)


def event(
    kind: int, data: bytes, *, serial: int = 0, time_s: int = TIME_S, mask: int = 0, order: str = "little"
) -> bytes:
    head = number(kind, 2, order) + number(mask, 2, order)
    return head + b"".join(number(n, 4, order) for n in (serial, time_s, len(data))) + data


def bank_area(banks: Banks, *, form: str = "32", order: str = "little") -> bytes:
    out = b""
    for name, kind, data in banks:
        wide = 2 if form == "16" else 4
        out += name.encode() + number(kind, wide, order) + number(len(data), wide, order)
        out += bytes(4) if form == "32 aligned" else b""
        out += data + bytes(-len(data) % 8)
    return number(len(out), 4, order) + number(FORMS[form], 4, order) + out


def begin_of_run(run: int = 407, *, order: str = "little", time_s: int = TIME_S) -> bytes:
    return event(BEGIN_OF_RUN, DUMP, serial=run, mask=0x494D, order=order, time_s=time_s)


def end_of_run(run: int = 407, *, order: str = "little", time_s: int = TIME_S) -> bytes:
    return event(END_OF_RUN, DUMP, serial=run, mask=0x494D, order=order, time_s=time_s)


def message(text: str, *, order: str = "little") -> bytes:
    return event(MESSAGE, text.encode() + b"\0", mask=0x494D, order=order)


def scalers(count: int, *, order: str = "little", form: str = "32", time_s: int = TIME_S) -> bytes:
    data = bank_area([("SCAL", 6, number(count, 4, order) * 3)], form=form, order=order)
    return event(SCALER, data, serial=count, order=order, time_s=time_s)


def spill_parts(count: int, *, triggers: int = 3, order: str = "little", form: str = "32") -> list[bytes]:
    """Return the events of a spill, which tells its number by its data; it is written four seconds after another."""
    time_s = TIME_S + 4 * count
    marks = [bank_area([("SPIL", 6, number(count, 4, order))], form=form, order=order) for _ in range(2)]
    hits = [
        bank_area(
            [("TDC0", 6, number(100 + count, 4, order) * (n + 1)), ("ADC0", 4, number(n, 2, order) * 5)],
            form=form,
            order=order,
        )
        for n in range(triggers)
    ]
    return [
        event(BEGIN_OF_SPILL, marks[0], serial=count, time_s=time_s, order=order),
        *(event(TRIGGER, hit, serial=10 * count + n, time_s=time_s, order=order) for n, hit in enumerate(hits)),
        event(END_OF_SPILL, marks[1], serial=count, time_s=time_s, order=order),
    ]


def spill(count: int, *, triggers: int = 3, order: str = "little", form: str = "32") -> bytes:
    return b"".join(spill_parts(count, triggers=triggers, order=order, form=form))


def run_file(counts: Sequence[int] = range(4), *, run: int = 407, order: str = "little", form: str = "32") -> bytes:
    """Return a whole file: its begin of run, spills with scalers between them, and its end."""
    body = b"".join(spill(n, order=order, form=form) + scalers(n, order=order, form=form) for n in counts)
    return begin_of_run(run, order=order) + body + end_of_run(run, order=order)
