"""The channels' settings: what is missing is named, and what is secret stays so."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.alerting.channels.email import EmailChannel
from app.alerting.channels.setup import other_channels
from app.alerting.channels.unconfigured import UnconfiguredChannel
from app.alerting.notify.channel import Permanent
from app.settings.settings import Settings, SettingsError, environment, load_settings
from tests.support.notifications import notification
from tests.support.paths import ROOT

SECRET = "never-to-be-seen"
MAIL = {"email_host": "mail.example.org", "email_from": "drift@example.org", "email_to": "a@example.org"}
SECRETS = {
    "email_password": SECRET,
    "slack_webhook_url": f"https://hooks.slack.test/services/{SECRET}",
    "webhook_url": f"https://hooks.example.org/{SECRET}",
    "webhook_secret": SECRET,
    "webhook_token": SECRET,
    "webhook_header": f"X-Key: {SECRET}",
    "alertmanager_urls": f"http://am-1.example.org:9093/{SECRET} https://am-2.example.org",
    "alertmanager_token": SECRET,
    "apprise_urls": f"json://127.0.0.1/{SECRET}",
}
ALL: dict[str, Any] = {**MAIL, **SECRETS, "email_username": "drift"}
EVERY = ["email", "slack", "webhook", "alertmanager", "apprise"]


pytestmark = pytest.mark.usefixtures("folder")


def names(settings: Settings) -> dict[str, bool]:
    """Every channel, and whether it is set up."""
    return {channel.name: not isinstance(channel, UnconfiguredChannel) for channel in other_channels(settings)}


async def test_what_is_not_set_up_says_what_to_set() -> None:
    channels = {channel.name: channel for channel in other_channels(load_settings())}
    assert list(channels) == EVERY
    settings = ("email_host", "slack_webhook_url", "webhook_url", "alertmanager_urls", "apprise_urls")
    for name, setting in zip(channels, settings, strict=True):
        outcome = await channels[name].deliver(notification())
        assert isinstance(outcome, Permanent)
        assert setting in outcome.reason


def test_each_is_set_up_by_its_own_settings() -> None:
    assert names(load_settings(**MAIL)) == {**dict.fromkeys(EVERY, False), "email": True}
    assert names(load_settings(**ALL)) == dict.fromkeys(EVERY, True)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"email_host": "mail.example.org"}, "email_from"),
        ({"email_to": "a@example.org"}, "email_host"),
        ({"email_port": 25}, "email_host"),
        ({"email_password": SECRET}, "email_host"),
        ({**MAIL, "email_username": "drift"}, "email_password"),
        ({**MAIL, "email_password": SECRET}, "email_username"),
        ({**MAIL, "email_security": "none"}, "email_security"),
        ({"slack_webhook_url": SECRET}, "slack_webhook_url"),
        ({"slack_webhook_url": f"http://hooks.slack.test/{SECRET}"}, "slack_webhook_url"),
        ({"slack_webhook_url": f"https://hooks.slack.test:x/{SECRET}"}, "slack_webhook_url"),
        ({"slack_webhook_url": f"https://hooks.slack.test/{SECRET}\nx"}, "slack_webhook_url"),
        ({"slack_webhook_url": " "}, "slack_webhook_url"),
        ({"webhook_url": f"file:///{SECRET}"}, "webhook_url"),
        ({"webhook_secret": SECRET}, "webhook_url"),
        ({"webhook_token": SECRET}, "webhook_url"),
        ({"webhook_header": f"X-Key: {SECRET}"}, "webhook_url"),
        ({"webhook_url": f"https://x/{SECRET}", "webhook_token": f"{SECRET} x"}, "webhook_token"),
        ({"webhook_url": f"https://x/{SECRET}", "webhook_token": f"{SECRET}é"}, "webhook_token"),
        ({"webhook_url": f"https://x/{SECRET}", "webhook_header": SECRET}, "webhook_header"),
        ({"webhook_url": f"https://x/{SECRET}", "webhook_header": f"X Key: {SECRET}"}, "webhook_header"),
        ({"webhook_url": f"https://x/{SECRET}", "webhook_header": f"X-Key: {SECRET}\rX: y"}, "webhook_header"),
        ({"webhook_url": f"https://x/{SECRET}", "webhook_header": f"Content-Length: {SECRET}"}, "webhook_header"),
        (
            {"webhook_url": "https://x", "webhook_header": f"authorization: {SECRET}", "webhook_token": SECRET},
            "webhook_header",
        ),
        ({"webhook_url": "https://x", "webhook_labels": {"model": "x"}}, "webhook_labels"),
        ({"webhook_url": "https://x", "webhook_labels": {"a-b": "x"}}, "webhook_labels"),
        ({"webhook_url": "https://x", "webhook_labels": {"team": "a\nb"}}, "webhook_labels"),
        ({"webhook_url": "https://x", "webhook_severities": {"fatal": "x"}}, "webhook_severities"),
        ({"alertmanager_token": SECRET}, "alertmanager_urls"),
        ({"alertmanager_urls": f"https://am {SECRET}"}, "alertmanager_urls"),
        ({"alertmanager_urls": " , "}, "alertmanager_urls"),
        ({"apprise_urls": f"nothing://{SECRET}"}, "apprise_urls"),
        ({"webhook_url": f"https://x/{SECRET}", "webhook_url_file": "url"}, "webhook_url"),
        ({"webhook_url_file": "not-there"}, "webhook_url_file"),
        ({"webhook_url_file": "."}, "webhook_url_file"),
        ({"webhook_url_file": "empty"}, "webhook_url_file"),
        ({"webhook_url_file": "binary"}, "webhook_url_file"),
        ({"webhook_url_file": "large"}, "webhook_url_file"),
    ],
)
def test_what_is_set_up_in_part_is_one_line_that_names_the_setting(
    given: dict[str, Any], named: str, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (folder / "empty").write_text("\n")
    (folder / "binary").write_bytes(b"\xff\xfe\x00")
    (folder / "large").write_text("x" * 70_000)
    with pytest.raises(SettingsError, match=rf"^{named}: ") as error:
        other_channels(load_settings(**given))
    assert "\n" not in str(error.value)
    assert SECRET not in str(error.value) + caplog.text


def test_secrets_may_be_in_files(folder: Path) -> None:
    for name, value in SECRETS.items():
        (folder / name).write_text(f"{value}\n")
    files = {f"{name}_file": str(folder / name) for name in SECRETS}
    assert names(load_settings(**MAIL, email_username="drift", **files)) == dict.fromkeys(EVERY, True)


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_of_the_wrong_kind_is_named_and_not_shown(name: str, folder: Path) -> None:
    (folder / "driftline.toml").write_text(f'{name} = ["{SECRET}"]\n')
    with pytest.raises(SettingsError, match=rf"^{name}: .*DRIFTLINE_{name.upper()}") as error:
        load_settings()
    assert SECRET not in str(error.value)


def test_settings_do_not_show_their_secrets() -> None:
    settings = load_settings(**ALL)
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()}"


CHILD = """
import json
from app.settings.settings import Settings, load_settings
found = load_settings()
plain = lambda value: value.get_secret_value() if hasattr(value, "get_secret_value") else value
print(json.dumps({name: plain(getattr(found, name)) for name in Settings.model_fields}, default=str))
"""


@pytest.mark.parametrize(
    "given",
    [
        "environment=Production,team = ml",
        '{"environment": "Production", "team": "ml"}',
        {"environment": "Production", "team": "ml"},
    ],
)
def test_labels_and_severities_are_a_table_however_they_are_written(given: object) -> None:
    assert load_settings(webhook_labels=given).webhook_labels == {"environment": "Production", "team": "ml"}
    assert load_settings(webhook_severities="info=informational").webhook_severities == {"info": "informational"}
    for wrong in ("team", "=ml", "{", "[1]", 5, {"team": 5}):
        with pytest.raises(SettingsError, match=r"^webhook_labels"):
            load_settings(webhook_labels=wrong)


def test_a_child_has_every_setting_as_it_is_and_none_in_its_arguments(folder: Path) -> None:
    given = load_settings(
        **{
            **ALL,
            "webhook_labels": {"team": "a, b=c"},
            "email_to": '"Doe, Jane" <j@example.org>, b@example.org',
            "allow_private_webhooks": True,
        }
    )
    root = str(ROOT)
    env = {**environment(given), "PYTHONPATH": root}
    answer = subprocess.run([sys.executable, "-c", CHILD], env=env, capture_output=True, text=True, check=True)
    found = json.loads(answer.stdout)
    for name in Settings.model_fields:
        value = getattr(given, name)
        plain = value.get_secret_value() if name in SECRETS else value
        assert found[name] == json.loads(json.dumps(plain, default=str)), name
    assert found["webhook_secret"] == SECRET


def test_a_child_without_channels_has_none() -> None:
    found = environment(load_settings())
    assert {name for name in found if name.startswith("DRIFTLINE_") and SECRET in found[name]} == set()
    assert "DRIFTLINE_EMAIL_TO" not in found
    assert set(os.environ) <= set(found)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a@example.org", ("a@example.org",)),
        ("a@example.org, Bob <b@example.org>,a@example.org", ("a@example.org", "Bob <b@example.org>")),
        ('"Doe, Jane" <j@example.org>', ('"Doe, Jane" <j@example.org>',)),
        (["a@example.org", "b@example.org"], ("a@example.org", "b@example.org")),
        ('["a@example.org", "b@example.org"]', ("a@example.org", "b@example.org")),
        ("[]", ()),
        ("", ()),
    ],
)
def test_recipients_are_a_list_however_they_are_written(given: object, expected: tuple[str, ...]) -> None:
    assert load_settings(email_to=given).email_to == expected


@pytest.mark.parametrize("value", ["nobody", "a@example.org, nobody", "a@b\r\nBcc: c@example.org", 5, "a@exämple.org"])
def test_what_is_no_address_is_refused_by_name(value: object) -> None:
    for name in ("email_to", "email_from"):
        with pytest.raises(SettingsError, match=rf"^{name}: "):
            load_settings(**{name: value})


def test_a_zone_that_there_is_not_is_refused_by_name() -> None:
    zone = load_settings(time_zone="Europe/Berlin").zone
    assert zone is not None
    assert (zone.key, load_settings().zone) == ("Europe/Berlin", None)
    for wrong in ("Mars/Base", "../etc/passwd", "Europe"):
        with pytest.raises(SettingsError, match=r"^time_zone: must be a time zone such as"):
            load_settings(time_zone=wrong)


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465)])
def test_each_security_has_its_port(security: str, port: int) -> None:
    from app.alerting.channels.email import PORTS

    (channel, *_) = other_channels(load_settings(**MAIL, email_security=security))
    assert isinstance(channel, EmailChannel)
    assert PORTS[security] == port  # type: ignore[index]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_without_encryption_only_to_this_machine(host: str) -> None:
    settings = load_settings(**{**MAIL, "email_host": host, "email_security": "none"})
    assert names(settings)["email"]


def test_a_worker_with_a_channel_set_up_in_part_tells_its_supervisor_not_to_try_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from app.commands.options import SetupCommandError
    from app.commands.serve import worker

    monkeypatch.setenv("DRIFTLINE_EMAIL_HOST", "mail.example.org")
    with pytest.raises(
        SetupCommandError, match=r"^email_from: e-mail is set up in part; set email_from \(DRIFTLINE_"
    ) as error:
        worker(bootstrap_servers="127.0.0.1:1")
    assert error.value.status == os.EX_CONFIG
