"""Text of others for logs and terminals, with escaped control characters: none moves a cursor or breaks a line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, TextIO

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters except line feed and tab: of ASCII and Latin-1, line ends, and changes of text direction."""


def printable(text: str) -> str:
    """Return a text of one or several lines, with control characters escaped as in JSON."""
    return CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """Return a text on one line, with control characters escaped."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


class Escaping:
    """Stream of text for people and for pipes, whose control characters are escaped.

    Rich, which draws with control characters, writes to the stream itself: text of others is escaped before Rich gets
    it.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Write text with escaped control characters. Return its length."""
        self.rich_proxied_file.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write lines as `write` does."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rich_proxied_file, name)
