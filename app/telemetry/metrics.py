"""Metrics of a worker, of the recorder and of the API, each declared once.

Labels whose values come from outside (models, features, reasons) are bounded by `bounds.py`. Values beyond the bound
are left out or counted under `other`, so that no producer can make a monitoring system grow.
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

WORKER = CollectorRegistry()
"""Metrics at `/metrics` of a worker."""
RECORDER = CollectorRegistry()
"""Metrics at `/metrics` of a recorder."""
API = CollectorRegistry()
"""Metrics at `/metrics` of the API."""

for registry in (WORKER, RECORDER, API):
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
VERSION = ("model", "model_version")

# Records read, and lag

RECORDS_READ = Counter(
    "driftline_records_read", "Records that an agent has taken, by topic.", ["topic"], registry=WORKER
)
RUN_SECONDS = Histogram(
    "driftline_run_seconds", "Time that an agent took for one run of records.", ["agent"], buckets=QUICK,
    registry=WORKER,
)  # fmt: skip
LOOP_LAG = Histogram(
    "driftline_loop_lag_seconds",
    "How late the worker's event loop was: so long at most its probes and its group's callbacks have waited.",
    buckets=QUICK, registry=WORKER,
)  # fmt: skip
LAG = Gauge(
    "driftline_lag_records", "Records of a partition that this worker holds and has not applied yet.",
    ["topic", "partition"], registry=WORKER,
)  # fmt: skip
PARTITIONS_HELD = Gauge(
    "driftline_partitions_held", "Partitions that this worker reads, by topic.", ["topic"], registry=WORKER
)
RECOVERING = Gauge(
    "driftline_recovering", "1 while partitions change hands or state is read from its changelogs.", registry=WORKER
)
RECOVERY_LEFT = Gauge(
    "driftline_recovery_left_records", "Changelog records that the recovery under way has still to read.",
    registry=WORKER,
)  # fmt: skip
PENDING = Gauge(
    "driftline_pending_predictions", "Predictions that wait for their truth in this worker's memory.", registry=WORKER
)
WAITING_FEEDBACK = Gauge(
    "driftline_waiting_feedback", "Feedback whose prediction has not come, in this worker's memory.", registry=WORKER
)
DEAD_LETTERS = Counter(
    "driftline_dead_letters", "Records set aside to the dead letters, by the kind of reason.", ["topic", "reason"],
    registry=WORKER,
)  # fmt: skip
SET_ASIDE = Gauge(
    "driftline_dead_letter_share_ratio",
    "Share of a model version's newest records that were set aside, by topic; model driftline: of what names none.",
    ["topic", *VERSION], registry=WORKER,
)  # fmt: skip
LEARNED = Gauge(
    "driftline_learned_rows", "Predictions that a version which learns its reference has so far.", VERSION,
    registry=WORKER,
)  # fmt: skip
UNREGISTERED = Counter(
    "driftline_unregistered_records", "Records of model versions that are not registered.", VERSION, registry=WORKER
)

ALL_DEAD_LETTERS = Counter(
    "driftline_dead_letter_records", "The same, whatever the reason; at 0 from the start, so that the first one shows.",
    ["topic"], registry=WORKER,
)  # fmt: skip

# Requests and responses of inferences

HALVES = Counter(
    "driftline_inference_halves",
    "Requests and responses of inferences, by what became of them: paired, repeated, and set aside as unpaired, spoilt "
    "(the pair is no prediction), differs (from the first of its inference), unreadable; lost: gone from the log.",
    ["outcome"], registry=WORKER,
)  # fmt: skip
HALVES_WAITING = Gauge(
    "driftline_inference_halves_waiting", "Requests and responses that wait for each other in this worker's memory.",
    registry=WORKER,
)  # fmt: skip
HALVES_BYTES = Gauge(
    "driftline_inference_halves_bytes", "Memory of what waits, and of the pairs that are remembered, roughly.",
    registry=WORKER,
)  # fmt: skip

# Sources

SOURCE_RECORDS = Counter(
    "driftline_source_records",
    "Records of sources, by what became of them: predictions, feedback (a record may become both), rejected (to the "
    "dead letters), filtered (left out by `where`, or without elements), tombstones (without a value).",
    ["source", "outcome"], registry=WORKER,
)  # fmt: skip

# Results, and their latency

PANE_LATENCY = Histogram(
    "driftline_pane_latency_seconds",
    "From when the broker took the oldest record of a pane until Kafka has the pane.",
    buckets=SLOW, registry=WORKER,
)  # fmt: skip
REPORT_LATENCY = Histogram(
    "driftline_report_latency_seconds",
    "From when the broker took the newest pane that led to a report until Kafka has the report.",
    ["kind"], buckets=SLOW, registry=WORKER,
)  # fmt: skip
REPORT_DELAY = Histogram(
    "driftline_report_delay_seconds",
    "From the window's end in event time until its report; replayed files are in the last bucket.",
    ["kind"], buckets=SLOW, registry=WORKER,
)  # fmt: skip
REKEYED = Counter(
    "driftline_records_rekeyed",
    "Records that were in another partition than their key leads to (murmur2), and were sent there, by topic.",
    ["topic"],
    registry=WORKER,
)
PUBLISHED = Counter("driftline_records_published", "Records sent to Kafka, by topic.", ["topic"], registry=WORKER)
PUBLISHED_BYTES = Counter(
    "driftline_published_bytes", "Bytes of values sent to Kafka, by topic.", ["topic"], registry=WORKER
)
REPORTS = Counter("driftline_reports", "Reports issued, those issued again included.", ["kind"], registry=WORKER)

# The newest window of each model version

WINDOW_PREDICTIONS = Gauge(
    "driftline_window_predictions", "Predictions in the newest window that was judged.", VERSION, registry=WORKER
)
NOT_JUDGED_SINCE = Gauge(
    "driftline_not_judged_since_timestamp_seconds",
    "End of the newest window that was judged, where the newest one is not: too few predictions, or unreadable ones.",
    VERSION, registry=WORKER,
)  # fmt: skip
USUAL_LEARNING = Gauge(
    "driftline_usual_learning",
    "1 while it is learned from the stream what is usual of it, as its reference has no times; 0 once it is known.",
    VERSION, registry=WORKER,
)  # fmt: skip
DRIFT_SHARE = Gauge(
    "driftline_drift_share_ratio", "Share of features that have drifted in the newest window.", VERSION,
    registry=WORKER,
)  # fmt: skip
DRIFT_DETECTED = Gauge(
    "driftline_drift_detected", "1 where the newest window's data has drifted.", VERSION, registry=WORKER
)
DRIFT_STATISTIC = Gauge(
    "driftline_drift_statistic", "A feature's distance from its reference in the newest window.",
    [*VERSION, "feature", "test"], registry=WORKER,
)  # fmt: skip
METRIC_VALUE = Gauge(
    "driftline_metric_value", "A performance metric of the newest window; basis is realised or estimated.",
    [*VERSION, "metric", "basis"], registry=WORKER,
)  # fmt: skip
METRIC_BASELINE = Gauge(
    "driftline_metric_baseline", "The same metric on the reference.", [*VERSION, "metric", "basis"], registry=WORKER
)
COVERAGE = Gauge(
    "driftline_feedback_coverage_ratio", "Share of the newest window's predictions with feedback.", VERSION,
    registry=WORKER,
)  # fmt: skip

VALUES_LEFT_OUT = Gauge(
    "driftline_window_values_left_out",
    "Values of a feature in the newest window that its statistic does not compare with their like: missing, invalid, "
    "unseen, out_of_range.",
    [*VERSION, "feature", "reason"], registry=WORKER,
)  # fmt: skip
ROWS_NOT_JUDGED = Gauge(
    "driftline_window_rows_not_judged", "Rows of the newest window with truth that enter no metric, by reason.",
    [*VERSION, "reason"], registry=WORKER,
)  # fmt: skip
UNKNOWN_LABELS = Gauge(
    "driftline_window_unknown_labels",
    "Rows of the newest window whose label the reference does not have, of the truth (actual) or of the prediction.",
    [*VERSION, "of"], registry=WORKER,
)  # fmt: skip
METRIC_JUDGED = Gauge(
    "driftline_metric_judged", "1 where a metric of the newest window was compared with its baseline, else 0.",
    [*VERSION, "metric", "basis"], registry=WORKER,
)  # fmt: skip
LEFT_OUT = Gauge(
    "driftline_left_out_records",
    "Predictions and feedback that no window counts, by reason, since the first record, as of the newest report.",
    [*VERSION, "reason"], registry=WORKER,
)  # fmt: skip

# Alerts and deliveries

ALERTS_FIRING = Gauge(
    "driftline_alerts_firing", "Alerts that fire now, by rule and level.", [*VERSION, "rule", "level"], registry=WORKER
)  # fmt: skip
ALERTS_PENDING = Gauge(
    "driftline_alerts_pending", "Alerts that are breached, and not yet in enough windows in a row to fire, by rule.",
    [*VERSION, "rule", "level"], registry=WORKER,
)  # fmt: skip
ALERTS = Counter("driftline_alerts", "Transitions of alerts.", ["status", "level"], registry=WORKER)
DELIVERIES = Counter(
    "driftline_deliveries", "Alerts sent through a channel, or given up.", ["channel", "outcome"], registry=WORKER
)

# The recorder

RECORDER_READY = Gauge(
    "driftline_recorder_ready", "1 while Kafka answers and the database takes what is read.", registry=RECORDER
)
RECORDER_LAG = Gauge(
    "driftline_recorder_lag_records", "Records of a partition that this recorder holds and has not written yet.",
    ["topic", "partition"], registry=RECORDER,
)  # fmt: skip
RECORDER_PARTITIONS = Gauge(
    "driftline_recorder_partitions_held", "Partitions that this recorder reads, by topic.", ["topic"],
    registry=RECORDER,
)  # fmt: skip
RECORDER_ROWS = Counter(
    "driftline_recorder_rows", "Rows written, by table; a prediction that is given its truth counts again.",
    ["table"], registry=RECORDER,
)  # fmt: skip
RECORDER_BATCH_SECONDS = Histogram(
    "driftline_recorder_batch_seconds", "Time that one batch took in the database, until it was committed.",
    buckets=QUICK, registry=RECORDER,
)  # fmt: skip
RECORDER_LAST_WRITE = Gauge(
    "driftline_recorder_last_write_timestamp_seconds",
    "When the last batch was committed, in seconds since 1970; 0 before the first.", registry=RECORDER,
)  # fmt: skip
HISTORY_BYTES = Gauge(
    "driftline_history_bytes",
    "About how large the history is: its rows, and SQLite's log of writes.",
    registry=RECORDER,
)
RECORDER_RETRIES = Counter(
    "driftline_recorder_retries", "Attempts that the database did not let through; each is made again.",
    registry=RECORDER,
)  # fmt: skip
RECORDER_DEAD_LETTERS = Counter(
    "driftline_recorder_dead_letters", "Records set aside to the dead letters, by the kind of reason.",
    ["topic", "reason"], registry=RECORDER,
)  # fmt: skip
RECORDER_ALL_DEAD_LETTERS = Counter(
    "driftline_recorder_dead_letter_records", "The same, whatever the reason; at 0 from the start.", ["topic"],
    registry=RECORDER,
)  # fmt: skip
RECORDER_LOST = Counter(
    "driftline_recorder_lost_records", "Records that Kafka had deleted before they were recorded.", ["topic"],
    registry=RECORDER,
)  # fmt: skip

# The API

API_REQUESTS = Counter(
    "driftline_api_requests", "Requests answered, by route and status.", ["method", "route", "status"], registry=API
)
API_SECONDS = Histogram(
    "driftline_api_request_seconds", "Time until the answer to a request began, by route.", ["method", "route"],
    buckets=QUICK, registry=API,
)  # fmt: skip
API_REQUEST_BYTES = Counter(
    "driftline_api_request_bytes", "Bytes of bodies, as their senders declare them.", ["route"], registry=API
)
API_EVENTS = Counter(
    "driftline_api_events", "Events given to the API, by topic and outcome (accepted, rejected).",
    ["topic", "outcome"], registry=API,
)  # fmt: skip
API_WARNINGS = Counter(
    "driftline_api_warnings", "Warnings in responses to events, by topic and kind: model versions that are not "
    "registered (unregistered), fields that no event has (unknown_field).",
    ["topic", "kind"], registry=API,
)  # fmt: skip
API_EXTRA_FEATURES = Counter(
    "driftline_api_extra_features", "Features that the served model does not have, left out of what it got.",
    registry=API,
)  # fmt: skip
API_LOOP_LAG = Histogram(
    "driftline_api_loop_lag_seconds", "How late the API's event loop was: so long at most its requests have waited.",
    buckets=QUICK, registry=API,
)  # fmt: skip
API_PREDICT_TIMEOUTS = Counter(
    "driftline_api_predict_timeouts", "Requests that the served model has not answered within predict_seconds.",
    ["model"], registry=API,
)  # fmt: skip
API_PREDICT_REFUSED = Counter(
    "driftline_api_predict_refused", "Requests refused because a served model has no thread left for them.",
    ["model"], registry=API,
)  # fmt: skip
API_PREDICT_OVERDUE = Gauge(
    "driftline_api_predict_overdue_threads", "Threads of a served model that are busy for longer than predict_seconds.",
    ["model"], registry=API,
)  # fmt: skip
API_PREDICT_WAITING = Gauge(
    "driftline_api_predict_waiting_requests", "Requests that wait for a thread of a served model.", ["model"],
    registry=API,
)  # fmt: skip
API_PREDICT_RESTARTS = Counter(
    "driftline_api_predict_process_restarts", "Times that a process with a served model hung or ended and was started "
    "again (predict_processes).",
    ["model"], registry=API,
)  # fmt: skip
API_READY = Gauge("driftline_api_ready", "1 once the broker answers and the views are loaded.", registry=API)
API_SPOOLED = Counter(
    "driftline_api_spooled", "Predictions that were given while Kafka was away, by outcome: kept on the disk, sent to "
    "Kafka later, refused for want of room, torn (not given: the process was killed), lost.",
    ["outcome"], registry=API,
)  # fmt: skip
API_SPOOL_EVENTS = Gauge("driftline_api_spool_events", "Predictions that wait on the disk for Kafka.", registry=API)
API_SPOOL_BYTES = Gauge("driftline_api_spool_bytes", "Bytes that they have.", registry=API)
API_SPOOL_AGE = Gauge("driftline_api_spool_oldest_seconds", "How long the oldest of them has waited.", registry=API)
