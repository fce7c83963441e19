"""Random harm to bytes."""

from typing import NamedTuple

from hypothesis import strategies as st

from tests.date_builder import event

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "write", "cut", "insert", "delete"]),
        st.integers(0, 2**32 - 1),
        st.binary(min_size=1, max_size=8) | st.sampled_from([event(7), b"\xff" * 4, b"\0" * 4]),
    ),
    min_size=1,
    max_size=4,
)


class Harmed(NamedTuple):
    """Bytes with harm to one stretch of them."""

    content: bytes
    kind: str
    start: int
    stop: int


def harmed(data: st.DataObject, content: bytes, first: int) -> Harmed:
    """Draw harm to one stretch of bytes, from the byte `first` on."""
    kind = data.draw(st.sampled_from(["flip", "cut", "insert", "swap"]))
    start = data.draw(st.integers(first, len(content) - 1))
    stop = start + (1 if kind == "flip" else data.draw(st.integers(0, 120)))
    there = content[start:stop]
    if kind == "flip":
        put = bytes([there[0] ^ 1 << data.draw(st.integers(0, 7))])
    elif kind == "insert":
        put = data.draw(st.binary(max_size=40)) + there
    else:
        put = there[::-1] if kind == "swap" else b""
    return Harmed(content[:start] + put + content[stop:], kind, start, stop)


def edited(data, edits):
    """Return the bytes after these edits."""
    out = bytearray(data)
    for kind, where, content in edits:
        at = where % (len(out) + 1)
        if kind == "flip" and at < len(out):
            out[at] ^= content[0] or 1
        elif kind == "write":
            out[at : at + len(content)] = content
        elif kind == "cut":
            del out[at:]
        elif kind == "insert":
            out[at:at] = content
        else:
            del out[at : at + len(content)]
    return bytes(out)
