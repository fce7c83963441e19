"""What becomes of bytes in which a source finds no spill: they are kept, to be rejected with the reason."""

from schemas.records import MAX_TEXT, NO_RUN, RawFormat, RawSpill

MAX_BYTES = 1 << 20
"""What is kept of one stretch."""


def unreadable(payload: bytes, byte: int, *, run: int, source: str, reason: str, events: int = 0) -> RawSpill:
    """Return the record of such bytes, which begin at this byte of their source; `events` of them could be framed."""
    return RawSpill(
        run=run,
        spill=NO_RUN,
        time_us=0,
        format=RawFormat.UNREADABLE,
        source=source,
        byte=byte,
        events=events,
        payload=payload[:MAX_BYTES],
        problem=f"{source}, bytes {byte} to {byte + len(payload)}: {reason}"[:MAX_TEXT],
    )
