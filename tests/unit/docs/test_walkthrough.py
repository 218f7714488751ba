"""docs/walkthrough.md and docs/architecture.md name files, functions, folders and topics that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.support.paths import ROOT
from topics.registry import TOPICS

WALKTHROUGH = (ROOT / "docs" / "walkthrough.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
STOPS = re.findall(r"^(\d+)\. `([\w/]+\.py)` `([\w.]+)`: ", WALKTHROUGH, re.MULTILINE)
MOST_STOPS = 25


def definitions(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    """Yield the functions, classes and methods of a module, dotted."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from definitions(node, f"{prefix}{node.name}.")


def folders() -> Iterator[str]:
    """Yield the folders of the tree: names on one line are beside each other, indented ones are in the last folder."""
    parent = ""
    block = ARCHITECTURE.partition("## The tree")[2].split("```")[1]
    for line in block.strip("\n").splitlines():
        names = re.match(r"\s*(?:\S+/ ?)*", line)
        assert names is not None
        first, *rest = names[0].split() or [""]
        if line.startswith(" "):
            yield from (f"{parent}{name}" for name in (first, *rest) if name)
            continue
        parent = first
        above = first.rstrip("/").rpartition("/")[0]
        yield from (first, *(f"{above}/{name}".lstrip("/") for name in rest))


def test_there_are_few_stops_and_each_is_made_once() -> None:
    assert 20 <= len(STOPS) <= MOST_STOPS
    assert [int(number) for number, *_ in STOPS] == list(range(1, len(STOPS) + 1))
    assert len({file for _, file, _ in STOPS}) == len(STOPS)
    assert len(re.findall(r"^\d+\. ", WALKTHROUGH, re.MULTILINE)) == len(STOPS)


@pytest.mark.parametrize(("file", "name"), [stop[1:] for stop in STOPS], ids=[stop[1] for stop in STOPS])
def test_every_stop_is_there(file: str, name: str) -> None:
    assert (ROOT / file).is_file()
    assert name in set(definitions(ast.parse((ROOT / file).read_text())))


def test_every_folder_of_the_tree_is_there() -> None:
    found = list(folders())
    assert len(found) > 30
    assert [name for name in found if not (ROOT / name).is_dir()] == []


def test_every_topic_has_its_writers_and_readers_once() -> None:
    table = ARCHITECTURE.partition("## Who owns which topic")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE)
    assert sorted(name for row in rows for name in re.findall(r"`([\w-]+)`", row)) == sorted(t.name for t in TOPICS)
