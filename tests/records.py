"""Records made by hand, for tests that need a spill but no detector."""

import hashlib
from typing import Any

import numpy as np

from schemas.columns import Detector
from schemas.records import RawFormat, RawSpill, ReconstructedSpill, RunControl
from streams.experiments.mice.boards import V1724, V1731
from streams.experiments.mice.tables.ckov import Ckov, CkovDigits
from streams.experiments.mice.tables.emr import (
    Emr,
    EmrDaughters,
    EmrHits,
    EmrPlanes,
    EmrSecondaryHits,
    EmrSpacePoints,
    EmrTracks,
)
from streams.experiments.mice.tables.kl import Kl, KlCellHits, KlDigits
from streams.experiments.mice.tables.raw import Raw, RawDbbHits, RawFadcHits, RawTdcHits, RawVlsbHits
from streams.experiments.mice.tables.scalers import ScalerCounts, Scalers
from streams.experiments.mice.tables.tof import Tof, TofDigits, TofSlabHits, TofSpacePoints
from streams.experiments.mice.tables.tracker import (
    Tracker,
    TrackerClusters,
    TrackerDigits,
    TrackerSpacePoints,
    TrackerTracks,
)
from streams.transform import Message, Outcome, reconstructed


def raw_spill(**changes: Any) -> RawSpill:
    """Return a raw spill whose payload no unpacker takes."""
    values: dict[str, Any] = {
        "run": 900001,
        "spill": 7,
        "time_us": 1_700_000_000_000_000,
        "format": RawFormat.DATE,
        "source": "a file",
        "byte": 640,
        "events": 3,
        "payload": b"not a DATE event",
    }
    return RawSpill(**(values | changes))


def tof(triggers: int, rng: np.random.Generator) -> Tof:
    """Return hits of the stations with every trigger crossing each of them once, at random times."""
    n = 3 * triggers
    trigger = np.repeat(np.arange(triggers), 3)
    station = np.tile(np.arange(3), triggers)
    common = {"trigger": trigger, "station": station}
    plane, slab = rng.integers(0, 2, n), rng.integers(0, 7, n)
    time_ns = np.array([0.0, 27.0, 54.0])[station] + rng.normal(0, 1.0, n)
    zeros = np.zeros(n, np.int32)
    return Tof(
        digits=TofDigits(
            **common,
            plane=plane,
            slab=slab,
            pmt=zeros,
            leading_time=zeros,
            trailing_time=zeros,
            trigger_time=zeros,
            request_time=zeros,
            charge_mm=zeros,
            charge_pm=zeros,
        ),
        hits=TofSlabHits(
            **common,
            plane=plane,
            slab=slab,
            raw_time_ns=time_ns,
            raw_time0_ns=time_ns,
            raw_time1_ns=time_ns,
            charge=zeros,
            charge0=zeros,
            charge1=zeros,
            charge_product=zeros,
        ),
        space_points=TofSpacePoints(
            **common,
            slabx=slab,
            slaby=slab,
            time_ns=time_ns,
            dt_ns=np.zeros(n),
            charge=zeros,
            charge_product=zeros,
        ),
    )


def ckov(triggers: int, rng: np.random.Generator) -> Ckov:
    """Return Cherenkov digits with a random pulse in every photomultiplier."""
    pulse = rng.integers(0, 200, (triggers, 8), dtype=np.int32)
    counters = pulse.reshape(triggers, 2, 4).sum(axis=2)
    digits = CkovDigits(
        trigger=np.arange(triggers),
        pulse=pulse,
        position_min=np.full((triggers, 8), 40, np.int32),
        arrival_time=rng.integers(0, 256, (triggers, 8), dtype=np.int32),
        total_charge=counters.astype(np.int32),
        photo_electrons=counters / 23,
        coincidences=np.full((triggers, 2), 4, np.int32),
    )
    return Ckov(digits=digits)


def raw(triggers: int, rng: np.random.Generator) -> Raw:
    """Return raw quantities, random ones, of one hit a board's kind and trigger."""
    trigger = np.arange(triggers)
    place = {"trigger": trigger, "geo": rng.integers(0, 8, triggers), "channel": rng.integers(0, 8, triggers)}
    return Raw(
        tdc=RawTdcHits(**place, leading_time=rng.integers(0, 1 << 21, triggers)),
        fadc=RawFadcHits(
            **place,
            equipment=rng.choice([V1724, V1731], triggers),
            pedestal=rng.normal(144, 5, triggers),
            charge_mm=rng.integers(0, 200, triggers),
            position_min=rng.integers(0, 256, triggers),
        ),
        vlsb=RawVlsbHits(
            trigger=trigger,
            bank=rng.integers(0, 64, triggers),
            adc=rng.integers(0, 256, triggers),
            tdc=rng.integers(0, 256, triggers),
        ),
        dbb=RawDbbHits(geo=trigger % 48, channel=7 * trigger % 64),
    )


def kl(triggers: int, rng: np.random.Generator) -> Kl:
    """Return a random cell of the calorimeter in every trigger."""
    trigger, cell = np.arange(triggers), rng.integers(0, 21, triggers)
    charge = rng.integers(100, 5000, (triggers, 2))
    both = charge.reshape(-1)
    return Kl(
        digits=KlDigits(
            trigger=np.repeat(trigger, 2),
            cell=np.repeat(cell, 2),
            pmt=np.tile([0, 1], triggers),
            charge_mm=both,
            charge_pm=both,
            position_max=np.full(2 * triggers, 40),
        ),
        hits=KlCellHits(
            trigger=trigger, cell=cell, charge=charge.mean(axis=1).astype(int), charge_product=charge[:, 0]
        ),
    )


def emr(triggers: int, rng: np.random.Generator) -> Emr:
    """Return a track of two planes in every trigger, the first of which has a daughter."""
    trigger, n = np.arange(triggers), 2 * triggers
    twice, plane = {"trigger": np.repeat(trigger, 2)}, np.tile([0, 1], triggers)
    bar, tot = rng.integers(1, 60, n), rng.integers(0, 30, n)
    first = {"candidate": [0], "first_plane": [1], "last_plane": [4], "hit_planes": [3], "density": [0.75]}
    return Emr(
        hits=EmrHits(**twice, plane=plane, bar=bar, tot=tot, delta_t=np.full(n, 15)),
        planes=EmrPlanes(**twice, plane=plane, charge=rng.integers(0, 200, n), delta_t=np.full(n, 38)),
        secondary_hits=EmrSecondaryHits(candidate=[0, 0], plane=[1, 4], bar=[30, 31], tot=[0, 9], time=[5, 6]),
        space_points=EmrSpacePoints(
            **twice, plane=plane, x_mm=rng.normal(0, 70, n), y_mm=rng.normal(0, 70, n), z_mm=plane * 17.5, charge=tot
        ),
        tracks=EmrTracks(
            trigger=trigger,
            last_plane=np.ones(triggers, int),
            hit_planes=rng.integers(0, 3, triggers),
            density=rng.choice([0.5, 1.0], triggers),
            density_ma=np.where(trigger % 3, 1.0, 0.5),
            range_mm=rng.uniform(0, 840, triggers),
            charge_ma=rng.uniform(0, 10_000, triggers),
            charge_sa=rng.uniform(0, 10_000, triggers),
            charge_ratio=np.where(rng.random(triggers) < 0.2, np.nan, rng.uniform(0, 2, triggers)),
            chi2=np.where(rng.random(triggers) < 0.2, np.nan, rng.exponential(2, triggers)),
            has_daughter=trigger == 0,
        ),
        daughters=EmrDaughters(
            **first,
            mother=[0],
            time=[5],
            wait=[4],
            range_mm=[60.5],
            charge_ma=[300.5],
            charge_ratio=[1.25],
            chi2=[np.nan],
        ),
    )


def tracker(triggers: int, rng: np.random.Generator) -> Tracker:
    """Return a triplet of random light in a random station of every trigger."""
    trigger, which, station = np.arange(triggers), rng.integers(0, 2, triggers), rng.integers(1, 6, triggers)
    place = {"trigger": np.repeat(trigger, 3), "tracker": np.repeat(which, 3), "station": np.repeat(station, 3)}
    plane, channel = np.tile(np.arange(3), triggers), rng.integers(0, 212, 3 * triggers)
    npe = rng.uniform(2, 20, 3 * triggers)
    return Tracker(
        digits=TrackerDigits(
            **place, plane=plane, channel=channel, npe=npe, adc=np.full(len(npe), 99), tdc=np.full(len(npe), 100)
        ),
        hits=TrackerClusters(**place, plane=plane, channel=channel.astype(float), npe=npe),
        space_points=TrackerSpacePoints(
            trigger=trigger,
            tracker=which,
            station=station,
            kind=rng.integers(2, 4, triggers),
            x_mm=rng.normal(0, 50, triggers),
            y_mm=rng.normal(0, 50, triggers),
            npe=npe.reshape(-1, 3).sum(axis=1),
            chi2=rng.uniform(0, 10, triggers),
        ),
        tracks=_tracks(triggers, rng),
    )


def _tracks(triggers: int, rng: np.random.Generator) -> TrackerTracks:
    """Return a track of each tracker in every trigger, some of them without all points."""
    n = 2 * triggers
    off = rng.normal(0, 0.5, (n, 5, 2)).astype(np.float32)
    off[rng.random((n, 5)) < 0.1] = np.nan
    return TrackerTracks(
        trigger=np.repeat(np.arange(triggers), 2),
        tracker=np.tile([0, 1], triggers),
        **{name: rng.normal(0, 50, n) for name in ("x_mm", "y_mm")},
        **{name: rng.normal(0, 0.02, n) for name in ("slope_x", "slope_y")},
        chi2=rng.exponential(1, n),
        off_mm=off,
    )


def outcome_of(
    record: ReconstructedSpill | RunControl, *, partition: int = 0, offset: int = 0, produced_ms: int = 0
) -> Outcome:
    """Return what is counted of a record that lies there in spills.raw."""
    place = Message(partition=partition, offset=offset, start=offset, produced_ms=produced_ms, value=b"")
    return reconstructed(place, record)


def reconstructed_spill(spill: int = 7, *, run: int = 900001, version: int = 0, **changes: Any) -> ReconstructedSpill:
    """Return a spill with random hits; the same for the same run, number and version, another digest for another."""
    rng = np.random.default_rng([run, spill, version])
    triggers = int(rng.integers(1, 20))
    values: dict[str, Any] = {
        "run": run,
        "spill": spill,
        "time_us": 1_700_000_000_000_000 + 2_560_000 * spill,
        "triggers": triggers,
        "events": 3,
        "size": 1000 + triggers,
        "digest": hashlib.blake2b(repr((run, spill, version)).encode(), digest_size=8).digest(),
        "code": "test",
        "conditions": "0123456789abcdef",
    }
    made: dict[str, Detector | None] = {
        "tof": tof(triggers, rng),
        "ckov": ckov(triggers, rng),
        "raw": raw(triggers, rng),
        "kl": kl(triggers, np.random.default_rng([run, spill, version, 1])),
        "emr": emr(triggers, np.random.default_rng([run, spill, version, 2])),
        "tracker": tracker(triggers, np.random.default_rng([run, spill, version, 3])),
        "scalers": Scalers(counts=ScalerCounts(channel=np.arange(16), count=rng.integers(0, 2000, 16))),
    }
    made |= {name: changes.pop(name) for name in made.keys() & changes.keys()}
    detectors = {name: detector for name, detector in made.items() if detector is not None}
    return ReconstructedSpill(**(values | {"detectors": detectors} | changes))
