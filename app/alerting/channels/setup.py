"""Setup of the channels from the settings, with all checks before a worker starts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.alerting.channels.alertmanager import AlertmanagerChannel
from app.alerting.channels.slack_bot import SlackBotChannel
from app.alerting.channels.unconfigured import UnconfiguredChannel
from app.alerting.channels.webhook import WebhookChannel
from app.alerting.notify.channel import Channel
from app.alerting.rendering.labels import LabelError, Labelling
from app.settings.channels import ChannelSettings
from app.settings.extras import needing
from app.settings.secrets import secret_of
from app.settings.settings import SettingsError
from app.settings.sources import ENV_PREFIX

HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)
KEPT_HEADERS = frozenset({"connection", "content-length", "content-type", "host", "transfer-encoding", "user-agent"})


def other_channels(settings: ChannelSettings) -> list[Channel]:
    """Return every channel except `log` and `file`. A channel that is not set up reports the missing setting.

    Raises SettingsError where a channel is set up only in part. The message is one line without secrets.
    """
    return [
        *_email(settings), *_slack(settings), *_webhook(settings), *_alertmanager(settings), *_apprise(settings)
    ]  # fmt: skip


def labelling_of(settings: ChannelSettings) -> Labelling:
    """Return the labels and severities that are set for webhooks and Alertmanager. Raises SettingsError."""
    labelling = Labelling(settings.webhook_labels or {}, settings.webhook_severities or {})
    try:
        labelling.check()
    except LabelError as error:
        raise SettingsError(str(error)) from None
    return labelling


def _email(settings: ChannelSettings) -> Iterator[Channel]:
    password = secret_of(settings, "email_password")
    wanted: Mapping[str, object] = {
        "email_host": settings.email_host, "email_from": settings.email_from, "email_to": settings.email_to,
    }  # fmt: skip
    missing = [name for name, value in wanted.items() if not value]
    if len(missing) == len(wanted) and not (settings.email_username or password or settings.email_port):
        yield UnconfiguredChannel("email", "email_host, email_from and email_to")
        return
    if missing:
        raise SettingsError(f"{missing[0]}: e-mail is set up in part; set {_named(missing)}")
    if (settings.email_username is None) != (password is None):
        lacking = "email_username" if settings.email_username is None else "email_password"
        raise SettingsError(f"{lacking}: a login needs both; set {_named([lacking])}, or neither of them")
    assert settings.email_host is not None
    assert settings.email_from is not None
    assert settings.email_to is not None
    if settings.email_security == "none" and not _here(settings.email_host):
        raise SettingsError("email_security: none is for a mail server on this machine; use starttls or tls")
    with needing("email", "email_host"):
        from app.alerting.channels.email import EmailChannel, Mailbox  # its drawing library takes a second to import

    mailbox = Mailbox(
        host=settings.email_host, sender=settings.email_from, recipients=settings.email_to,
        security=settings.email_security, port=settings.email_port, username=settings.email_username, password=password,
    )  # fmt: skip
    yield EmailChannel(mailbox, seconds=settings.delivery_attempt_seconds, zone=settings.zone)


def _slack(settings: ChannelSettings) -> Iterator[Channel]:
    url, token = _url(settings, "slack_webhook_url", plain=False), secret_of(settings, "slack_bot_token")
    if token is not None or settings.slack_channel is not None:
        if url is not None:
            raise SettingsError("slack_bot_token: slack_webhook_url is set too; leave one of them out")
        yield _bot(settings, token)
        return
    if url is None:
        yield UnconfiguredChannel("slack", "slack_webhook_url")
        return
    with needing("slack", "slack_webhook_url"):
        from app.alerting.channels.slack import SlackChannel

    yield SlackChannel(url, seconds=settings.delivery_attempt_seconds, zone=settings.zone)


def _bot(settings: ChannelSettings, token: str | None) -> Channel:
    channel = settings.slack_channel
    if token is None or channel is None:
        lacking = "slack_bot_token" if token is None else "slack_channel"
        raise SettingsError(f"{lacking}: Slack's bot is set up in part; set {_named([lacking])}")
    _bearer(settings, "slack_bot_token")
    if re.fullmatch(r"[A-Z0-9]{6,}", channel, re.ASCII) is None:
        raise SettingsError("slack_channel: it must be the channel's id, such as C0123456789, not its name")
    return SlackBotChannel(token, channel, seconds=settings.delivery_attempt_seconds, zone=settings.zone)


def _webhook(settings: ChannelSettings) -> Iterator[Channel]:
    url, secret = _url(settings, "webhook_url", plain=True), secret_of(settings, "webhook_secret")
    headers, labelling = _headers(settings), labelling_of(settings)
    if url is None:
        if secret is not None or headers:
            raise SettingsError(f"webhook_url: a webhook is set up in part; set {_named(['webhook_url'])}")
        yield UnconfiguredChannel("webhook", "webhook_url")
        return
    yield WebhookChannel(
        url, seconds=settings.delivery_attempt_seconds, secret=secret, labelling=labelling, headers=headers
    )  # fmt: skip


def _headers(settings: ChannelSettings) -> dict[str, str]:
    """Return the headers of the webhook that authenticate the sender. Raises SettingsError."""
    headers = _bearer(settings, "webhook_token")
    line = secret_of(settings, "webhook_header")
    if line is None:
        return headers
    name, between, value = line.partition(":")
    name, value = name.strip(), value.strip()
    if not between or HEADER.fullmatch(name) is None or not value or not _is_header_value(value):
        raise SettingsError("webhook_header: it must be one header, as Name: value")
    if name.lower() in KEPT_HEADERS or name.lower().startswith("driftline-"):
        raise SettingsError("webhook_header: it is a header that is sent anyway; choose another")
    if headers and name.lower() == "authorization":
        raise SettingsError("webhook_header: webhook_token is sent as Authorization too; leave one of them out")
    return headers | {name: value}


def _bearer(settings: ChannelSettings, name: str) -> dict[str, str]:
    token = secret_of(settings, name)
    if token is None:
        return {}
    if not _is_header_value(token) or any(character.isspace() for character in token):
        raise SettingsError(f"{name}: it has white space or control characters in it")
    return {"Authorization": f"Bearer {token}"}


def _is_header_value(text: str) -> bool:
    return text.isascii() and text.isprintable()


def _alertmanager(settings: ChannelSettings) -> Iterator[Channel]:
    text, headers = secret_of(settings, "alertmanager_urls"), _bearer(settings, "alertmanager_token")
    if text is None:
        if headers:
            raise SettingsError(f"alertmanager_urls: it is set up in part; set {_named(['alertmanager_urls'])}")
        yield UnconfiguredChannel("alertmanager", "alertmanager_urls")
        return
    if not text.strip(" ,\t\r\n"):
        raise SettingsError("alertmanager_urls: there is no URL in it")
    urls = [_checked("alertmanager_urls", url, plain=True) for url in re.split(r"[\s,]+", text) if url]
    yield AlertmanagerChannel(
        dict.fromkeys(urls), seconds=settings.delivery_attempt_seconds, headers=headers,
        labelling=labelling_of(settings), watchdog=settings.alertmanager_watchdog,
    )  # fmt: skip


def _apprise(settings: ChannelSettings) -> Iterator[Channel]:
    urls = secret_of(settings, "apprise_urls")
    if urls is None:
        yield UnconfiguredChannel("apprise", "apprise_urls")
        return
    with needing("apprise", "apprise_urls"):
        from app.alerting.channels.apprise import AppriseChannel  # importing it takes a second

    try:
        yield AppriseChannel(urls, seconds=settings.delivery_attempt_seconds, zone=settings.zone)
    except ValueError as error:
        raise SettingsError(f"apprise_urls: {error}") from None


def _url(settings: ChannelSettings, name: str, *, plain: bool) -> str | None:
    """Return a URL that is a secret. `plain`: allow http for any host, not only this machine. Raises SettingsError."""
    url = secret_of(settings, name)
    return None if url is None else _checked(name, url, plain=plain)


def _checked(name: str, url: str, *, plain: bool) -> str:
    """Return the URL if it is valid. Raises SettingsError."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(f"{name}: it is no URL") from None
    if any(character.isspace() or not character.isprintable() for character in url):
        raise SettingsError(f"{name}: it has white space or control characters in it")
    if not host or parts.scheme not in ("http", "https"):
        raise SettingsError(f"{name}: it must be https://… with a host")
    if parts.scheme == "http" and not plain and not _here(host):
        raise SettingsError(f"{name}: it must be https://…, or everybody on the way can read it")
    return url


def _here(host: str) -> bool:
    """Return whether a host is this machine, by its name alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _named(names: list[str]) -> str:
    return " and ".join(f"{name} ({ENV_PREFIX}{name.upper()})" for name in names)
