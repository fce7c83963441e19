"""A simulated run: electrons, pions and protons through the beam line, as the MIDAS events that the DAQ would write."""

import struct
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from schemas.columns import F8
from streams.conditions.store import ConditionsStore
from streams.experiments.testbeam import boards
from streams.experiments.testbeam.boards import DIGITISER, TDC
from streams.experiments.testbeam.conditions import BOARDS, NOT_CABLED
from streams.experiments.testbeam.reco import BLOCK_MM, NS_PER_COUNT, STRIP_MM, STRIPS, strip_mm
from streams.midas.write import event, run_event
from streams.simulated_file import FaultKind, SimulatedFile

KINDS = {"electron": (0.3, 0.000511), "pion": (0.5, 0.13957), "proton": (0.2, 0.93827)}
"""Kind → share of the beam, and mass in GeV."""
MOMENTUM_GEV = 0.6
COUNTERS_M, LINE_M, LIGHT_M_PER_NS = np.array([0.0, 0.1, 10.0, 10.1]), 10.0, 0.299792458
PULSE = np.exp(-np.arange(20) / 3) / np.exp(-np.arange(20) / 3).sum()
FAULTS = {
    "dead_channel": FaultKind(
        places=[f"{board}/{channel}" for board, channels in BOARDS.items() for channel in range(channels)],
        does="The channel of the board gives no signal.",
        look="A gap in a profile, a scintillator without efficiency, or a block without energy.",
    ),
    "missing_bank": FaultKind(
        places=[TDC, DIGITISER], does="No event has the bank.", look="Detectors that are not read out."
    ),
    "damaged_bank": FaultKind(
        places=[TDC, DIGITISER], does="Its first word is 0.", look="Errors of the detectors that read it."
    ),
}


def write(run: SimulatedFile) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Yield the events of the run's begin, of each spill with what was really there, and of its end."""
    conditions: Any = ConditionsStore([]).for_run(run.run)
    particles = 0
    yield run_event(run.run, run.time_us(0) // 1_000_000, begins=True), {}
    for spill in range(run.spills):
        rng, time_s = np.random.default_rng([run.seed, run.run, spill]), run.time_us(spill) // 1_000_000
        beam = _beam(rng)
        content = event(boards.BEGIN_OF_SPILL, spill, time_s, {})
        for banks in _read_out(run, spill, beam, conditions, rng):
            content += event(boards.PARTICLE, particles, time_s, banks)
            particles += 1
        content += event(boards.END_OF_SPILL, spill, time_s, {})
        yield content, {"particles": {name: column.tolist() for name, column in beam.items()}}
    yield run_event(run.run, run.time_us(run.spills) // 1_000_000, begins=False), {}


def _beam(rng: np.random.Generator) -> dict[str, Any]:
    """Return what flew in a spill: an entry a particle."""
    n = rng.poisson(40)
    shares, masses = zip(*KINDS.values(), strict=True)
    kind = rng.choice(len(KINDS), n, p=shares)
    beta = MOMENTUM_GEV / np.hypot(MOMENTUM_GEV, np.array(masses)[kind])
    # Electrons leave all their energy. Pions give less light, and more if they interact. Protons are too slow for any.
    pion = rng.normal(180, 25, n) + rng.uniform(0, 270, n) * (rng.random(n) < 0.2)
    return {
        "kind": np.array(list(KINDS))[kind],
        "flight_ns": LINE_M / (beta * LIGHT_M_PER_NS),
        "x_mm": rng.normal(6, 10, n),
        "y_mm": rng.normal(-4, 8, n),
        "light_mev": np.choose(kind, [rng.normal(1000 * MOMENTUM_GEV, 46, n), pion, np.zeros(n)]),
    }


def _signals(beam: Mapping[str, Any], rng: np.random.Generator) -> tuple[dict[str, F8], dict[str, F8]]:
    """Return by detector (particles, channels) times in ns, NaN without a signal, and energies in MeV."""
    flight, places = beam["flight_ns"][:, None], [beam["x_mm"][:, None], beam["y_mm"][:, None]]
    seen = rng.random((len(flight), len(COUNTERS_M))) < 0.97
    time = flight * COUNTERS_M / LINE_M + rng.normal(0, 0.15, seen.shape)
    beta = LINE_M / (flight * LIGHT_M_PER_NS)
    deposit = 2 / beta**2 * (1 + 0.1 * rng.gumbel(size=seen.shape))  # in 1 cm, with a tail to high energies
    away = np.hstack([abs(place - strip_mm(np.arange(STRIPS))) for place in places])
    likely = np.select([away < 0.5 * STRIP_MM, away < 1.5 * STRIP_MM], [0.95, 0.05], 0.002)
    fired = np.where(rng.random(away.shape) < likely, rng.normal(20, 1, away.shape), np.nan)
    # What of a shower lies beyond an edge between blocks falls off within 8 mm.
    edges = BLOCK_MM * np.array([-1.5, -0.5, 0.5, 1.5])
    in_column, in_row = (np.diff(1 / (1 + np.exp((place - edges) / 8))) for place in places)
    blocks = beam["light_mev"][:, None] * (in_row[:, :, None] * in_column[:, None, :]).reshape(-1, 9)
    times = {"counters": np.where(seen, time, np.nan), "hodoscope": fired}
    return times, {"counters": np.where(seen, deposit, 0), "calorimeter": blocks}


def _read_out(
    run: SimulatedFile, spill: int, beam: Mapping[str, Any], conditions: Any, rng: np.random.Generator
) -> Iterator[dict[str, bytes]]:
    """Yield the banks of each particle."""
    times, energies = _signals(beam, rng)
    times["counters"] += conditions.t0_ns["counters"]
    charges = {name: energy / conditions.gain[name] for name, energy in energies.items()}
    n = len(beam["kind"])
    channels = {"V1290": np.full((n, BOARDS["V1290"]), np.nan), "V1730": np.zeros((n, BOARDS["V1730"]))}
    for (board, detector), cables in conditions.cables.items():
        signals = (times if board == "V1290" else charges).get(detector)
        if signals is not None:
            channels[board][:, cables != NOT_CABLED] = signals[:, cables[cables != NOT_CABLED]]
    for place in run.faults_of(spill, "dead_channel"):
        board, _, channel = place.partition("/")
        channels[board][:, int(channel)] = np.nan if board == "V1290" else 0
    for time, charge in zip(*channels.values(), strict=True):
        banks = {TDC: _tdc_words(time + rng.uniform(200, 225)), DIGITISER: _digitiser_words(charge, rng)}
        for name in run.faults_of(spill, "damaged_bank"):
            banks[name] = bytes(4) + banks[name][4:]
        yield {name: data for name, data in banks.items() if name not in run.faults_of(spill, "missing_bank")}


def _tdc_words(time_ns: F8) -> bytes:
    fired = np.flatnonzero(np.isfinite(time_ns)).tolist()
    hits = [channel << 21 | round(time_ns[channel] / NS_PER_COUNT) for channel in fired]
    return np.array([boards.HEADER << 27, *hits, boards.TRAILER << 27 | len(hits) + 2 << 5], "<u4").tobytes()


def _digitiser_words(charge: F8, rng: np.random.Generator) -> bytes:
    samples = rng.normal(15_000, 2, (len(charge), 32))
    samples[:, 12:] -= charge[:, None] * PULSE
    data = samples.round().clip(0, 0x3FFF).astype("<u2").tobytes()
    return struct.pack("<4I", 0xA0000000 | 4 + len(data) // 4, 0xFF, 0xFF000000, 0) + data
