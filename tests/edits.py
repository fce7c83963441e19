"""Random harm to bytes."""

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
