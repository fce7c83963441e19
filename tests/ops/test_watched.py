"""What a site sees of its parts from outside: metrics, /live, /ready, logs; and the rules and graphs made of them."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ops.stack import LocalStack
from ops.topics import ensure_topics
from streams.books.connect import connect
from streams.books.reader import BookReader
from streams.experiments.mice.simulator import SimulatedRun
from streams.freshness import DAQ_SILENT_S, PIPELINE_STUCK_S
from streams.metrics import FIGURES, OTHER, STEPS, Part
from tests.conftest import PROJECT
from tests.ops.parts import OURS, Site, services, site
from tests.servers import settings_on
from tests.unreadable import no_board_can_be_read

MONITORING = PROJECT / "ops" / "monitoring"
RUN, SPILLS = 900_091, 12
FAULTS = ("duplicated_spills@3", *no_board_can_be_read("5", "tof"))
COUNTED = "spilldeck_worker_spills_counted"
CALLED = {"alarms": "watcher of alarms"}
COUNTS = {"SpilldeckPartitionBehind": 4, "SpilldeckAlarmsNotTold": 2, "SpilldeckKeeperFails": 2}
"""How many of an alert there are, where there is one for each value of a label."""

servers = pytest.mark.servers
pytestmark = pytest.mark.timeout(400)
"""The first test waits for all parts to begin."""


@pytest.fixture(scope="module")
def parts(stack: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Return a site that has counted a run which goes on, with a duplicate and a spill that is rejected."""
    settings = settings_on(stack)
    ensure_topics(settings)
    directory = tmp_path_factory.mktemp("site")
    run = SimulatedRun(run=RUN, spills=SPILLS, mean_triggers=3, detectors=("tof",)).with_faults(FAULTS)
    *records, _end = run.records()
    (directory / "run.000").write_bytes(b"".join(record.payload for record in records))
    with site(settings, directory) as running:
        # It answers that it is ready a moment before it says so.
        running.until("worker", "/live", lambda *_: '"ready"' in running.log("worker"))
        environment = services()["worker"]["environment"]
        running.start("producer", "produce", "run.000", "--follow", environment=environment)
        running.until("worker", "/metrics", lambda _, told: value(told, f"{COUNTED}_total") == SPILLS - 1)
        running.until("page", "/metrics", lambda _, told: value(told, "spilldeck_run") == RUN)
        running.until("alarms", "/metrics", lambda _, told: value(told, "spilldeck_run") == RUN)
        # Every ten seconds it says what became of the spills.
        running.until("worker", "/live", lambda *_: sum(became_of_spills(running)) >= SPILLS + 1)
        yield running


def lines_of(parts: Site, name: str) -> list[dict[str, Any]]:
    """Return the lines of a part's log that are whole."""
    return [json.loads(line) for line in parts.log(name).rpartition("\n")[0].splitlines()]


def became_of_spills(parts: Site) -> list[int]:
    """Return how many spills were counted, rejected and duplicates, as a worker's log has it."""
    spills = [each for each in lines_of(parts, "worker") if each["event"] == "spills"]
    return [sum(each[what] for each in spills) for what in ("counted", "rejected", "duplicates")]


def samples(told: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    families = text_string_to_metric_families(told)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


def value(told: str, name: str, **labels: str) -> float | None:
    return samples(told).get((name, frozenset(labels.items())))


def number(told: str, name: str) -> float:
    """Return what is told; it may be 0, and must be there."""
    its = value(told, name)
    assert its is not None, f"{name} is not told"
    return its


def metrics_of(parts: Site, name: str) -> str:
    status, told = parts.ask(name, "/metrics")
    assert status == 200
    return told


@servers
def test_the_numbers_of_a_worker_are_those_of_the_books(parts: Site) -> None:
    told = metrics_of(parts, "worker")
    rejected = {step: value(told, "spilldeck_worker_spills_rejected_total", step=step) for step in (*STEPS, OTHER)}
    with connect(parts.settings) as redis:
        totals = BookReader.of(redis, parts.settings).runs()[RUN]
    assert value(told, f"{COUNTED}_total") == totals.filled == SPILLS - 1
    assert value(told, "spilldeck_worker_spills_duplicate_total") == totals.duplicates == 1
    assert {step: count for step, count in rejected.items() if count} == dict(totals.rejected) == {"unpack": 1}
    assert value(told, "spilldeck_worker_delay_seconds_count") == totals.filled
    assert (value(told, "spilldeck_worker_checkpoint_seconds_count") or 0) > 0
    assert value(told, "spilldeck_worker_checkpoints_refused_total") == 0
    assert value(told, "spilldeck_worker_run") == RUN
    assert value(told, "spilldeck_worker_partitions") == 4
    lags = [value(told, "spilldeck_partition_lag_messages", partition=str(each)) for each in range(4)]
    assert lags == [0] * 4
    fresh = [value(told, "spilldeck_partition_freshness_seconds", partition=str(each)) for each in range(4)]
    assert all(each is not None and 0 < each <= time.time() - totals.first_ms / 1000 for each in fresh)


@servers
def test_page_and_watcher_tell_the_same_run_and_who_watches(parts: Site) -> None:
    with connect(parts.settings) as redis:
        last_ms = BookReader.of(redis, parts.settings).runs()[RUN].produced_ms
    for name in ("page", "alarms"):
        # It is not told while Kafka keeps a part waiting, as on a machine that is busy for a moment.
        told = parts.until(name, "/metrics", lambda _, its: value(its, "spilldeck_silence_seconds") is not None)
        assert value(told, "spilldeck_run") == RUN
        assert value(told, "spilldeck_run_ended") == 0
        assert value(told, "spilldeck_behind_messages") == 0
        assert 0 < number(told, "spilldeck_silence_seconds") <= time.time() - last_ms / 1000
        assert value(told, "spilldeck_alarms_watchers") == 1
        assert number(told, "spilldeck_alarms_watcher_silence_seconds") < 15
        assert value(told, "spilldeck_alarms_active", priority="low") is not None
    assert number(metrics_of(parts, "page"), "spilldeck_page_shown_age_seconds") < 15
    assert value(metrics_of(parts, "keeper"), "spilldeck_keeper_behind_runs") == 0
    produced = metrics_of(parts, "producer")
    assert value(produced, "spilldeck_producer_spills_total") == SPILLS + 1
    assert value(produced, "spilldeck_producer_waiting_messages") == 0


@servers
@pytest.mark.parametrize("name", [*OURS, "producer"])
def test_each_part_lives_is_ready_and_says_who_it_is(parts: Site, name: str) -> None:
    parts.until(name, "/ready", lambda status, _: status == 200)  # a server may have kept it waiting for a moment
    assert parts.ask(name, "/live") == (200, "lives\nthe loop turns\n")
    status, said = parts.ask(name, "/ready", Accept="application/json")
    assert (status, json.loads(said)["ready"]) == (200, True)
    told = samples(metrics_of(parts, name))
    ((_, labels),) = [key for key in told if key[0] == "spilldeck_info"]
    assert dict(labels) | {"version": ""} == {"part": name, "session": "live", "experiment": "mice", "version": ""}
    assert told["spilldeck_ready", frozenset()] == 1
    assert (told["process_resident_memory_bytes", frozenset()]) > 1e7


@servers
@pytest.mark.parametrize("name", [*OURS, "producer"])
def test_no_secret_is_in_what_a_part_tells_or_logs(parts: Site, name: str) -> None:
    redis = parts.settings.redis  # where its password is, depends on which servers there are
    secrets = {
        urlsplit(redis.url.get_secret_value()).password,
        redis.password.get_secret_value(),
        redis.sentinel_password.get_secret_value(),
        parts.settings.kafka.password.get_secret_value(),
    } - {"", None}
    assert secrets
    for said in (*(parts.ask(name, path)[1] for path in ("/metrics", "/live", "/ready")), parts.log(name)):
        assert said
        assert not [secret for secret in secrets if secret and secret in said]


@servers
@pytest.mark.parametrize("name", OURS)
def test_each_line_of_a_log_is_an_object_of_json_and_the_first_says_what_starts(parts: Site, name: str) -> None:
    lines = lines_of(parts, name)
    assert lines[0]["event"] == f"the {CALLED.get(name, name)} starts"
    assert {"timestamp", "level", "version", "session", "experiment", "kafka", "redis"} <= lines[0].keys()
    assert "ready" in [each["event"] for each in lines]
    assert "\x1b" not in parts.log(name)


@servers
def test_a_workers_log_says_its_partitions_runs_and_what_became_of_spills(parts: Site) -> None:
    lines = lines_of(parts, "worker")
    said = {each["event"]: each for each in lines}
    assert said["partitions are shared anew"]["partitions"] == "0, 1, 2, 3"
    assert said["ready"]["does"] == "4 partitions, 0 messages behind"
    assert said["a run comes"]["run"] == RUN
    spills = [each for each in lines if each["event"] == "spills"]
    assert became_of_spills(parts) == [SPILLS - 1, 1, 1]
    assert all(each["ms_each"] > 0 and each["run"] == RUN for each in spills)


@servers
@pytest.mark.parametrize("path", ["/metrics", "/live", "/ready"])
def test_the_page_tells_how_it_is_to_nobody_elsewhere(parts: Site, path: str) -> None:
    assert parts.ask("page", path, **{"X-Forwarded-For": "192.0.2.7"})[0] == 403
    assert parts.ask("page", path, Via="1.1 somebody")[0] == 403
    assert "spilldeck_" not in parts.ask("page", path, Forwarded="for=192.0.2.7")[1]
    assert parts.ask("page", "/live?path=/", **{"X-Forwarded-For": "192.0.2.7"})[0] == 200  # the page itself


def names_in(expression: str) -> set[str]:
    """Return the metrics that an expression of Prometheus names."""
    return set(re.findall(r"\b(?:spilldeck|process)_[a-z_]+", expression))


def expressions() -> list[str]:
    """Return those of the dashboard and of the alerts."""
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    graphs = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    marks = [each["expr"] for each in dashboard["annotations"]["list"]]
    return [*graphs, *marks, *(rule["expr"] for rule in rules())]


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@servers
def test_each_metric_of_dashboard_and_alerts_is_in_a_real_scrape(parts: Site) -> None:
    scraped = {name for each in (*OURS, "producer") for name, _ in samples(metrics_of(parts, each))}
    named = set().union(*map(names_in, expressions()))
    replays = {each.name for each in FIGURES[Part.REPLAY]}
    assert named - scraped - replays == set()
    assert len(named) > 30


@servers
def test_each_metric_that_a_part_tells_is_one_that_is_defined(parts: Site) -> None:
    for part in Part:
        if part is not Part.REPLAY:
            told = {name for name, _ in samples(metrics_of(parts, part)) if name.startswith("spilldeck_")}
            assert {each.name for each in FIGURES[part]} <= told


def test_each_alert_says_what_is_wrong_and_what_to_do() -> None:
    assert len({rule["alert"] for rule in rules()}) == len(rules()) > 15
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "action"}
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["action"].endswith(".")
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(panel["targets"] for panel in dashboard["panels"] if panel["type"] != "row")


def test_alerts_have_the_thresholds_of_the_page() -> None:
    its = {rule["alert"]: rule["expr"] for rule in rules()}
    assert f"spilldeck_silence_seconds > {DAQ_SILENT_S:.0f} " in its["SpilldeckNoSpills"]
    assert its["SpilldeckBehind"] == f"spilldeck_behind_seconds > {PIPELINE_STUCK_S:.0f}"
    assert its["SpilldeckPartitionBehind"].endswith(f" > {PIPELINE_STUCK_S:.0f}")


def promtool(*arguments: str | Path) -> str:
    """Return what Prometheus's own tool says, which must find nothing wrong."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed: it comes with Debian's package prometheus")
    done = subprocess.run([tool, *arguments], cwd=MONITORING, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_prometheus_takes_the_rules_and_its_settings() -> None:
    assert "SUCCESS" in promtool("check", "rules", "alerts.yml")
    assert "SUCCESS" in promtool("check", "config", "prometheus.yml")


def test_alerts_are_raised_by_what_should_raise_them_and_by_nothing_else() -> None:
    assert "SUCCESS" in promtool("test", "rules", "alerts_test.yml")


def series(told: str, instance: str, **changed: float) -> list[dict[str, str]]:
    """Return a scrape as promtool takes it: what stands there for three minutes, then what has changed."""
    found = []
    for (name, labels), now in samples(told).items():
        words = "".join(f',{label}="{its}"' for label, its in sorted(labels))
        # The run has been silent for as long as these tests have taken so far.
        before = 1.0 if name == "spilldeck_silence_seconds" else now
        then = changed.get(name, before)
        found.append({"series": f'{name}{{instance="{instance}"{words}}}', "values": f"{before}x12 {then}x30"})
    return found


PROVOKED = {
    "SpilldeckNoSpills": ("page", {"spilldeck_silence_seconds": 500.0}),
    "SpilldeckBehind": ("page", {"spilldeck_behind_seconds": 45.0}),
    "SpilldeckPartitionBehind": ("worker", {"spilldeck_partition_behind_seconds": 45.0}),
    "SpilldeckNotReady": ("alarms", {"spilldeck_ready": 0.0}),
    "SpilldeckPageOld": ("page", {"spilldeck_page_shown_age_seconds": 90.0}),
    "SpilldeckNobodyWatches": ("page", {"spilldeck_alarms_watchers": 0.0}),
    "SpilldeckFaultInTheCode": ("worker", {"spilldeck_worker_spills_rejected_total": 9.0}),
    "SpilldeckCheckpointsRefused": ("worker", {"spilldeck_worker_checkpoints_refused_total": 9.0}),
    "SpilldeckAlarmsNotTold": ("alarms", {"spilldeck_alarms_not_told_total": 5.0}),
    "SpilldeckKeeperFails": ("keeper", {"spilldeck_keeper_failed_total": 1.0}),
}


@servers
@pytest.mark.parametrize("alert", PROVOKED)
def test_a_real_scrape_raises_an_alert_when_one_number_of_it_changes(parts: Site, alert: str, tmp_path: Path) -> None:
    name, changed = PROVOKED[alert]
    (expression,) = [rule["expr"] for rule in rules() if rule["alert"] == alert]
    now = series(metrics_of(parts, name), name, **changed)
    asked = [
        {
            "expr": f"count({expression}) or vector(0)",
            "eval_time": at,
            "exp_samples": [{"labels": "{}", "value": is_so}],
        }
        for at, is_so in (("2m", 0), ("5m", COUNTS.get(alert, 1)))
    ]
    test = {"interval": "15s", "input_series": now, "promql_expr_test": asked}
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": [], "tests": [test]}))
    promtool("test", "rules", tmp_path / "test.yml")
