"""The tests themselves: helpers are in tests/support, and unit tests in a folder of the package that they are about."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

TESTS = ROOT / "tests"
OF_OTHERS = {"tests/foreign/alerta_parser.py", "tests/foreign/generated_client.py", "tests/foreign/generated_models.py"}
"""Programs that run in environments of others: they import nothing of ours."""
BESIDE_FILES = {"tests/containers/engine.py"}
"""Helpers that use the files of their folder."""


def modules() -> dict[str, Path]:
    """Return the Python files below tests, by their dotted names."""
    files = sorted(TESTS.rglob("*.py"))
    return {".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in files}


def imported(path: Path) -> Iterator[str]:
    """Yield the dotted name of each module that a file imports, and of each name that it imports from one."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.slow
def test_nothing_is_imported_from_a_test_or_a_conftest() -> None:
    found = modules()
    closed = {name for name, path in found.items() if path.name.startswith("test_") or path.name == "conftest.py"}
    assert len(closed) > 150
    wrong = {name: sorted(closed & set(imported(path))) for name, path in found.items()}
    assert {name: of for name, of in wrong.items() if of} == {}, "move what they share into a module of tests/support"


def test_helpers_are_in_support() -> None:
    ours = {
        str(path.relative_to(ROOT))
        for path in modules().values()
        if not path.name.startswith("test_") and path.name != "conftest.py" and path.parent != TESTS / "support"
    }
    assert ours == OF_OTHERS | BESIDE_FILES


def test_unit_tests_are_in_the_folders_of_their_packages() -> None:
    assert [path.name for path in (TESTS / "unit").glob("*.py")] == []
