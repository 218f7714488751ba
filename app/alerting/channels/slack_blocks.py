"""Message content as Slack blocks, within Slack's limits, with all text from outside escaped.

https://docs.slack.dev/reference/block-kit/blocks and https://docs.slack.dev/messaging/formatting-message-text
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from app.alerting.rendering.content import AlertContent, MessageContent
from app.alerting.rendering.rows import DriftRow, MetricRow
from app.alerting.rendering.templates import NOTE

Block = dict[str, object]

MOST_BLOCKS = 50
MOST_SECTION = 3000
MOST_FIELD = 2000
MOST_FIELDS = 10
MOST_HEADER = 150
ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
MARKUP = str.maketrans({"*": "∗", "_": "＿", "~": "∼", "`": "ˋ"})
"""Look-alikes for the characters of Slack's own markup, in names that are set in bold."""


def blocks_of(story: MessageContent) -> list[Block]:
    """Return the message as blocks. Pure."""
    found: list[Block] = [_header(f"{story.mark} {story.title}"), *_fields(story)]
    if story.facts:
        found.append(_section(story.facts))
    if story.columns:
        more = [f"and {story.more_columns} more"] if story.more_columns else []
        rows = [line for column in story.columns for line in _column(column)]
        found.append(_section(["*What has drifted, the largest effect first*", *rows, *more], escape=False))
        found.append(_context([NOTE]))
    if story.metrics:
        found.append(_section(["*How the model performs*", *map(_metric, story.metrics)], escape=False))
    if story.alerts:
        found.append({"type": "divider"})
        found += [_section(_alert(alert), escape=False) for alert in story.alerts]
    if story.more_alerts:
        found.append(_section([f"and {story.more_alerts} more"]))
    last = [_context([f"{story.reason} · {story.emitted_at}", f"id {story.notification_id}"])]
    if story.links:
        last.insert(0, _section([" · ".join(_link(*link) for link in story.links)], escape=False))
    return found[: MOST_BLOCKS - len(last)] + last


def fallback_of(story: MessageContent) -> str:
    """Return the text that a notification on a phone shows, and that applications without blocks show."""
    return escaped(story.subject, MOST_HEADER * 2)


def escaped(text: str, limit: int) -> str:
    """Return the text with `&`, `<` and `>` as entities, at most `limit` UTF-16 units long and without a partial
    entity.
    """
    parts: list[str] = []
    size = 0
    for character in text:
        part = ENTITIES.get(character, character)
        size += _units(part)
        if size > limit - 1:
            return "".join(parts) + "…" if _units(text[len(parts) :]) else "".join(parts)
        parts.append(part)
    return "".join(parts)


def _units(text: str) -> int:
    return len(text) + sum(ord(character) > 0xFFFF for character in text)


def _plain(text: str, limit: int) -> dict[str, object]:
    """Return a text object that Slack shows unchanged: no markup, no entities."""
    if _units(text) > limit:
        kept = text[:limit]
        while _units(kept) > limit - 1:
            kept = kept[:-1]
        text = f"{kept}…"
    return {"type": "plain_text", "text": text, "emoji": True}


def _header(text: str) -> Block:
    return {"type": "header", "text": _plain(text, MOST_HEADER)}


def _section(lines: Iterable[str], *, escape: bool = True) -> Block:
    text = _joined([escaped(line, MOST_SECTION) for line in lines] if escape else lines)
    return {"type": "section", "text": {"type": "mrkdwn", "text": text, "verbatim": True}}


def _joined(lines: Iterable[str]) -> str:
    """Return as many whole lines as a section can contain."""
    kept: list[str] = []
    size = 0
    for line in lines:
        size += _units(line) + 1
        if size > MOST_SECTION:
            break
        kept.append(line)
    return "\n".join(kept) or " "


def _fields(story: MessageContent) -> Iterator[Block]:
    pairs = [("level", story.level), ("status", story.state), *story.labels][:MOST_FIELDS]
    texts = [f"*{_bold(name)}*\n{escaped(value, MOST_FIELD // 2) or '–'}" for name, value in pairs]
    yield {"type": "section", "fields": [{"type": "mrkdwn", "text": text, "verbatim": True} for text in texts]}


def _context(texts: Iterable[str]) -> Block:
    return {"type": "context", "elements": [_plain(text, MOST_FIELD) for text in texts]}


def _column(column: DriftRow) -> Iterator[str]:
    yield f"• *{_bold(column.name)}*: " + escaped(
        ", ".join(part for part in (column.effect, column.sure, column.direction) if part), 300
    )
    if column.reference or column.current:
        yield f"     {escaped(column.reference, 120)} → {escaped(column.current, 120)}"


def _metric(metric: MetricRow) -> str:
    words = metric.value
    words += f" (95 % interval {metric.interval})" if metric.interval else ""
    words += f", baseline {metric.baseline}" if metric.baseline else ""
    words += f": {metric.change}" if metric.change else ""
    return f"• *{_bold(metric.name)}* {escaped(words, 300)}"


def _alert(alert: AlertContent) -> list[str]:
    return [f"{alert.mark} *{_bold(alert.title, 500)}* ({alert.level})", *(escaped(line, 500) for line in alert.lines)]


def _bold(text: str, limit: int = 120) -> str:
    return escaped(text.translate(MARKUP), limit)


def _link(name: str, address: str) -> str:
    safe = quote(address, safe=":/?#[]@!$&'()*+,;=%~-._")
    return f"<{escaped(safe, MOST_FIELD)}|{_bold(name)}>"
