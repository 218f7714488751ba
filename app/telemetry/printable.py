"""Text of others for logs and terminals: control characters as escapes, so that none moves a cursor or makes a line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TextIO

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""All but the line feed and the tab: of ASCII and Latin-1, ends of lines, and what turns the direction of text."""


def printable(text: str) -> str:
    """Return a text of one line or several, control characters as JSON escapes them."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """Return the same on one line."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


class Escaping:
    """A stream of text for people and for pipes, whose control characters are escaped.

    Rich, which draws with them, writes to the stream itself: what it is given of others is escaped before.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Write text as it may be shown."""
        self.rich_proxied_file.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines as `write` does."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)
