"""From predictions that drift to what people get: a worker, a mail server with STARTTLS and a login, a webhook."""

from __future__ import annotations

import email
import email.policy
import hashlib
import hmac
import io
import ssl
from email.message import EmailMessage
from pathlib import Path

import msgspec
import pytest
import trustme
from PIL import Image
from pydantic import SecretStr

from app.alerting.receivers.requests import ReceiverRequest, receiver_of, send_receiver
from app.core.config.routes import Route
from app.kafka.producer import Producer
from app.kafka.topics import ensure_topics
from app.settings.settings import Settings
from tests.support.deliveries import recorded_of
from tests.support.receivers import Post, Receiver, mail_server, receiver
from tests.support.stream import MODEL, register_model, send, truth, worker
from tests.support.waiting import until
from tests.support.worker_process import log_of
from topics.events import utc_now
from topics.registry import PREDICTIONS

PASSWORD = "hunter2-and-more"
KEY = "correct horse"
CHANNELS = ("email", "webhook:on-call")


@pytest.fixture
def server_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A server's certificate, of an authority that the worker trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def told_by(settings: Settings, post: Post, keys: Path) -> Settings:
    """Everything goes to both channels, after a moment."""
    keys.mkdir()
    (keys / "pager").write_text(KEY)
    return settings.model_copy(
        update={
            "email_host": "127.0.0.1", "email_port": post.port, "email_from": "Driftline <drift@example.org>",
            "email_to": ("ann@example.org",), "email_username": "drift", "email_password": SecretStr(PASSWORD),
            "group_wait_seconds": 0.5, "routes": (Route(channels=CHANNELS),), "receiver_secrets_dir": keys,
            "allow_private_webhooks": True,
        }
    )  # fmt: skip


def drifting(n: int) -> list[tuple[str, bytes, bytes]]:
    """A stream in which `size` is two standard deviations higher than in the reference."""
    found = []
    for topic, key, value in truth(n).records:
        event = msgspec.json.decode(value)
        if topic == PREDICTIONS.name:
            event["features"]["size"] += 2.0
        found.append((topic, key, msgspec.json.encode(event)))
    return found


@pytest.mark.timeout(120)
@pytest.mark.usefixtures("direct")
async def test_drift_arrives_as_a_mail_with_its_picture_and_as_a_signed_webhook(
    settings: Settings, server_tls: ssl.SSLContext, tmp_path: Path
) -> None:
    login = ("drift", PASSWORD)
    async with mail_server(Post(), tls=server_tls, login=login) as post, receiver() as hook:
        settings = told_by(settings, post, tmp_path / "keys")
        await ensure_topics(settings)
        await register_model(settings)
        asked = ReceiverRequest(name="on-call", url=f"{hook.origin}/hush", secret="pager", created_by="ada")
        async with Producer(settings) as producer, recorded_of(settings) as recorded:
            await send_receiver(producer, receiver_of(asked, utc_now()))
            with worker(settings):
                await send(settings, drifting(1500))
                arrived = await until(lambda: {event.channel for event in recorded.events} == {*CHANNELS}, 60)
    log = log_of(settings)
    assert arrived, log
    assert {event.outcome for event in recorded.events} == {"delivered"}
    assert (PASSWORD in log, KEY in log, "/hush" in log) == (False, False, False)
    assert post.secure[0]
    _is_the_mail(post)
    _is_the_hook(hook)


def _is_the_mail(post: Post) -> None:
    content = post.envelopes[0].content
    assert isinstance(content, bytes)
    message = email.message_from_bytes(content, policy=email.policy.default)
    assert (post.envelopes[0].rcpt_tos, message["To"]) == (["ann@example.org"], "ann@example.org")
    assert f"{MODEL} 1" in message["Subject"]
    parts: dict[str, EmailMessage] = {part.get_content_type(): part for part in message.walk()}
    text, page, picture = (parts[kind] for kind in ("text/plain", "text/html", "image/png"))
    for words in ("size", "KS distance", "higher", "predictions"):
        assert words in text.get_content()
    assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in page.get_content()
    assert picture.get_content_disposition() == "inline"
    with Image.open(io.BytesIO(picture.get_content())) as image:
        assert image.format == "PNG"
        image.load()


def _is_the_hook(hook: Receiver) -> None:
    request = hook.requests[0]
    signed = request.headers["driftline-timestamp"].encode() + b"." + request.body
    assert request.headers["driftline-signature"] == f"v1={hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest()}"
    payload = msgspec.json.decode(request.body)
    assert (payload["version"], payload["commonLabels"]["model"]) == ("4", MODEL)
    assert "data_drift" in {alert["labels"]["rule"] for alert in payload["alerts"]}
