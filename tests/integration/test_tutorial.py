"""docs/tutorial.md, done as it says, with a real stack: the file is made, every command typed, and it comes out so."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.local.kafka_probe import free_ports
from app.settings.settings import Settings, environment
from tests.support.docs import blocks
from tests.support.namesakes import write_namesakes
from tests.support.paths import DOCS
from tests.support.run_command import running

PATIENCE = 60.0
PAGE = DOCS / "tutorial.md"


def typed() -> list[str]:
    """Every line that is to be typed, in order."""
    return [line for language, text in blocks(PAGE) if not language for line in text.splitlines()]


@pytest.mark.timeout(300)
def test_the_tutorial_comes_out_as_it_says(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(write_namesakes(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))  # as for a model's own modules
    (port,) = free_ports(1)
    settings = settings.model_copy(update={"api_port": port, "alerts_dir": tmp_path / "alerts"})
    for language, name in (("python", "make_data.py"), ("json", "monitoring.json")):
        (text,) = [text for found, text in blocks(PAGE) if found == language]
        (tmp_path / name).write_text(text)
    up, *lines = typed()
    assert up == "driftline up"
    env = environment(settings)
    with running(settings, *shlex.split(up)[1:]):
        _until_ready(port)
        for line in lines:
            answer = _type(line, env)
            for words in EXPECTED[line.removeprefix("driftline ").split()[0]]:
                deadline = time.monotonic() + PATIENCE
                while words not in answer and time.monotonic() < deadline:
                    answer = _type(line, env)  # a person who reads the page takes longer than the stream
                assert words in answer, (line, answer)
        deadline = time.monotonic() + PATIENCE  # an alert is told a moment after it is listed
        while not (told := list((tmp_path / "alerts").glob("*.jsonl"))) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert told


EXPECTED: dict[str, tuple[str, ...]] = {
    "python": (), "register": ("churn",), "replay": (), "reports": ("v1",), "alerts": ("tickets has drifted",),
    "check": ("tickets",),
}  # fmt: skip
"""What must be in the answer to a command, sooner or later."""


def _type(line: str, env: dict[str, str]) -> str:
    """What a command answers."""
    first, *rest = shlex.split(line)
    if first == "python":
        subprocess.run([sys.executable, *rest], check=True, timeout=60)
        return ""
    answer = CliRunner().invoke(app, rest, env=env)  # as if it were typed, without another Python's start
    assert answer.exit_code == (1 if rest[0] == "check" else 0), (line, answer.output, answer.exception)
    return answer.stdout


def _until_ready(port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)
