"""Services of Apprise that keep incidents: one incident for each group of alerts, which its end closes.

Each such service is made anew for every notification, since its key belongs to the group. Apprise itself finds what it
opened by its own memory, or by the title, and neither survives a restart or another title.
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
"""Apprise's plugins of services that keep incidents, and the argument that names one."""
LONGEST_KEY = 255
"""PagerDuty's limit; Opsgenie's is 512."""
PRIORITIES: dict[Level, str] = {"critical": "1", "error": "2", "warning": "3", "info": "5"}
"""Opsgenie's and Jira's: P1 is the most urgent. Apprise's own names for them are in the opposite order."""
OPEN = "new"


def keeps_incidents(service: NotifyBase) -> bool:
    """Return whether a service closes incidents by their key."""
    return type(service).__name__ in KEYS


def incident_of(
    plugin: type[NotifyBase], url: str, asset: apprise.AppriseAsset, notification: Notification, body: str
) -> NotifyBase:
    """Return the service of a URL of the plugin, for the incident of one group. `body`: the notification's text.

    What the URL says itself stays: `action`, `severity`, `priority`, `:info=…`. A key in it is put before the group's,
    which tells installations apart that share a service.
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
    """Return the key of a group's incidents: its name, or the beginning of it and a hash where it is too long."""
    key = f"{start}/{group}" if start else group
    if len(key) <= LONGEST_KEY:
        return key
    digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=12).hexdigest()
    return f"{key[: LONGEST_KEY - len(digest) - 1]}-{digest}"


class _ByAlias:
    """Requests about an open alert name it by its alias. Apprise's own name it by a request's id, from its memory."""

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
        """Open an alert, or close, delete, acknowledge or note the one of the alias."""
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
    """Opsgenie."""

    addresses = OPSGENIE_API_LOOKUP


class JiraByAlias(_ByAlias, NotifyJira):  # type: ignore[misc,no-untyped-call]
    """Jira Service Management, which has taken Opsgenie's place."""

    addresses = JIRA_API_LOOKUP


class PagerDuty(NotifyPagerDuty):  # type: ignore[no-untyped-call]
    """PagerDuty: one line for the summary, which phones show and which ends at 1024 characters; the text beside it."""

    def __init__(self, *, level: Level, text: str, severity: str | None = None, **arguments: Any) -> None:
        super().__init__(severity=severity or level, **arguments)
        self.details = {"message": text, **self.details}

    def send(
        self, body: str, title: str = "", notify_type: apprise.NotifyType = apprise.NotifyType.INFO, **kwargs: Any
    ) -> bool:
        """Open or resolve the incident. Apprise has put the title before the body, as its first line."""
        return super().send(body.partition("\n")[0].strip(), title=title, notify_type=notify_type, **kwargs)


BY_ALIAS: dict[type[NotifyBase], type[NotifyBase]] = {NotifyOpsgenie: OpsgenieByAlias, NotifyJira: JiraByAlias}
