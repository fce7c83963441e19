"""Which scripts the page takes."""

from pathlib import Path

import pytest

from dashboards.scripts import PLOTLY, REGENERATOR, get_plotlyjs_version, plotly_file


@pytest.mark.parametrize("there", [None, b"damaged"])
def test_without_the_pinned_file_the_page_takes_plotly_whole(
    there: bytes | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if there is not None:
        (tmp_path / "spilldeck").mkdir()
        (tmp_path / "spilldeck" / f"{PLOTLY.package}-{PLOTLY.version}.js").write_bytes(there)
    assert plotly_file().name == "plotly.min.js"
    assert plotly_file().is_file()
    assert REGENERATOR.file is None


def test_the_pinned_file_is_of_the_version_that_the_package_draws_with() -> None:
    assert get_plotlyjs_version() == PLOTLY.version
