"""Plots of what the electron-muon ranger tells of kinds, momenta and decays, for the expert."""

import numpy.typing as npt

from schemas.records import MISSING
from streams.experiments.mice.conditions.emr import COUNT_NS, PLANES
from streams.experiments.mice.plots.emr_quantities import is_muon
from streams.experiments.mice.plots.kinds import CHARGES, KIND, UNKNOWN, kinds
from streams.experiments.mice.plots.muon_range import momentum_mev_c
from streams.experiments.mice.tables.emr import EmrDaughters, EmrTracks
from streams.plots.batch import Batch
from streams.plots.measures import lifetime, mean, rms
from streams.plots.model import Axis, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_EXPERT = "EMR expert on call"
_DECAYS_NS = (500, 12_500)
"""Where the lifetime is fitted: earlier hits may still be the particle's own."""


def _charge_and_kind(batch: Batch) -> _Values:
    tracks = batch.join(EmrTracks)
    kind = batch.once(kinds)[tracks.trigger]
    return kind[kind != UNKNOWN], tracks.charge_ma[kind != UNKNOWN]


def _momenta(batch: Batch) -> _Values:
    tracks = batch.join(EmrTracks)
    stopped = is_muon(tracks) & (tracks.last_plane < PLANES - 1)
    return (momentum_mev_c(tracks.range_mm[stopped]),)


def _waits_ns(batch: Batch) -> _Values:
    daughters = batch.join(EmrDaughters)
    return (daughters.wait[(daughters.mother >= 0) & (daughters.wait != MISSING)] * COUNT_NS,)


MUON_PLOTS = (
    Plot(
        name="emr_charge_kind",
        detector="emr",
        title="EMR charge of bars by kind of particle",
        axes=(KIND, Axis(label="Charge", unit="ADC counts", bins=100, low=0, high=10_000)),
        fill=_charge_and_kind,
        expert=True,
        canvas="EMR_kinds",
        keywords=("EMR", "kind", "charge"),
        words=Words(
            shows="Charge of all bars that a particle hit, of each whose time of flight from TOF0 to TOF1 tells its "
            "kind.",
            normal="Muons and pions in narrow bands that follow their ranges; electrons in a broad one.",
            action="Bands alike: the times of flight are shifted, look there first; a beam of another momentum has "
            "muons and pions elsewhere. All moved: high voltage or threshold of the multi-anode photomultipliers.",
            call=_EXPERT,
        ),
        measures=CHARGES,
    ),
    Plot(
        name="emr_momentum",
        detector="emr",
        title="EMR momentum from range",
        axes=(Axis(label="Momentum", unit="MeV/c", bins=60, low=0, high=300),),
        fill=_momenta,
        expert=True,
        canvas="EMR_muons",
        keywords=("EMR", "momentum", "range"),
        words=Words(
            shows="Momentum at the front of particles that look like muons and stop before the last plane: that of a "
            "muon that loses its energy over their range (CSDA, polystyrene less holes and gaps).",
            normal="One hump at the beam's momentum, less what the detectors before it take.",
            action="Moved while the magnets were not: cabling or dead planes; see range and occupancy.",
            call=_EXPERT,
        ),
        measures=(mean("Mean momentum", "MeV/c"), rms("Spread of the momentum", "MeV/c")),
    ),
    Plot(
        name="emr_decay",
        detector="emr",
        title="EMR time from a particle to its decay product",
        axes=(Axis(label="Time", unit="ns", bins=125, low=0, high=12_500),),
        fill=_waits_ns,
        expert=True,
        canvas="EMR_muons",
        keywords=("EMR", "decay", "lifetime", "muon"),
        words=Words(
            shows="Time from the first hit of a particle of the beam to that of the decay product at its end.",
            normal=f"Falling by half every 1.5 µs. The lifetime that is fitted from {_DECAYS_NS[0]} ns on is a muon's, "
            "2197 ns; of negative muons, which nuclei capture, about a tenth less.",
            action="A longer lifetime: noise, which is level in time, is taken for decays; see the occupancy. A "
            "shorter one or steps: hits between triggers are lost; look at the boards' clocks.",
            call=_EXPERT,
        ),
        log=True,
        measures=(lifetime("Lifetime", "ns", within=_DECAYS_NS),),
    ),
)
