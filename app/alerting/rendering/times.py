"""Times of a message in the reader's time zone, with UTC in addition. Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime, tzinfo

_IN_UTC = re.compile(r"\b(\d{4}-\d\d-\d\d) (\d\d:\d\d(?::\d\d)?) UTC\b", re.ASCII)


def in_zone(text: str, zone: tzinfo | None) -> str:
    """Return the text with each UTC time, as `events/text.py` writes it, also in a zone. None: the text unchanged."""
    return text if zone is None else _IN_UTC.sub(lambda found: _both(found, zone), text)


def _both(found: re.Match[str], zone: tzinfo) -> str:
    date, time = found[1], found[2]
    try:
        moment = datetime.fromisoformat(f"{date} {time}").replace(tzinfo=UTC).astimezone(zone)
    except (ValueError, OverflowError):
        return found[0]
    seconds = ":%S" if time.count(":") == 2 else ""
    there = f"{moment:%Y-%m-%d} {moment.strftime(f'%H:%M{seconds} %Z')}"
    return f"{there} ({time if there.startswith(date) else f'{date} {time}'} UTC)"
