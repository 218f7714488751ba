"""Every topic of Driftline, declared once: name, key, events, partitions, clean-up."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

DEFAULT_PREFIX = "driftline."
MEBIBYTE = 1 << 20


SEGMENTS = {"segment.ms": "86400000", "segment.bytes": str(64 * MEBIBYTE)}
"""Segments of topics that are read from the beginning at a start: the broker does not compact the active segment."""


class Topic(Struct, frozen=True, kw_only=True):
    """One topic: `partitioned` topics have the set number of partitions, the others one."""

    name: str
    key: str
    event: str
    cleanup: Literal["delete", "compact", "compact,delete"] = "delete"
    """`compact,delete`: writers delete expired keys with tombstones; `retention_days` is for keys that they missed."""
    partitioned: bool = True
    retention_days: float = 7
    max_message_bytes: int = MEBIBYTE
    broker_times: bool = False
    """True where the broker sets a record's time, independent of the producer's clock."""

    def full_name(self, prefix: str = DEFAULT_PREFIX) -> str:
        """Return the topic's name on the broker."""
        return prefix + self.name

    def partitions(self, partitions: int) -> int:
        """Return the topic's number of partitions, where the setting is `partitions`."""
        return partitions if self.partitioned else 1

    def config(self) -> dict[str, str]:
        """Return the broker's configuration of the topic."""
        config = {"cleanup.policy": self.cleanup, "max.message.bytes": str(self.max_message_bytes)}
        if "delete" in self.cleanup:
            config["retention.ms"] = str(int(self.retention_days * 86_400_000))
        if self.cleanup == "compact,delete":
            config |= SEGMENTS
        if self.broker_times:
            config["message.timestamp.type"] = "LogAppendTime"
        return config


class ForeignTopic(Topic, frozen=True, kw_only=True):
    """A topic of another system, whose name has no prefix. Nothing else about it is declared here."""

    def full_name(self, prefix: str = DEFAULT_PREFIX) -> str:
        """Return the name on the broker."""
        return self.name


PREDICTIONS = Topic(name="predictions", key="prediction_id", event="PredictionEvent | Heartbeat", broker_times=True)
FEEDBACK = Topic(name="feedback", key="prediction_id", event="FeedbackEvent", broker_times=True)
INFERENCES = Topic(
    name="inferences",
    key="the CloudEvent's id",
    event="a request's or a response's own bytes",
    broker_times=True,
    retention_days=2,
    max_message_bytes=4 * MEBIBYTE,  # less than a dead letter's
)
SERVED = Topic(name="served", key="request_id", event="ServedEvent", partitioned=False, retention_days=2)
MODELS = Topic(
    name="models",
    key="model/version",
    event="ModelEvent",
    cleanup="compact",
    partitioned=False,
    max_message_bytes=32 * MEBIBYTE,
)
PANES = Topic(
    name="panes",
    key="model/version/profile/kind/pane/partition",
    event="PanePartial | Progress",
    cleanup="compact,delete",
    retention_days=400,
    max_message_bytes=32 * MEBIBYTE,
    broker_times=True,
)
REPORTS = Topic(
    name="reports",
    key="model/version/kind/window end",
    event="DriftReport | PerformanceReport | TrafficReport | MonitorReport | IntakeReport",
    retention_days=30,
    max_message_bytes=8 * MEBIBYTE,
)
ALERTS = Topic(name="alerts", key="fingerprint", event="AlertEvent", retention_days=30, max_message_bytes=8 * MEBIBYTE)
DELIVERIES = Topic(name="deliveries", key="alert_id/channel", event="DeliveryEvent", partitioned=False)
UNDELIVERED = Topic(
    name="undelivered",
    key="notification_id/channel",
    event="UndeliveredEvent",
    partitioned=False,
    retention_days=30,
    max_message_bytes=8 * MEBIBYTE,
)
RECEIVERS = Topic(name="receivers", key="name", event="ReceiverEvent", cleanup="compact", partitioned=False)
SILENCES = Topic(name="silences", key="silence_id", event="SilenceEvent", cleanup="compact", partitioned=False)
VERSIONS = Topic(name="versions", key="model/version", event="VersionEvent", cleanup="compact", partitioned=False)
TRAINING_RUNS = Topic(
    name="training-runs", key="model/version", event="TrainingRunEvent", partitioned=False, retention_days=365
)
DEPLOYMENTS = Topic(
    name="deployments", key="model/version", event="DeploymentEvent", partitioned=False, retention_days=365
)
RETRAINING = Topic(
    name="retraining",
    key="model/version",
    event="RetrainingEvent",
    partitioned=False,
    retention_days=30,
    max_message_bytes=8 * MEBIBYTE,
)
AUDIT = Topic(name="audit", key="audit_id", event="AuditEvent", partitioned=False, retention_days=365)
DEAD_LETTERS = Topic(
    name="dead-letters",
    key="the record's own",
    event="the record's own bytes",
    partitioned=False,
    retention_days=30,
    max_message_bytes=8 * MEBIBYTE,
)

TOPICS: tuple[Topic, ...] = (
    PREDICTIONS, FEEDBACK, INFERENCES, SERVED, MODELS, PANES, REPORTS, ALERTS, DELIVERIES, UNDELIVERED, SILENCES,
    RECEIVERS, VERSIONS, TRAINING_RUNS, DEPLOYMENTS, RETRAINING, AUDIT, DEAD_LETTERS,
)  # fmt: skip
