"""
Every metric, in one list.

The class body of `Metrics` is the list: name, meaning, labels and what bounds each label. Nothing else in the
project makes a metric; `python -m worker.metrics` prints this list as a Markdown table.

Laws of this file:
1. Names pass `promtool check metrics`: `pacing_` first, base units (seconds, bytes, ratios), counters end in `_total`.
2. Every label says what bounds it: a closed set of values, or what else keeps it small.
3. A closed set of values is there from the start, at 0, so that `rate()` sees the first event.
4. What belongs to a partition carries its label and is forgotten with the partition: `sum by` adds up.
5. Moments are exported as times, not as ages: an age that nobody updates looks young for ever.
"""

from __future__ import annotations

import itertools
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any, Final, Generic, TypeVar, overload

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics import MetricWrapperBase

M = TypeVar("M", bound=MetricWrapperBase)

# What bounds a label: its values, or words where they come from the deployment.
Bound = tuple[str, ...] | str

RESULTS: Final = ("accepted", "duplicate", "rejected")
CAMPAIGN_STATES: Final = ("scheduled", "active", "paused", "closed", "unplanned")
BANDS: Final = ("on_pace", "drift", "mild", "strong", "sharp")
SIGNALS: Final = (
    "spend_outside_flight",
    "over_budget",
    "unplanned_channel",
    "conflicting_update",
    "unmatched_correction",
    "currency_mismatch",
)
SCOPES: Final = ("campaign", "channel", "deal")
LEVELS: Final = ("warning", "critical")
DIRECTIONS: Final = ("underpacing", "overpacing")
PARTITION_STATES: Final = ("restoring", "live", "suspended")
QUEUES: Final = ("lane",)

BY_TOPIC: Final = "the topics of the settings"
BY_PARTITION: Final = "the partitions this worker owns; forgotten when they leave"
BY_REASON: Final = "the reasons of schemas/reasons.py"
BY_CAMPAIGN: Final = "at most PACING_CAMPAIGN_GAUGES campaigns"

# From a record batch of one update to one of twenty thousand; from an idle checkpoint to one that nears its time box.
FOLD_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25)
CHECKPOINT_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
RESTORE_BUCKETS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
TICK_BUCKETS: Final = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
SINK_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Declared(Generic[M]):
    """
    One line of the list: the metric that an instance of `Metrics` makes and keeps under the same name.

    An instance's own attribute hides the declaration, so that reading a metric costs nothing extra.
    """

    def __init__(self, kind: type[M], name: str, meaning: str, labels: Mapping[str, Bound], **more: Any) -> None:
        self.kind = kind
        self.name = name
        self.meaning = meaning
        self.labels = labels
        self._more = more

    @overload
    def __get__(self, instance: None, owner: type) -> Declared[M]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> M: ...
    def __get__(self, instance: object | None, owner: type) -> Declared[M] | M:
        return self

    def make(self, registry: CollectorRegistry) -> M:
        """The metric, registered, with every label set that can be known beforehand."""
        made = self.kind(self.name, self.meaning, tuple(self.labels), registry=registry, **self._more)
        if self.labels:
            for values in self.known_label_sets():
                made.labels(*values)
        return made

    def known_label_sets(self) -> Iterator[tuple[str, ...]]:
        """Every combination of values, where all labels are closed sets; else none."""
        closed = [values for values in self.labels.values() if not isinstance(values, str)]
        if len(closed) == len(self.labels):
            yield from itertools.product(*closed)


def counter(name: str, meaning: str, **labels: Bound) -> Declared[Counter]:
    """What only grows; *name* ends in `_total`."""
    return Declared(Counter, name, meaning, labels)


def gauge(name: str, meaning: str, **labels: Bound) -> Declared[Gauge]:
    """What is so now."""
    return Declared(Gauge, name, meaning, labels)


def histogram(name: str, meaning: str, buckets: Sequence[float], **labels: Bound) -> Declared[Histogram]:
    """How long something took, in seconds."""
    return Declared(Histogram, name, meaning, labels, buckets=buckets)


class Metrics:
    """
    The metrics of one worker process, registered in the *registry* that is passed in.

    *shown_campaigns* is how many campaigns may have figures of their own (`campaign_figures`).
    """

    # Input: read = accepted + duplicate + rejected, and dead letters = rejected + refused late.
    inputs = counter("pacing_inputs_total", "Input records, by what became of them.", topic=BY_TOPIC, result=RESULTS)
    dead_letters = counter(
        "pacing_dead_letters_total", "Input records refused, by reason.", topic=BY_TOPIC, reason=BY_REASON
    )
    refused_late = counter(
        "pacing_refused_late_total",
        "Corrections that were accepted, and refused when what they correct did not come or could not be corrected.",
        topic=BY_TOPIC,
    )
    input_batches = counter("pacing_input_batches_total", "Record batches folded.", topic=BY_TOPIC)
    input_lag = gauge(
        "pacing_input_lag_records",
        "Records between the position folded and the end of the partition, when the end was last asked for.",
        topic=BY_TOPIC,
        partition=BY_PARTITION,
    )
    input_newest_record = gauge(
        "pacing_input_newest_record_timestamp_seconds",
        "Timestamp of the newest record folded.",
        topic=BY_TOPIC,
        partition=BY_PARTITION,
    )
    fold_seconds = histogram(
        "pacing_fold_seconds", "Time to decode and fold one record batch.", FOLD_BUCKETS, topic=BY_TOPIC
    )

    # The lane between Kafka and the ledger.
    queue_items = gauge("pacing_queue_items", "Items waiting in a bounded queue.", queue=QUEUES)
    queue_limit_items = gauge("pacing_queue_limit_items", "The queue's bound.", queue=QUEUES)
    backpressure_seconds = counter(
        "pacing_backpressure_seconds_total", "Time that fetching waited for a full queue.", queue=QUEUES
    )
    batches_dropped = counter(
        "pacing_batches_dropped_total",
        "Fetched record batches thrown away because they did not continue the position; they are read again.",
        reason=("gap", "stale", "not_owned"),
    )
    partitions = gauge(
        "pacing_partitions",
        "Partitions owned, by state; suspended ones wait for a rebalance to end.",
        state=PARTITION_STATES,
    )
    partitions_expected = gauge("pacing_partitions_expected", "The setting PACING_PARTITIONS: of all workers together.")
    rebalances = counter("pacing_rebalances_total", "Assignments received from the consumer group.")

    # Checkpoints: one transaction each.
    checkpoint_seconds = histogram(
        "pacing_checkpoint_seconds", "Time from the start of a checkpoint to its commit.", CHECKPOINT_BUCKETS
    )
    checkpoint_transactions = counter("pacing_checkpoint_transactions_total", "Transactions committed.")
    checkpoint_records = counter(
        "pacing_checkpoint_records_total",
        "Records written in committed checkpoints.",
        kind=("ledger", "event", "dead_letter", "part"),
    )
    checkpoint_bytes = counter("pacing_checkpoint_bytes_total", "Bytes written in committed checkpoints.")
    checkpoint_last = gauge(
        "pacing_checkpoint_last_timestamp_seconds",
        "When everything folded was last known to be saved.",
        partition=BY_PARTITION,
    )

    # Restore.
    restore_seconds = histogram(
        "pacing_restore_seconds", "Time from assignment to a partition that is ready.", RESTORE_BUCKETS
    )
    restore_records = counter("pacing_restore_records_total", "Ledger records read on restore.")

    # Ticks.
    ticks = counter("pacing_ticks_total", "Ticks closed, by whether they saw all input.", complete=("true", "false"))
    ticks_skipped = counter("pacing_ticks_skipped_total", "Ticks that passed while the partition had no worker.")
    tick_seconds = histogram("pacing_tick_seconds", "Time from opening a partition's tick to closing it.", TICK_BUCKETS)
    tick_lag_seconds = histogram(
        "pacing_tick_lag_seconds", "Time from the tick itself to its last commit.", TICK_BUCKETS
    )
    tick_last = gauge("pacing_tick_last_timestamp_seconds", "The last tick closed.", partition=BY_PARTITION)
    tick_period_seconds = gauge("pacing_tick_period_seconds", "The setting PACING_TICK_SECONDS.")
    tick_campaigns = counter("pacing_tick_campaigns_total", "Campaigns evaluated at ticks.")
    account_ticks = counter(
        "pacing_account_ticks_total",
        "Ticks of accounts: all partitions had closed them; complete, if each had read all its input.",
        complete=("true", "false"),
    )
    account_ticks_skipped = counter(
        "pacing_account_ticks_skipped_total",
        "Ticks of accounts never taken: a partition passed one over, or was too far behind.",
    )
    events = counter(
        "pacing_events_total",
        "Events that ticks led to, by type.",
        type=(
            "snapshot_taken",
            "deviation_detected",
            "deviation_resolved",
            "reallocation_recommended",
            "alert_raised",
            "alert_cleared",
            "tick_closed",
            "account_snapshot_taken",
        ),
    )

    # What the last tick found.
    campaigns = gauge(
        "pacing_campaigns", "Campaigns in the ledger, by state.", partition=BY_PARTITION, state=CAMPAIGN_STATES
    )
    campaigns_in_band = gauge(
        "pacing_campaigns_in_band",
        "Campaigns by the band of their snapshot at the last tick.",
        partition=BY_PARTITION,
        band=BANDS,
    )
    open_deviations = gauge(
        "pacing_open_deviations",
        "Deviations open.",
        partition=BY_PARTITION,
        scope=SCOPES,
        level=LEVELS,
        direction=DIRECTIONS,
    )
    open_alerts = gauge(
        "pacing_open_alerts",
        "Signals raised and not cleared.",
        partition=BY_PARTITION,
        kind=SIGNALS,
    )
    open_proposals = gauge("pacing_open_proposals", "Reallocations proposed and standing.", partition=BY_PARTITION)

    # The ledger's size: each has a limit.
    ids_remembered = gauge("pacing_ids_remembered", "Update ids within the horizon.", partition=BY_PARTITION)
    ids_forgotten_early = gauge(
        "pacing_ids_forgotten_early",
        "Ids ever forgotten before the horizon, because there were more than the ledger may remember.",
        partition=BY_PARTITION,
    )
    ledger_bytes = gauge("pacing_ledger_bytes", "Memory of the ledger, estimated.", partition=BY_PARTITION)
    corrections_pending = gauge(
        "pacing_corrections_pending", "Corrections whose original has not come.", partition=BY_PARTITION
    )
    series = gauge("pacing_series", "Series of cumulative reports.", partition=BY_PARTITION)

    # The PostgreSQL sink.
    sink_up = gauge("pacing_sink_up", "1 if the last batch reached PostgreSQL, 0 if not.")
    sink_rows = counter(
        "pacing_sink_rows_total",
        "Rows given to PostgreSQL, by table; a duplicate was there already.",
        table="the tables of the migrations",
        result=("written", "duplicate"),
    )
    sink_batch_seconds = histogram("pacing_sink_batch_seconds", "Time to write one batch.", SINK_BUCKETS)
    sink_retries = counter("pacing_sink_retries_total", "Times the sink waited and began again.")
    sink_fenced = counter(
        "pacing_sink_fenced_total", "Times another sink had moved a position, so that a batch was not written."
    )
    sink_thinned = counter(
        "pacing_sink_thinned_total", "Snapshots left out of the history by PACING_SINK_HISTORY_SECONDS."
    )
    sink_lag = gauge(
        "pacing_sink_lag_records",
        "Committed events not yet in PostgreSQL.",
        topic=BY_TOPIC,
        partition="the partitions of the output topics",
    )
    sink_gaps = counter(
        "pacing_sink_gaps_total", "Records that retention removed before the sink read them.", topic=BY_TOPIC
    )
    sink_refused = counter("pacing_sink_refused_total", "Events that the sink could not read.", topic=BY_TOPIC)
    sink_last = gauge("pacing_sink_last_timestamp_seconds", "When a batch last reached PostgreSQL.")

    # Single campaigns: the one place with a label for each, so bounded by a setting.
    campaign_pacing = gauge(
        "pacing_campaign_pacing_ratio", "Spend to expected spend; 1 is on pace.", campaign_id=BY_CAMPAIGN
    )
    campaign_deviation = gauge(
        "pacing_campaign_deviation_ratio", "Pacing less 1; negative is behind.", campaign_id=BY_CAMPAIGN
    )
    campaign_spend = gauge(
        "pacing_campaign_spend", "Spend to date.", campaign_id=BY_CAMPAIGN, currency="one a campaign"
    )
    campaign_expected_spend = gauge(
        "pacing_campaign_expected_spend", "Expected spend to date.", campaign_id=BY_CAMPAIGN, currency="one a campaign"
    )
    campaign_budget = gauge(
        "pacing_campaign_budget", "Total budget.", campaign_id=BY_CAMPAIGN, currency="one a campaign"
    )
    campaigns_shown = gauge("pacing_campaigns_shown", "Campaigns with figures of their own here.")
    campaigns_shown_limit = gauge("pacing_campaigns_shown_limit", "The setting PACING_CAMPAIGN_GAUGES.")

    build = Declared(Info, "pacing_build", "What is running.", {})

    def __init__(self, registry: CollectorRegistry, *, shown_campaigns: int = 1000) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = registry
        for attribute, declared in declarations():
            setattr(self, attribute, declared.make(registry))
        self.build.info(build_info())
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.campaign_figures = CampaignGauges(self, shown_campaigns)

    def expect_inputs(self, topics: Iterable[str], reasons: Sequence[str] = ()) -> None:
        """Show every result and every *reason* of these input topics at 0, before the first record."""
        for topic in topics:
            for result in RESULTS:
                self.inputs.labels(topic, result)
            self.refused_late.labels(topic)
            for reason in reasons:
                self.dead_letters.labels(topic, reason)

    def expect_outputs(self, topics: Iterable[str]) -> None:
        """Show at 0 what the sink may miss of these output topics, before it misses any."""
        for topic in topics:
            self.sink_gaps.labels(topic)
            self.sink_refused.labels(topic)

    def forget_partition(self, partition: int) -> None:
        """Drop every figure of a partition that this worker no longer owns, its campaigns' too."""
        for attribute, declared in declarations():
            if declared.labels.get("partition") == BY_PARTITION:
                getattr(self, attribute).remove_by_labels({"partition": str(partition)})
        self.campaign_figures.forget_partition(partition)

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """The body and content type of /metrics for an Accept header: OpenMetrics where it is asked for."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type


class CampaignGauges:
    """
    The figures of single campaigns, at most *limit* of them.

    First come, first shown, until a campaign's final snapshot: were the choice made anew at each tick, a day's
    label sets would outgrow any limit.
    """

    def __init__(self, metrics: Metrics, limit: int) -> None:
        self._metrics = metrics
        self._limit = limit
        self._shown: dict[str, tuple[int, str]] = {}
        metrics.campaigns_shown_limit.set(limit)

    def shows(self, campaign_id: str) -> bool:
        """Whether a snapshot of a campaign would be shown."""
        return campaign_id in self._shown or len(self._shown) < self._limit

    def show(self, partition: int, snapshot: Mapping[str, Any]) -> None:
        """Show the figures of a snapshot_taken event; a final one is forgotten instead."""
        campaign_id = snapshot["campaign_id"]
        if snapshot["final"]:
            self.forget(campaign_id)
        elif self.shows(campaign_id):
            self._set(partition, campaign_id, snapshot)

    def forget(self, campaign_id: str) -> None:
        """Drop a campaign that ended; one that is not shown is no fault."""
        if (known := self._shown.pop(campaign_id, None)) is None:
            return
        for ratio in self._ratios():
            _remove(ratio, campaign_id)
        for amount in self._amounts():
            _remove(amount, campaign_id, known[1])
        self._metrics.campaigns_shown.set(len(self._shown))

    def forget_partition(self, partition: int) -> None:
        """Drop the campaigns of a partition that this worker no longer owns."""
        for campaign_id in [each for each, (owner, _) in self._shown.items() if owner == partition]:
            self.forget(campaign_id)

    def _set(self, partition: int, campaign_id: str, snapshot: Mapping[str, Any]) -> None:
        _, currency = self._shown.setdefault(campaign_id, (partition, snapshot["currency"]))
        self._metrics.campaigns_shown.set(len(self._shown))
        for ratio, field in zip(self._ratios(), ("pacing_pct", "deviation_pct"), strict=True):
            _set_or_remove(ratio, snapshot[field], 0.01, campaign_id)
        for amount, field in zip(self._amounts(), ("total_spend", "expected_spend", "total_budget"), strict=True):
            _set_or_remove(amount, snapshot[field], 1.0, campaign_id, currency)

    def _ratios(self) -> tuple[Gauge, Gauge]:
        return self._metrics.campaign_pacing, self._metrics.campaign_deviation

    def _amounts(self) -> tuple[Gauge, Gauge, Gauge]:
        return self._metrics.campaign_spend, self._metrics.campaign_expected_spend, self._metrics.campaign_budget


def declarations() -> Iterator[tuple[str, Declared[Any]]]:
    """The list: (attribute, declaration) in the order it is written."""
    for attribute, declared in vars(Metrics).items():
        if isinstance(declared, Declared):
            yield attribute, declared


def build_info() -> dict[str, str]:
    """Versions that explain a difference between two workers."""
    return {
        "version": metadata.version("pacing-worker"),
        "python": platform.python_version(),
        "faust": metadata.version("faust-streaming"),
        "aiokafka": metadata.version("aiokafka"),
    }


def table() -> Iterator[str]:
    """The list as a Markdown table."""
    yield "| metric | type | labels | meaning |"
    yield "|---|---|---|---|"
    for _, declared in declarations():
        labels = ", ".join(f"`{label}`" for label in declared.labels)
        suffix = "_info" if declared.kind is Info else ""
        yield f"| `{declared.name}{suffix}` | {declared.kind.__name__.lower()} | {labels} | {declared.meaning} |"


def _set_or_remove(figure: Gauge, value: str | float | None, scale: float, *labels: str) -> None:
    """Show a figure; one that is undefined is absent, never 0. A float is near enough for a picture."""
    if value is None:
        _remove(figure, *labels)
    else:
        figure.labels(*labels).set(float(value) * scale)


def _remove(figure: Gauge, *labels: str) -> None:
    figure.remove_by_labels(dict(zip(figure._labelnames, labels, strict=True)))  # noqa: SLF001  remove() fails on what is absent


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in table())
