"""What is not calibrated is said once, in words, whoever looks at the run."""

from collections import Counter

import pytest

from dashboards.data.one_run import calibration_warnings
from streams.books.totals import Totals

HITS = {"tof": Counter(hits=400, space_points=0)}


@pytest.mark.parametrize(
    ("totals", "said"),
    [
        (Totals(filled=4, detectors={"tof": Counter(hits=400, space_points=1)}), []),
        (Totals(filled=4, detectors={"tof": Counter(hits=40)}), []),
        (
            Totals(filled=4, detectors=HITS, lacking=Counter({"tof.space_points": 4})),
            [
                (
                    "Run 6008 is not calibrated for Time of flight (space points) in 4 of 4 spills: "
                    "its conditions have no table for it. "
                    "Plots of Time of flight that go on without it are among those for the expert"
                )
            ],
        ),
        (
            Totals(filled=4, lacking=Counter(kl=4)),
            ["Run 6008 is not calibrated for Calorimeter in 4 of 4 spills: its conditions have no table for it"],
        ),
        (
            Totals(filled=4, detectors=HITS, errors=Counter({"tof calibration": 3})),
            [
                "The calibration of Time of flight does not fit run 6008: in 3 of 4 spills no pixel can have triggered",
            ],
        ),
        (
            Totals(filled=4, detectors=HITS),
            [
                (
                    "Run 6008 has slab hits of TOF in plenty and not one space point: "
                    "its calibration is of another time, or the trigger's cables were changed"
                ),
            ],
        ),
    ],
)
def test_a_calibration_that_is_not_there_or_does_not_fit_is_one_sentence(totals: Totals, said: list[str]) -> None:
    assert calibration_warnings(6008, totals) == said
