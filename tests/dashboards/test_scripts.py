"""The scripts of others that lie in the package."""

import gzip

from plotly.offline import get_plotlyjs_version

from dashboards.make import FigureCache
from dashboards.scripts import PLOTLY
from tests.catalogue import PLOTS, TRENDS
from tests.dashboards.views import run_book, view


def test_the_plotly_of_the_package_is_of_the_version_that_the_figures_are_made_for() -> None:
    assert f'version="{get_plotlyjs_version()}"' in gzip.decompress(PLOTLY.read_bytes()).decode()


def test_every_figure_is_of_what_that_plotly_can_draw() -> None:
    make = FigureCache().maker(view(run_book()), "light")
    kinds = {each["type"] for name in (*PLOTS, *TRENDS) for each in make(name)["data"]}
    assert kinds == {"scatter", "heatmap"}
