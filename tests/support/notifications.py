"""Notifications as tests want them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.alerting.events.text import summary_of_alert
from app.alerting.notify.notification import Notification
from topics.events import AlertEvent, FeatureDrift, MetricChange

MOMENT = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
LINKS = {"dashboard": "http://127.0.0.1:8700/dashboard?model=income&version=3"}
HOSTILE = (
    "<script>alert(1)</script>\r\nBcc: all@example.org\n💥 \u202eשלום\u2028 & *bold* $x_1$ {{ 7 * 7 }} %s \x1b[31m"
)
"""Markup, a header, an emoji, a direction turned round, Hebrew, marks of Slack, TeX, Jinja, printf and terminals."""


def shape(*, categorical: bool = False) -> dict[str, object]:
    """A picture's points."""
    if categorical:
        return {"at": ["basic", "plus", HOSTILE], "reference": [0.6, 0.3, 0.1], "current": [0.3, 0.3, 0.4]}
    at = [float(i) for i in range(50)]
    return {
        "at": at,
        "reference": [(i + 1) / 50 for i in range(50)],
        "current": [((i + 1) / 50) ** 2 for i in range(50)],
    }


def drifted(name: str = "age", statistic: float = 0.3, **changes: Any) -> dict[str, object]:
    """A feature's evidence, as JSON has it: drifted; without points for a picture, unless `shape` has them."""
    points = changes.pop("shape", None)
    fields: dict[str, Any] = {
        "name": name, "kind": "numeric", "test": "ks", "statistic": statistic, "p_value": 1e-20, "threshold": 0.1,
        "effect": True, "significant": True, "drifted": True, "n": 1000, "missing": 0, "invalid": 0, "unseen": 0,
        "out_of_range": 0, "error_bound": 0.0, "reference": "median 40, mean 41", "current": "median 480, mean 490",
        "direction": "higher", "unseen_names": {},
    }  # fmt: skip
    built: dict[str, object] = msgspec.to_builtins(FeatureDrift(**fields | changes))
    return built | {"shape": points}


def metric(name: str = "recall", relative: float = 0.25) -> dict[str, object]:
    """A metric's evidence, with a baseline of 0.8."""
    value = 0.8 * (1 - relative)
    return {
        "name": name, "value": value, "baseline": 0.8, "absolute": value - 0.8, "relative": relative,
        "low": value - 0.01, "high": value + 0.01, "threshold": 0.05, "error_bound": 0.0, "degraded": relative > 0.05,
    }  # fmt: skip


def alert(
    alert_id: str = "a1", *, features: Sequence[object] = (), metrics: Sequence[object] = (), **changes: Any
) -> AlertEvent:
    """A firing alert of the model `income 3`."""
    fields: dict[str, Any] = {
        "alert_id": alert_id, "fingerprint": f"{alert_id:0>16}", "status": "firing", "level": "error",
        "rule": "data_drift", "title": "income 3: data drift in 1 of 3 features (age)",
        "message": "Since 2026-06-01 11:00 UTC.\nSeen in the window 11:00 UTC to 12:00 UTC: 1,000 predictions.",
        "labels": {"model": "income", "model_version": "3", "rule": "data_drift", "subject": "features"},
        "started_at": MOMENT, "ended_at": None,
        "evidence": {"n": 1000, "features": list(features), "metrics": list(metrics)}, "links": LINKS,
        "emitted_at": MOMENT,
    }  # fmt: skip
    made = AlertEvent(**fields | changes)
    columns = tuple(msgspec.convert(one, FeatureDrift) for one in features)
    summary = msgspec.structs.replace(
        summary_of_alert(made), columns=columns, metrics=tuple(msgspec.convert(one, MetricChange) for one in metrics),
        drifted=tuple(column.name for column in columns if column.drifted),
    )  # fmt: skip
    return made if "summary" in changes else msgspec.structs.replace(made, summary=summary)


def notification(*alerts: AlertEvent, **changes: Any) -> Notification:
    """What tells of the alerts (one with a drifted feature and a worse metric, unless said otherwise)."""
    told = alerts or (alert(features=[drifted()], metrics=[metric()]),)
    firing = tuple(one for one in told if one.status == "firing")
    fields: dict[str, Any] = {
        "notification_id": "n1", "group": "income/3", "labels": {"model": "income", "model_version": "3"},
        "status": "firing" if firing else "resolved", "level": told[0].level, "reason": "first notification",
        "title": told[0].title, "firing": firing, "resolved": tuple(o for o in told if o.status == "resolved"),
        "links": LINKS, "emitted_at": MOMENT,
    }  # fmt: skip
    return Notification(**fields | changes)


def pictured() -> Notification:
    """One with a picture."""
    return notification(alert(features=[drifted(shape=shape())], metrics=[metric()]))


def resolved(**changes: Any) -> Notification:
    """The same, over."""
    title = "income 3: data drift is over"
    over = alert("a2", status="resolved", ended_at=MOMENT, title=title, metrics=[metric("recall", 0.0)])
    return notification(over, **{"notification_id": "n2", **changes})


def hostile() -> Notification:
    """One in which every name from outside is an attack."""
    features = [
        drifted(HOSTILE, 0.5, kind="categorical", direction=f"more {HOSTILE}", reference=HOSTILE, current=HOSTILE)
    ]
    names = {"model": HOSTILE, "model_version": HOSTILE, "rule": HOSTILE, "subject": HOSTILE}
    return notification(
        alert(title=HOSTILE, message=HOSTILE, labels=names, features=features, metrics=[metric(HOSTILE)]),
        title=HOSTILE, labels=names, reason=HOSTILE, group=HOSTILE, notification_id=HOSTILE,
        links={HOSTILE: "javascript:alert(1)", "dashboard": "https://example.org/?a=<b>|c&d"},
    )  # fmt: skip
