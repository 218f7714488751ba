"""The blocks of code in the documentation's pages."""

from __future__ import annotations

import re
from pathlib import Path


def blocks(page: Path) -> list[tuple[str, str]]:
    """The language and the text of each block of a page, those within lists too."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^\1```$", page.read_text(), re.MULTILINE | re.DOTALL)
    return [(language, re.sub(rf"^{space}", "", text, flags=re.MULTILINE)) for space, language, text in found]
