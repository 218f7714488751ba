"""The audit of dependencies: a known vulnerability fails it unless it is answered; no service is no verdict."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

AUDIT = ROOT / ".ci" / "audit"
BAD = {"name": "old", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]}
GOOD = {"name": "new", "version": "2.0", "vulns": []}
UNKNOWN = {"name": "new", "skip_reason": "not found"}


def audit(folder: Path, told: str, answered: str = "") -> subprocess.CompletedProcess[str]:
    """The script beside a pip-audit that tells what it is told to."""
    (folder / "python").symlink_to(sys.executable)
    tool = folder / "pip-audit"
    tool.write_text(f"#!{sys.executable}\nprint({told!r})\n")
    tool.chmod(0o755)
    (folder / "pyproject.toml").write_text(f"[tool.driftline.audit.answered]\n{answered}\n")
    return subprocess.run(
        [folder / "python", AUDIT, "requirements.txt"], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("found", "answered", "status", "words"),
    [
        ([GOOD], "", 0, "audited 1 of 1"),
        ([BAD, GOOD], "", 1, "old 1.0: CVE-1; raise it, or answer it"),
        ([BAD, GOOD], 'CVE-1 = "never called"', 0, "0 findings without an answer"),
        ([UNKNOWN, UNKNOWN], "", 0, "cannot be reached (of 2 dependencies nothing is known there)"),
        ([], "", 0, "cannot be reached"),
    ],
)
def test_a_finding_fails_unless_it_is_answered(
    tmp_path: Path, found: list[object], answered: str, status: int, words: str
) -> None:
    done = audit(tmp_path, json.dumps({"dependencies": found}), answered)
    assert done.returncode == status, done.stderr
    assert words in done.stdout + done.stderr


def test_a_tool_that_fails_is_no_verdict(tmp_path: Path) -> None:
    done = audit(tmp_path, "a traceback")
    assert done.returncode == 0
    assert "cannot be reached (pip-audit had no answer)" in done.stderr
