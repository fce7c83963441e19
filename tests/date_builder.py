"""DATE events and board words for tests, of every kind that the readers must know."""

import struct
from collections.abc import Mapping, Sequence

START_OF_RUN, END_OF_RUN, START_OF_BURST, END_OF_BURST, PHYSICS, CALIBRATION = 1, 2, 5, 6, 7, 8
FILLER = 0x18 << 27
SUPER = 1 << 4
_VERSIONS = {68: 3 << 16 | 9, 72: 3 << 16 | 12, 80: 3 << 16 | 14}


def event(
    kind: int, payload: bytes = b"", *, run: int = 7, number: int = 0, ldc: int = 1, system: int = 0, head: int = 80
) -> bytes:
    """Return a DATE event: 1500000000 s, and 250000 µs where the header has room for it."""
    pattern = [0] * (5 if head == 80 else 3)
    words = [head + len(payload), 0xDA1E5AFE, head, _VERSIONS[head], kind, run, number, number << 20, *pattern, 0, 0]
    words += [system, ldc, 2, 1_500_000_000]
    if head > 68:
        words.append(250_000)
    return struct.pack(f"<{len(words)}I", *words) + payload


def super_event(
    kind: int, parts: Mapping[int, bytes], *, run: int = 7, number: int = 0, head: int = 80, system: int = 0
) -> bytes:
    """Return a super-event; `parts`: LDC → its equipments."""
    inner = b"".join(event(kind, p, run=run, number=number, ldc=ldc, head=head) for ldc, p in parts.items())
    return event(kind, inner, run=run, number=number, ldc=0xFFFFFFFF, system=system | SUPER, head=head)


def equipment(kind: int, words: Sequence[int] = (), *, geo: int = 0) -> bytes:
    return struct.pack(f"<{7 + len(words)}I", 28 + 4 * len(words), kind, geo, 0, 0, 0, 4, *words)


def v1290_event(
    edges: Sequence[tuple[int, int, bool]], *, geo: int = 1, counter: int = 0, tag: int = 1000, bunch: int = 5
) -> list[int]:
    """Return the words of one particle event; `edges`: (channel, time, is trailing)."""
    words = [0x08 << 27 | counter << 5 | geo]
    for chip in range(4):
        words.append(0x01 << 27 | chip << 24 | bunch + chip)
        of_chip = [e for e in edges if e[0] // 8 == chip]
        words += [trailing << 26 | channel << 21 | time for channel, time, trailing in of_chip]
        words.append(0x03 << 27 | chip << 24 | len(of_chip) + 2)
    words.append(0x11 << 27 | tag)
    return [*words, 0x10 << 27 | len(words) + 1 << 5 | geo]


def fadc_event(
    body: Sequence[int], *, geo: int = 2, code: int = 0, mask: int = 0xFF, counter: int = 1, tag: int = 9
) -> list[int]:
    """Return the words of one particle event with these words after its header."""
    return [0xA << 28 | 4 + len(body), geo << 27 | code << 24 | mask, counter, tag, *body]


def packed(samples: Sequence[int], bits: int) -> list[int]:
    """Return samples as words, the first in the low bits."""
    per_word = 32 // bits
    return [
        sum(s << bits * i for i, s in enumerate(samples[at : at + per_word])) for at in range(0, len(samples), per_word)
    ]


def suppressed(channels: Mapping[int, Sequence[int]], *, mask: int = 0xFF) -> list[int]:
    """Return the body of a V1724 event of zero-suppression code 7; `channels`: those that have samples."""
    words = []
    for channel in range(8):
        if mask >> channel & 1:
            samples = packed(channels.get(channel, ()), 16)
            words += [channel << 12 | len(samples), *samples]
    return words


def v830(counts: Mapping[int, int], *, geo: int = 3, trigger_count: int = 0) -> list[int]:
    header = geo << 27 | 1 << 26 | len(counts) << 18 | trigger_count
    return [header, *(channel << 27 | count for channel, count in counts.items())]


def physics(*equipments: bytes, number: int = 0, run: int = 7, head: int = 80) -> bytes:
    """Return a physics event of LDC 1."""
    return super_event(PHYSICS, {1: b"".join(equipments)}, number=number, run=run, head=head)


def spill(number: int, *, run: int = 7, head: int = 80, triggers: int = 2) -> bytes:
    """Return the three events of a spill that tells its number by its data."""
    boards = equipment(101, [0x20033]) + equipment(
        102, [w for t in range(triggers) for w in v1290_event([(0, 100 + number, False)], counter=t)], geo=1
    )
    return (
        super_event(START_OF_BURST, {1: equipment(101, [0x200030])}, number=number, run=run, head=head)
        + physics(boards, number=number, run=run, head=head)
        + super_event(END_OF_BURST, {1: equipment(101, [0x8000F3])}, number=number, run=run, head=head)
    )


def start_of_run(run: int = 7) -> bytes:
    """Return the pair of events that begins a run."""
    return b"".join(super_event(START_OF_RUN, {1: b""}, run=run, number=n, system=n) for n in (1, 2))


def end_of_run(run: int = 7) -> bytes:
    return b"".join(super_event(END_OF_RUN, {1: b""}, run=run, number=n, system=n) for n in (1, 2))


def run_file(spills: int = 4, *, first_count: int = 0, run: int = 7) -> bytes:
    """Return a whole undamaged run."""
    body = b"".join(spill(first_count + n, run=run) for n in range(spills))
    return start_of_run(run) + body + end_of_run(run)


def dbb(
    edges: Sequence[tuple[int, int, bool]],
    *,
    geo: int = 3,
    spill: int = 5,
    triggers: int = 2,
    width: int = 1_280_000,
    told: int | None = None,
) -> list[int]:
    """Return the words of a digitiser buffer board; `edges`: (channel, time, is trailing)."""
    head = [0xD << 28 | geo << 22 | spill, triggers << 16 | (len(edges) if told is None else told)]
    words = [(0x2 if trailing else 0x3) << 28 | channel << 22 | time for channel, time, trailing in edges]
    return [*head, *words, 0xE << 28 | 5 << 16, width]
