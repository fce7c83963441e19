"""A spill's bytes to hits: a MIDAS event a particle, with a bank of a V1290 TDC and one of a V1730 digitiser."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from schemas.columns import F8, I8, Table, column
from streams.daq.midas_file import MidasSpills
from streams.errors import BadDataError
from streams.midas.banks import U32, Bank, banks_of
from streams.midas.events import Event, events_of
from streams.unpacked import Hits

PARTICLE, BEGIN_OF_SPILL, END_OF_SPILL = 1, 8, 9
"""Event ids."""
SPILLS = MidasSpills(begin=BEGIN_OF_SPILL, end=END_OF_SPILL)
TDC, DIGITISER = "TDC0", "WFD0"
READ_BY = {TDC: ("counters", "hodoscope"), DIGITISER: ("counters", "calorimeter")}
"""Bank → detectors that read it."""
MEASUREMENT, HEADER, TRAILER = 0, 8, 16
"""Upper five bits of a TDC's word."""
CHANNELS, PEDESTAL_SAMPLES = 16, 8
"""Of the digitiser; a pulse begins behind its pedestal."""


@dataclass(frozen=True, kw_only=True, eq=False)
class TdcHits(Table):
    """One row a measurement, in counts of 25 ps."""

    trigger: I8 = column("<i8")
    channel: I8 = column("<i8")
    time: I8 = column("<i8")


@dataclass(frozen=True, kw_only=True, eq=False)
class Pulses(Table):
    """One row a channel of the digitiser and particle: sum of pedestal minus sample, as pulses are negative."""

    trigger: I8 = column("<i8")
    channel: I8 = column("<i8")
    charge: F8 = column("<f8")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BeamHits(Hits):
    """A spill that is unpacked; a board that is absent, or failed, has no rows."""

    tdc: TdcHits
    pulses: Pulses


def unpack(payload: bytes, _conditions: object) -> BeamHits:
    """Return the hits of a spill; what is wrong in a board is an error of the detectors that read it."""
    particles = [event for event in events_of(payload) if event.id == PARTICLE]
    rows: dict[str, Any] = {TDC: TdcHits.empty(), DIGITISER: Pulses.empty()}
    failed: dict[str, BadDataError] = {}
    absent: set[str] = set()
    for name, read in ((TDC, _read_tdc), (DIGITISER, _read_digitiser)):
        try:
            found = [next((bank for bank in banks_of(payload, e) if bank.name == name), None) for e in particles]
            if not any(found) and particles:
                absent.update(READ_BY[name])
                continue
            banks = [_there(bank, event) for bank, event in zip(found, particles, strict=True)]
            rows[name] = type(rows[name]).concat([read(bank, trigger) for trigger, bank in enumerate(banks)])
        except BadDataError as error:
            why = BadDataError("unpack", f"bank {name}: {error.reason}", error.byte)
            failed |= dict.fromkeys(READ_BY[name], why)
    return BeamHits(
        triggers=len(particles), tdc=rows[TDC], pulses=rows[DIGITISER], failed=failed, absent=frozenset(absent)
    )


def _there(bank: Bank | None, event: Event) -> Bank:
    if bank is None:
        raise BadDataError("unpack", "this event has none, others have", event.start)
    if bank.type != U32 or len(bank.data) < 2:
        raise BadDataError("unpack", f"{len(bank.data)} values of type {bank.type}", bank.at)
    return bank


def _read_tdc(bank: Bank, trigger: int) -> TdcHits:
    """Return the words between header and trailer: channel (5 bits) and time (21 bits)."""
    words = bank.data.astype(np.int64)
    belongs = np.array([HEADER, *[MEASUREMENT] * (len(words) - 2), TRAILER])
    for at in np.flatnonzero(words >> 27 != belongs):
        raise BadDataError("unpack", f"word {at} of {len(words)} is {words[at]:#010x}", bank.at + 4 * int(at))
    if (count := words[-1] >> 5 & 0xFFFF) != len(words):
        raise BadDataError("unpack", f"{len(words)} words, of which its trailer counts {count}", bank.at)
    hits = words[1:-1]
    return TdcHits(trigger=np.full(len(hits), trigger), channel=hits >> 21 & 0x1F, time=hits & 0x1FFFFF)


def _read_digitiser(bank: Bank, trigger: int) -> Pulses:
    """Return the pulses: four words of header, of which the first has the size, then two samples a word."""
    words = bank.data.astype("<u4")
    samples = words[4:].view("<u2")
    if words[0] != 0xA0000000 | len(words) or len(samples) % CHANNELS or len(samples) <= PEDESTAL_SAMPLES * CHANNELS:
        raise BadDataError("unpack", f"{len(words)} words that begin with {words[0]:#010x}", bank.at)
    for at in np.flatnonzero(samples >> 14):
        raise BadDataError("unpack", f"sample {at} is {samples[at]}, of 14 bits", bank.at + 16 + 2 * int(at))
    waveforms = samples.reshape(CHANNELS, -1)
    pedestals = waveforms[:, :PEDESTAL_SAMPLES].mean(axis=1, keepdims=True)
    charge = (pedestals - waveforms).sum(axis=1)
    return Pulses(trigger=np.full(CHANNELS, trigger), channel=np.arange(CHANNELS), charge=charge)
