"""Whatever is wrong in one board, the detectors that do not read it count as if it were not."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import RawSpill
from streams.date.fragments import Equipment, equipments, fragments
from streams.date.framing import EventType, read_header
from streams.experiments.mice.boards import BOARD_NAMES, DBB, V977, V1290, V1724, V1731, VLSB
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.run import SimulatedSpill
from streams.reconstruct import reconstruct
from tests.lanes import first

RUN = SimulatedRun(spills=4, mean_triggers=6)
assert RUN.conditions is not None
READ_OUT = RUN.conditions.read_out


@cache
def simulated() -> SimulatedSpill:
    return RUN.spill(2)


def spill() -> RawSpill:
    return simulated().raw


@cache
def boards() -> list[Equipment]:
    """Return the boards of the physics event that have words."""
    payload, at, found = memoryview(spill().payload), 0, []
    while at < len(payload):
        header = read_header(payload, at)
        if header.type is EventType.PHYSICS:
            parts = fragments(payload, at, header)
            found = [one for part in parts for one in equipments(payload, part, BOARD_NAMES)]
        at += header.size
    return [one for one in found if len(one.words) and one.type in BOARD_NAMES and one.type != V977]


@cache
def whole() -> dict[str, dict]:
    record = reconstruct(spill(), RUN.conditions)
    assert record.errors == {}
    return {name: detector.tables() for name, detector in record.detectors.items()}


def check(board: Equipment, words: bytes) -> None:
    """Compare a spill in which a board has these words, as many as before, with the whole one."""
    payload = bytearray(spill().payload)
    payload[board.at : board.at + len(words)] = words
    raw = RawSpill(**{**vars_of(spill()), "payload": bytes(payload)})
    record = reconstruct(raw, RUN.conditions)
    assert record.rejection is None
    assert record.triggers == len(simulated().particles)
    readers = READ_OUT.readers(board.type, board.ldc, board.number)
    assert readers
    assert set(record.errors) <= readers | {"raw"}
    for name in whole().keys() - readers - {"raw"}:
        for kind, table in whole()[name].items():
            assert table.equal(record.detectors[name].tables()[kind]), f"{name} {kind}"


def vars_of(raw: RawSpill) -> dict:
    return {name: getattr(raw, name) for name in raw.__dataclass_fields__}


def names() -> list[str]:
    return [f"{one.type}/{one.ldc}/{one.number}" for one in boards()]


@pytest.mark.parametrize("at", range(len(names())), ids=names())
def test_a_board_whose_words_are_all_set_costs_its_own_detectors_alone(at: int) -> None:
    board = boards()[at]
    check(board, b"\xff" * 4 * len(board.words))


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, len(names()) - 1), data=st.data())
def test_a_board_with_any_bits_flipped_costs_its_own_detectors_alone(at: int, data: st.DataObject) -> None:
    board = boards()[at]
    words = bytearray(board.words.tobytes())
    flips = st.tuples(st.integers(0, len(words) - 1), st.integers(1, 255))
    for byte, bits in data.draw(st.lists(flips, min_size=1, max_size=8)):
        words[byte] ^= bits
    check(board, bytes(words))


@pytest.mark.parametrize("kind", first([102, 120, 2**31, 103, 121, 131, 101, 110, 200], 3))
def test_a_board_that_tells_another_type_is_missed_by_the_detectors_that_read_it(kind: int) -> None:
    counted = (V1290, V1724, V1731, DBB, VLSB)
    for board in (each for each in boards() if each.type in counted and each.type != kind):
        if kind == V977 and len(board.words) == 1:
            continue  # it has become a trigger receiver, and nothing tells that it was none
        payload = bytearray(spill().payload)
        payload[board.at - 24 : board.at - 20] = kind.to_bytes(4, "little")
        record = reconstruct(RawSpill(**{**vars_of(spill()), "payload": bytes(payload)}), RUN.conditions)
        assert record.rejection is None
        readers = READ_OUT.readers(board.type, board.ldc, board.number)
        for name in whole().keys() - {"raw"}:
            if name in readers:
                assert name in record.errors or name not in record.detectors, f"{board.name}: {name}"
            elif kind <= 200:  # else nothing of the LDC can be told apart
                assert name not in record.errors, f"{board.name}: {record.errors[name]}"
                for table in whole()[name]:
                    assert whole()[name][table].equal(record.detectors[name].tables()[table]), f"{name} {table}"
