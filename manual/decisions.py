"""docs/adr/README.md: every decision record by group, with its summary and status."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parents[1] / "docs" / "adr"
GROUPS = {
    "stream": "Reading and ordering the stream",
    "state": "State, recovery and what is kept",
    "statistics": "The decision: drift, performance, traffic",
    "alerting": "Alerts and notifications",
    "channels": "Channels",
    "api": "The API and the dashboard",
    "security": "Security and people's data",
    "serving": "Serving and training",
    "client": "The Python client",
    "values": "Reading values",
    "history": "The history",
    "contract": "The contract, names and reference",
    "operations": "Operations and development",
}
"""Values that a record's `Group:` may have, in the order of the page."""
FIELDS = ("Status", "Group", "Summary")
HEAD = """# Decision records

Why Driftline is built as it is: one page for each decision, with its context and consequences. `make reference` writes
this index from the lines `Status:`, `Group:` and `Summary:` of each record.
"""


class Decision(NamedTuple):
    """The head of one record."""

    number: int
    file: str
    title: str
    status: str
    group: str
    summary: str


def read(path: Path) -> Decision:
    """Return the head of a record. Raises ValueError, which names the file and the missing line."""
    head, _, rest = path.read_text().partition("\n\n")
    heading = re.fullmatch(r"# (\d+)\. (.+)", head)
    if heading is None or int(heading[1]) != int(path.name[:4]):
        raise ValueError(f"{path.name}: the first line must be `# {int(path.name[:4])}. TITLE`")
    found: dict[str, str] = {}
    for name in FIELDS:
        line, _, rest = rest.partition("\n\n")
        if not line.startswith(f"{name}: "):
            raise ValueError(f"{path.name}: paragraphs {', '.join(FIELDS)} follow the heading; {name} is missing")
        found[name] = " ".join(line.removeprefix(f"{name}: ").split())
    if found["Group"] not in GROUPS:
        raise ValueError(f"{path.name}: Group is {found['Group']!r}, not one of {', '.join(GROUPS)}")
    return Decision(int(heading[1]), path.name, heading[2], found["Status"], found["Group"], found["Summary"])


def decisions(folder: Path = FOLDER) -> list[Decision]:
    """Return the heads of all records by number. Raises ValueError."""
    return [read(path) for path in sorted(folder.glob("[0-9]*.md"))]


def page() -> str:
    """Return the index."""
    found = decisions()
    parts = [HEAD]
    for group, title in GROUPS.items():
        parts.append(f"## {title}\n\n| decision | summary | status |\n|---|---|---|")
        parts += _rows(one for one in found if one.group == group)
        parts.append("")
    return "\n".join(parts)


def _rows(found: Iterable[Decision]) -> Iterable[str]:
    for one in found:
        title, summary = (text.replace("|", "\\|") for text in (one.title, one.summary))
        yield f"| [{one.number}. {title}]({one.file}) | {summary} | {one.status} |"
