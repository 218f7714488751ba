"""Golden messages: what every channel sends of every kind of alert, from the reports on.

`alert_text/` has a file for each channel: mail's text and the log in full, of the others some scenes, as the channel
posts them, and of the rest of mail's pages, Slack and webhooks the hashes of the messages.
`UPDATE_GOLDEN=1 pytest` with this file writes them anew, and with `GOLDEN_IN_FULL=directory` a copy without hashes, to
be compared.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.alerting.channels.alertmanager import AlertmanagerChannel
from app.alerting.channels.apprise import AppriseChannel
from app.alerting.channels.email_message import message_of
from app.alerting.channels.exchanges import recording
from app.alerting.channels.file import FileChannel
from app.alerting.channels.log import LogChannel
from app.alerting.channels.slack import SlackChannel
from app.alerting.channels.slack_blocks import blocks_of, fallback_of
from app.alerting.channels.webhook import WebhookChannel, payload_of
from app.alerting.notify.channel import Channel
from app.alerting.notify.notification import Notification
from app.alerting.rendering.content import build_content
from tests.support.alert_scenes import SCENES
from tests.support.alert_stream import Stream
from tests.support.reports import START

GOLDEN = Path(__file__).parent / "alert_text"
NOBODY = "http://127.0.0.1:9"
"""Nothing listens on the port: what was posted is recorded all the same."""
IN_ZONE = "the newest panes"
"""The scene that mail is rendered of once more, in the zone of its reader."""


async def rendered(name: str, stream: Stream, directory: Path, logged: list[str]) -> dict[str, list[str]]:
    """What each channel would send of a scene, by the name of its file. `logged`: filled by the log's handler."""
    found: dict[str, list[str]] = {}
    for one in stream.people.found:
        story = build_content(one)
        message = message_of(story, one, "d@example.org", ["a@example.org"], None)
        text, page = message.get_body(("plain",)), message.get_body(("html",))
        assert text is not None
        assert page is not None
        found.setdefault("email.txt", []).append(f"Subject: {message['Subject']}\n{text.get_content()}")
        found.setdefault("email.html.txt", []).append(_bare(page.get_content()))
        for file, channel in _posting().items() if name in IN_FULL else ():
            found.setdefault(file, []).append(await posted(channel, one))
        if name not in IN_FULL:
            slack = {"text": fallback_of(story), "blocks": blocks_of(story)}
            found.setdefault("slack.txt", []).append(json.dumps(slack))
            found.setdefault("webhook.txt", []).append(json.dumps(payload_of(one)))
        if name == IN_ZONE:
            story = build_content(one, ZoneInfo("Asia/Kolkata"))
            there = message_of(story, one, "d@example.org", ["a@example.org"], None).get_body(("plain",))
            assert there is not None
            found.setdefault("email-zone.txt", []).append(there.get_content())
    logged.clear()
    for one in stream.every_transition.found:
        await LogChannel().deliver(one)
    found["log.txt"] = ["\n".join(logged)]
    if name not in IN_FULL:
        return found
    for one in stream.other.found:
        channel = AlertmanagerChannel([NOBODY], seconds=5, now=lambda: START)
        found.setdefault("alertmanager.txt", []).append(await posted(channel, one))
    for one in stream.every_transition.found:
        await FileChannel(directory).deliver(one)
    lines = [line for path in _files(directory) for line in path.read_text().splitlines()]
    found["file.txt"] = ["\n".join(_line(json.loads(line)) for line in lines)]
    return found


def _posting() -> dict[str, Channel]:
    """Channels of which nobody takes what they post."""
    return {
        "slack.txt": SlackChannel(NOBODY, seconds=5),
        "webhook.txt": WebhookChannel(NOBODY, seconds=5),
        "apprise.txt": AppriseChannel("json://127.0.0.1:9", seconds=5),
    }


def _files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir())


async def posted(channel: Channel, notification: Notification) -> str:
    with recording() as exchanges:
        await channel.deliver(notification)
    return "\n".join(_laid_out(one.body) for one in exchanges)


def _laid_out(body: str) -> str:
    """JSON with a block or an alert a line; other text as it is."""
    try:
        found = json.loads(body)
    except ValueError:
        return body
    if not isinstance(found, dict):
        return "\n".join(json.dumps(one, ensure_ascii=False) for one in found)
    lines = [found.pop(name) for name in ("blocks", "alerts") if name in found]
    return "\n".join(json.dumps(one, ensure_ascii=False) for one in (found, *(one for some in lines for one in some)))


def _bare(page: str) -> str:
    """The page's body without what does not change: styles and blank lines."""
    body = re.sub(r' (style|class|role)="[^"]*"', "", page.partition("<body")[2])
    return "\n".join(line for line in body.splitlines() if line.strip())


def _line(alert: dict[str, Any]) -> str:
    """A line of the file; of the evidence only what there is of it. Title and message are the summary's words."""
    alert["evidence"] = sorted(alert["evidence"])
    return json.dumps({name: value for name, value in alert.items() if name != "summary"}, ensure_ascii=False)


def _sections(found: dict[str, dict[str, list[str]]], file: str, *, in_full: bool = False) -> Iterator[str]:
    for name, files in found.items():
        in_full_here = in_full or name in IN_FULL or file in ALL_IN_FULL
        for number, text in enumerate(files.get(file, ()), 1):
            digest = hashlib.sha256(text.encode()).hexdigest()[:16]
            yield f"===== {name}, {number}\n{text.rstrip()}\n" if in_full_here else f"===== {name}, {number}: {digest}"


IN_FULL = ("drift, while performance is known", "alerts of others", "many models at once", "hostile names")
ALL_IN_FULL = ("email.txt", "email-zone.txt", "log.txt")


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


FILES = (
    "alertmanager.txt", "apprise.txt", "email-zone.txt", "email.html.txt", "email.txt", "file.txt", "log.txt",
    "slack.txt", "webhook.txt",
)  # fmt: skip


@pytest.fixture
async def messages(tmp_path: Path) -> AsyncIterator[dict[str, dict[str, list[str]]]]:
    logger, handler, found = logging.getLogger("driftline.alerts"), Lines(), {}
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    for number, (name, scene) in enumerate(SCENES.items()):
        stream = Stream(scene)
        await stream.play()
        directory = tmp_path / str(number)
        directory.mkdir()
        found[name] = await rendered(name, stream, directory, handler.lines)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.mark.slow
async def test_every_channel_says_what_it_said(messages: dict[str, dict[str, list[str]]]) -> None:
    texts = {file: "\n".join(_sections(messages, file)) for file in FILES}
    if directory := os.environ.get("GOLDEN_IN_FULL"):
        for file in FILES:
            (Path(directory) / file).write_text("\n".join(_sections(messages, file, in_full=True)))
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        for file, text in texts.items():
            (GOLDEN / file).write_text(text)
    for file, text in texts.items():
        assert text == (GOLDEN / file).read_text(), file
