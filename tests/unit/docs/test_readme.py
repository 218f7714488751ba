"""The README and the pages that it leads to name commands, settings and files that exist."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import msgspec
import pytest

from app.cli import app
from app.registration.monitoring import monitoring_of
from app.settings.settings import Settings, load_settings
from tests.support.parse_command import parse
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text()
COMMANDS = (ROOT / "docs" / "commands.md").read_text()
SETTINGS = (ROOT / "docs" / "reference" / "settings.md").read_text()
LONGEST_README = 150


def blocks(page: str, language: str) -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    return [text for found, text in fenced if found == language]


def typed() -> list[str]:
    """Every `driftline …` line: of the README's blocks, and of the table of commands."""
    lines = [line for block in blocks(README, "") for line in block.splitlines() if line.startswith("driftline ")]
    return lines + re.findall(r"\| `(driftline [^`]+)` \|$", COMMANDS, re.MULTILINE)


@pytest.mark.parametrize("line", typed())
def test_every_command_line_can_be_typed(line: str) -> None:
    parse(shlex.split(line, comments=True)[1:])


def test_every_command_has_its_row() -> None:
    rows = set(re.findall(r"^\| `([\w-]+)` \|.*`driftline \1", COMMANDS, re.MULTILINE))
    commands = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    groups = {group.name for group in app.registered_groups}
    assert rows == commands | groups


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= LONGEST_README


def test_the_monitoring_example_is_valid() -> None:
    (example,) = blocks(README, "json")
    found = monitoring_of(msgspec.json.decode(example))
    assert found.monitoring.alerting.critical_features == ("tickets",)


def test_the_settings_are_those_that_there_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    rows = re.findall(r"^\| `(\w+)` \| [^|]* \| ([^|]*) \|", SETTINGS, re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(Settings.model_fields)
    settings = load_settings()
    for name, default in rows:
        value = getattr(settings, name)
        if value is not None and name != "state_dir":
            shown = f"{value:g}" if isinstance(value, float) else str(value)
            assert default.strip("`") == (shown.lower() if isinstance(value, bool) else shown), name


@pytest.mark.parametrize("page", [README, (ROOT / "CONTRIBUTING.md").read_text()], ids=["README", "CONTRIBUTING"])
def test_what_is_linked_or_named_is_there(page: str) -> None:
    linked = [to for to in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in to]
    named = re.findall(r"`((?:app|agents|api|topics|tests|docs|benchmarks)/[\w./-]*)`", page)
    assert linked or named
    assert [path for path in [*linked, *named] if not (ROOT / path).exists()] == []


def test_the_pages_examples_of_settings_are_valid_and_its_commands_can_be_typed(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "channels.md").read_text()
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    tables = [tomllib.loads(text) for language, text in fenced if language == "toml"]
    assert len(tables) == 8
    for table in tables:
        load_settings(**table)
    plain = [line for language, text in fenced if not language for line in text.splitlines()]
    exported = [
        line.partition("=")[0].removeprefix("export DRIFTLINE_") for line in plain if line.startswith("export ")
    ]
    assert {name.lower() for name in exported} <= set(Settings.model_fields)
    for line in plain:
        if line.startswith("driftline "):
            parse(shlex.split(line)[1:])
