"""Channel to any receiver of Prometheus Alertmanager's webhooks: its payload, version 4, with an optional signature.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import msgspec

from app.alerting.channels.http_post import post
from app.alerting.channels.http_response import secrets_in, secrets_of
from app.alerting.notify.channel import Outcome
from app.alerting.notify.decision import Reason
from app.alerting.notify.muting import SAME_MODEL
from app.alerting.notify.notification import Notification
from app.alerting.rendering.labels import PLAIN, Labelling
from topics.events import AlertEvent

ADVICE = "check webhook_url, and what its receiver says"
MOST_ALERTS = 100
"""Number of alerts in one payload. `truncatedAlerts` counts the others. A digest contains all alerts."""
NEVER = "0001-01-01T00:00:00Z"
"""Go's zero time, which Alertmanager sends as the end of firing alerts."""


class WebhookChannel:
    """Channel that posts the payload. Any 2xx is a receipt, whatever the body says.

    `public`: connect only to public addresses. `headers` are sent with the payload, and their values are secret.
    """

    def __init__(  # noqa: PLR0913 - its dependencies, each with its default
        self, url: str, *, seconds: float, secret: str | None = None, public: bool = False,
        clock: Callable[[], float] = time.time, name: str = "webhook", advice: str = ADVICE,
        labelling: Labelling = PLAIN, headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self._advice = advice
        self._url = url
        self._seconds = seconds
        self._secret = secret
        self._public = public
        self._clock = clock
        self._labelling = labelling
        self._headers = dict(headers or {})

    async def deliver(self, notification: Notification) -> Outcome:
        """Post the payload once."""
        body = msgspec.json.encode(payload_of(notification, self._labelling))
        headers = self._headers | {
            "Content-Type": "application/json",
            "User-Agent": "driftline",
            "Driftline-Notification": quote(notification.notification_id, safe=""),
        }
        if self._secret is not None:
            headers |= signature_of(body, self._secret, int(self._clock()))
        secrets = secrets_of(self._url) + ([] if self._secret is None else [self._secret])
        secrets += secrets_in(self._headers)
        return await post(
            self._url, body, headers, seconds=self._seconds, advice=self._advice, secrets=secrets, public=self._public
        )


def signature_of(body: bytes, secret: str, timestamp: int) -> dict[str, str]:
    """Return the headers that prove the sender and the time: HMAC-SHA256 over `timestamp.body`, in hex."""
    signed = hmac.new(secret.encode(), b"%d.%s" % (timestamp, body), hashlib.sha256).hexdigest()
    return {"Driftline-Timestamp": str(timestamp), "Driftline-Signature": f"v1={signed}"}


def payload_of(notification: Notification, labelling: Labelling = PLAIN) -> dict[str, object]:
    """Return Alertmanager's payload, firing alerts first. Pure."""
    told = (*notification.firing, *notification.resolved)
    most = len(told) if notification.reason == Reason.DIGEST else MOST_ALERTS
    alerts = [_alert(alert, labelling) for alert in told[:most]]
    return {
        "version": "4",
        "groupKey": notification.group,
        "truncatedAlerts": max(len(told) - most, 0),
        "status": notification.status,
        "receiver": "driftline",
        "groupLabels": notification.group_labels or _of_model(notification.labels),
        "commonLabels": _common(alert["labels"] for alert in alerts),
        "commonAnnotations": _common(alert["annotations"] for alert in alerts),
        "externalURL": _origin(notification.links),
        "alerts": alerts,
    }


def _alert(alert: AlertEvent, labelling: Labelling) -> dict[str, object]:
    return {
        "status": alert.status,
        "labels": labelling.of(alert),
        "annotations": annotations_of(alert),
        "startsAt": time_of(alert.started_at),
        "endsAt": NEVER if alert.ended_at is None else time_of(alert.ended_at),
        "generatorURL": alert.links.get("dashboard", ""),
        "fingerprint": alert.fingerprint,
    }


def _of_model(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels by which every group is formed, for a waiting notification of an earlier release."""
    return {name: labels[name] for name in SAME_MODEL if name in labels}


def annotations_of(alert: AlertEvent) -> dict[str, str]:
    """Return an alert's title, message and links as annotations."""
    return {"summary": alert.title, "description": alert.message, **alert.links}


def _common(found: Iterable[object]) -> dict[str, str]:
    """Return the entries that all labels or annotations share."""
    entries = [set(one.items()) for one in found if isinstance(one, dict)]
    return dict(sorted(set.intersection(*entries))) if entries else {}


def _origin(links: dict[str, str]) -> str:
    parts = urlsplit(links.get("dashboard", ""))
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def time_of(moment: datetime) -> str:
    """Return a moment as RFC 3339, in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
