"""The channels as the settings have them, checked all together before a worker starts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from app.alerting.channels.missing import MissingChannel
from app.alerting.channels.slack import SlackChannel
from app.alerting.channels.webhook import WebhookChannel
from app.alerting.delivery import Channel
from app.runtime.channel_settings import ChannelSettings
from app.runtime.secrets import secret_of
from app.runtime.settings import ENV_PREFIX, SettingsError


def other_channels(settings: ChannelSettings) -> list[Channel]:
    """Every channel but `log` and `file`; one that is not set up tells so.

    Raises SettingsError with one line, which holds no secret, where one of them is set up in part only.
    """
    return [*_email(settings), *_slack(settings), *_webhook(settings), *_apprise(settings)]


def _email(settings: ChannelSettings) -> Iterator[Channel]:
    password = secret_of(settings, "email_password")
    wanted: Mapping[str, object] = {
        "email_host": settings.email_host, "email_from": settings.email_from, "email_to": settings.email_to,
    }  # fmt: skip
    missing = [name for name, value in wanted.items() if not value]
    if len(missing) == len(wanted) and not (settings.email_username or password or settings.email_port):
        yield MissingChannel("email", "email_host, email_from and email_to")
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
    from app.alerting.channels.email import EmailChannel, Mailbox  # what draws its pictures takes a second to import

    mailbox = Mailbox(
        host=settings.email_host, sender=settings.email_from, recipients=settings.email_to,
        security=settings.email_security, port=settings.email_port, username=settings.email_username, password=password,
    )  # fmt: skip
    yield EmailChannel(mailbox, seconds=settings.attempt_seconds)


def _slack(settings: ChannelSettings) -> Iterator[Channel]:
    url = _url(settings, "slack_webhook_url", plain=False)
    if url is None:
        yield MissingChannel("slack", "slack_webhook_url")
        return
    yield SlackChannel(url, seconds=settings.attempt_seconds)


def _webhook(settings: ChannelSettings) -> Iterator[Channel]:
    url, secret = _url(settings, "webhook_url", plain=True), secret_of(settings, "webhook_secret")
    if url is None:
        if secret is not None:
            raise SettingsError(f"webhook_url: a webhook is set up in part; set {_named(['webhook_url'])}")
        yield MissingChannel("webhook", "webhook_url")
        return
    yield WebhookChannel(url, seconds=settings.attempt_seconds, secret=secret)


def _apprise(settings: ChannelSettings) -> Iterator[Channel]:
    urls = secret_of(settings, "apprise_urls")
    if urls is None:
        yield MissingChannel("apprise", "apprise_urls")
        return
    from app.alerting.channels.apprise import AppriseChannel  # it takes a second to import

    try:
        yield AppriseChannel(urls, seconds=settings.attempt_seconds)
    except ValueError as error:
        raise SettingsError(f"apprise_urls: {error}") from None


def _url(settings: ChannelSettings, name: str, *, plain: bool) -> str | None:
    """A URL that is a secret. `plain`: http too, and not on this machine only. Raises SettingsError."""
    url = secret_of(settings, name)
    if url is None:
        return None
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
    """Whether a host is this machine, by its name alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _named(names: list[str]) -> str:
    return " and ".join(f"{name} ({ENV_PREFIX}{name.upper()})" for name in names)
