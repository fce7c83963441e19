"""The list of plots in the documentation is that of the catalogue."""

import runpy

from tests.conftest import PROJECT


def test_the_list_of_plots_is_what_the_catalogue_makes() -> None:
    made = runpy.run_path(str(PROJECT / "docs" / "write_plots.py"))
    assert made["PLOTS_MD"].read_text() == made["text"](), "run docs/write_plots.py"
