"""The experiment's own files against what is known of them."""

import hashlib
import json
from collections import Counter
from datetime import datetime

import numpy as np
import pytest

from schemas.records import MISSING
from streams.date.fragments import equipments, fragments
from streams.date.framing import EQUIPPED, EventType, walk
from streams.experiments.mice.boards import BOARD_NAMES, V1290, V1724, V1731
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.spill_json import unpack_json

EVENT_NAMES = {EventType.PHYSICS: "physics_event"}


def name(kind):
    return EVENT_NAMES.get(kind, kind.name.lower())


@pytest.fixture(scope="module")
def expected(shared):
    return json.loads((shared / "expected/06008.json").read_text())


@pytest.fixture(scope="module")
def content(shared):
    return (shared / "data/06008.000").read_bytes()


@pytest.fixture(scope="module")
def spills(content):
    """The hits of the six spills, unpacked with the start and the end of their bursts."""
    events = list(walk(content))
    return [unpack_date(content[events[i].start : events[i + 2].stop]) for i in range(2, 20, 3)]


def test_events_of_run_6008_are_those_expected(content, expected):
    events = list(walk(content))
    assert (len(content), hashlib.md5(content).hexdigest()) == (expected["bytes"], expected["md5"])
    assert Counter(name(e.header.type) for e in events) == expected["types"]
    assert [e.header.run for e in events] == expected["runs"] * 22
    heads = [np.frombuffer(content, "<u4", 20, e.start) for e in events]
    assert {int(head[17]) for head in heads} == set(expected["gdcs"])
    assert {f"{head[3] >> 16}.{head[3] & 0xFFFF}" for head in heads} == set(expected["versions"])
    physics = [e.header for e in events if e.header.type is EventType.PHYSICS]
    for spill, header in enumerate(physics):
        assert header.number_in_run == spill
        assert header.size == expected["spills"][str(spill)]["size"]
        time_us = (datetime.fromisoformat(expected["spills"][str(spill)]["time"] + "+00:00")).timestamp() * 1e6
        assert header.time_us == round(time_us)


def test_the_equipment_table_of_run_6008_is_that_expected(content, expected):
    table = {}
    for event in walk(content):
        if event.header.type not in EQUIPPED:
            continue
        for fragment in fragments(memoryview(content), event.start, event.header):
            for one in equipments(memoryview(content), fragment, BOARD_NAMES):
                number = int.from_bytes(content[one.at - 20 : one.at - 16], "little")
                row = table.setdefault((name(event.header.type), one.ldc, one.type, number), [0, 0, 0])
                row[0] += 1
                row[1] += len(one.words) > 0
                row[2] += 4 * len(one.words)
    wanted = {
        (e["event"], e["ldc"], e["type"], e["id"]): [e["headers"], e["nonempty"], e["bytes"]] for e in expected["equip"]
    }
    assert table == wanted


def test_every_board_of_run_6008_is_as_expected(spills, expected):
    numbers = {"V1290": V1290, "V1724": V1724, "V1731": V1731}
    for spill, hits in enumerate(spills):
        for board, wanted in expected["spills"][str(spill)]["boards"].items():
            kind, geo = board.split("/")
            if kind == "TRIGGER":
                assert [f"{hits.trigger_words[1]:08x}"] == wanted["words"]
                continue
            events = hits.boards.rows((hits.boards.equipment == numbers[kind]) & (hits.boards.geo == int(geo)))
            assert events.trigger.tolist() == list(range(wanted["events"]))
            assert set(events.ldc.tolist()) == set(expected["ldcs"])
            if kind == "V1290":
                assert [events.event_counter[0], events.event_counter[-1]] == wanted["evrange"]
                assert [events.time_tag[0], events.time_tag[-1]] == wanted["ttt"]
                tdc = hits.tdc.rows(hits.tdc.geo == int(geo))
                assert Counter(map(str, tdc.channel.tolist())) == wanted["lead"]
                assert (tdc.trailing_time != MISSING).sum() == wanted["trail"]
            elif kind == "V1724":
                assert (hits.fadc.equipment == V1724).sum() == wanted["samples"] == 0
            else:
                waves = np.stack([hits.samples[1, int(geo), channel] for channel in range(8)])
                assert (waves.size, waves.min(), waves.max()) == (wanted["samples"], wanted["min"], wanted["max"])
                means = {str(channel): round(float(waves[channel].mean()), 2) for channel in range(8)}
                assert means == wanted["mean"]


def test_totals_and_first_values_of_run_6008_are_those_known(spills):
    assert sum(hits.triggers for hits in spills) == 882
    assert sum(len(hits.tdc) for hits in spills) == 7056
    assert sum(wave.size for hits in spills for wave in hits.samples.values()) == 1_806_336
    assert [hits.trigger_words for hits in spills] == [(0x00200030, 0x00020033, 0x008000F3)] * 6
    assert all(hits.skipped == {} and hits.scalers == {} for hits in spills)
    first = spills[0]
    assert first.boards.rows(slice(0, 2)).bunch_id.tolist() == [185, 994]
    assert first.boards.rows(slice(0, 2)).time_tag.tolist() == [20742703, 20742729]
    assert first.tdc.rows(slice(0, 4)).leading_time.tolist() == [216838, 216776, 1044625, 1044563]


def test_raw_counts_of_run_2873_are_those_expected(shared):
    expected = json.loads((shared / "expected/02873-spill0.json").read_text())
    hits = unpack_json((shared / "data/02873-spill0.json").read_bytes())
    cabling = (shared / "data/mice-conditions/DAQChannelMap_preRun6541.txt").read_text().split("\n")
    rows = [row.split() for row in cabling if row.startswith("DAQChannelKey")]
    detectors = {tuple(map(int, row[1:5])): row[5] for row in rows}
    counts = {}
    for board, equipment, table in (
        ("V1290", np.full(len(hits.tdc), V1290), hits.tdc),
        ("V1724", hits.fadc.equipment, hits.fadc),
        ("V1731", hits.fadc.equipment, hits.fadc),
    ):
        for address in zip(table.ldc.tolist(), table.geo.tolist(), table.channel.tolist(), equipment, strict=True):
            if address[3] == {"V1290": V1290, "V1724": V1724, "V1731": V1731}[board]:
                of_detector = counts.setdefault(detectors.get(address, "unknown"), Counter())
                of_detector[board] += 1
    assert counts == expected["raw_counts"]
    assert hits.triggers == expected["n_particle_events"]
    board = expected["V830"]
    wanted = [board["channels"][f"ch{channel}"] for channel in range(32)]
    assert {place: counts.tolist() for place, counts in hits.scalers.items()} == {
        (board["ldc_id"], board["geo"]): wanted
    }
