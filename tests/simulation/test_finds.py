"""The simulation finds what it is to find: with a mend taken out, one of a few seeds goes wrong."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import pytest

from streams.agents import repairs
from streams.books.kafka_log import KafkaLog
from streams.books.mending import Mending
from streams.books.run import Admission, RunPart
from streams.books.stored import PartitionState
from streams.books.totals import Totals
from tests.simulation.faults import KINDS
from tests.simulation.simulation import simulate

_admit, _with_loss, _from_json = RunPart._admit, KafkaLog.with_loss, Totals.from_json


def _admit_conflicts(part: RunPart, *arguments: Any) -> Admission | None:
    admission = _admit(part, *arguments)
    return Admission.DUPLICATE if admission is Admission.CONFLICT else admission


async def _make_again_whatever_kafka_has(mending: Mending, known: Any, damage: Any) -> None:
    known.parts.forget(damage.run)
    await mending._set_aside(known, damage)


def _forget_what_is_unknown(values: dict[str, Any]) -> Totals:
    totals = _from_json(values)
    totals.unknown = {}
    return totals


def _say_nothing_of_holes(log: KafkaLog, partition: int, state: PartitionState, what: str) -> PartitionState:
    return state if what.endswith("were gone when needed") else _with_loss(log, partition, state, what)


MENDS = {
    "a spill on which the code fails ends nothing": (
        patch.object(RunPart, "count", RunPart._count),
        ["kill_the_producer"],
        "ended: OverflowError",
    ),
    "what another release says of a run is kept": (
        patch.object(Totals, "from_json", _forget_what_is_unknown),
        ["another_release_counts"],
        "what another release said of it is gone",
    ),
    "what Kafka cannot give back stays": (
        patch.object(Mending, "_mend", _make_again_whatever_kafka_has),
        ["flip_a_bit", "remove_old_messages"],
        "Kafka cannot give them back",
    ),
    "of two spills of one number the first counts and the other is rejected": (
        patch.object(RunPart, "_admit", _admit_conflicts),
        ["kill_the_producer"],
        "duplicates is",
    ),
    "what Kafka removed before it was counted is said": (
        patch.object(KafkaLog, "with_loss", _say_nothing_of_holes),
        ["remove_what_nobody_counted"],
        "was never counted, and nobody says so",
    ),
    "the newest run is made again first": (
        patch.object(repairs, "max", min, create=True),
        ["empty_redis"],
        "were made again before it",
    ),
}
"""What holds → what takes that away, the harm that it takes then, and what the simulation says."""
SEEDS, HOURS = range(7, 11), 1 / 3


@pytest.mark.parametrize("holds", MENDS)
def test_a_mend_that_is_taken_out_is_missed(holds: str) -> None:
    broken, kinds, says = MENDS[holds]
    assert any(says in what for what in _first_wrong(broken, kinds))


def _first_wrong(broken: AbstractContextManager[Any], kinds: Sequence[str]) -> list[str]:
    """Return what is wrong with the first of some seeds that goes wrong."""
    with broken:
        results = (simulate(seed, HOURS, {kind: KINDS[kind] for kind in kinds}) for seed in SEEDS)
        return next((result.wrong for result in results if result.wrong), [])
