"""What a machine lacks: `.ci/tools` installs it where it may and says what it leaves out; tests say why they skip."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.programs import lacking, program

TOOLS = ROOT / ".ci" / "tools"


def machine(folder: Path, **commands: str) -> dict[str, str]:
    """The environment of a machine with nothing but these commands, each the body of a shell script."""
    folder.mkdir()
    for name in ("bash", "grep", "sed", "sh", "dirname", "env", "install", "rm"):
        (folder / name).symlink_to(shutil.which(name) or name)
    for name, body in commands.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return {"PATH": str(folder), "POLICY": str(folder / "policy")}


def tools(env: dict[str, str], *uses: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([TOOLS, *uses], env=env | more, capture_output=True, text=True, check=False)


APT = 'echo "$@" >> "$(dirname "$0")/asked"; [ "$1" != install ] || [ -x "$(dirname "$0")/policy" ]'


def test_root_gets_what_is_missing_and_no_server_is_started(tmp_path: Path) -> None:
    env = machine(tmp_path / "bin", id="echo 0", apt_get=APT, apt_cache="true", nginx="true", promtool="true")
    done = tools(env, "test")
    assert (done.returncode, done.stderr) == (0, "")
    update, install = (tmp_path / "bin" / "asked").read_text().splitlines()
    assert update == "update -qq"
    asked = set(install.split()) - {"install", "-qq", "-y", "--no-install-recommends"}
    assert {"chromium", "prometheus-alertmanager"} <= asked
    assert not {"nginx", "prometheus"} & asked
    assert not (tmp_path / "bin" / "policy").exists()


def test_what_a_debian_does_not_have_is_named(tmp_path: Path) -> None:
    env = machine(tmp_path / "bin", id="echo 0", apt_get=APT, apt_cache='[ "$2" != chromium ]')
    done = tools(env, "test")
    assert done.returncode == 0
    assert done.stderr == ("not installed, and what needs it is left out: chromium (this Debian has no such package)\n")
    assert "prometheus" in (tmp_path / "bin" / "asked").read_text()


@pytest.mark.parametrize(
    ("commands", "more", "why"),
    [
        ({"id": "echo 0"}, {}, r"(there is no apt-get here)"),
        ({"id": "echo 0", "apt_get": APT}, {"INSTALL": "no"}, r"(INSTALL=no)"),
        ({"id": "echo 1000", "apt_get": APT, "sudo": "exit 1"}, {}, "(run as root: apt-get install chromium "),
        ({"id": "echo 0", "apt_get": "exit 100"}, {}, "(apt-get update failed)"),
    ],
)
def test_what_may_not_be_installed_is_said(
    tmp_path: Path, commands: dict[str, str], more: dict[str, str], why: str
) -> None:
    done = tools(machine(tmp_path / "bin", **commands), "test", **more)
    assert done.returncode == 0
    assert done.stderr.startswith("not installed, and what needs it is left out: chromium ")
    assert why in done.stderr
    assert not (tmp_path / "bin" / "asked").exists()


def test_a_machine_with_everything_asks_nobody(tmp_path: Path) -> None:
    there = dict.fromkeys(("chromium", "nginx", "promtool", "prometheus_alertmanager", "initdb", "mvn"), "true")
    env = machine(tmp_path / "bin", **there, java="echo 'openjdk version \"17.0.1\"' >&2")
    done = tools(env, "test")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


ENGINE = '[ "$1" = info ] && echo "Server Version: 27" || [ "$1" = compose ]'
JAVA = "echo 'openjdk version \"{}\"' >&2"


@pytest.mark.parametrize(
    ("commands", "extras"),
    [
        ({}, "--extra broker\n"),
        ({"docker": ENGINE}, ""),
        ({"docker": '[ "$1" = info ] && echo "Server Version: 27"'}, "--extra broker\n"),
        ({"docker": "echo 'Cannot connect to the Docker daemon' >&2; exit 1"}, "--extra broker\n"),
        ({"java": JAVA.format("17.0.1"), "mvn": "true"}, ""),
        ({"java": JAVA.format("17.0.1")}, "--extra broker\n"),
        ({"java": JAVA.format("1.8.0_402"), "mvn": "true"}, "--extra broker\n"),
    ],
    ids=[
        "nothing",
        "docker",
        "docker without compose",
        "docker asleep",
        "java, maven",
        "java alone",
        "old java, maven",
    ],
)
def test_the_broker_comes_from_pypi_where_nothing_else_starts_one(
    tmp_path: Path, commands: dict[str, str], extras: str
) -> None:
    env = machine(tmp_path / "bin", **commands)
    done = subprocess.run([ROOT / ".ci" / "extras"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, extras)


def test_a_test_without_its_program_is_skipped_and_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"^nonesuch is not here: apt-get install none$"):
        program("nonesuch", "none", [Path("/nowhere/nonesuch")])
    assert program("nonesuch", "none", [Path("/nowhere"), Path(os.sep)]) == os.sep
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"^no such thing$"):
        lacking("no such thing")
