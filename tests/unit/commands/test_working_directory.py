"""A folder with packages of Driftline's names, also in PYTHONPATH; `up` itself: test_tutorial.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.local.stack import Stack
from app.settings.settings import load_settings
from tests.support.namesakes import write_namesakes

SCRIPT = str(Path(sys.executable).with_name("driftline"))
(WORKER, *_) = (command.argv for command in Stack(load_settings()).commands())


@pytest.mark.parametrize("command", [WORKER, [SCRIPT, "up"]], ids=["child", "script"])
@pytest.mark.parametrize("module_path", [None, "."], ids=["working directory", "PYTHONPATH"])
def test_no_package_of_the_working_directory_is_imported(
    tmp_path: Path, command: list[str], module_path: str | None
) -> None:
    write_namesakes(tmp_path)
    if module_path is None:
        (tmp_path / "typer.py").write_text("raise SystemExit('imported typer of the folder')\n")
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False,
        env=env if module_path is None else {**env, "PYTHONPATH": module_path},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage: " in done.stdout
