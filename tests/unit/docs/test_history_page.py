"""What docs/history.md tells people to type, to write and to ask is so."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from api.app import create_app
from app.history.setup import history_of, housekeeping_of
from app.settings.settings import SettingsError, load_settings
from tests.support.parse_command import parse
from tests.support.paths import DOCS

PAGE = (DOCS / "history.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
ASKED = ("predictions", "performance", "drift", "alerts", "deliveries", "training", "deployments")
TYPED = [line for kind, text in BLOCKS if not kind for line in text.splitlines() if line.startswith("driftline ")]


@pytest.mark.parametrize("line", TYPED)
def test_every_command_line_can_be_typed(line: str) -> None:
    parse(shlex.split(line)[1:])


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "toml"])
def test_every_piece_of_settings_can_be_used(text: str, tmp_path: Path) -> None:
    import asyncio

    secret = tmp_path / "secret"
    secret.write_text("s3cret\n")
    given = tomllib.loads(text)
    if "history_password_file" in given:
        given["history_password_file"] = secret
    settings = load_settings(**given)
    history = history_of(settings)
    assert "s3cret" not in history.name
    housekeeping_of(settings, history, asyncio.Event())


def test_the_endpoints_are_there() -> None:
    paths = set(create_app(load_settings(model_path=None)).openapi()["paths"])
    named = {f"/history/{name}" for name in ASKED}
    assert named <= paths
    (asked,) = re.findall(r"curl '([^']+)'", PAGE)
    assert urlsplit(asked).path in paths


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://driftline:secret@db/driftline", "postgresql://db/driftline?password=secret", "mysql://db/driftline",
        "sqlite://", "sqlite:///:memory:", "postgresql://db", "history.db", "postgresql://db:x/driftline",
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_used_is_refused_by_name_and_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^history_url: ") as error:
        load_settings(history_url=url)
    assert "secret" not in str(error.value)


def test_a_password_is_for_postgresql() -> None:
    with pytest.raises(SettingsError, match=r"^history_password: SQLite has none"):
        history_of(load_settings(history_password="x"))
