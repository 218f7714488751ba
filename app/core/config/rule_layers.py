"""Settings of the rules from several sources, merged: which value is in force, and its source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from app.core.config.monitoring import Alerting, Rule

Given = Mapping[str, Mapping[str, object]]
"""Settings by rule (the fields of `Rule`), as one source gives them; settings that it does not give are absent."""

RULES: tuple[str, ...] = tuple(
    field.name for field in fields(Alerting) if isinstance(getattr(Alerting(), field.name), Rule)
)
"""Names of every rule in `monitoring.json`."""
RULE_SETTINGS: tuple[str, ...] = tuple(field.name for field in fields(Rule))
DEFAULT = "default"
_ADDRESS = re.compile(r"https?://[^\s/]+(/\S*)?")


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings that one source gives. `source` is its name."""

    source: str
    rules: Given


@dataclass(frozen=True, slots=True)
class Stated:
    """A value that is in force, and its source."""

    value: object
    source: str


def in_force(layers: Sequence[Layer]) -> dict[str, dict[str, Stated]]:
    """Return every setting of every rule: the value of the last layer that gives one, else the default."""
    found: dict[str, dict[str, Stated]] = {}
    for rule in RULES:
        default = getattr(Alerting(), rule)
        found[rule] = {name: Stated(getattr(default, name), DEFAULT) for name in RULE_SETTINGS}
        for layer in layers:
            given = layer.rules.get(rule, {})
            found[rule] |= {name: Stated(value, layer.source) for name, value in given.items()}
    return found


def with_layers(alerting: Alerting, layers: Sequence[Layer]) -> Alerting:
    """Return the alerting configuration with the rules in force. The values must have the types of `Rule`'s fields."""
    rules = {
        rule: Rule(**{name: stated.value for name, stated in settings.items()})  # type: ignore[arg-type]
        for rule, settings in in_force(layers).items()
    }
    return replace(alerting, **rules)  # type: ignore[arg-type]  # every name is that of a rule


def differences(alerting: Alerting) -> dict[str, dict[str, object]]:
    """Return by rule the settings that differ from the defaults."""
    default = Alerting()
    found: dict[str, dict[str, object]] = {}
    for rule in RULES:
        ours, usual = getattr(alerting, rule), getattr(default, rule)
        changed = {name: getattr(ours, name) for name in RULE_SETTINGS if getattr(ours, name) != getattr(usual, name)}
        if changed:
            found[rule] = changed
    return found


def check_runbook(url: str) -> str:
    """Return the URL of a runbook. Raises ValueError for one that cannot be opened."""
    if url and (_ADDRESS.fullmatch(url) is None or not url.isprintable()):
        raise ValueError(f"must be an address such as https://wiki.example.com/churn, not {url!r}")
    return url
