"""The demo as people type it, from the installed package in a folder of their own, with three fifths of the people."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from app.local.find_kafka import Kafka
from app.local.kafka_probe import free_ports
from tests.support import installed
from tests.support.namesakes import write_namesakes
from tests.support.paths import ROOT


def demo(kafka: Kafka, home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (port,) = free_ports(1)
    python = installed.environment(home / "clean")
    installed.give_all(python)
    installed.install(python, installed.wheel(ROOT, home))
    (home / "project").mkdir()
    given = ["--bootstrap-servers", kafka.bootstrap_servers, "--port", str(port)]
    return subprocess.run(
        [python.with_name("driftline"), "demo", "--exit", *given, *arguments],
        capture_output=True, text=True, check=False, timeout=170, cwd=write_namesakes(home / "project"),
        env={**os.environ, "DRIFTLINE_STATE_DIR": str(home)},
    )  # fmt: skip


@pytest.mark.timeout(180)
def test_the_demo_finds_names_and_resolves_the_fault_and_nothing_else(kafka: Kafka, tmp_path: Path) -> None:
    answer = demo(kafka, tmp_path, "--share", "0.6")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "explained by: AGEP" in answer.stdout
    assert re.search(r"AGEP has drifted\n +AGEP: ks 0\.\d+ ", answer.stdout)
    assert "false alarms: 0" in answer.stdout
    assert "FAILED" not in answer.stdout
    assert len(re.findall(r"POST /predict", answer.stdout)) == 5
    windows = re.findall(r"^20\d\d-\d\d-\d\d +[\d,]+ ", answer.stdout, re.MULTILINE)
    assert len(windows) > 140
