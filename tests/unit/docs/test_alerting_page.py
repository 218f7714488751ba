"""What docs/alerting.md tells people to type and to write is so."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from datetime import UTC, datetime

import msgspec
import pytest

from agents.notify.setup import CurrentMuting, routing_of
from app.alerting.events.external import AlertRequest, check
from app.alerting.silences.requests import SilenceRequest, silence_of
from app.alerting.silences.table import SilencesTable
from app.settings.settings import load_settings
from tests.support.parse_command import parse
from tests.support.paths import DOCS

PAGE = (DOCS / "alerting.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TYPED = [line for kind, text in BLOCKS if not kind for line in text.splitlines() if line.startswith("driftline ")]


@pytest.mark.parametrize("line", TYPED)
def test_every_command_line_can_be_typed(line: str) -> None:
    parse(shlex.split(line)[1:])


@pytest.mark.parametrize("text", [text for kind, text in BLOCKS if kind == "toml"])
def test_every_piece_of_settings_can_be_used(text: str) -> None:
    settings = load_settings(**tomllib.loads(text))
    routing_of(settings)
    CurrentMuting(settings, SilencesTable(settings))()


def test_the_request_makes_a_silence() -> None:
    (text,) = [text for _, text in BLOCKS if "/silences" in text]
    body = shlex.split(text)[-1]
    silence = silence_of(msgspec.json.decode(body, type=SilenceRequest), datetime(2026, 1, 1, tzinfo=UTC))
    assert json.loads(body)["seconds"] == 7200
    assert silence.ends_at == datetime(2026, 1, 1, 2, tzinfo=UTC)


def test_the_request_sends_the_alert_that_is_typed_too() -> None:
    (text,) = [text for _, text in BLOCKS if "/alerts " in text]
    asked = msgspec.json.decode(shlex.split(text)[-1], type=AlertRequest)
    check(asked)
    typed = shlex.split(text.splitlines()[0])
    said = {option: typed[typed.index(option) + 1] for option in ("--title", "--dedupe-key")}
    assert said == {"--title": asked.title, "--dedupe-key": asked.dedupe_key}
