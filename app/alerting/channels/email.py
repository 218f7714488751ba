"""Channel by e-mail over SMTP: text and HTML, with a picture of the worst feature."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from email.message import EmailMessage
from email.utils import parseaddr
from typing import Literal

import aiosmtplib

from app.alerting.channels.delivered_to import DeliveredTo
from app.alerting.channels.email_message import message_of
from app.alerting.channels.exchanges import Exchange, is_recorded, record
from app.alerting.channels.http_response import quote
from app.alerting.notify.channel import Delivered, Outcome, Permanent, Retryable
from app.alerting.notify.notification import Notification
from app.alerting.rendering.content import build_content
from app.alerting.rendering.picture import picture_of
from app.alerting.rendering.rows import DriftRow

log = logging.getLogger(__name__)

Security = Literal["starttls", "tls", "none"]
PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
PICTURE_SECONDS = 4.0
"""Longest time that a message waits for its picture, in seconds."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Mail server, login, sender and recipients. `port` None: the usual port of the `security`."""

    host: str
    sender: str
    recipients: tuple[str, ...]
    security: Security = "starttls"
    port: int | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)


class EmailChannel:
    """Channel that sends one message to all recipients. A retry goes only to recipients that were not accepted yet."""

    name = "email"

    def __init__(self, mailbox: Mailbox, *, seconds: float, zone: tzinfo | None = None) -> None:
        self._mailbox = mailbox
        self._seconds = seconds
        self._zone = zone
        self._told = DeliveredTo()

    async def deliver(self, notification: Notification) -> Outcome:
        """Send the message. Return `Delivered` once the server accepts one recipient and defers none of the others."""
        story = build_content(notification, self._zone)
        picture = await _picture(story.worst)
        message = message_of(story, notification, self._mailbox.sender, self._mailbox.recipients, picture)
        outcome = await self._send(notification.notification_id, message)
        if is_recorded():
            record(_exchange(message, outcome))
        return outcome

    async def _send(self, notification_id: str, message: EmailMessage) -> Outcome:
        try:
            async with asyncio.timeout(self._seconds):
                return await self._hand_in(notification_id, message)
        except TimeoutError:
            return Retryable(f"no answer from the mail server in {self._seconds:g} s")
        except (aiosmtplib.SMTPException, OSError) as error:
            return self._outcome(error)

    async def _hand_in(self, notification_id: str, message: EmailMessage) -> Outcome:
        mailbox = self._mailbox
        waiting = [address for address in mailbox.recipients if address not in self._told.by(notification_id)]
        client = aiosmtplib.SMTP(
            hostname=mailbox.host,
            port=mailbox.port or PORTS[mailbox.security],
            use_tls=mailbox.security == "tls",
            start_tls=mailbox.security == "starttls",
            username=mailbox.username,
            password=mailbox.password,
            timeout=self._seconds,
        )
        try:
            await client.connect()
            refused, answer = await client.send_message(
                message, sender=parseaddr(mailbox.sender)[1], recipients=_bare(waiting)
            )
        finally:
            client.close()  # without QUIT: the response to DATA is the receipt
        return self._receipt(notification_id, waiting, refused, answer)

    def _receipt(
        self, notification_id: str, waiting: Sequence[str], refused: dict[str, aiosmtplib.SMTPResponse], answer: str
    ) -> Outcome:
        """Return the outcome where the server has accepted the message for some recipients."""
        taken = [address for address in waiting if parseaddr(address)[1] not in refused]
        told = f"{len(self._mailbox.recipients) - len(refused)} of {len(self._mailbox.recipients)} recipients"
        self._told.add(notification_id, taken)
        later = [response for response in refused.values() if response.code < 500]
        if later:
            return Retryable(f"{told}; the others are refused for now: {self._said(later[0].code, later[0].message)}")
        self._told.settled(notification_id)
        if refused:
            never = next(iter(refused.values()))
            log.warning("an e-mail was refused for %d recipients; check email_to", len(refused))
            return Delivered(f"{told}; check email_to: {self._said(never.code, never.message)}")
        return Delivered(f"SMTP 250 ({quote(answer, self._secrets())}), {told}")

    def _outcome(self, error: aiosmtplib.SMTPException | OSError) -> Outcome:
        """Return the outcome of an error during the SMTP session."""
        if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
            mildest = min(error.recipients, key=lambda refused: refused.code)
            return self._refusal("no recipient is accepted", mildest, "email_to and email_from")
        if isinstance(error, aiosmtplib.SMTPAuthenticationError):
            return self._refusal("the login is refused", error, "email_username and email_password")
        if isinstance(error, aiosmtplib.SMTPResponseException):
            return self._refusal("the mail server refuses it", error, "email_host, email_port and email_from")
        return _broken(error, self._seconds)

    def _refusal(self, words: str, error: aiosmtplib.SMTPResponseException, settings: str) -> Outcome:
        """Return the outcome of a refusal: 4xx is temporary, 5xx is permanent (RFC 5321, 4.2.1).

        The library reports an invalid response as -1.
        """
        if error.code < 0:
            return Retryable("the mail server's answer is not SMTP")
        said = f"{words}: {self._said(error.code, error.message)}"
        return Permanent(f"{said}; check {settings}") if error.code >= 500 else Retryable(said)

    def _said(self, code: int, message: str) -> str:
        return f"SMTP {code} ({quote(message, self._secrets())})"

    def _secrets(self) -> list[str]:
        return [self._mailbox.password] if self._mailbox.password else []


def _exchange(message: EmailMessage, outcome: Outcome) -> Exchange:
    """Return a message in the form that may be shown: its headers and its text."""
    text = message.get_body(("plain",))
    returned = outcome.detail if isinstance(outcome, Delivered) else outcome.reason
    headers = "\n".join(f"{name}: {value}" for name, value in message.items())
    return Exchange(headers, "" if text is None else str(text.get_content()), returned)


async def _picture(column: DriftRow | None) -> bytes | None:
    """Return the picture, drawn outside the event loop; None where there is none, or drawing is late or fails.

    The message is sent without its picture then.
    """
    if column is None:
        return None
    try:
        return await asyncio.wait_for(asyncio.to_thread(picture_of, column), PICTURE_SECONDS)
    except TimeoutError:
        log.warning("an e-mail goes without its picture, which was not drawn in %g s", PICTURE_SECONDS)
    except Exception as error:  # noqa: BLE001 - a picture is not worth an alert
        log.warning("an e-mail goes without its picture: %s", type(error).__name__)
    return None


def _bare(addresses: Sequence[str]) -> list[str]:
    return [parseaddr(address)[1] for address in addresses]


def _broken(error: aiosmtplib.SMTPException | OSError, seconds: float) -> Outcome:
    """Return the outcome where the SMTP session did not start, or broke off."""
    if isinstance(error, aiosmtplib.SMTPNotSupported) or "STARTTLS" in str(error):
        return Permanent("the mail server does not offer what is set; check email_security and email_username")
    found = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(found, ssl.SSLCertVerificationError):
        return Permanent("the mail server's certificate is not trusted; SSL_CERT_FILE can name its authority's file")
    if isinstance(found, ssl.SSLError) and found.reason == "WRONG_VERSION_NUMBER":
        return Permanent("the mail server does not speak TLS on this port; check email_security and email_port")
    if isinstance(error, aiosmtplib.SMTPTimeoutError):
        return Retryable(f"no answer from the mail server in {seconds:g} s")
    return Retryable("no connection to the mail server, or it was lost")
