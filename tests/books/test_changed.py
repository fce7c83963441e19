"""What changed in a run is ranked: what moved most comes first, and what may be chance is not told."""

from collections.abc import Sequence
from functools import cache

import numpy as np
import pytest

from schemas.columns import I8
from streams.books.book import Book
from streams.books.changed import ALL, Changed, Side, changed, without
from streams.books.shapes import where
from streams.checks.channels import Channels, unpack
from streams.checks.counts import SETTLING
from streams.conditions.store import ConditionsStore
from streams.experiment import experiment
from streams.experiments.mice.conditions import emr
from streams.experiments.mice.simulator import SimulatedRun
from streams.process import process

RUN, SPILLS, FROM = 900_041, 60, 36
STORE = ConditionsStore([])


@cache
def side(fault: str, first: int, stop: int) -> Side:
    """Return some spills of a run in which something begins to be wrong."""
    run = SimulatedRun(run=RUN, spills=SPILLS, mean_triggers=40, detectors=("tof", "kl", "ckov"))
    run = run.with_faults([f"{fault}@{FROM}-{SPILLS - 1}"]) if fault else run
    found = process((run.spill(n).raw for n in range(first, stop)), STORE.for_run)[RUN].run_book()
    groups = experiment().groups
    hits = {group.name: np.zeros(group.size, np.int64) for group in groups}
    for packed in found.channel_counts.values():
        for name, its in unpack(packed, groups).items():
            hits[name] += its
    triggers = found.totals.triggers
    return Side(called="", histogram=found.book.__getitem__, spills=SPILLS, triggers=triggers, hits=hits)


def lately(fault: str) -> Changed:
    # Before its first spill a fault is in no byte.
    return changed(side(fault, FROM, SPILLS), side("", 0, FROM))


def told(found: Changed) -> Sequence[str]:
    return [f"{each.group} {each.channel}".strip() for each in found.channels]


def test_a_channel_that_died_is_first_and_so_is_the_plot_that_shows_it() -> None:
    found = lately("dead_pmt:tof1/0/3/1")
    assert told(found) == ["TOF1 horizontal slab 3, PMT 1"]
    (channel,) = found.channels
    assert (channel.hits, channel.factor, channel.detector) == (0, 0, "tof")
    assert 0.05 < channel.size < 0.2
    first, *others = found.plots
    assert first.shape is not None
    assert first.shape.elsewhere > 0.3
    assert "3 has 0 % where" in where(first.plot, first.shape.worst)
    assert {"hnsp_1", "hspxy_1"} <= {each.plot for each in [first, *others]}
    sizes = [each.shape.elsewhere for each in found.plots if each.shape is not None]
    assert sizes == sorted(sizes, reverse=True)


def test_a_station_that_is_silent_is_first_though_there_are_no_hits_of_which_its_channels_could_have_shares() -> None:
    found = lately("dead_pmt:tof1")
    assert found.channels[0].channel == ALL
    assert told(found)[0] == "TOF1"
    assert "TOF1" in found.few
    assert found.few["TOF1"].startswith("0/")


def test_a_hot_channel_is_told_by_its_factor() -> None:
    (channel, *_) = lately("hot_channel:kl/0/0").channels
    assert (channel.group, channel.channel) == ("KL", "cell 0, PMT 0")
    assert channel.factor > 2


def of_hits(**hits: I8) -> Side:
    """Return a side of which hits by channel alone are known."""
    return Side(called="", histogram=Book({}).__getitem__, spills=SPILLS, triggers=1000, hits=hits)


def of_group(name: str) -> Channels:
    return next(group for group in experiment().groups if group.name == name)


def test_a_hot_channel_makes_the_others_no_weaker_and_the_group_no_stronger() -> None:
    before = np.full(of_group("KL").size, 500)
    noisy = before.copy()
    noisy[7] = 100 * before.sum()
    found = changed(of_hits(KL=noisy), of_hits(KL=before))
    assert told(found) == [f"KL {of_group('KL').names[7]}"]
    assert found.channels[0].expected == 500
    # What else moved is told with what it lacks, as if there were no noise; and so it is the other way round.
    noisy[20] = 0
    for ours, theirs, counts in (
        (noisy, before, {(noisy[7], 500), (0, 500)}),
        (before, noisy, {(500, noisy[7]), (500, 0)}),
    ):
        its = changed(of_hits(KL=ours), of_hits(KL=theirs))
        assert {(each.hits, each.expected) for each in its.channels} == counts


def test_noise_in_a_few_hits_is_told_though_the_others_are_too_few_to_tell_of_each_other() -> None:
    before = np.full(of_group("KL").size, 5)
    noisy = before // 5
    noisy[7] = 4000
    assert f"KL {of_group('KL').names[7]}" in told(changed(of_hits(KL=noisy), of_hits(KL=before)))


def test_a_plane_that_died_is_told_once_with_how_many_of_its_channels_and_so_is_one_that_is_noisy() -> None:
    before = np.full(of_group("EMR").size, 500)
    plane = [*of_group("EMR").parts["plane 3"]]
    for factor, size in ((0, 1 / emr.PLANES), (4, 4 / (emr.PLANES + 3))):
        now = before.copy()
        now[plane] *= factor
        now[-1] = 0
        found = changed(of_hits(EMR=now), of_hits(EMR=before))
        assert told(found) == ["EMR plane 3", f"EMR {of_group('EMR').names[-1]}"]
        first = found.channels[0]
        assert (first.told, first.among, first.hits) == (emr.BARS, emr.BARS, factor * 500 * emr.BARS)
        assert first.expected == 500 * emr.BARS
        assert first.size == pytest.approx(abs(factor - 1) / max(factor, 1) * size, rel=0.1)
        assert found.steady_channels == of_group("EMR").size - emr.BARS - 1


def test_channels_that_are_few_of_their_part_are_told_one_by_one() -> None:
    now = np.full(of_group("EMR").size, 500)
    for bar in range(5):
        now[of_group("EMR").parts["plane 3"][bar]] = 0
    found = changed(of_hits(EMR=now), of_hits(EMR=np.full(now.size, 500)))
    assert len(found.channels) == 5


def test_both_ends_of_a_slab_that_died_are_told_as_the_slab() -> None:
    now = np.full(of_group("TOF1").size, 500)
    now[of_group("TOF1").parts["vertical slab 2"]] = 0
    assert told(changed(of_hits(TOF1=now), of_hits(TOF1=np.full(now.size, 500)))) == ["TOF1 vertical slab 2"]


def test_nothing_is_told_of_a_run_in_which_nothing_moved() -> None:
    found = lately("")
    assert not found.plots
    assert not found.channels
    assert found.steady_plots > 50
    assert found.steady_channels > 100
    assert "no shape" in found.not_compared["hnsp_vs_spill_tof0"]


def test_what_has_few_entries_is_said_with_how_many_it_has_and_is_not_steady() -> None:
    few = changed(side("", 0, 2), side("", 2, FROM))
    assert few.few["ht01"].endswith("/200")
    assert len(few.few.keys() & experiment().plots.keys()) + few.steady_plots + len(few.not_compared) == len(
        experiment().plots
    )


def test_of_an_empty_run_nothing_is_known() -> None:
    nothing = Side(called="", histogram=Book({}).__getitem__, spills=SETTLING + 1, triggers=0)
    found = changed(nothing, nothing)
    assert not found.plots
    assert not found.channels
    assert (found.steady_plots, found.steady_channels) == (0, 0)
    assert found.few["ht01"] == "0/200"


def test_what_a_file_has_not_got_is_not_compared() -> None:
    file = Side(called="file old", histogram=lambda _: None, spills=1, triggers=None)
    found = changed(side("", FROM, SPILLS), file)
    assert not found.steady_plots
    assert found.not_compared["ht01"] == "not in file old"


def test_a_part_is_taken_off_the_whole_bin_by_bin() -> None:
    whole, part, other = Book({}), Book({}), Book({})
    whole.fill("ht01", [28.0, 29.0, 29.0, 99.0])
    part.fill("ht01", [29.0, 99.0])
    other.fill("ht01", [28.0, 29.0])
    assert without(whole, part)("ht01") == other["ht01"]
    assert whole["ht01"].sum(flow=True) == 4
