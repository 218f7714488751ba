"""Settings of the channels that leave this machine: e-mail, Slack, webhooks, Alertmanager, Apprise.

Secrets are never flags, and may be in files (`…_file`: Docker's and Kubernetes' secrets).
"""

from __future__ import annotations

import json
import re
from email.utils import formataddr, getaddresses
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

MAIL_ADDRESS = re.compile(r"[!-?A-~]+@[A-Za-z0-9.\[\]:-]+", re.ASCII)

Pairs = Annotated[dict[str, str] | None, NoDecode]
"""Table of names and values; in the environment name=value, separated by commas, or JSON."""


class ChannelSettings(BaseSettings):
    """Settings of the channels, validated together when a worker starts (`app/alerting/channels/setup.py`)."""

    delivery_attempt_seconds: float = Field(
        10.0, gt=0, le=300, description="How long one attempt to send to a channel may take."
    )
    email_host: str | None = Field(None, min_length=1, description="Mail server that takes the alerts.")
    email_port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        None, description="Its port. Unset: 587 with starttls, 465 with tls, 25 with none."
    )
    email_security: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How the connection is protected; none only for a server on this machine."
    )
    email_username: str | None = Field(None, min_length=1, description="Login at the mail server, if it wants one.")
    email_password: SecretStr | None = Field(None, description="Its password.")
    email_password_file: Path | None = Field(None, description="A file with the password.")
    email_from: str | None = Field(None, description="Sender of the e-mails.")
    email_to: Annotated[tuple[str, ...] | None, NoDecode] = Field(None, description="Recipients, with commas between.")
    slack_webhook_url: SecretStr | None = Field(None, description="Slack's incoming webhook.")
    slack_webhook_url_file: Path | None = Field(None, description="A file with it.")
    slack_bot_token: SecretStr | None = Field(None, description="Token of a Slack bot, in place of the webhook.")
    slack_bot_token_file: Path | None = Field(None, description="A file with it.")
    slack_channel: str | None = Field(None, description="Id of the channel that the bot posts to.")
    webhook_url: SecretStr | None = Field(None, description="Receiver of Alertmanager's payload.")
    webhook_url_file: Path | None = Field(None, description="A file with it.")
    webhook_secret: SecretStr | None = Field(None, description="Key of the signature that webhooks carry.")
    webhook_secret_file: Path | None = Field(None, description="A file with it.")
    webhook_token: SecretStr | None = Field(None, description="Sent to the webhook as Authorization: Bearer.")
    webhook_token_file: Path | None = Field(None, description="A file with it.")
    webhook_header: SecretStr | None = Field(None, description="A header for the webhook, as Name: value.")
    webhook_header_file: Path | None = Field(None, description="A file with it.")
    webhook_labels: Pairs = Field(
        None, description="Labels that every alert has beside ours, for webhooks, receivers and Alertmanager."
    )
    webhook_severities: Pairs = Field(
        None, description="The word for each level, for webhooks, receivers and Alertmanager. Unset: the level."
    )
    alertmanager_urls: SecretStr | None = Field(
        None, description="Alertmanagers that alerts are posted to, with spaces or commas between."
    )
    alertmanager_urls_file: Path | None = Field(None, description="A file with them.")
    alertmanager_token: SecretStr | None = Field(None, description="Sent to them as Authorization: Bearer.")
    alertmanager_token_file: Path | None = Field(None, description="A file with it.")
    alertmanager_watchdog: bool = Field(
        False, description="Whether Alertmanager is sent an alert that always fires, for a dead man's switch."
    )
    apprise_urls: SecretStr | None = Field(None, description="Apprise URLs, with spaces or commas between.")
    apprise_urls_file: Path | None = Field(None, description="A file with them.")
    time_zone: str | None = Field(
        None, description="Zone of the times in messages, such as Europe/Berlin, beside UTC. Unset: UTC alone."
    )
    public_url: str | None = Field(
        None, description="Where people reach the API and its dashboard; the links in alerts begin with it."
    )
    receiver_secrets_dir: Path | None = Field(
        None, description="Folder of the keys that sign what goes to receivers, a file each."
    )
    allow_private_webhooks: bool = Field(
        False, description="Whether webhooks that are not from these settings may lead to private addresses."
    )

    @field_validator("time_zone")
    @classmethod
    def _a_zone(cls, value: str | None) -> str | None:
        try:
            return value if value is None else ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a time zone such as Europe/Berlin") from None

    @property
    def zone(self) -> ZoneInfo | None:
        """Return the zone of the times in messages, in addition to UTC; None for UTC alone."""
        return None if self.time_zone is None else ZoneInfo(self.time_zone)

    @field_validator("public_url")
    @classmethod
    def _a_page(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        plain = value.isprintable() and not any(character.isspace() for character in value)
        if not plain or parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an address such as https://driftline.example.org")
        return value.rstrip("/")

    @field_validator("email_to", mode="before")
    @classmethod
    def _recipients(cls, value: object) -> object:
        """Return addresses from one string, or from a list of strings, also in JSON."""
        if isinstance(value, str):
            value = _json_list(value) or [value]
        if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
            return value
        if any(not character.isprintable() for one in value for character in one):
            raise ValueError("must be on one line, without control characters")
        return tuple(formataddr(pair) if pair[0] else pair[1] for pair in getaddresses(list(value)) if any(pair))

    @field_validator("webhook_labels", "webhook_severities", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        if value.lstrip().startswith("{"):
            try:
                return json.loads(value)
            except ValueError:
                raise ValueError("must be name=value, with commas between, or JSON") from None
        pairs = [one.partition("=") for one in value.split(",") if one.strip()]
        if not all(between and name.strip() for name, between, _ in pairs):
            raise ValueError("must be name=value, with commas between, or JSON")
        return {name.strip(): word.strip() for name, _, word in pairs}

    @field_validator("email_to")
    @classmethod
    def _all_addresses(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return value if value is None else tuple(dict.fromkeys(map(_check_address, value)))

    @field_validator("email_from")
    @classmethod
    def _an_address(cls, value: str | None) -> str | None:
        return value if value is None else _check_address(value)

    @field_validator(
        "email_password_file",
        "slack_webhook_url_file",
        "slack_bot_token_file",
        "webhook_url_file",
        "webhook_secret_file",
        "webhook_token_file",
        "webhook_header_file",
        "alertmanager_urls_file",
        "alertmanager_token_file",
        "apprise_urls_file",
        "receiver_secrets_dir",
    )
    @classmethod
    def _home_of_files(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()


def _json_list(text: str) -> object:
    try:
        found = json.loads(text) if text.lstrip().startswith("[") else None
    except ValueError:
        return None
    return [""] if found == [] else found


def _check_address(text: str) -> str:
    found = getaddresses([text])
    if len(found) != 1 or MAIL_ADDRESS.fullmatch(found[0][1]) is None or any(c in text for c in "\r\n\0"):
        raise ValueError("must be an address such as alerts@example.org or Driftline <alerts@example.org>")
    return text
