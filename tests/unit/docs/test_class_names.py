"""A class name is unique in the product, so that a name in a log, a traceback or a document has one meaning."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = next(folder for folder in Path(__file__).parents if (folder / "pyproject.toml").exists())
PRODUCT = ("agents", "api", "app", "driftline", "driftline_server", "topics")


def classes() -> dict[str, list[str]]:
    """Return the modules that define each public class."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for package in PRODUCT:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    found[node.name].append(path.relative_to(ROOT).as_posix())
    return found


@pytest.mark.slow
def test_every_public_class_name_is_unique() -> None:
    twice = {name: modules for name, modules in classes().items() if len(modules) > 1}
    if twice:
        pytest.fail("\n".join(f"{name}: {', '.join(modules)}" for name, modules in sorted(twice.items())))
