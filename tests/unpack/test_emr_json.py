"""The EMR's branch of JSON documents, which is an object."""

import json
import re

import numpy as np
import pytest

from schemas.records import MISSING
from streams.conditions.store import ConditionsStore
from streams.experiments.mice.boards import V1731
from streams.experiments.mice.simulator import SimulatedRun
from streams.experiments.mice.simulator.spill_json import document
from streams.experiments.mice.unpack.date import unpack_date
from streams.experiments.mice.unpack.spill_json import unpack_json

ORDER = ("channel", "trigger", "geo", "ldc", "equipment")
BOARD = {"ldc_id": 2, "geo": 40, "spill_number": 3, "spill_width": 9, "trigger_count": 0, "hit_count": 0}
PULSE = {"ldc_id": 2, "geo": 5, "channel": 7, "charge_mm": 9, "charge_pm": 8, "pedestal": 144, "pulse_area": 120}
PULSE |= {"position_min": 9, "position_max": 8, "arrival_time": 7}


def unpack(emr, **daq):
    return unpack_json(json.dumps({"daq_data": {"trigger": [None], "emr": emr, **daq}}).encode())


def rows(table):
    return list(zip(*(column.tolist() for column in vars(table).values()), strict=True))


def test_boards_hits_and_triggers_become_columns():
    hits = [{"channel": 60, "l_time": 5, "t_time": 9}, {"channel": 2, "l_time": 7}]
    emr = {"dbb": [BOARD | {"hits": hits, "triggers": [{"l_time": 230, "t_time": 250}]}, BOARD | {"geo": 0}]}
    found = unpack(emr)
    assert rows(found.dbb_spills) == [(2, 0, 3, 9, 0, 0), (2, 40, 3, 9, 0, 0)]
    assert rows(found.dbb_hits) == [(2, 40, 2, 7, MISSING), (2, 40, 4, 230, 250), (2, 40, 60, 5, 9)]
    assert found.skipped == {}


def test_the_old_spelling_of_the_spill_number_is_read():
    board = {("spill_num" if key == "spill_number" else key): value for key, value in BOARD.items()}
    assert unpack({"dbb": [board]}).dbb_spills.spill_number.tolist() == [3]


def test_its_pulses_are_those_of_any_detector():
    found = unpack({"V1731": [[PULSE]]}, ckov=[{"V1731": [PULSE | {"geo": 9}]}])
    assert (found.fadc.equipment.tolist(), found.fadc.geo.tolist()) == ([V1731, V1731], [5, 9])
    assert found.fadc.pulse_area.tolist() == [120, 120]
    assert len(unpack({"V1731": [None], "dbb": None}).fadc) == 0
    assert unpack_json(json.dumps({"daq_data": {"emr": {"V1731": [[], [PULSE]]}}}).encode()).triggers == 2


@pytest.mark.parametrize(
    ("emr", "reason"),
    [
        ({"dbb": 3}, "dbb of emr is no list of objects"),
        ({"dbb": [3]}, "dbb of emr is no list of objects"),
        ({"dbb": [BOARD | {"hits": {}}]}, "hits of DBB 40 is no list of objects"),
        ({"dbb": [BOARD | {"triggers": [[]]}]}, "triggers of DBB 40 is no list of objects"),
        ({"dbb": [BOARD, BOARD]}, "DBB 40 comes twice"),
        ({"dbb": [BOARD | {"geo": 64}]}, "geo is 64"),
        ({"dbb": [BOARD | {"ldc_id": 8}]}, "ldc_id is 8"),
        ({"dbb": [BOARD | {"trigger_count": 1024}]}, "trigger_count is 1024"),
        ({"dbb": [{"ldc_id": 2, "geo": 1}]}, "there is no spill_number or spill_num, but ldc_id, geo"),
        ({"dbb": [{"ldc_id": 2, "dbb": 1}]}, "there is no geo or dbb_id, but ldc_id, dbb"),
        ({"dbb": [BOARD | {"hits": [{"l_time": 4}]}]}, "there is no channel, but l_time"),
        ({"dbb": [BOARD | {"hits": [{"channel": 4, "lead": 4}]}]}, "there is no l_time or .*, but channel, lead"),
        ({"dbb": [BOARD | {"hit_count": 1, "dbb_hit": []}]}, "there is no hits or dbb_hits, but .*dbb_hit"),
        ({"dbb": [BOARD | {"trigger_count": 1}]}, "there is no triggers or dbb_triggers, but"),
        ({"dbbs": []}, "unknown key dbbs of emr"),
        ({"dbb": [BOARD | {"hits": [{"channel": 64}]}]}, "channel is 64"),
        (
            {"dbb": [BOARD | {"hits": [{"channel": 4, "l_time": 4, "trailing_time": 9}]}]},
            "there is no t_time or trailing_edge_time, but channel, l_time, trailing_time",
        ),
        ({"dbb": [BOARD | {"hits": [{"channel": 1, "l_time": 2**22}]}]}, "l_time is 4194304"),
        ({"dbb": [BOARD | {"hits": [{"channel": 1, "t_time": -1}]}]}, "t_time is -1"),
        ({"dbb": [BOARD | {"hits": [{"channel": 1, "t_time": None}]}]}, "t_time is None"),
        ({"V1731": {}}, "V1731 of emr is a dict, not a list of particle events"),
        ({"V1731": [3]}, "no list of hits"),
        ({"V1731": [None, None]}, "trigger mismatch: emr has 2 particle events, not 1"),
    ],
)
def test_shapes_and_numbers_that_cannot_be_fail_the_ranger_alone(emr, reason):
    found = unpack(emr, kl=[{"V1724": [PULSE]}])
    assert found.failed.keys() == {"emr", "raw"}
    assert re.search(reason, found.failed["emr"].reason), found.failed
    assert (found.triggers, len(found.fadc), len(found.dbb_hits)) == (1, 1, 0)


def test_boards_hits_and_triggers_are_read_as_files_spell_them():
    """Files of the experiment have other keys than the documentation of its unpacker."""
    hits = [{"channel": 60, "leading_edge_time": 5, "trailing_edge_time": 9, "geo": 7, "ldc": 2}]
    triggers = [{"channel": 4, "leading_edge_time": 230, "trailing_edge_time": 250, "geo": 7, "ldc": 2}]
    board = {key: value for key, value in BOARD.items() if key != "geo"} | {"dbb_id": 7}
    found = unpack({"dbb": [board | {"dbb_hits": hits, "dbb_triggers": triggers}]})
    assert found.failed == {}
    assert rows(found.dbb_spills) == [(2, 7, 3, 9, 0, 0)]
    assert rows(found.dbb_hits) == [(2, 7, 4, 230, 250), (2, 7, 60, 5, 9)]


def test_a_simulated_spill_as_json_gives_the_columns_of_its_date_bytes():
    raw = SimulatedRun(mean_triggers=8).spill(2).raw
    hits = unpack_date(raw.payload)
    written = json.dumps(document(hits, raw, ConditionsStore([]).for_run(raw.run).detectors)).encode()
    found = unpack_json(written)
    assert len(hits.dbb_hits) > 500
    assert found.dbb_hits.equal(hits.dbb_hits)
    assert found.dbb_spills.equal(hits.dbb_spills)
    assert found.fadc.equal(hits.fadc.rows(np.lexsort([getattr(hits.fadc, n) for n in ORDER])))
