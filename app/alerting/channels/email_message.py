"""E-mail of a notification: text, HTML, and the picture of the worst feature inside the message."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from app.alerting.notify.notification import Notification
from app.alerting.rendering.content import MessageContent
from app.alerting.rendering.templates import html_of, text_of


def message_of(
    story: MessageContent, notification: Notification, sender: str, recipients: Sequence[str], picture: bytes | None
) -> EmailMessage:
    """Return the message of a notification.

    A message that is sent again has the same Message-ID. References thread an incident to its first message. `sender`
    and `recipients`: addresses, with a name or without; `picture`: a PNG.
    """
    message = EmailMessage(policy=SMTP)
    domain = parseaddr(sender)[1].rpartition("@")[2]
    message["Subject"] = story.subject
    message["From"] = _address(sender)
    message["To"] = [_address(recipient) for recipient in recipients]
    message["Date"] = format_datetime(notification.emitted_at)
    message["Message-ID"] = _message_id(notification.notification_id, domain)
    thread = _thread(notification, domain)
    if thread is not None:
        message["In-Reply-To"] = thread
        message["References"] = thread
    message["List-Id"] = f"Driftline alerts <driftline-alerts.{_host(domain)}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office replies
    message["X-Driftline-Level"] = story.level
    message["X-Driftline-Status"] = story.state
    message.set_content(text_of(story))
    worst = story.worst
    cid = f"picture-{_digest(notification.notification_id)}@{domain}"
    says = "" if worst is None else f"{worst.name}: {worst.reference} before, {worst.current} now"
    message.add_alternative(html_of(story, picture=cid if picture else None, picture_says=says), subtype="html")
    if picture:
        page = next(part for part in message.iter_parts() if part.get_content_type() == "text/html")
        assert isinstance(page, MIMEPart)
        page.add_related(
            picture, "image", "png", cid=f"<{cid}>", disposition="inline", filename="reference-against-now.png"
        )
    return message


def _message_id(notification_id: str, domain: str) -> str:
    return f"<{_digest(notification_id)}.driftline@{domain}>"


def _thread(notification: Notification, domain: str) -> str | None:
    """Return the Message-ID of the incident's first message; None for that message itself."""
    if not notification.root:  # a waiting notification of an earlier release
        return f"<group-{_digest(notification.group)}.driftline@{domain}>"
    return None if notification.root == notification.notification_id else _message_id(notification.root, domain)


def _host(domain: str) -> str:
    """Return a domain in the form of RFC 2919, which has none for an address in brackets."""
    return "localhost" if domain.startswith("[") else domain


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=12).hexdigest()


def _address(text: str) -> Address:
    name, address = parseaddr(text)
    return Address(name, addr_spec=address)
