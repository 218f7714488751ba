"""Apprise services that keep incidents: one incident for each group of alerts, closed when the group is resolved.

Each such service is made anew for every notification, since its key belongs to the group. Apprise itself finds what it
opened by its own memory, or by the title. Neither survives a restart or another title.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import apprise
import requests
from apprise.plugins.base import NotifyBase
from apprise.plugins.jira import JIRA_API_LOOKUP, NotifyJira
from apprise.plugins.opsgenie import OPSGENIE_API_LOOKUP, NotifyOpsgenie
from apprise.plugins.pagerduty import NotifyPagerDuty

from app.alerting.notify.notification import Notification
from topics.events import Level

KEYS = {
    "NotifyFireHydrant": "dedup", "NotifyGoAlert": "dedup", "NotifyILert": "dedup", "NotifyIncidentIO": "dedup",
    "NotifyJira": "alias", "NotifyOpsgenie": "alias", "NotifyOpsiMate": "dedup", "NotifyPagerDuty": "dedup",
    "NotifyPagerTree": "thirdparty", "NotifySIGNL4": "external_id", "NotifySplunk": "entity_id",
    "NotifySquadcast": "dedup",
}  # fmt: skip
"""Apprise's plugins for services that keep incidents, with the argument that names an incident."""
LONGEST_KEY = 255
"""Longest key in characters: PagerDuty's limit. Opsgenie's limit is 512."""
PRIORITIES: dict[Level, str] = {"critical": "1", "error": "2", "warning": "3", "info": "5"}
"""Priorities of Opsgenie and Jira: P1 is the most urgent. Apprise's own names for them are in the opposite order."""
OPEN = "new"


def keeps_incidents(service: NotifyBase) -> bool:
    """Return whether a service closes incidents by their key."""
    return type(service).__name__ in KEYS


def incident_of(
    plugin: type[NotifyBase], url: str, asset: apprise.AppriseAsset, notification: Notification, body: str
) -> NotifyBase:
    """Return the service of a URL for the incident of one group. `body`: the notification's text.

    Values that the URL sets are kept: `action`, `severity`, `priority`, `:info=…`. A key in the URL is put before the
    group's key, so that installations can share a service.
    """
    parsed: dict[str, Any] = apprise.plugins.url_to_dict(url)  # type: ignore[no-untyped-call]
    argument = KEYS[plugin.__name__]
    parsed[argument] = key_of(notification.group, str(parsed.get(argument) or "").strip("/"))
    parsed["action"] = parsed.get("action") or "map"
    if plugin is NotifyPagerDuty:
        return PagerDuty(**parsed, asset=asset, level=notification.level, text=body)
    by_alias = BY_ALIAS.get(plugin)
    if by_alias is None:
        return plugin(**parsed, asset=asset)
    parsed["priority"] = parsed.get("priority") or PRIORITIES[notification.level]
    parsed["mapping"] = {"info": OPEN, **(parsed.get("mapping") or {})}
    return by_alias(**parsed, asset=asset)


def key_of(group: str, start: str = "") -> str:
    """Return the key of a group's incidents: the group's name, or its beginning and a hash where the name is too
    long.
    """
    key = f"{start}/{group}" if start else group
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=12).hexdigest()
    return f"{key[: LONGEST_KEY - len(digest) - 1]}-{digest}"


class _ByAlias:
    """Base of services that name an open alert by its alias. Apprise's own code uses a request's id from its memory."""

    addresses: Mapping[str, str]
    alias: str
    action: str
    mapping: Mapping[apprise.NotifyType, str]
    region_name: str
    app_desc: str
    user: str | None
    _fetch: Callable[..., tuple[bool, object]]

    def send(
        self, body: str, title: str = "", notify_type: apprise.NotifyType = apprise.NotifyType.INFO, **kwargs: Any
    ) -> bool:
        """Open an alert, or close, delete, acknowledge or annotate the alert of the alias."""
        action = self.mapping[notify_type] if self.action == "map" else self.action
        if action == OPEN:
            opened: bool = super().send(body, title=title, notify_type=notify_type, **kwargs)  # type: ignore[misc]
            return opened
        address = f"{self.addresses[self.region_name]}/{quote(self.alias, safe='')}"
        if action != "delete":
            address += "/notes" if action == "note" else f"/{action}"
        payload = {"source": self.app_desc, "note": body} | ({"user": self.user} if self.user else {})
        method = requests.delete if action == "delete" else requests.post
        taken, _ = self._fetch(method, address, payload, {"identifierType": "alias"})
        return taken


class OpsgenieByAlias(_ByAlias, NotifyOpsgenie):  # type: ignore[misc,no-untyped-call]
    """Opsgenie, with alerts named by their alias."""

    addresses = OPSGENIE_API_LOOKUP


class JiraByAlias(_ByAlias, NotifyJira):  # type: ignore[misc,no-untyped-call]
    """Jira Service Management, which has replaced Opsgenie, with alerts named by their alias."""

    addresses = JIRA_API_LOOKUP


class PagerDuty(NotifyPagerDuty):  # type: ignore[no-untyped-call]
    """PagerDuty: a summary of one line, which phones show, and the text in its details. A summary ends at 1024
    characters.
    """

    def __init__(self, *, level: Level, text: str, severity: str | None = None, **arguments: Any) -> None:
        super().__init__(severity=severity or level, **arguments)
        self.details = {"message": text, **self.details}

    def send(
        self, body: str, title: str = "", notify_type: apprise.NotifyType = apprise.NotifyType.INFO, **kwargs: Any
    ) -> bool:
        """Open or resolve the incident. Apprise has put the title before the body, as its first line."""
        return super().send(body.partition("\n")[0].strip(), title=title, notify_type=notify_type, **kwargs)


BY_ALIAS: dict[type[NotifyBase], type[NotifyBase]] = {NotifyOpsgenie: OpsgenieByAlias, NotifyJira: JiraByAlias}
