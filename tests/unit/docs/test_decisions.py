"""The decision records: each has a head, and records that supersede one another say so on both sides."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from manual.decisions import FOLDER, decisions, read

LINK = r"\[(\d+)\]\((\d{4}-[^)]+\.md)\)"


def links(status: str, words: str) -> set[int]:
    """Return the records that the clauses of a status link to which hold `words`."""
    clauses = [clause for clause in status.split(";") if words in clause]
    return {int(number) for clause in clauses for number, _ in re.findall(LINK, clause)}


def test_a_record_that_supersedes_another_is_named_by_it() -> None:
    found = {one.number: one.status for one in decisions()}
    supersedes = {(new, old) for new, status in found.items() for old in links(status, "supersedes")}
    superseded = {(new, old) for old, status in found.items() for new in links(status, "superseded by")}
    assert supersedes == superseded
    assert {(118, 62), (87, 63), (108, 11)} <= supersedes
    assert all(new > old for new, old in supersedes)


def test_a_status_links_to_records_that_are_there() -> None:
    for one in decisions():
        for number, file in re.findall(LINK, one.status):
            assert (FOLDER / file).is_file(), one
            assert int(file[:4]) == int(number), one


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("# 8. T\n\nStatus: accepted\n\nGroup: state\n\nSummary: s\n\n## Context\n", "first line must be `# 7. TITLE`"),
        ("# 7. T\n\nStatus: accepted\n\nSummary: s\n\n## Context\n", "Group is missing"),
        ("# 7. T\n\nStatus: accepted\n\nGroup: misc\n\nSummary: s\n\n## Context\n", "Group is 'misc', not one of"),
    ],
)
def test_a_head_that_is_not_complete_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "0007-a.md"
    path.write_text(text)
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        read(path)
    assert str(refused.value).startswith("0007-a.md: ")
