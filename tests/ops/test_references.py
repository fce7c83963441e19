"""spilldeck references: histograms of the old system's files are kept as they are, or refused with a sentence."""

import hashlib
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import boost_histogram as bh
import numpy as np
import pytest
import uproot
from uproot.writing.identify import to_writable

from ops.references import MEMORY, read_root
from streams.errors import UsageError
from tests.ops.conftest import Spilldeck, assert_one_sentence

RNG = np.random.default_rng(15)
Doubles = bh.Histogram[bh.storage.Double]


def filled(bins: int, low: float, high: float, values: Any) -> Doubles:
    return bh.Histogram(bh.axis.Regular(bins, low, high)).fill(values)


def squares(bins: int, values: Any) -> Doubles:
    axis = bh.axis.Regular(bins, -0.5, bins - 0.5)
    return bh.Histogram(axis, axis).fill(values, values)


OF_OLD: dict[str, Doubles] = {
    "ht01": filled(200, 20, 40, RNG.normal(28, 3, 500)),
    "ht12": filled(200, 0, 20, RNG.normal(8, 1, 400)),
    "hspxy_1": squares(7, [0, 3, 3, 6, 9]),
    "canvas_counter": filled(2, 0, 1, [0]),
}
"""As a TOF file of before 2013 had them, and one that is no plot of ours."""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"SPILLDECK_DASHBOARD__REFERENCES": str(tmp_path / "kept")}


def written(path: Path, histograms: dict[str, Any]) -> Path:
    with uproot.recreate(path) as file:
        for name, histogram in histograms.items():
            file[name] = histogram
    return path


def with_object(path: Path, kind: str, raw: bytes = b"") -> Path:
    """Write a file in which ``ht01`` is of a class that cannot be compared with, or is not what it says."""
    with uproot.recreate(path) as file:
        raw = raw or to_writable(OF_OLD["ht01"]).serialize(name="ht01")
        file._cascading.add_object(file._file.sink, kind, "ht01", "", raw, len(raw))
    return path


def test_the_old_systems_histograms_are_kept_listed_and_removed(
    spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path
) -> None:
    file = written(tmp_path / "tof.root", OF_OLD)
    done = spilldeck_here("references", "import", file, env=env)
    assert (done.returncode, done.stdout) == (0, "tof.root: ht01, ht12, hspxy_1\n")
    assert "ht12 has other bins" in done.stderr
    assert "200 [0, 20], usual 200 [25, 45]" in done.stderr
    (kept,) = json.loads(spilldeck_here("references", "list", "--json", env=env).stdout)
    assert (kept["name"], kept["sha256"]) == ("tof.root", hashlib.sha256(file.read_bytes()).hexdigest())
    assert kept["entries"] == {"ht01": 500, "ht12": 400, "hspxy_1": 5}
    assert "tof.root" in spilldeck_here("references", "list", env=env).stdout
    assert spilldeck_here("references", "remove", "tof.root", env=env).returncode == 0
    assert "There are no references" in spilldeck_here("references", "list", env=env).stdout
    line = assert_one_sentence(spilldeck_here("references", "remove", "tof.root", env=env), 2)
    assert "no reference tof.root" in line


def test_every_count_is_kept_also_outside_the_axes(tmp_path: Path) -> None:
    read = read_root(written(tmp_path / "tof.root", OF_OLD), {})
    for name, histogram in read.histograms.items():
        assert np.array_equal(histogram.view(flow=True), OF_OLD[name].view(flow=True))
        assert all(np.allclose(a.edges, b.edges) for a, b in zip(histogram.axes, OF_OLD[name].axes, strict=True))
    assert read.histograms["hspxy_1"].view(flow=True)[-1, -1] == 1


def test_names_of_the_file_are_mapped_to_ours_also_in_a_directory_of_it(
    spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path
) -> None:
    adc = filled(100, 0, 5000, [1100, 1200])
    file = written(tmp_path / "kl.root", {"ADC": adc, "run/product": adc, "h3": filled(21, -0.5, 20.5, [4])})
    done = spilldeck_here("references", "import", file, "--map", "ADC=h1", "--map", "run/product=h2", env=env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "kl.root: h3, h1, h2\n", "")
    done = spilldeck_here("references", "import", file, "--map", "ADC=h2", env=env)
    assert done.stdout == "kl.root: h3, h2, in place of the one before\n"
    for pairs, said in (
        (["ADC"], "--map ADC: a name in the file, =,"),
        (["ADC=h1", "ADC=h2"], "--map names ADC twice"),
        (["ADC=h1", "run/product=h1"], "the plot h1 can have one histogram of the file"),
        (["ADC=h99"], "there is no plot h99"),
        (["nothing=h1"], "it has no nothing, but ADC, run, h3"),
    ):
        wrong = [part for pair in pairs for part in ("--map", pair)]
        assert said in assert_one_sentence(spilldeck_here("references", "import", file, *wrong, env=env), 2)


def scaled(by: float) -> Doubles:
    return OF_OLD["ht01"] * by  # type: ignore[no-any-return]


def replaced(value: float) -> Doubles:
    copy = OF_OLD["ht01"].copy()
    copy.view(flow=True)[3] = value
    return copy


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "no ROOT": (lambda path: path.write_bytes(b"PK\x03\x04" * 100), "cannot be read as a file of ROOT"),
    "nothing in it": (lambda path: path.write_bytes(b""), "cannot be read as a file of ROOT"),
    "not there": (lambda _: None, "No such file"),
    "a directory": (lambda path: path.mkdir(), "Is a directory"),
    "no histogram of ours": (
        lambda path: written(path, {"hx": OF_OLD["ht01"]}),
        "no name in it is that of a plot of ours",
    ),
    "scaled": (
        lambda path: written(path, OF_OLD | {"ht02": scaled(0.5)} | {"ht01": scaled(0.5)}),
        "ht01 has bins with no",
    ),
    "negative": (
        lambda path: written(path, OF_OLD | {"ht01": replaced(-1)}),
        "ht01 has bins with less than no entries",
    ),
    "no number": (
        lambda path: written(path, OF_OLD | {"ht01": replaced(np.nan)}),
        "ht01 has bins with no whole number",
    ),
    "endless": (lambda path: written(path, OF_OLD | {"ht01": replaced(np.inf)}), "ht01 has bins with no whole number"),
    "two axes for one": (
        lambda path: written(path, {"ht01": squares(7, [1])}),
        "ht01 is a TH2D, and ht01 a histogram of 1",
    ),
    "one axis for two": (lambda path: written(path, {"hspxy_0": OF_OLD["ht01"]}), "hspxy_0 is a TH1D"),
    "a TH2Poly": (lambda path: with_object(path, "TH2Poly"), "ht01 is a TH2Poly"),
    "a TProfile": (lambda path: with_object(path, "TProfile"), "ht01 is a TProfile"),
    "another content": (lambda path: with_object(path, "TH1D", b"nonsense" * 99), "cannot be read as a file of ROOT"),
    "a cut one": (lambda path: path.write_bytes(written(path, OF_OLD).read_bytes()[:-1]), "it is cut short, "),
}


@pytest.mark.parametrize(("write", "said"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_refused_by_name_and_nothing_of_it_is_kept(
    spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path, write: Callable[[Path], object], said: str
) -> None:
    before = written(tmp_path / "tof.root", OF_OLD)
    assert spilldeck_here("references", "import", before, env=env).returncode == 0
    kept = {file.name: file.read_bytes() for file in (tmp_path / "kept").iterdir()}
    before.unlink()
    write(before)
    assert said in assert_one_sentence(spilldeck_here("references", "import", before, env=env), 2)
    assert {file.name: file.read_bytes() for file in (tmp_path / "kept").iterdir()} == kept


def test_a_file_that_expands_to_far_more_than_it_says_is_refused(tmp_path: Path) -> None:
    zeros, of_block = zlib.compress(bytes(2 * MEMORY), 1), 1 << 20
    with uproot.recreate(tmp_path / "tof.root") as file:
        head = b"ZL\x08" + len(zeros).to_bytes(3, "little") + of_block.to_bytes(3, "little")
        file._cascading.add_object(file._file.sink, "TH1D", "ht01", "", head + zeros, of_block)
    with pytest.raises(UsageError, match="MemoryError"):
        read_root(tmp_path / "tof.root", {})


@pytest.mark.parametrize("name", ["two words.root", "a&run=1.root", "<b>.root", "ä.root"])
def test_a_name_that_no_address_can_have_is_refused(
    spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path, name: str
) -> None:
    file = written(tmp_path / name, OF_OLD)
    assert "cannot be a reference's name" in assert_one_sentence(
        spilldeck_here("references", "import", file, env=env), 2
    )


def test_every_cut_file_is_refused_and_a_damaged_one_gives_counts_or_a_sentence(tmp_path: Path) -> None:
    whole = written(tmp_path / "tof.root", OF_OLD).read_bytes()
    file = tmp_path / "damaged.root"
    read = 0
    for place in range(0, len(whole), max(1, len(whole) // 150)):
        file.write_bytes(whole[:place])
        with pytest.raises(UsageError):
            read_root(file, {})
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(UsageError):
            found = read_root(file, {}).histograms
            assert all((each.view(flow=True) >= 0).all() for each in found.values())
            read += 1
    assert read  # where the damage is in what we do not read


def test_a_reference_that_somebody_damaged_is_said_and_can_be_removed(
    spilldeck_here: Spilldeck, env: dict[str, str], tmp_path: Path
) -> None:
    for name in ("tof.root", "kl.root"):
        spilldeck_here("references", "import", written(tmp_path / name, OF_OLD), env=env)
    (tmp_path / "kept" / "kl.root.json").write_text("{}")
    done = spilldeck_here("references", "list", "--json", env=env)
    assert (done.returncode, [one["name"] for one in json.loads(done.stdout)]) == (1, ["tof.root"])
    assert "the reference kl.root cannot be read" in done.stderr
    assert spilldeck_here("references", "remove", "kl.root", env=env).returncode == 0
    assert spilldeck_here("references", "list", env=env).returncode == 0
