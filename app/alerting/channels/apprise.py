"""Channel to any service that Apprise supports, by its URLs (https://appriseit.com).

A service that keeps incidents gets one for each group of alerts: see `incidents.py`.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence
from datetime import tzinfo

import apprise
from apprise.plugins.base import NotifyBase
from apprise.plugins.email import NotifyEmail
from apprise.utils.parse import parse_urls

from app.alerting.channels.delivered_to import DeliveredTo
from app.alerting.channels.exchanges import Exchange, record
from app.alerting.channels.http_response import TRY_AGAIN
from app.alerting.channels.incidents import incident_of, keeps_incidents
from app.alerting.notify.channel import Delivered, Outcome, Permanent, Retryable
from app.alerting.notify.notification import Notification
from app.alerting.rendering.content import build_content
from app.alerting.rendering.templates import text_of

ZERO_WIDTH = "\u200b"
QUIET = ("apprise", "urllib3", "requests")
"""Loggers that write addresses with their tokens."""
STATUS = re.compile(r"\berror=(\d{3})\b")
"""Pattern of an HTTP status in the log of Apprise's plugins, its only source."""
TYPES = {
    "info": apprise.NotifyType.INFO, "warning": apprise.NotifyType.WARNING,
    "error": apprise.NotifyType.FAILURE, "critical": apprise.NotifyType.FAILURE,
}  # fmt: skip


class AppriseChannel:
    """Channel that notifies every service. A retry goes only to the services that did not accept the notification.

    Raises ValueError where a URL is invalid; its message contains no URL.
    """

    name = "apprise"

    def __init__(self, urls: str, *, seconds: float, zone: tzinfo | None = None) -> None:
        for name in QUIET:
            _hush(logging.getLogger(name))
        self._asset = asset = apprise.AppriseAsset(http_redirects=False, app_id="Driftline", app_desc="Driftline")
        self._seconds = seconds
        self._zone = zone
        self._told = DeliveredTo()
        self._services: dict[str, NotifyBase] = {}
        self._incidents: dict[str, str] = {}
        found: list[str] = parse_urls(urls)  # type: ignore[no-untyped-call]
        for number, url in enumerate(found, 1):
            service = apprise.Apprise.instantiate(url, asset=asset)
            if service is None:
                raise ValueError(f"number {number} is not a URL that Apprise knows")
            self._services[str(number)] = self._bounded(service)
            if keeps_incidents(service):
                self._incidents[str(number)] = url
        if not self._services:
            raise ValueError("there is no Apprise URL in it")

    @property
    def digests(self) -> bool:
        """Return False where a service keeps incidents, since each group's incident is ended by itself."""
        return not self._incidents

    async def deliver(self, notification: Notification) -> Outcome:
        """Deliver to every service. Return `Delivered` once every service has confirmed."""
        story = build_content(notification, self._zone)
        kind = apprise.NotifyType.SUCCESS if story.state == "resolved" else TYPES[story.level]
        told = self._told.by(notification.notification_id)
        waiting = [number for number in self._services if number not in told]
        body = text_of(story).partition("\n")[2]
        services = {number: self._service(number, notification, body) for number in waiting}
        texts = {
            number: (story.subject, body) if self._takes_as_it_is(number) else (calm(story.subject), calm(body))
            for number in waiting
        }
        outcomes = await asyncio.gather(
            *(self._send(number, service, *texts[number], kind) for number, service in services.items())
        )
        for service, outcome in zip(services.values(), outcomes, strict=True):
            returned = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
            record(Exchange(f"{service.service_name}, {kind.value}: {story.subject}", body, returned))
        having = [number for number, outcome in zip(waiting, outcomes, strict=True) if isinstance(outcome, Delivered)]
        self._told.add(notification.notification_id, having)
        outcome = _together(len(self._services), outcomes)
        if not isinstance(outcome, Retryable):
            self._told.settled(notification.notification_id)
        return outcome

    def _takes_as_it_is(self, number: str) -> bool:
        """Return whether a service cannot mention anybody: mail, and services that keep incidents."""
        return number in self._incidents or isinstance(self._services[number], NotifyEmail)

    def _service(self, number: str, notification: Notification, body: str) -> NotifyBase:
        url = self._incidents.get(number)
        service = self._services[number]
        if url is None:
            return service
        return self._bounded(incident_of(type(service), url, self._asset, notification, body))

    def _bounded(self, service: NotifyBase) -> NotifyBase:
        """Set the timeouts of a service's thread, which nothing else can end."""
        service.socket_connect_timeout = service.socket_read_timeout = self._seconds
        return service

    async def _send(self, number: str, service: NotifyBase, title: str, body: str, kind: apprise.NotifyType) -> Outcome:
        one = apprise.Apprise()
        one.add(service)
        name = str(service.service_name)
        try:
            async with asyncio.timeout(self._seconds + 1):
                result = await one.async_notify(
                    title=title, body=body, notify_type=kind, body_format=apprise.NotifyFormat.TEXT,
                    timeout=self._seconds,
                )  # fmt: skip
        except TimeoutError:
            return Retryable(f"{name} (number {number}): no answer in {self._seconds:g} s")
        if result.status == apprise.AppriseResultStatus.SUCCESS:
            return Delivered(name)
        if result.status == apprise.AppriseResultStatus.TIMEOUT:
            return Retryable(f"{name} (number {number}): no answer in {self._seconds:g} s")
        said = [STATUS.search(entry.message) for service in result.results for entry in service.logs()]
        status = next((int(found[1]) for found in said if found), None)
        if status is None or status in TRY_AGAIN or status >= 500:
            return Retryable(f"{name} (number {number}) did not take it" + (f": HTTP {status}" if status else ""))
        return Permanent(f"{name} (number {number}) refuses it: HTTP {status}; check apprise_urls")


def calm(text: str) -> str:
    """Return a text that mentions nobody: @everyone and @channel in a name or a category would notify a whole team."""
    return text.replace("@", f"@{ZERO_WIDTH}").replace("<!", f"<{ZERO_WIDTH}!")


def _together(services: int, outcomes: Sequence[Outcome]) -> Outcome:
    """Return one outcome of all services: permanent only where no service is worth another attempt."""
    retryable = [outcome.reason for outcome in outcomes if isinstance(outcome, Retryable)]
    permanent = [outcome.reason for outcome in outcomes if isinstance(outcome, Permanent)]
    missing = len(retryable) + len(permanent)
    if retryable:
        return Retryable("; ".join(retryable + permanent))
    if permanent:
        return Permanent("; ".join(permanent))
    return Delivered(f"{services - missing} of {services} services")


def _hush(logger: logging.Logger) -> None:
    """Keep the records of a logger from all handlers but Apprise's own, which finds the status in them."""
    logger.propagate = False
    if not any(isinstance(handler, logging.NullHandler) for handler in logger.handlers):
        logger.addHandler(logging.NullHandler())
