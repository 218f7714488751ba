"""Kinds of history: one entry for each, from which its command and its route are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from msgspec import Struct
from sqlalchemy import Connection

from app.history import columns, paging, queries
from app.history.answers import (
    Audited,
    Deployment,
    DriftCheck,
    Prediction,
    RecordedAlert,
    RecordedDelivery,
    TrainingRun,
    VersionPerformance,
)
from app.history.columns import Column
from app.history.paging import PageOrder
from app.history.wanted import (
    AlertsFilter,
    AuditFilter,
    ChecksFilter,
    DeliveriesFilter,
    DeploymentsFilter,
    HistoryFilter,
    Option,
    PredictionsFilter,
    TrainingFilter,
)


@dataclass(frozen=True, kw_only=True)
class HistoryKind:
    """One kind of history: `driftline history NAME` and `GET /history/NAME`.

    `order` gives the kind's name and sorts its list. `singular` is for names of one row: `list_alert_history`,
    `AlertHistory`. `filters` are the options of the command and the parameters of the route; `limit` is the default
    number of rows. `columns` are what the command prints, by header; `nothing` is printed where no row is found.
    `description` is the route's; `help`, `more` and `examples` (without `driftline history NAME`) are the command's.
    `role` is the role that the route requires. `of_models`: rows belong to models, so a key for some models sees only
    the rows of these; else there is no filter by model.
    """

    order: PageOrder
    singular: str
    row: type[Struct]
    filters: type[HistoryFilter]
    query: Callable[[Connection, Any], list[Any]]
    columns: Mapping[str, Column]
    nothing: str
    description: str
    help: str
    more: str = ""
    examples: tuple[str, ...]
    limit: int = 50
    role: Literal["read", "rows", "admin"] = "read"
    of_models: bool = True

    @property
    def name(self) -> str:
        """Return the name of the command and of the list in a response, which is also the end of the route's path."""
        return self.order.name

    @property
    def path(self) -> str:
        """Return the path of the route."""
        return f"/history/{self.name}"

    def options(self) -> tuple[Option, ...]:
        """Return the options that callers may set, with the kind's limit as default number of rows."""
        options = self.filters.options()
        return tuple(one._replace(default=self.limit) if one.name == "limit" else one for one in options)


MODEL = {"model": "model", "version": "model_version"}

HISTORY_KINDS = (
    HistoryKind(
        order=paging.TRAINING,
        singular="training",
        row=TrainingRun,
        filters=TrainingFilter,
        query=queries.training_runs,
        columns={
            "finished": "finished_at", **MODEL, "type": "model_type", "status": "status", "environment": "environment",
            "retraining": "is_retraining", "rows": "rows", "metrics": columns.metrics_or_detail,
        },
        nothing="no trainings",
        description="Trainings, the newest first.",
        help="Show how models were trained, the newest first.",
        examples=("--model churn", "--limit 1 --json"),
    ),
    HistoryKind(
        order=paging.DEPLOYMENTS,
        singular="deployment",
        row=Deployment,
        filters=DeploymentsFilter,
        query=queries.deployments,
        columns={
            "deployed": "deployed_at", **MODEL, "by": "source", "type": "model_type", "environment": "environment",
            "status": "status",
        },
        nothing="no deployments",
        description="Model versions that went into service, the newest first.",
        help="Show which versions went into service, the newest first.",
        examples=("--model churn", "--environment production --status active"),
    ),
    HistoryKind(
        order=paging.PREDICTIONS,
        singular="prediction",
        row=Prediction,
        filters=PredictionsFilter,
        query=queries.predictions,
        columns={
            "time": "timestamp", **MODEL, "id": "prediction_id", "prediction": columns.label("prediction"),
            "probability": columns.probability, "truth": columns.label("actual"),
        },
        nothing="no predictions",
        description="Predictions with their truth, the newest first.",
        help="Show predictions with their truth, the newest first.",
        examples=("--model churn --version 3 --wrong --limit 20", "--id order-1 --json"),
        limit=100,
        role="rows",
    ),
    HistoryKind(
        order=paging.PERFORMANCE,
        singular="performance",
        row=VersionPerformance,
        filters=HistoryFilter,
        query=queries.performance,
        columns={
            **MODEL, "predictions": "predictions", "with truth": "with_feedback",
            "by default": columns.by_default, "average": "average_prediction",
            "probability": "average_probability", "error": "average_error", "wrong": columns.error_rate,
            "last": "last",
        },
        nothing="no predictions",
        description="What the predictions of each model version came to.",
        help="Show what the predictions of each model version came to.",
        more="Average error: the absolute difference of numbers; of labels, the share that was wrong.",
        examples=("", "--model churn --since 2026-06-01T00:00:00Z"),
    ),
    HistoryKind(
        order=paging.DRIFT,
        singular="drift",
        row=DriftCheck,
        filters=ChecksFilter,
        query=queries.drift_checks,
        columns={
            "window's end": "window_end", **MODEL, "n": "n", "found": columns.found, "share": "share",
            "which": "named",
        },
        nothing="no checks",
        description="Windows as they were judged, the newest first.",
        help="Show how windows were judged, the newest first.",
        examples=("--model churn --detected", "--kind performance --limit 10 --json"),
    ),
    HistoryKind(
        order=paging.ALERTS,
        singular="alert",
        row=RecordedAlert,
        filters=AlertsFilter,
        query=queries.alerts,
        columns={
            "time": "emitted_at", "status": "status", "level": "level", "rule": "rule", "alert": "title",
            "id": "alert_id",
        },
        nothing="no alerts",
        description="Transitions of alerts, the newest first.",
        help="Show when alerts fired and were resolved, the newest first.",
        more="With --json: their labels and evidence too. What fires now, `driftline alerts list` says.",
        examples=("--model churn --since 2026-06-01T00:00:00Z", "--status firing --level critical --json"),
    ),
    HistoryKind(
        order=paging.DELIVERIES,
        singular="delivery",
        row=RecordedDelivery,
        filters=DeliveriesFilter,
        query=queries.deliveries,
        columns={
            "time": "delivered_at", "channel": "channel", "outcome": "outcome", "attempts": "attempts",
            "alert": columns.alert, "why": "reason", "detail": "detail",
        },
        nothing="no deliveries",
        description="Notifications of alerts, sent or given up, the newest first.",
        help="Show which alerts were sent through which channel, or given up, the newest first.",
        examples=("--model churn --channel slack", "--outcome failed --json"),
    ),
    HistoryKind(
        order=paging.AUDIT,
        singular="audit",
        row=Audited,
        filters=AuditFilter,
        query=queries.audit,
        columns={
            "time": "at", "who": columns.or_dash("actor"), "key": columns.or_dash("key_id"), "what": "action",
            "of": "subject", "detail": columns.details,
        },
        nothing="nothing was changed",
        description="Who has changed what, the newest first.",
        help="Show who made, changed and ended silences, receivers, registrations, keys and redeliveries, the newest "
        "first.",
        more="Who: the name of the API key, or the user who typed a command and where. - where the API asked for no "
        "key.",
        examples=("--since 2026-06-01T00:00:00Z", "--action key.revoked --json"),
        role="admin",
        of_models=False,
    ),
)  # fmt: skip
