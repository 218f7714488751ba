"""The documentation: it builds, needs nothing from elsewhere, and what it tells people to type can be typed."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest

from app.registration.monitoring import monitoring_of
from app.settings.settings import Settings, load_settings
from app.settings.sources import ENV_PREFIX
from tests.support.docs import blocks
from tests.support.parse_command import parse
from tests.support.paths import DOCS, ROOT

PAGES = [*sorted(DOCS.glob("*.md")), *sorted((DOCS / "how-to").glob("*.md"))]
OWN_TEST = {"alerting.md", "channels.md", "history.md", "tasks.md"}
"""Pages whose commands and examples have a test of their own."""
OTHER_JSON = {"serving.md"}
"""Pages whose JSON is a response; on all others it is a monitoring.json."""
NAMES = {f"{ENV_PREFIX}{name.upper()}" for name in Settings.model_fields} | {"DRIFTLINE_API_KEY"}  # the client has one


def name_of(page: Path) -> str:
    return str(page.relative_to(DOCS))


@pytest.mark.parametrize("page", [page for page in PAGES if page.name not in OWN_TEST], ids=name_of)
def test_what_a_page_tells_people_to_type_can_be_typed(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for language, text in blocks(page):
        if language == "toml":
            load_settings(**tomllib.loads(text))
        elif language == "json" and page.name not in OTHER_JSON:
            monitoring_of(msgspec.json.decode(text))
        elif not language:
            for line in text.splitlines():
                if line.startswith("driftline "):
                    parse(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_variable_is_a_setting_and_every_file_that_is_named_is_there(page: Path) -> None:
    text = page.read_text()
    assert set(re.findall(rf"\b{ENV_PREFIX}[A-Z_]*[A-Z]\b", text)) <= NAMES
    named = re.findall(r"`((?:app|agents|api|topics|tests|docs|deploy|benchmarks)/[\w./-]*)`", text)
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.slow
def test_the_site_builds_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    for page in PAGES:
        html = (tmp_path / page.relative_to(DOCS).with_suffix(".html")).read_text()
        assert re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://[^"]*"', html) == [], page
