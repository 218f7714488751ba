"""E-mail through a real mail server: what arrives, and what each of its answers means."""

from __future__ import annotations

import asyncio
import email
import email.policy
import io
import logging
import ssl
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import trustme
from PIL import Image

from app.alerting.channels.email import EmailChannel, Mailbox, Security
from app.alerting.notify.channel import Delivered, Outcome, Permanent, Retryable
from tests.support.notifications import HOSTILE, alert, drifted, hostile, notification, pictured, resolved, shape
from tests.support.receivers import Post, mail_server, talking

PASSWORD = "hunter2-and-more"
TO = ("Ann <ann@example.org>", "bob@example.org", "cy@example.org")


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The authority is one of the machine's, as an operator makes it one."""
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))


@pytest.fixture(autouse=True)
def secretive(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No test may have written the password into the log, at whatever level."""
    caplog.set_level(logging.DEBUG)
    yield
    assert PASSWORD not in caplog.text


def channel(port: int, security: Security = "none", *, login: bool = False, seconds: float = 5.0) -> EmailChannel:
    mailbox = Mailbox(
        host="127.0.0.1", port=port, sender="Driftline <drift@example.org>", recipients=TO, security=security,
        username="drift" if login else None, password=PASSWORD if login else None,
    )  # fmt: skip
    assert PASSWORD not in repr(mailbox)
    return EmailChannel(mailbox, seconds=seconds)


def parsed(post: Post, which: int = -1) -> EmailMessage:
    content = post.envelopes[which].content
    assert isinstance(content, bytes)
    return email.message_from_bytes(content, policy=email.policy.default)


def part(message: EmailMessage, kind: str) -> EmailMessage:
    (found,) = [one for one in message.walk() if one.get_content_type() == kind]
    return found


async def test_the_message_is_text_and_html_with_the_picture_that_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.alerting.channels.email.PICTURE_SECONDS", 60.0)  # a slow machine is no failure
    async with mail_server(Post()) as post:
        assert await channel(post.port).deliver(pictured()) == Delivered("SMTP 250 (2.0.0 taken), 3 of 3 recipients")
    assert post.envelopes[0].rcpt_tos == ["ann@example.org", "bob@example.org", "cy@example.org"]
    message = parsed(post)
    assert message["Subject"] == "🔴 [error] income 3: data drift in 1 of 3 features (age)"
    assert message["From"].addresses[0].display_name == "Driftline"
    assert [one.addr_spec for one in message["To"].addresses] == post.envelopes[0].rcpt_tos
    assert message.get_content_type() == "multipart/alternative"
    assert [one.get_content_type() for one in message.iter_parts()] == ["text/plain", "multipart/related"]
    text, page, picture = part(message, "text/plain"), part(message, "text/html"), part(message, "image/png")
    for words in ("KS distance 0.3", "p < 1e-12", "median 40, mean 41", "median 480, mean 490", "1,000 predictions"):
        assert words in text.get_content()
        assert words.replace("<", "&lt;") in page.get_content()
    assert "http://127.0.0.1:8700/dashboard?model=income&version=3" in text.get_content()
    assert f'src="cid:{picture["Content-ID"].strip("<>")}"' in page.get_content()
    assert picture.get_content_disposition() == "inline"
    with Image.open(io.BytesIO(picture.get_content())) as image:
        assert (image.format, image.width) == ("PNG", 960)
        image.load()


async def test_without_points_there_is_no_picture_and_no_place_for_one() -> None:
    without = (
        alert(features=[drifted()]), alert(), alert(evidence={"features": [drifted(shape={"at": 3})]}),
        alert(features=[drifted(shape=shape() | {"current": [0.5]})]),
        alert(features=[drifted(shape=shape() | {"at": [], "reference": [], "current": []})]),
    )  # fmt: skip
    for one in without:
        async with mail_server(Post()) as post:
            await channel(post.port).deliver(notification(one))
        message = parsed(post)
        assert [one.get_content_type() for one in message.walk()] == [
            "multipart/alternative",
            "text/plain",
            "text/html",
        ]
        assert "cid:" not in part(message, "text/html").get_content()


async def test_what_is_told_again_has_the_same_id_and_a_group_is_one_thread() -> None:
    async with mail_server(Post()) as post:
        for told in (notification(), notification(), resolved()):
            await channel(post.port).deliver(told)
    first, again, later = (parsed(post, i) for i in range(3))
    assert first["Message-ID"] == again["Message-ID"] != later["Message-ID"]
    assert first["Message-ID"].endswith("@example.org>")
    assert first["References"] == later["References"] == later["In-Reply-To"]
    assert later["Subject"].startswith("✅ [resolved] ")


async def test_an_incident_is_a_thread_whose_root_is_the_message_that_was_sent() -> None:
    async with mail_server(Post()) as post:
        for told in (
            notification(notification_id="n1", root="n1"), notification(notification_id="n2", root="n1"),
            resolved(notification_id="n3", root="n1"), notification(notification_id="n4", root="n4"),
        ):  # fmt: skip
            await channel(post.port).deliver(told)
    first, repeat, end, anew = (parsed(post, i) for i in range(4))
    assert repeat["References"] == repeat["In-Reply-To"] == end["References"] == first["Message-ID"]
    assert (first["References"], first["In-Reply-To"], anew["References"]) == (None, None, None)
    assert {one["List-Id"] for one in (first, repeat, end, anew)} == {
        "Driftline alerts <driftline-alerts.example.org>"
    }  # fmt: skip


async def test_times_are_in_the_readers_zone_and_in_utc() -> None:
    async with mail_server(Post()) as post:
        mailbox = Mailbox("127.0.0.1", "drift@example.org", TO, "none", post.port)
        berlin = EmailChannel(mailbox, seconds=5, zone=ZoneInfo("Europe/Berlin"))
        await berlin.deliver(notification())
    for kind in ("text/plain", "text/html"):
        words = part(parsed(post), kind).get_content()
        assert "Since 2026-06-01 13:00 CEST (11:00 UTC)." in words
        assert "2026-06-01 14:00:00 CEST (12:00:00 UTC)" in words


async def test_names_from_outside_add_no_header_and_no_markup() -> None:
    async with mail_server(Post()) as post:
        assert isinstance(await channel(post.port).deliver(hostile()), Delivered)
    message = parsed(post)
    assert message["Bcc"] is None
    assert sorted({name.lower() for name in message.keys()}) == [  # noqa: SIM118 - a message has its headers several times
        "auto-submitted", "content-type", "date", "from", "in-reply-to", "list-id", "message-id", "mime-version",
        "references", "subject", "to", "x-driftline-level", "x-driftline-status",
    ]  # fmt: skip
    assert "\u202e" not in message["Subject"]
    assert "💥" in message["Subject"]
    assert "שלום" in message["Subject"]
    page, text = part(message, "text/html").get_content(), part(message, "text/plain").get_content()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "javascript:" not in page + text
    assert "{{ 7 * 7 }}" in text
    assert "49" not in text
    assert not {"\x1b", "\u202e", "\u2028", "\r"} & set(text.replace("\r\n", "\n"))
    assert HOSTILE.split("\r\n", maxsplit=1)[0] in text


async def test_starttls_and_login(server_tls: ssl.SSLContext, trusted: None) -> None:
    async with mail_server(Post(), tls=server_tls, login=("drift", PASSWORD)) as post:
        assert isinstance(await channel(post.port, "starttls", login=True).deliver(notification()), Delivered)
    assert post.secure == [True]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # the server's own: it is TLS already
async def test_tls_from_the_start_and_login(server_tls: ssl.SSLContext, trusted: None) -> None:
    async with mail_server(Post(), tls=server_tls, implicit=True, login=("drift", PASSWORD)) as post:
        assert isinstance(await channel(post.port, "tls").deliver(notification()), Permanent), "without its login"
        assert isinstance(await channel(post.port, "tls", login=True).deliver(notification()), Delivered)
    assert len(post.envelopes) == 1


async def test_a_certificate_that_is_not_trusted_is_refused_for_good(server_tls: ssl.SSLContext) -> None:
    for security in ("starttls", "tls"):
        async with mail_server(Post(), tls=server_tls, implicit=security == "tls") as post:
            outcome = await channel(post.port, security).deliver(notification())
        assert outcome == Permanent(
            "the mail server's certificate is not trusted; SSL_CERT_FILE can name its authority's file"
        )
        assert post.envelopes == []


async def test_a_wrong_password_says_which_settings_to_look_at(server_tls: ssl.SSLContext, trusted: None) -> None:
    async with mail_server(Post(), tls=server_tls, login=("drift", "another")) as post:
        outcome = await channel(post.port, "starttls", login=True).deliver(notification())
    assert isinstance(outcome, Permanent)
    assert "SMTP 535" in outcome.reason
    assert outcome.reason.endswith("check email_username and email_password")
    assert PASSWORD not in outcome.reason


async def test_a_server_without_starttls_is_never_sent_to_in_the_clear() -> None:
    async with mail_server(Post()) as post:
        outcome = await channel(post.port, "starttls").deliver(notification())
    assert isinstance(outcome, Permanent)
    assert "email_security" in outcome.reason
    assert post.envelopes == []


async def test_a_server_that_speaks_plainly_where_tls_is_wanted() -> None:
    async with mail_server(Post()) as post:
        outcome = await channel(post.port, "tls").deliver(notification())
    assert isinstance(outcome, Permanent)
    assert "email_port" in outcome.reason


@pytest.mark.parametrize(
    ("say", "expected"),
    [
        ("451 4.3.0 come back", Retryable("the mail server refuses it: SMTP 451 (4.3.0 come back)")),
        (
            "554 5.7.1 spam",
            Permanent("the mail server refuses it: SMTP 554 (5.7.1 spam); check email_host, email_port and email_from"),
        ),
    ],
)
async def test_the_servers_answer_decides(say: str, expected: Outcome) -> None:
    async with mail_server(Post(say=say)) as post:
        assert await channel(post.port).deliver(notification()) == expected


async def test_another_attempt_goes_to_those_who_were_refused_for_now() -> None:
    async with mail_server(Post(refuse={"bob@example.org": "450 4.2.1 busy"})) as post:
        sender = channel(post.port)
        outcome = await sender.deliver(notification())
        assert isinstance(outcome, Retryable)
        assert outcome.reason == "2 of 3 recipients; the others are refused for now: SMTP 450 (4.2.1 busy)"
        post.refuse.clear()
        assert isinstance(await sender.deliver(notification()), Delivered)
        assert isinstance(await sender.deliver(resolved()), Delivered)
    told = [envelope.rcpt_tos for envelope in post.envelopes]
    everybody = ["ann@example.org", "bob@example.org", "cy@example.org"]
    assert told == [["ann@example.org", "cy@example.org"], ["bob@example.org"], everybody]


async def test_who_is_refused_for_good_keeps_it_from_nobody_else() -> None:
    async with mail_server(Post(refuse={"bob@example.org": "550 5.1.1 unknown"})) as post:
        outcome = await channel(post.port).deliver(notification())
    assert outcome == Delivered("2 of 3 recipients; check email_to: SMTP 550 (5.1.1 unknown)")


async def test_when_everybody_is_refused_it_is_not_delivered() -> None:
    everybody = dict.fromkeys(("ann@example.org", "bob@example.org", "cy@example.org"), "550 5.1.1 unknown")
    async with mail_server(Post(refuse=everybody)) as post:
        outcome = await channel(post.port).deliver(notification())
    assert isinstance(outcome, Permanent)
    assert "email_to" in outcome.reason


async def test_an_answer_that_repeats_the_password_is_quoted_without_it(
    server_tls: ssl.SSLContext, trusted: None
) -> None:
    async with mail_server(Post(say=f"554 no {PASSWORD}"), tls=server_tls, login=("drift", PASSWORD)) as post:
        outcome = await channel(post.port, "starttls", login=True).deliver(notification())
    assert isinstance(outcome, Permanent)
    assert "SMTP 554 (no …)" in outcome.reason


async def test_a_server_that_says_nothing_or_never_ends_is_bounded() -> None:
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"220-and so on\r\n" * 5000)
            await writer.drain()

    for behaviour, seconds, reason in (
        (silent, 0.3, "no answer from the mail server in 0.3 s"),
        (endless, 20.0, "the mail server's answer is not SMTP"),
    ):
        async with talking(behaviour) as port:
            assert await channel(port, seconds=seconds).deliver(resolved()) == Retryable(reason)


async def test_no_server_and_one_that_hangs_up_are_worth_another_attempt() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.test ESMTP\r\n")

    expected = Retryable("no connection to the mail server, or it was lost")
    async with talking(hang_up) as port:
        assert await channel(port).deliver(resolved()) == expected
    assert await channel(port).deliver(resolved()) == expected


@pytest.mark.parametrize("lines", [3, 10_000], ids=["in the middle of the message", "before the answer to it"])
async def test_a_server_that_hangs_up_on_the_message_is_worth_another_attempt(lines: int) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in (
            b"220 mail.test ESMTP",
            b"250 mail.test",
            b"250 OK",
            b"250 OK",
            b"250 OK",
            b"250 OK",
            b"354 go on",
        ):
            writer.write(answer + b"\r\n")
            await reader.readline()
        for _ in range(lines):
            if await reader.readline() in (b".\r\n", b""):
                break

    async with talking(talk) as port:
        assert await channel(port).deliver(pictured()) == Retryable("no connection to the mail server, or it was lost")


async def test_a_picture_that_fails_does_not_keep_the_words_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_column: object) -> bytes:
        raise RuntimeError("no fonts")

    monkeypatch.setattr("app.alerting.channels.email.picture_of", fail)
    async with mail_server(Post()) as post:
        assert isinstance(await channel(post.port).deliver(pictured()), Delivered)
    assert "cid:" not in part(parsed(post), "text/html").get_content()
