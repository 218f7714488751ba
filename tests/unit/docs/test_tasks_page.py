"""docs/tasks.md, done as it says: scikit-learn's sets are learnt, broken, and judged; what needs Kafka can be typed."""

from __future__ import annotations

import runpy
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli import app
from tests.support.docs import blocks
from tests.support.parse_command import parse
from tests.support.paths import DOCS

WORSE = {"digits": "accuracy, macro_f1, macro_precision, macro_recall", "diabetes": "mae, rmse"}


@pytest.mark.slow
def test_scikit_learns_own_sets_are_learnt_broken_and_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scripts = [text for language, text in blocks(DOCS / "tasks.md") if language == "python"]
    for name, text in zip(("make_data.py", "make_events.py"), scripts, strict=True):
        (tmp_path / name).write_text(text)
    lines = [line for language, text in blocks(DOCS / "tasks.md") if not language for line in text.splitlines()]
    found = {}
    for line in lines:
        program, *words = shlex.split(line)
        if program == "python":
            runpy.run_path(words[0])
        elif words[0] in ("train", "check"):
            said = CliRunner().invoke(app, [*words, *(["--no-publish"] if words[0] == "train" else [])])
            found[line] = said.output
            assert said.exit_code == (0 if words[0] == "train" else 1), said.output
        else:
            parse(words)
    for name, metrics in WORSE.items():
        (said_of,) = [output for line, output in found.items() if f"{name}_broken" in line]
        assert "predictions: drifted" in said_of
        assert f"performance: degraded: {metrics} (2,000 rows with truth)" in said_of
