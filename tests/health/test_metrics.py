"""Every metric has a unit, words and its labels in advance; what nobody knows is absent."""

import re
from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from schemas.records import ActionKind
from streams import metrics, transform
from streams.metrics import FIGURES, Part, Value
from tests.conftest import PROJECT

UNITS = ("seconds", "bytes", "messages", "spills", "pages", "runs")
WITHOUT = {"spilldeck_info", "spilldeck_ready", "spilldeck_run", "spilldeck_run_ended", "spilldeck_worker_run"}
"""Numbers of no unit."""
COUNTS = ("_total", "partitions", "repairs", "watchers", "active", "waiting", "standing", "chattering", "made_again")
"""Of what is counted the name says what it is."""


def told(part: Part) -> dict[str, str]:
    """Return the names of a part's metrics, with their help, but for those of the process."""
    families = text_string_to_metric_families(metrics.scraped(part).decode())
    counted = {f"{each.name}_total" if each.type == "counter" else each.name: each.documentation for each in families}
    figures = {each.name: each.help for each in FIGURES[part]}
    return {name: words for name, words in (counted | figures).items() if name.startswith("spilldeck_")}


ALL = {name: words for part in Part for name, words in told(part).items()}


@pytest.mark.parametrize("name", ALL)
def test_each_has_words_and_a_unit_or_says_what_is_counted(name: str) -> None:
    assert re.fullmatch(r"spilldeck_[a-z_]+", name)
    assert ALL[name].endswith(".")
    assert name in WITHOUT or name.endswith(COUNTS) or any(unit in name.split("_") for unit in (*UNITS, "minutes"))


def test_counters_have_their_labels_before_anything_happened() -> None:
    workers, page = metrics.scraped(Part.WORKER).decode(), metrics.scraped(Part.PAGE).decode()
    for step in (transform.ENVELOPE, transform.FAULT, transform.CONFLICT, "framing", "unpack", "json", "other"):
        assert f'spilldeck_worker_spills_rejected_total{{step="{step}"}} ' in workers
    assert "spilldeck_worker_checkpoints_refused_total " in workers
    for kind in ActionKind:
        assert f'spilldeck_actions_total{{kind="{kind}"}} ' in page
    for way in ("webhook", "mail"):
        assert f'spilldeck_alarms_not_told_total{{way="{way}"}} ' in metrics.scraped(Part.ALARMS).decode()


def test_a_step_of_an_experiments_own_makes_no_series_of_its_own() -> None:
    before = metrics.total(Part.WORKER, "spilldeck_worker_spills_rejected_total", step="other")
    for number in range(3):
        metrics.rejected(f"step {number} of somebody's")
    assert metrics.total(Part.WORKER, "spilldeck_worker_spills_rejected_total", step="other") == before + 3
    assert "somebody" not in metrics.scraped(Part.WORKER).decode()


def test_what_nobody_knows_is_absent() -> None:
    def figures() -> Iterable[Value]:
        yield Value(metrics.REPLAY_READ, 3)
        yield Value(metrics.REPLAY_OF, None)

    metrics.tell(Part.REPLAY, figures)
    scraped = metrics.scraped(Part.REPLAY).decode()
    assert "\nspilldeck_replay_read_messages 3.0\n" in scraped
    assert not re.search(r"^spilldeck_replay_of_messages", scraped, re.MULTILINE)
    assert "NaN" not in scraped


def test_the_page_for_operators_has_each_with_its_words_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(spilldeck_[a-z_]+)[^|]*\| (.*) \|$", (PROJECT / "docs/operations.md").read_text(), re.MULTILINE
    )
    assert dict(rows) == {name: words.replace("|", "/") for name, words in ALL.items()}
