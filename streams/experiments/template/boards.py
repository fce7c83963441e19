"""A spill's bytes to hits: a MIDAS event a particle, with a bank a board."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from schemas.columns import I8, Table, column
from streams.daq.midas_file import MidasSpills
from streams.errors import BadDataError
from streams.midas.banks import U32, Bank, banks_of
from streams.midas.events import events_of
from streams.unpacked import Hits

PARTICLE, BEGIN_OF_SPILL, END_OF_SPILL = 1, 8, 9
"""Event ids."""
SPILLS = MidasSpills(begin=BEGIN_OF_SPILL, end=END_OF_SPILL)
BOARDS = {"ADC0": ("counters",)}
"""Bank of a board → the detectors that read it."""
CHANNELS = 16
"""Of a board."""


@dataclass(frozen=True, kw_only=True, eq=False)
class BoardHits(Table):
    """One row a word of a board: the channel in its upper half, the value in its lower one."""

    trigger: I8 = column("<i8")
    channel: I8 = column("<i8")
    value: I8 = column("<i8")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeamHits(Hits):
    """A spill that is unpacked."""

    boards: Mapping[str, BoardHits]


def unpack(payload: bytes, _conditions: object) -> BeamHits:
    """Return the hits of a spill; a board that cannot be read is an error of its detectors alone."""
    particles = [event for event in events_of(payload) if event.id == PARTICLE]
    boards: dict[str, BoardHits] = {}
    failed: dict[str, BadDataError] = {}
    absent: set[str] = set()
    for name, detectors in BOARDS.items():
        try:
            banks = [(n, bank) for n, event in enumerate(particles) for bank in banks_of(payload, event)]
            read = [_read(n, bank) for n, bank in banks if bank.name == name]
            boards[name] = BoardHits.concat(read)
            if particles and not read:
                absent.update(detectors)
        except BadDataError as error:
            failed |= dict.fromkeys(detectors, error)
    return BeamHits(triggers=len(particles), boards=boards, failed=failed, absent=frozenset(absent))


def _read(trigger: int, bank: Bank) -> BoardHits:
    """Return the hits of a particle."""
    if bank.type != U32:
        raise BadDataError("unpack", f"bank {bank.name}: values of type {bank.type}", bank.at)
    words = bank.data.astype(np.int64)
    channel = words >> 16
    for at in np.flatnonzero(channel >= CHANNELS):
        raise BadDataError("unpack", f"bank {bank.name}: there is no channel {channel[at]}", bank.at + 4 * int(at))
    return BoardHits(trigger=np.full(len(words), trigger), channel=channel, value=words & 0xFFFF)
