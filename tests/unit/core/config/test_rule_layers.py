"""Rules from several places: who wins, and what is wrong with what is given."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from app.cli import app
from app.core.config.monitoring import Alerting, Rule
from app.core.config.rule_layers import RULE_SETTINGS, RULES, Layer, differences, in_force, with_layers
from app.registration.effective_monitoring import layers_of
from app.registration.monitoring import monitoring_of
from app.settings.settings import SettingsError, environment, load_settings

VALUES = {
    "enabled": st.booleans(),
    "level": st.sampled_from(["info", "warning", "error", "critical"]),
    "for_windows": st.integers(1, 5),
    "clear_windows": st.integers(1, 5),
    "hysteresis": st.floats(0.1, 1.0),
}
GIVEN = st.dictionaries(st.sampled_from(RULES), st.fixed_dictionaries({}, optional=VALUES))
TOML = """
[rules.performance]
level = "warning"
for_windows = 3

[rules.traffic]
enabled = false

[models.churn.rules.performance]
for_windows = 4

[models."other one"]
owner = "its team"

[models."other one".rules.performance]
for_windows = 9
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with nothing but settings of the rules."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftline.toml").write_text(TOML)
    return tmp_path


@settings(max_examples=30)
@given(st.lists(GIVEN, max_size=4))
def test_the_last_layer_that_says_anything_of_a_setting_wins(layers: Sequence[dict[str, dict[str, object]]]) -> None:
    found = in_force([Layer(str(number), rules) for number, rules in enumerate(layers)])
    alerting = with_layers(Alerting(), [Layer(str(number), rules) for number, rules in enumerate(layers)])
    for rule in RULES:
        for name in RULE_SETTINGS:
            said = [(n, rules[rule][name]) for n, rules in enumerate(layers) if name in rules.get(rule, {})]
            source, value = said[-1] if said else ("default", getattr(getattr(Alerting(), rule), name))
            assert (found[rule][name].source, found[rule][name].value) == (str(source), value)
            assert getattr(getattr(alerting, rule), name) == value


@settings(max_examples=30)
@given(GIVEN)
def test_differences_make_the_same_rules_again(given: dict[str, dict[str, object]]) -> None:
    alerting = with_layers(Alerting(), [Layer("x", given)])
    assert with_layers(Alerting(), [Layer("y", differences(alerting))]) == alerting


def test_defaults_then_settings_then_the_model_then_its_own_file() -> None:
    own = monitoring_of({"alerting": {"performance": {"clear_windows": 7, "level": "error"}}})
    found_settings = load_settings()
    found = in_force(layers_of(found_settings, "churn", own.rules))["performance"]
    assert {name: (one.value, one.source) for name, one in found.items()} == {
        "enabled": (True, "default"),
        "owner": ("", "default"),
        "runbook_url": ("", "default"),
        "level": ("error", "monitoring.json"),
        "for_windows": (4, "settings [models.churn.rules]"),
        "clear_windows": (7, "monitoring.json"),
        "hysteresis": (0.9, "default"),
    }
    assert in_force(layers_of(found_settings, "steam", {}))["performance"]["for_windows"].value == 3
    other = in_force(layers_of(found_settings, "other one", {}))
    assert other["performance"]["for_windows"].value == 9
    assert {one["owner"].value for one in other.values()} == {"its team"}


def test_a_file_that_says_the_default_says_it() -> None:
    file = monitoring_of({"alerting": {"traffic": {"enabled": True, "hysteresis": 1}}})
    assert file.rules == {"traffic": {"enabled": True, "hysteresis": 1.0}}
    alerting = with_layers(file.monitoring.alerting, layers_of(load_settings(), "churn", file.rules))
    assert alerting.traffic == Rule(hysteresis=1.0)
    assert not with_layers(Alerting(), layers_of(load_settings(), "churn", {})).traffic.enabled


def test_a_child_process_has_the_same_rules(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    found_settings = load_settings()
    for name, value in environment(found_settings).items():
        monkeypatch.setenv(name, value)
    (folder / "driftline.toml").unlink()
    assert load_settings().rule_layers("churn") == found_settings.rule_layers("churn")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[rules.trafic]\nenabled = false", "rules: there is no rule 'trafic'; did you mean traffic?"),
        ("[rules.traffic]\nenable = false", "rules.traffic.enable: there is no such key; did you mean enabled?"),
        ('[rules.traffic]\nlevel = "loud"', "rules.traffic.level: Input should be 'info', 'warning'"),
        ("[rules.traffic]\nfor_windows = 0", "rules.traffic.for_windows: Input should be greater than or equal to 1"),
        ("[rules.traffic]\nhysteresis = 1.5", "rules.traffic.hysteresis: Input should be less than or equal to 1"),
        ("[models.churn.rules.speed]\nlevel = 'info'", "models.churn.rules: there is no rule 'speed'"),
        ("[models.churn.rule.traffic]\nlevel = 'info'", "models.churn.rule: there is no such key; did you mean rules?"),
    ],
)
def test_what_cannot_be_is_named(folder: Path, text: str, words: str) -> None:
    (folder / "driftline.toml").write_text(text)
    with pytest.raises(SettingsError) as error:
        load_settings()
    assert str(error.value).startswith(words)
    assert "driftline.toml" in str(error.value)


def test_the_command_tells_the_rules_without_kafka() -> None:
    shown = CliRunner().invoke(app, ["alerts", "rules"])
    assert shown.exit_code == 0, shown.output
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("performance ")]
    assert line.split()[1:6] == ["yes", "warning", "3", "2", "0.9"]
    assert line.endswith("level, for_windows: settings [rules]")
    told = CliRunner().invoke(app, ["alerts", "rules", "--json"])
    found = {one["rule"]: one for one in map(json.loads, told.stdout.splitlines())}
    assert list(found) == list(RULES)
    assert found["traffic"]["enabled"] == {"value": False, "from": "settings [rules]"}
