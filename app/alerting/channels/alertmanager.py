"""Channel to Prometheus Alertmanagers. As Prometheus does, it sends alerts repeatedly while they fire, and then their
end.

https://prometheus.io/docs/alerting/latest/clients/ An alert in Alertmanager is a set of labels, which include the
severity. An alert that changes its level becomes another one, and the earlier one is ended. An alert that is not sent
again ends automatically.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from app.alerting.channels.http_post import get, post
from app.alerting.channels.http_response import secrets_in, secrets_of, shown
from app.alerting.channels.webhook import annotations_of, time_of
from app.alerting.notify.channel import Delivered, Outcome, Permanent, Retryable
from app.alerting.notify.notification import Notification
from app.alerting.rendering.labels import JOB, PLAIN, Labelling
from topics.events import AlertEvent

log = logging.getLogger(__name__)

ADVICE = "check alertmanager_urls and alertmanager_token"
API = "/api/v2/alerts"
EVERY = 60.0
"""Seconds after which firing alerts are sent again; Prometheus' own default."""
ENDS_AFTER = 300.0
"""Seconds until Alertmanager ends an alert that was not sent again: the time for a failed worker to return."""
MOST_ALERTS = 200
"""Number of alerts in one request."""
MOST_KNOWN = 10_000
WATCHDOG = {"alertname": "watchdog", "severity": "none", "instance": "driftline/watchdog"}

Labels = dict[str, str]


class AlertmanagerChannel:
    """Channel that posts to every Alertmanager of a cluster.

    A notification counts as delivered once one of them has it, since they notify for each other. `headers` are sent
    with each request, and their values are secret. `watchdog`: whether an alert that always fires is sent too, by the
    worker that has the first partition.
    """

    name = "alertmanager"
    digests = False

    def __init__(
        self, urls: Iterable[str], *, seconds: float, headers: Mapping[str, str] | None = None,
        labelling: Labelling = PLAIN, watchdog: bool = False, now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:  # fmt: skip
        self._urls = [f"{url.rstrip('/').removesuffix(API)}{API}" for url in urls]
        self._seconds = seconds
        self._headers = dict(headers or {})
        self._labelling = labelling
        self._watchdog = watchdog
        self._now = now
        self._known: dict[str, Labels] = {}
        self._kept_at: dict[int, float] = {}
        self._tasks = set[asyncio.Task[None]]()

    async def deliver(self, notification: Notification) -> Outcome:
        """Post firing and resolved alerts, and end alerts that Alertmanager still has under another level."""
        if self._tasks:
            await asyncio.wait(self._tasks)  # a repeat under way must not arrive after an alert's end
        now = self._now()
        alerts = (*notification.firing, *notification.resolved)
        earlier = await asyncio.gather(*(self._earlier(url, alerts) for url in self._urls))
        bodies = [self._body(notification.firing, notification.resolved, found, now) for found in earlier]
        outcomes = await asyncio.gather(*map(self._post_all, self._urls, bodies))
        outcome = _together(self._urls, outcomes)
        if isinstance(outcome, Delivered):
            self._remember(notification)
        return outcome

    def keep(self, partition: int, firing: Callable[[], Sequence[AlertEvent]]) -> None:
        """Send the firing alerts of a partition again, if they are due. Returns at once; failures are logged."""
        now = self._now().timestamp()
        if 0.0 <= now - self._kept_at.get(partition, -EVERY) < EVERY:
            return
        self._kept_at[partition] = now
        alerts, watching = firing(), self._watchdog and partition == 0
        if alerts or watching:
            task = asyncio.create_task(self._send_again(alerts, watching=watching), name="alertmanager")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _send_again(self, alerts: Sequence[AlertEvent], *, watching: bool) -> None:
        now = self._now()
        body = self._body(alerts, (), (), now) + ([self._always(now)] if watching else [])
        outcome = _together(self._urls, await asyncio.gather(*(self._post_all(url, body) for url in self._urls)))
        if not isinstance(outcome, Delivered):
            log.warning("%d alerts that fire were not sent to Alertmanager again: %s", len(alerts), outcome.reason)

    def _body(
        self, firing: Iterable[AlertEvent], resolved: Iterable[AlertEvent], earlier: Iterable[Labels], now: datetime
    ) -> list[dict[str, object]]:
        """Return the alerts in the form of Alertmanager's API. `earlier`: series to end, unless they are among these
        alerts.
        """
        ahead = now + timedelta(seconds=ENDS_AFTER)
        found = [self._alert(alert, ahead) for alert in firing]
        found += [self._alert(alert, min(alert.ended_at or now, now)) for alert in resolved]
        current = [one["labels"] for one in found]
        return found + [{"labels": labels, "endsAt": time_of(now)} for labels in earlier if labels not in current]

    def _alert(self, alert: AlertEvent, ends_at: datetime) -> dict[str, object]:
        page = alert.links.get("dashboard")
        found: dict[str, object] = {
            "labels": self._labels(alert),
            "annotations": annotations_of(alert),
            "startsAt": time_of(min(alert.started_at, ends_at)),
            "endsAt": time_of(ends_at),
        }
        return {**found, "generatorURL": page} if page else found

    def _labels(self, alert: AlertEvent) -> Labels:
        """Return the labels of an alert's series, without empty ones."""
        return {name: value for name, value in self._labelling.of(alert).items() if value}

    def _always(self, now: datetime) -> dict[str, object]:
        """Return the watchdog: an alert that always fires, so that its absence reveals a failure."""
        labels = {"job": JOB, "service": JOB, **self._labelling.labels, **WATCHDOG}
        words = (
            "This always fires. When it does not arrive any more, Driftline's worker or the way from it does not work."
        )
        return {
            "labels": labels,
            "annotations": {"summary": "Driftline sends alerts", "description": words},
            "endsAt": time_of(now + timedelta(seconds=ENDS_AFTER)),
        }

    async def _post_all(self, url: str, alerts: Sequence[dict[str, object]]) -> Outcome:
        """Return the outcome of the last request, or of the first request that failed."""
        headers = self._headers | {"Content-Type": "application/json", "User-Agent": "driftline"}
        outcome: Outcome = Delivered()
        for start in range(0, len(alerts), MOST_ALERTS):
            body = msgspec.json.encode(alerts[start : start + MOST_ALERTS])
            outcome = await post(url, body, headers, seconds=self._seconds, advice=ADVICE, secrets=self._secrets(url))
            if not isinstance(outcome, Delivered):
                break
        return outcome

    def _secrets(self, url: str) -> list[str]:
        return [*secrets_of(url), *secrets_in(self._headers)]

    # Earlier series

    async def _earlier(self, url: str, alerts: Sequence[AlertEvent]) -> list[Labels]:
        """Return the series that an Alertmanager has of these alerts: as this process sent them, else as its API lists
        them.
        """
        known = [self._known[alert.fingerprint] for alert in alerts if alert.fingerprint in self._known]
        unknown = [alert for alert in alerts if alert.fingerprint not in self._known]
        return known if not unknown else [*known, *await self._asked(url, unknown)]

    async def _asked(self, url: str, alerts: Sequence[AlertEvent]) -> list[Labels]:
        """Return the active series of these alerts from Alertmanager's API; none where it fails, since they end
        automatically.
        """
        text = await get(url, list(_filters(alerts)), self._headers, seconds=self._seconds / 2, most=MOST_ANSWER)
        try:
            found = [] if text is None else _decoder.decode(text)
        except msgspec.MsgspecError:
            found = []
        return [one.labels for one in found if any(_is_of(one.labels, alert) for alert in alerts)]

    def _remember(self, notification: Notification) -> None:
        for alert in notification.resolved:
            self._known.pop(alert.fingerprint, None)
        for alert in notification.firing:
            self._known[alert.fingerprint] = self._labels(alert)
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]


class _Series(msgspec.Struct):
    """The needed part of `gettableAlert` in Alertmanager's API."""

    labels: Labels


_decoder = msgspec.json.Decoder(list[_Series])
MOST_ANSWER = 8 << 20
"""Largest list of alerts, in bytes, that is read from Alertmanager."""


def _filters(alerts: Sequence[AlertEvent]) -> Iterator[tuple[str, str]]:
    """Yield matchers for the labels that all the alerts share, in Alertmanager's syntax."""
    first, *others = alerts
    for name in ("model", "model_version"):
        value = first.labels.get(name, "")
        if value and all(alert.labels.get(name) == value for alert in others):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            yield "filter", f'{name}="{escaped}"'


def _is_of(labels: Labels, alert: AlertEvent) -> bool:
    """Return whether a series belongs to an alert, whatever its severity."""
    own = {name: value for name, value in alert.labels.items() if value}
    return labels.get("alertname") == alert.rule and own.items() <= labels.items()


def _together(urls: Sequence[str], outcomes: Sequence[Outcome]) -> Outcome:
    """Return one outcome of a cluster: delivered where one has it, retryable while one may still take it."""
    failed = [
        f"{shown(url)} {outcome.reason}"
        for url, outcome in zip(urls, outcomes, strict=True)
        if not isinstance(outcome, Delivered)
    ]
    if len(failed) < len(urls):
        taken = f"{len(urls) - len(failed)} of {len(urls)} Alertmanagers"
        return Delivered("; ".join([taken, *failed]))
    waits = [outcome.after for outcome in outcomes if isinstance(outcome, Retryable)]
    if not waits:
        return Permanent("; ".join(failed))
    return Retryable("; ".join(failed), min((wait for wait in waits if wait is not None), default=None))
