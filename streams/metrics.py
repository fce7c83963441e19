"""All metrics, with names, units and help, by the part that has them: what Prometheus reads at `/metrics`.

A counter or histogram has each value of its labels from the start, so that an alert on it exists before the first
event. A figure is read when somebody asks. One that nobody knows is absent: a gap in a graph, never a zero or a NaN.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar

import structlog
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

from schemas.records import ActionKind

_log = structlog.get_logger(__name__)


class Part(StrEnum):
    """A part of the system that runs on its own."""

    WORKER = "worker"
    PAGE = "page"
    KEEPER = "keeper"
    ALARMS = "alarms"
    PRODUCER = "producer"
    REPLAY = "replay"


STEPS = ("envelope", "framing", "unpack", "json", "conflict", "fault")
"""Those that reject a spill; an experiment's own stand under `OTHER`."""
OTHER = "other"
REQUESTS = ("live", "page", "act", "other")
"""What browsers ask for: what is new, a page or a part of it, that something be done, else."""
WAYS = ("webhook", "mail")
"""In which alarms are told outside."""
PRODUCTS = ("archive", "end_of_run")
"""What the keeper writes."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # when each was made, in as many series again
_registries = {part: CollectorRegistry(auto_describe=False) for part in Part}
for _registry in _registries.values():
    ProcessCollector(registry=_registry)

_M = TypeVar("_M", bound=MetricWrapperBase)


def _of(*parts: Part) -> Callable[[_M], _M]:
    """Return what has parts tell a metric."""

    def told(metric: _M) -> _M:
        for part in parts:
            _registries[part].register(metric)
        return metric

    return told


def _labelled(metric: _M, values: Iterable[str]) -> _M:
    for value in values:
        metric.labels(value)
    return metric


_QUICK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
_SLOW = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)

WORKER_COUNTED = _of(Part.WORKER)(
    Counter("spilldeck_worker_spills_counted", "Spills brought into the books, also of runs made again.", registry=None)
)
WORKER_DUPLICATES = _of(Part.WORKER)(
    Counter("spilldeck_worker_spills_duplicate", "Spills that came again with the same bytes.", registry=None)
)
WORKER_REJECTED = _labelled(
    _of(Part.WORKER)(
        Counter(
            "spilldeck_worker_spills_rejected",
            "Spills sent to spills.rejected, by the step that refused them; conflict: the same spill with other bytes, "
            "fault: the code failed on it.",
            ("step",),
            registry=None,
        )
    ),
    (*STEPS, OTHER),
)
WORKER_BYTES = _of(Part.WORKER)(
    Counter("spilldeck_worker_bytes", "Bytes of the DAQ in the spills counted.", registry=None)
)
WORKER_RECONSTRUCT = _of(Part.WORKER)(
    Histogram(
        "spilldeck_worker_reconstruct_seconds",
        "Time to read a message of spills.raw and reconstruct its spill.",
        buckets=_QUICK,
        registry=None,
    )
)
WORKER_DELAY = _of(Part.WORKER)(
    Histogram(
        "spilldeck_worker_delay_seconds",
        "From the broker's acknowledgement of a spill until it was in the histograms.",
        buckets=_SLOW,
        registry=None,
    )
)
WORKER_CHECKPOINT = _of(Part.WORKER)(
    Histogram(
        "spilldeck_worker_checkpoint_seconds",
        "Time that Redis took for a checkpoint that it wrote.",
        buckets=_QUICK,
        registry=None,
    )
)
WORKER_REFUSED = _of(Part.WORKER)(
    Counter(
        "spilldeck_worker_checkpoints_refused",
        "Checkpoints refused, as another worker had written or Redis had lost something.",
        registry=None,
    )
)
WORKER_WAITS = _of(Part.WORKER)(
    Counter("spilldeck_worker_waits", "Steps tried again as Kafka or Redis was away.", registry=None)
)
PAGE_REQUEST = _labelled(
    _of(Part.PAGE)(
        Histogram(
            "spilldeck_page_request_seconds",
            "Time to answer; live has up to half a second in it, in which nothing was new.",
            ("what",),
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0),
            registry=None,
        )
    ),
    REQUESTS,
)
PAGE_ERRORS = _of(Part.PAGE)(
    Counter("spilldeck_page_errors", "Errors of the page's own code; each is logged once.", registry=None)
)
ACTIONS = _labelled(
    _of(Part.PAGE, Part.KEEPER, Part.ALARMS)(
        Counter("spilldeck_actions", "Actions that this process wrote to the topic quality.", ("kind",), registry=None)
    ),
    ActionKind,
)
ALARMS_TOLD = _labelled(
    _of(Part.ALARMS)(Counter("spilldeck_alarms_told", "Tellings that were taken.", ("way",), registry=None)), WAYS
)
ALARMS_NOT_TOLD = _labelled(
    _of(Part.ALARMS)(Counter("spilldeck_alarms_not_told", "Tellings that were not taken.", ("way",), registry=None)),
    WAYS,
)
KEEPER_WRITTEN = _labelled(
    _of(Part.KEEPER)(
        Counter("spilldeck_keeper_written", "Archives and products of runs written.", ("product",), registry=None)
    ),
    PRODUCTS,
)
KEEPER_FAILED = _labelled(
    _of(Part.KEEPER)(
        Counter(
            "spilldeck_keeper_failed",
            "Archives and products that cannot be written; the log says why.",
            ("product",),
            registry=None,
        )
    ),
    PRODUCTS,
)
PRODUCER_SPILLS = _of(Part.PRODUCER)(
    Counter("spilldeck_producer_spills", "Spills that Kafka has acknowledged.", registry=None)
)
PRODUCER_BYTES = _of(Part.PRODUCER)(
    Counter("spilldeck_producer_bytes", "Bytes of the DAQ that Kafka has acknowledged.", registry=None)
)


class Figure(NamedTuple):
    """A number that is read when somebody asks."""

    name: str
    help: str
    labels: tuple[str, ...] = ()


INFO = Figure("spilldeck_info", "1; which part of which version this is.", ("part", "version", "session", "experiment"))
READY = Figure("spilldeck_ready", "1 if /ready says so, else 0.")

PARTITION_LAG = Figure(
    "spilldeck_partition_lag_messages",
    "Messages of a partition that Kafka has and the books have not, by the worker that has it.",
    ("partition",),
)
PARTITION_BEHIND = Figure(
    "spilldeck_partition_behind_seconds",
    "For how long the oldest of them has been waiting, as far as was seen; 0 if there is none.",
    ("partition",),
)
PARTITION_FRESHNESS = Figure(
    "spilldeck_partition_freshness_seconds",
    "Since the newest message in the books was produced.",
    ("partition",),
)
WORKER_PARTITIONS = Figure("spilldeck_worker_partitions", "Partitions that the worker has.")
WORKER_REPAIRS = Figure("spilldeck_worker_repairs", "Parts of runs that are being made again.")
WORKER_RUN = Figure("spilldeck_worker_run", "Run of the spill counted last.")

RUN = Figure("spilldeck_run", "Number of the run that is being taken.")
RUN_ENDED = Figure("spilldeck_run_ended", "1 if that run has ended, 0 if it goes on.")
SILENCE = Figure("spilldeck_silence_seconds", "Since the last spill came from the DAQ; absent while nobody knows.")
BEHIND = Figure("spilldeck_behind_messages", "Messages of spills.raw that are not in the books.")
BEHIND_S = Figure("spilldeck_behind_seconds", "For how long the oldest of them has been waiting; 0 if there is none.")
MADE_AGAIN = Figure("spilldeck_runs_made_again", "Runs that are being made again from Kafka.")
WATCHERS = Figure("spilldeck_alarms_watchers", "Watchers of alarms that are at work.")
WATCHER_SILENCE = Figure(
    "spilldeck_alarms_watcher_silence_seconds",
    "Since the last word of any watcher of alarms; absent if none ever spoke.",
)
ALARMS_ACTIVE = Figure("spilldeck_alarms_active", "Alarms that are so still.", ("priority",))
ALARMS_WAITING = Figure("spilldeck_alarms_waiting", "Alarms that somebody has to acknowledge.")
ALARMS_LATELY = Figure("spilldeck_alarms_raised_in_ten_minutes", "Alarms raised in the last ten minutes (EEMUA 191).")
ALARMS_WORST = Figure("spilldeck_alarms_worst_ten_minutes", "Most of them in any ten minutes of eight hours.")
ALARMS_STANDING = Figure("spilldeck_alarms_standing", "Alarms active, acknowledged or not.")
ALARMS_CHATTERING = Figure("spilldeck_alarms_chattering", "What raised three alarms or more in the last hour.")

PAGE_OPEN = Figure("spilldeck_page_open_pages", "Open pages that wait for what is new just now.")
PAGE_SHOWN_AGE = Figure("spilldeck_page_shown_age_seconds", "Since the books that the page shows were read from Redis.")

KEEPER_BEHIND = Figure("spilldeck_keeper_behind_runs", "Runs that have ended and are still to be written.")

PRODUCER_WAITING = Figure("spilldeck_producer_waiting_messages", "Messages that Kafka has not acknowledged.")
PRODUCER_WAITING_BYTES = Figure("spilldeck_producer_waiting_bytes", "Their bytes.")

REPLAY_READ = Figure("spilldeck_replay_read_messages", "Messages that the replay has read.")
REPLAY_OF = Figure("spilldeck_replay_of_messages", "Messages that it has to read in all.")
REPLAY_TAKEN = Figure("spilldeck_replay_taken_messages", "Messages that this start has brought into the books.")
REPLAY_WAITS = Figure(
    "spilldeck_replay_waits_for_live_messages", "By how many live is behind, while that is waited for."
)

OF_ALL = (INFO, READY)
OF_BOOKS = (RUN, RUN_ENDED, SILENCE, BEHIND, BEHIND_S, MADE_AGAIN, WATCHERS, WATCHER_SILENCE)
OF_ALARMS = (
    ALARMS_ACTIVE,
    ALARMS_WAITING,
    ALARMS_LATELY,
    ALARMS_WORST,
    ALARMS_STANDING,
    ALARMS_CHATTERING,
)
FIGURES: dict[Part, tuple[Figure, ...]] = {
    Part.WORKER: (
        *OF_ALL,
        PARTITION_LAG,
        PARTITION_BEHIND,
        PARTITION_FRESHNESS,
        WORKER_PARTITIONS,
        WORKER_REPAIRS,
        WORKER_RUN,
    ),
    Part.PAGE: (*OF_ALL, *OF_BOOKS, *OF_ALARMS, PAGE_OPEN, PAGE_SHOWN_AGE),
    Part.KEEPER: (*OF_ALL, KEEPER_BEHIND),
    Part.ALARMS: (*OF_ALL, *OF_BOOKS, *OF_ALARMS),
    Part.PRODUCER: (*OF_ALL, PRODUCER_WAITING, PRODUCER_WAITING_BYTES),
    Part.REPLAY: (*OF_ALL, REPLAY_READ, REPLAY_OF, REPLAY_TAKEN, REPLAY_WAITS),
}


class Value(NamedTuple):
    """What a figure is now."""

    figure: Figure
    value: float | None
    """None where nobody knows."""
    labels: Sequence[str] = ()


Read = Callable[[], Iterable[Value]]


@dataclass(slots=True, eq=False)
class _Figures(Collector):
    """Gives figures; those that cannot be read are left out, and that is logged."""

    read: Read = tuple

    def describe(self) -> list[GaugeMetricFamily]:
        return []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        found: dict[Figure, GaugeMetricFamily] = {}
        try:
            for figure, value, labels in self.read():
                if figure not in found:
                    found[figure] = GaugeMetricFamily(figure.name, figure.help, labels=figure.labels)
                if value is not None:
                    found[figure].add_metric([str(label) for label in labels], value)
        except Exception as error:  # noqa: BLE001 - the other figures are told all the same
            _log.warning("some metrics cannot be read", error=f"{type(error).__name__}: {error}")
        yield from found.values()


_figures = {part: _Figures() for part in Part}
for _part, _its in _figures.items():
    _registries[_part].register(_its)


def tell(part: Part, read: Read) -> None:
    """Have the figures of a part told, as they are when somebody asks; what reads them must wait for nothing."""
    _figures[part].read = read


def scraped(part: Part) -> bytes:
    """Return the metrics of a part, as Prometheus reads them."""
    return generate_latest(_registries[part])


def total(part: Part, name: str, **labels: str) -> float:
    """Return what a counter, or a sum or count of a histogram, has come to."""
    return _registries[part].get_sample_value(name, labels) or 0.0


def rejected(step: str) -> None:
    """Count a spill that was sent to ``spills.rejected``."""
    WORKER_REJECTED.labels(step if step in STEPS else OTHER).inc()
