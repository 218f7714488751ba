"""Alerts to Prometheus Alertmanagers, as Prometheus sends them: again and again while they fire, and ended at the end.

https://prometheus.io/docs/alerting/latest/clients/ An alert there is a set of labels, the severity among them: one that
changes its level becomes another, and the one of before is ended. What is not sent again ends by itself.
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
"""Seconds after which what fires is sent again; Prometheus' own default."""
ENDS_AFTER = 300.0
"""Seconds after which what was not sent again is over for Alertmanager: the time that a worker has to come back."""
MOST_ALERTS = 200
"""Alerts of one request."""
MOST_KNOWN = 10_000
WATCHDOG = {"alertname": "watchdog", "severity": "none", "instance": "driftline/watchdog"}

Labels = dict[str, str]


class AlertmanagerChannel:
    """Posts to every Alertmanager of a cluster; delivered once one of them has it, since they notify for each other.

    `headers` are sent with each request, and their values are secret. `watchdog`: whether an alert that always fires
    is sent too, by the worker that has the first partition.
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
        """Post what fires and what is over, and end what Alertmanager still has under another level."""
        if self._tasks:
            await asyncio.wait(self._tasks)  # what they send must not come after an end
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
        """Send what fires of a partition again, if it is time to. Returns at once; what fails is logged."""
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
        """The alerts as Alertmanager's API has them. `earlier`: series that end, unless they are among these."""
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
        """The labels of an alert's series, which has no empty ones."""
        return {name: value for name, value in self._labelling.of(alert).items() if value}

    def _always(self, now: datetime) -> dict[str, object]:
        """The alert of which only the absence says something."""
        labels = {"job": JOB, "service": JOB, **self._labelling.labels, **WATCHDOG}
        words = "This always fires. When it is not heard any more, Driftline's worker or the way from it does not work."
        return {
            "labels": labels,
            "annotations": {"summary": "Driftline sends alerts", "description": words},
            "endsAt": time_of(now + timedelta(seconds=ENDS_AFTER)),
        }

    async def _post_all(self, url: str, alerts: Sequence[dict[str, object]]) -> Outcome:
        """The outcome of the last request, or of the first that was not taken."""
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

    # Series of before

    async def _earlier(self, url: str, alerts: Sequence[AlertEvent]) -> list[Labels]:
        """The series that an Alertmanager has of these alerts: as this process sent them, else as it says itself."""
        known = [self._known[alert.fingerprint] for alert in alerts if alert.fingerprint in self._known]
        unknown = [alert for alert in alerts if alert.fingerprint not in self._known]
        return known if not unknown else [*known, *await self._asked(url, unknown)]

    async def _asked(self, url: str, alerts: Sequence[AlertEvent]) -> list[Labels]:
        """The series of alerts that are active there. None where it cannot say: they end by themselves."""
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
    """`gettableAlert` of Alertmanager's API, as far as it is needed."""

    labels: Labels


_decoder = msgspec.json.Decoder(list[_Series])
MOST_ANSWER = 8 << 20
"""Bytes of Alertmanager's list of alerts."""


def _filters(alerts: Sequence[AlertEvent]) -> Iterator[tuple[str, str]]:
    """Matchers for what all the alerts have in common, in Alertmanager's syntax."""
    first, *others = alerts
    for name in ("model", "model_version"):
        value = first.labels.get(name, "")
        if value and all(alert.labels.get(name) == value for alert in others):
            escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
            yield "filter", f'{name}="{escaped}"'


def _is_of(labels: Labels, alert: AlertEvent) -> bool:
    """Whether a series is of an alert, whatever its severity."""
    own = {name: value for name, value in alert.labels.items() if value}
    return labels.get("alertname") == alert.rule and own.items() <= labels.items()


def _together(urls: Sequence[str], outcomes: Sequence[Outcome]) -> Outcome:
    """One outcome of a cluster: delivered where one has it, and to be tried again while one may take it."""
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
