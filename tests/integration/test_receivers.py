"""Receivers with a real Kafka: by HTTP and by the command line, and where they may lead."""

from __future__ import annotations

import hashlib
import hmac
import json
from pathlib import Path

import httpx
import msgspec
import pytest

from app.alerting.notify.channel import Delivered, Permanent
from app.alerting.receivers.channels import ReceiverChannels, channel_of
from app.alerting.receivers.requests import ReceiverRequest, receiver_of, remove_receiver, send_receiver
from app.alerting.receivers.table import ReceiversTable
from app.kafka.producer import Producer
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.api import client_of, ready
from tests.support.kafka_topics import records_of
from tests.support.notifications import notification
from tests.support.receivers import PUBLIC, receiver
from tests.support.run_command import typed_with
from topics.events import ReceiverEvent, utc_now
from topics.registry import RECEIVERS

BODY = {"name": "on-call", "url": PUBLIC, "secret": "pager", "created_by": "ada"}
KEY = "correct horse"

pytestmark = pytest.mark.usefixtures("direct")


def made(url: str, secret: str | None = None) -> ReceiverEvent:
    return receiver_of(ReceiverRequest(name="on-call", url=url, created_by="ada", secret=secret), utc_now())


async def test_a_receiver_by_http_is_in_kafka_listed_without_its_path_and_taken_away(settings: Settings) -> None:
    async with client_of(settings) as client:
        await ready(client)
        answer = await client.post("/receivers", json=BODY)
        assert answer.status_code == 201, answer.text
        told = answer.json()
        assert {name: told[name] for name in ("channel", "url", "secret")} == {
            "channel": "webhook:on-call", "url": "http://93.184.216.34/…", "secret": "pager",
        }  # fmt: skip
        (record,) = await records_of(settings, RECEIVERS)
        assert (record.key, msgspec.json.decode(record.value, type=ReceiverEvent).url) == (b"on-call", PUBLIC)
        listed = await client.get("/receivers")
        assert listed.json() == {"receivers": [told]}
        assert "hush" not in answer.text + listed.text
        await _refused(client)
        assert (await client.delete("/receivers/on-call")).json() == told
        assert (await client.get("/receivers")).json() == {"receivers": []}
        gone = await client.delete("/receivers/on-call")
        assert (gone.status_code, "GET /receivers" in gone.json()["detail"]) == (404, True)


async def _refused(client: httpx.AsyncClient) -> None:
    cases = [
        ({"url": url}, f"url: {words}")
        for url, words in (
            ("http://127.0.0.1:8700/", "127.0.0.1 leads to 127.0.0.1: it is loopback; set allow_private_webhooks"),
            ("http://localhost/", "localhost leads to "),
            ("http://169.254.169.254/latest/meta-data", "169.254.169.254 leads to 169.254.169.254: it is link-local"),
            ("https://[::ffff:10.0.0.1]/", "::ffff:a00:1 leads to ::ffff:10.0.0.1: it is private"),
            ("https://2130706433/", "2130706433 leads to 127.0.0.1: it is loopback"),
            ("file:///etc/passwd", "it must be http://… or https://…"),
        )
    ]
    cases += [
        ({"name": "../x"}, "name: must have 1 to 64"),
        ({"secret": KEY}, "secret: must be the name of a file"),
        ({"secret": "../passwd"}, "secret: must be the name of a file"),
        ({"created_by": " "}, "created_by: "),
        ({"urls": "x"}, "urls"),
    ]
    for change, words in cases:
        answer = await client.post("/receivers", json={**BODY, **change})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), change
        assert words in answer.json()["detail"]
        assert KEY not in answer.text


async def test_receivers_by_the_command_line(settings: Settings) -> None:
    run = ("alerts", "receivers")
    assert (await typed_with(settings, *run, "list")).stdout == "no receivers\n"
    private = await typed_with(settings, *run, "add", "on-call", "--url", "http://10.0.0.1/")
    assert "--url: 10.0.0.1 leads to 10.0.0.1: it is private" in str(private.exception)
    added = await typed_with(settings, *run, "add", "on-call", "--url", PUBLIC, "--secret", "pager", "--json")
    assert added.exit_code == 0, added.output
    assert json.loads(added.stdout)["channel"] == "webhook:on-call"
    listed = await typed_with(settings, *run, "list")
    assert ("webhook:on-call" in listed.stdout, "hush" in listed.stdout) == (True, False)
    unknown = await typed_with(settings, *run, "remove", "other")
    assert "there is no receiver 'other' (there are: on-call)" in str(unknown.exception)
    assert (await typed_with(settings, *run, "remove", "on-call")).exit_code == 0
    assert (await typed_with(settings, *run, "list")).stdout == "no receivers\n"


async def test_channels_come_and_go_with_the_receivers(settings: Settings) -> None:
    await ensure_topics(settings, [RECEIVERS])
    async with Producer(settings) as producer, ReceiversTable(settings) as view:
        channels = ReceiverChannels({}, view, settings)
        assert channels.get("webhook:on-call") is None
        await send_receiver(producer, made(PUBLIC))
        await producer.send(RECEIVERS, b"x", b"no json")
        await view.catch_up()
        found = channels.get("webhook:on-call")
        assert found is not None
        assert (found.name, list(channels), len(channels)) == ("webhook:on-call", ["webhook:on-call"], 1)
        await remove_receiver(producer, "on-call")
        await view.catch_up()
        assert (channels.get("webhook:on-call"), list(channels)) == (None, [])


async def test_what_leads_to_a_private_address_is_not_connected_to_unless_that_is_allowed(settings: Settings) -> None:
    async with receiver() as server:
        event = made(f"{server.origin}/hush")
        by_name = made(f"http://localhost:{server.port}/hush")  # as a name that has come to lead to such an address
        for one in (event, by_name):
            refused = await channel_of(one, settings).deliver(notification())
            assert isinstance(refused, Permanent)
            assert "leads to an address that is not allowed" in refused.reason
            assert "driftline alerts receivers add on-call" in refused.reason
        assert server.requests == []
        allowed = settings.model_copy(update={"allow_private_webhooks": True})
        assert isinstance(await channel_of(event, allowed).deliver(notification()), Delivered)
    assert len(server.requests) == 1


async def test_what_is_sent_is_signed_with_the_secrets_file_or_not_sent(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    ours = settings.model_copy(update={"allow_private_webhooks": True, "receiver_secrets_dir": folder})
    async with receiver() as server:
        event = made(server.origin, "pager")
        for one, words in ((settings, "receiver_secrets_dir: not set"), (ours, "cannot read")):
            outcome = await channel_of(event, one).deliver(notification())
            assert isinstance(outcome, Permanent)
            assert words in outcome.reason
        past_the_api = msgspec.structs.replace(event, secret="../other")
        assert isinstance(await channel_of(past_the_api, ours).deliver(notification()), Permanent)
        assert server.requests == []
        (folder / "pager").write_text(f"{KEY}\n")
        assert isinstance(await channel_of(event, ours).deliver(notification()), Delivered)
    (request,) = server.requests
    signed = request.headers["driftline-timestamp"].encode() + b"." + request.body
    assert request.headers["driftline-signature"] == f"v1={hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()}"
