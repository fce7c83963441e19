"""What is sent to a browser that shows a figure already."""

from dashboards.callbacks import redrawn
from dashboards.figures.histograms import histogram_figure
from dashboards.figures.theme import LIGHT
from streams.plots.catalogue import PLOTS
from tests.dashboards.views import run_book


def test_all_of_a_figure_is_sent_again_but_the_ranges_of_its_axes() -> None:
    stored = run_book().book["ht01"]
    figure = histogram_figure(PLOTS["ht01"], stored, when="now", theme=LIGHT, why_empty="")
    sent = {tuple(o["location"]): o["params"]["value"] for o in redrawn(figure).to_plotly_json()["operations"]}
    assert sent.pop(("data",)) == figure["data"]
    axes = {("layout", a, key): v for a in ("xaxis", "yaxis") for key, v in figure["layout"][a].items()}
    others = {("layout", key): v for key, v in figure["layout"].items() if key not in {"xaxis", "yaxis"}}
    assert sent == axes | others
    assert ("layout", "xaxis", "range") not in sent
