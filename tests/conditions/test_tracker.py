import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from streams.conditions.store import ConditionsStore, table_text
from streams.errors import UsageError
from streams.experiments.mice.conditions.tracker import CHANNELS, TrackerChannels, read_channels
from tests.conftest import PROJECT

MAP = "9 2 17 1 4 2 211 0 6 1\n"
ENTRY = {"bank": 38, "channel": 17, "adc_pedestal": 20.5, "adc_gain": 9.5, "tdc_pedestal": 0.0, "tdc_gain": 0.0}


def read(mapping: str = MAP, calibration: object = (ENTRY,), bad: str | None = None) -> TrackerChannels | None:
    text = calibration if isinstance(calibration, str) else json.dumps(calibration)
    tables = {"scifi_mapping": (Path("map"), mapping), "scifi_calibration": (Path("calibration"), text)}
    return read_channels(tables | ({} if bad is None else {"scifi_bad_channels": (Path("bad"), bad)}))


def test_a_channel_of_a_board_has_its_fibres_and_calibration() -> None:
    found = read(bad="38 18\n")
    assert found is not None
    assert found.fibres[38, 17] == ((1 * 5 + 3) * 3 + 2) * CHANNELS + 211
    assert (found.fibres >= 0).sum() == 1
    assert (found.pedestal[38, 17], found.gain[38, 17]) == (20.5, 9.5)
    assert (found.good[38, 17], found.good[38, 18], found.good.sum()) == (True, False, 64 * 128 - 1)


def test_without_bad_channels_all_are_good_and_one_table_alone_is_none() -> None:
    found = read()
    assert found is not None
    assert found.good.all()
    assert read_channels({"scifi_mapping": (Path("map"), MAP)}) is None


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"mapping": "16 2 17 1 4 2 211 0 6 1"}, "map, line 1: word 1 is '16'"),
        ({"mapping": "9 4 17 1 4 2 211 0 6 1"}, "word 2 is '4'"),
        ({"mapping": "9 2 17 1 0 2 211 0 6 1"}, "word 5 is '0', not a whole number from 1 to 5"),
        ({"mapping": "9 2 17 1 4 2 214 0 6 1"}, "word 7 is '214'"),
        ({"mapping": MAP + "9 2 17 1 4 2 210 0 6 1"}, "line 2: channel 17 of bank 38 is cabled already"),
        ({"mapping": MAP + "9 2 18 1 4 2 211 0 6 1"}, "line 2: the channel of the plane is cabled already"),
        ({"bad": "64 0"}, "bad, line 1: word 1 is '64'"),
        ({"calibration": "{"}, "calibration is no JSON"),
        ({"calibration": {}}, "calibration is no JSON list"),
        ({"calibration": []}, "calibration: there is no entry in it"),
        ({"calibration": [1]}, "calibration, entry 0 is no object"),
        ({"calibration": [ENTRY, ENTRY]}, "entry 1: channel 17 of bank 38 is calibrated already"),
        ({"calibration": [ENTRY | {"bank": 64}]}, "bank is 64, not a whole number from 0 to 63"),
        ({"calibration": [ENTRY | {"adc_gain": -1}]}, "the gain -1.0 is below 0"),
        ({"calibration": [ENTRY | {"adc_pedestal": None}]}, "adc_pedestal is None, not a number"),
        ({"calibration": [ENTRY | {"adc_gain": float("nan")}]}, "adc_gain is nan, not a number"),
        ({"calibration": [ENTRY | {"adc_gain": 10**400}]}, "adc_gain is 10{39}, not a number of ADC counts"),
    ],
)
def test_a_row_that_cannot_be_says_its_place(tables: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read(**tables)  # type: ignore[arg-type]


def test_a_compressed_table_is_unpacked_whole_or_refused(tmp_path: Path) -> None:
    packed = gzip.compress(MAP.encode(), mtime=0)
    assert table_text(tmp_path / "map.txt.gz", packed) == MAP
    for bytes_of_it in (packed[:-9], packed + b"1", packed + packed, b"", b"no gzip at all"):
        with pytest.raises(UsageError, match=r"map\.txt\.gz (cannot be unpacked|is cut)"):
            table_text(tmp_path / "map.txt.gz", bytes_of_it)
    with pytest.raises(UsageError, match="is cut, longer than"):
        table_text(tmp_path / "map.txt.gz", gzip.compress(b"0" * (65 << 20), mtime=0))


def test_the_digest_is_one_of_the_file_s_bytes(tmp_path: Path) -> None:
    index = tmp_path / "index.toml"
    index.write_text('[[table]]\nkind = "scifi_mapping"\nfile = "map.gz"\nfirst_run = 1\nlast_run = 9\n')
    digests = set()
    for packed_at in (1, 2):
        (tmp_path / "map.gz").write_bytes(gzip.compress(MAP.encode(), mtime=packed_at))
        found = ConditionsStore([(index, tmp_path)]).for_run(5)
        assert found is not None
        digests.add(found.digest)
    assert len(digests) == 2


def test_simulated_runs_have_all_channels_of_both_trackers() -> None:
    conditions = ConditionsStore([]).for_run(900001)
    assert conditions is not None
    found = conditions.tracker
    assert found is not None
    assert (found.fibres >= 0).sum() == 6400
    calibrated = found.gain > 0
    assert 0.99 < calibrated[found.fibres >= 0].mean() < 1
    assert 0.99 < found.good.mean() < 1


def test_the_experiment_cables_6400_channels_of_64_banks(shared: Path) -> None:
    index = PROJECT / "streams" / "experiments" / "mice" / "conditions" / "mice.toml"
    conditions = ConditionsStore([(index, shared / "data" / "mice-conditions")]).for_run(9000)
    assert conditions is not None
    found = conditions.tracker
    assert found is not None
    cabled = found.fibres >= 0
    assert (cabled.sum(), np.flatnonzero(cabled.any(axis=1)).size) == (6400, 60)
    assert (found.pedestal[0, 0], found.gain[0, 0]) == (26.41, 9.66)
    assert (found.gain == 0).sum() == 184
    assert (~found.good).sum() == 141
    plane, channel = np.divmod(found.fibres[cabled], CHANNELS)
    assert np.bincount(plane).tolist() == [214, 214, 212] * 10
    assert [int(channel[plane % 3 == p].max()) for p in range(3)] == [213, 213, 211]
