"""The events of Driftline, as they travel on the wire (JSON, one event a record)."""

from __future__ import annotations

from topics.events.alerts import (
    AlertEvent,
    AlertStatus,
    AlertSummary,
    DeliveryEvent,
    Fact,
    FactValue,
    Hours,
    RelatedWindow,
    SilenceEvent,
    UndeliveredEvent,
)
from topics.events.audit import Action, AuditEvent
from topics.events.base import Event, Label, Name, Scalar, Timestamp, from_epoch, minute_of, to_epoch, utc_now
from topics.events.lifecycle import DeploymentEvent, RetrainingEvent, TrainingRunEvent
from topics.events.models import Hidden, ModelEvent
from topics.events.panes import CategoryCounts, PaneEvent, PanePartial, Progress
from topics.events.predictions import FeedbackEvent, Heartbeat, PredictionEvent, ServedEvent
from topics.events.receivers import ReceiverEvent
from topics.events.reports import (
    AnyReport,
    DriftAtScale,
    DriftReport,
    IntakeReport,
    JudgedFrom,
    MetricFinding,
    MetricScales,
    MonitorReport,
    PartitionStanding,
    PerformanceReport,
    ReferenceSpan,
    Report,
    ScaleFinding,
    Scales,
    TrafficReport,
    Usual,
    report_from,
)
from topics.events.versions import Learning, VersionEvent
from topics.levels import Level
from topics.results import Cause, ClassMetrics, FeatureDrift, MetricChange, Shape, Volume

__all__ = [
    "Action",
    "AlertEvent",
    "AlertStatus",
    "AlertSummary",
    "AnyReport",
    "AuditEvent",
    "CategoryCounts",
    "Cause",
    "ClassMetrics",
    "DeliveryEvent",
    "DeploymentEvent",
    "DriftAtScale",
    "DriftReport",
    "Event",
    "Fact",
    "FactValue",
    "FeatureDrift",
    "FeedbackEvent",
    "Heartbeat",
    "Hidden",
    "Hours",
    "IntakeReport",
    "JudgedFrom",
    "Label",
    "Learning",
    "Level",
    "MetricChange",
    "MetricFinding",
    "MetricScales",
    "ModelEvent",
    "MonitorReport",
    "Name",
    "PaneEvent",
    "PanePartial",
    "PartitionStanding",
    "PerformanceReport",
    "PredictionEvent",
    "Progress",
    "ReceiverEvent",
    "ReferenceSpan",
    "RelatedWindow",
    "Report",
    "RetrainingEvent",
    "Scalar",
    "ScaleFinding",
    "Scales",
    "ServedEvent",
    "Shape",
    "SilenceEvent",
    "Timestamp",
    "TrafficReport",
    "TrainingRunEvent",
    "UndeliveredEvent",
    "Usual",
    "VersionEvent",
    "Volume",
    "from_epoch",
    "minute_of",
    "report_from",
    "to_epoch",
    "utc_now",
]
