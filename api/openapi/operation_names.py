"""Names of operations in the OpenAPI document, from which generators derive the names of functions and modules."""

from __future__ import annotations

import re

from app.history.kinds import HISTORY_KINDS

TAGS = {
    "status": "Whether the API, Kafka and the workers are well.",
    "serving": "Predictions of the model that the API serves.",
    "events": "Predictions and their truth, as producers send them; what has changed, as a stream.",
    "models": "What is monitored: registrations, and the newest reports of each model version.",
    "alerts": "What fires, silences, and who is notified.",
    "history": "Everything that was recorded, newest first.",
    "dashboard": "Pages for people.",
}
"""Every tag, with its description."""

_NAMES: dict[tuple[str, str], str] = {
    ("get", "/"): "get_root",
    ("get", "/ready"): "get_readiness",
    ("post", "/predict"): "predict",
    ("post", "/predictions"): "send_predictions",
    ("post", "/feedback"): "send_feedback",
    ("post", "/heartbeats"): "send_heartbeat",
    ("get", "/models"): "list_models",
    ("get", "/models/{model}/{version}"): "get_model_version",
    ("get", "/models/{model}/versions/{version}"): "get_registration",
    ("post", "/models/{model}/versions/{version}"): "register_model_version",
    ("delete", "/models/{model}/versions/{version}"): "retire_model_version",
    ("get", "/models/{model}/{version}/drift"): "list_drift_reports",
    ("get", "/models/{model}/{version}/performance"): "list_performance_reports",
    ("get", "/models/{model}/{version}/alerts"): "list_model_alerts",
    ("get", "/models/{model}/{version}/timeline"): "get_timeline",
    ("get", "/models/{model}/{version}/features"): "list_features",
    ("get", "/models/{model}/{version}/features/{name}"): "get_feature",
    **{("get", kind.path): f"list_{kind.singular}_history" for kind in HISTORY_KINDS},
    ("get", "/alerts"): "list_alerts",
    ("get", "/events"): "stream_changes",
    ("get", "/silences"): "list_silences",
    ("post", "/silences"): "create_silence",
    ("delete", "/silences/{silence_id}"): "end_silence",
    ("get", "/receivers"): "list_receivers",
    ("post", "/receivers"): "create_receiver",
    ("delete", "/receivers/{name}"): "delete_receiver",
    ("get", "/dashboard/{name}"): "get_dashboard_file",
}
_TAGS = {
    "predict": "serving", "predictions": "events", "feedback": "events", "heartbeats": "events", "events": "events",
    "models": "models", "alerts": "alerts", "silences": "alerts", "receivers": "alerts", "history": "history",
    "dashboard": "dashboard",
}  # fmt: skip


def operation_id(method: str, path: str) -> str:
    """Return the name of an operation in lower case and underscores.

    An operation without a name of its own is named after its method and path: POST /models/{model}/serve is
    `post_models_model_serve`.
    """
    given = _NAMES.get((method, path))
    return given or "_".join([method, *(re.findall(r"[a-z0-9]+", path.lower()) or ["root"])])


def tag(path: str) -> str:
    """Return the tag of an operation: the first part of its path, or the last part for a model version's alerts."""
    return "alerts" if path.endswith("/alerts") and "history" not in path else _TAGS.get(path.split("/")[1], "status")
