"""Plots of the electron-muon ranger (EMR)."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from streams.experiments.mice.conditions.emr import BARS, PLANES, SA_THRESHOLD
from streams.experiments.mice.plots.emr_muons import MUON_PLOTS
from streams.experiments.mice.plots.emr_quantities import CHI2_CUT, DENSITY_CUT, beam_spot_mm, is_muon, lit_bars
from streams.experiments.mice.tables.emr import EmrDaughters, EmrPlanes, EmrTracks
from streams.plots.axis import YES_OR_NO
from streams.plots.batch import Batch
from streams.plots.measures import share
from streams.plots.model import Axis, DetectorPlots, Measure, Plot, Words

_Values = tuple[npt.ArrayLike, ...]
_EXPERT = "EMR expert on call"
_OCCUPANCY = ("EMR", "Occupancy")
_RECONSTRUCTED = ("EMR", "Reconstructed")


def _occupancy(side: int) -> Plot:
    letter, parity = "xy"[side], ("even", "odd")[side]

    def fill(batch: Batch) -> _Values:
        plane, bar = batch.once(lit_bars)
        return plane[plane % 2 == side], bar[plane % 2 == side]

    return Plot(
        name=f"emr_occupancy_{letter}z",
        detector="emr",
        title=f"EMR occupancy {letter}z",
        axes=(
            Axis(label="Plane", bins=PLANES, low=-0.5, high=PLANES - 0.5),
            Axis(label="Bar", bins=BARS, low=-0.5, high=BARS - 0.5),
        ),
        fill=fill,
        canvas="EMR_occupancy",
        keywords=_OCCUPANCY,
        triangles=range(side, PLANES, 2),
        words=Words(
            shows=f"Bars that saw light in the {parity} planes, which measure {letter}: every hit with a time over "
            "threshold, of particles and of what they decay to. Each triangle is a bar as it lies in its plane, drawn "
            f"over the {('odd', 'even')[side]} planes too, which measure {'yx'[side]}.",
            normal="A spot in the middle of the front planes that widens and fades towards the back.",
            action="An empty column: that plane's board is not read out. A single bright bar in a dark region: noise "
            "of its photomultiplier's channel.",
            call=_EXPERT,
        ),
    )


def _of_tracks(
    name: str,
    title: str,
    axis: Axis,
    value: Callable[[EmrTracks], npt.NDArray[np.float64]],
    words: Words,
    *measures: Measure,
) -> Plot:
    def fill(batch: Batch) -> _Values:
        values = value(batch.join(EmrTracks))
        return (values[~np.isnan(values)],)

    return Plot(
        name=name,
        detector="emr",
        title=title,
        axes=(axis,),
        fill=fill,
        canvas="EMR_recon",
        keywords=_RECONSTRUCTED,
        words=words,
        measures=measures,
    )


def _planes_with_charge(batch: Batch) -> _Values:
    planes = batch.join(EmrPlanes)
    return (planes.plane[planes.charge > SA_THRESHOLD],)


def _ranges_of_daughters(batch: Batch) -> _Values:
    daughters = batch.join(EmrDaughters)
    return (daughters.range_mm[daughters.mother >= 0],)


def _chi2_and_density(batch: Batch) -> _Values:
    tracks = batch.join(EmrTracks)
    known = ~np.isnan(tracks.chi2) & ~np.isnan(tracks.density_ma)
    return tracks.density_ma[known], np.log10(1 + tracks.chi2[known])


def _range() -> Axis:
    return Axis(label="Range", unit="mm", bins=48, low=0, high=840)


def _charge(unit: str) -> Axis:
    return Axis(label="Charge", unit=unit, bins=100, low=0, high=10_000)


PLOTS = (
    _occupancy(0),
    _occupancy(1),
    Plot(
        name="emr_beam_profile",
        detector="emr",
        title="EMR beam profile",
        axes=tuple(Axis(label=letter, unit="mm", bins=59, low=-500, high=500) for letter in "xy"),
        fill=lambda batch: batch.once(beam_spot_mm),
        canvas="EMR_occupancy",
        keywords=_OCCUPANCY,
        words=Words(
            shows="Where particles enter: the bars with the longest time over threshold in planes 0 and 1.",
            normal="One round spot of some 70 mm near the middle.",
            action="A line across: one bar of plane 0 or 1 is noisy. A shifted spot: ask the beam operator for the "
            "last change of a magnet. Empty: board of plane 0 or 1 is not read out.",
            call="Beam operator, then " + _EXPERT,
        ),
    ),
    Plot(
        name="emr_depth",
        detector="emr",
        title="EMR depth profile",
        axes=(Axis(label="Plane", bins=PLANES, low=0, high=PLANES),),
        fill=_planes_with_charge,
        canvas="EMR_occupancy",
        keywords=_OCCUPANCY,
        words=Words(
            shows=f"Planes whose single-anode photomultiplier has a charge above {SA_THRESHOLD} counts, in each "
            "particle trigger.",
            normal="Level in front and falling where particles stop, without steps between neighbours.",
            action="A plane missing or low: high voltage or cable of its photomultiplier. All planes equally full to "
            "the end: pedestals or noise; look at the V1731 pedestals.",
            call=_EXPERT,
        ),
    ),
    _of_tracks(
        "emr_range_primary",
        "EMR range of primaries",
        _range(),
        lambda tracks: tracks.range_mm,
        Words(
            shows="How far particles of the beam come, along a straight line from the front to their last plane.",
            normal="One hump of muons, whose place moves with the beam momentum, pions to its left and electrons "
            "beneath.",
            action="All at the right end: hits of noise in the last planes; see the occupancy. The hump moved: ask the "
            "beam operator whether the momentum was changed.",
            call=_EXPERT,
        ),
    ),
    Plot(
        name="emr_range_secondary",
        detector="emr",
        title="EMR range of secondaries",
        axes=(_range(),),
        fill=_ranges_of_daughters,
        canvas="EMR_recon",
        keywords=_RECONSTRUCTED,
        words=Words(
            shows="How far decay products come that begin within 12.5 µs and 100 mm of the end of a beam particle.",
            normal="Falling from some tens of mm to nothing near 200 mm: electrons of muon decays.",
            action="Empty while there are primaries: hits between triggers are not recorded. A long tail: noise is "
            "taken for decays; see the occupancy.",
            call=_EXPERT,
        ),
    ),
    _of_tracks(
        "emr_charge_ma",
        "EMR total charge of bars (MA)",
        _charge("ADC counts"),
        lambda tracks: tracks.charge_ma,
        Words(
            shows="Charge of all bars that a particle hit, from the times over threshold of the multi-anode "
            "photomultipliers; not calibrated bar by bar.",
            normal="A broad hump that moves with the range.",
            action="Shifted while the range is not: high voltage or threshold of the multi-anode photomultipliers.",
            call=_EXPERT,
        ),
    ),
    _of_tracks(
        "emr_charge_sa",
        "EMR total charge of planes (SA)",
        _charge("ADC counts × samples"),
        lambda tracks: tracks.charge_sa,
        Words(
            shows="Charge of all planes up to a particle's last, from the single-anode photomultipliers.",
            normal="A broad hump that moves with the range.",
            action="Shifted while the range is not: high voltage of the single-anode photomultipliers. Empty or at 0: "
            "the V1731 boards of the EMR are not read out.",
            call=_EXPERT,
        ),
    ),
    _of_tracks(
        "emr_charge_ratio",
        "EMR charge ratio",
        Axis(
            label="A fifth of the charge of the first 4/5 over that of the last 1/5",
            bins=40,
            low=0,
            high=2,
        ),
        lambda tracks: tracks.charge_ratio,
        Words(
            shows="A fifth of the charge in the first four fifths of a particle's space points over that in the last "
            "fifth: 0.8 if it leaves the same all along.",
            normal="Muons and pions below 0.8, as they leave most where they stop; electrons broad about it.",
            action="The hump at 0.8 or above: particles no longer stop inside, or charges of the last planes are "
            "missing; see range and depth profile.",
            call=_EXPERT,
        ),
    ),
    Plot(
        name="emr_chi2_density",
        detector="emr",
        title="EMR straightness against density",
        axes=(
            Axis(label="Plane density", bins=20, low=0, high=1.0001),
            Axis(label="log10(1 + χ² per degree of freedom)", bins=30, low=0, high=3),
        ),
        fill=_chi2_and_density,
        canvas="EMR_recon",
        keywords=_RECONSTRUCTED,
        words=Words(
            shows="How straight a particle's hits are, against the share of planes up to its last whose bars were hit.",
            normal="Muons and pions in the lower right corner: every plane hit, near a line. Electrons above and to "
            "the left: showers with holes.",
            action="Nothing at density 1: a plane is dead; see the occupancy. All far up: cables of bars are "
            "swapped, or cabling of another run is used.",
            call=_EXPERT,
        ),
    ),
    _of_tracks(
        "emr_matched",
        "EMR primaries with a secondary",
        YES_OR_NO,
        lambda tracks: tracks.has_daughter.astype(np.float64),
        Words(
            shows="Whether a decay product begins where and after a particle of the beam ended. The mean is the match "
            "efficiency, secondaries over primaries.",
            normal="Level from run to run with the same beam: about half of a muon beam.",
            action="Mean near 0: hits between triggers are not recorded. Near 1: noise is taken for decays.",
            call=_EXPERT,
        ),
        share("Match efficiency"),
    ),
    _of_tracks(
        "emr_muons",
        "EMR primaries that look like muons",
        YES_OR_NO,
        lambda tracks: np.where(np.isnan(tracks.density_ma), np.nan, is_muon(tracks)),
        Words(
            shows=f"Whether a particle's density is above {DENSITY_CUT} and its χ² per degree of freedom below "
            f"{CHI2_CUT:g}. The mean is the muon fraction.",
            normal="Level from run to run with the same beam; pions that stop count as well.",
            action="Falling: look at straightness against density for whether the planes or the beam changed.",
            call=_EXPERT,
        ),
        share("Muon fraction"),
    ),
)

EMR = DetectorPlots(
    name="emr",
    title="Electron-muon ranger",
    plots=(*PLOTS, *MUON_PLOTS),
    overview=("emr_occupancy_xz", "emr_range_primary"),
)
