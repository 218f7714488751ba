"""The labels of an alert as Prometheus' tools expect them: for webhooks and for Alertmanager."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from topics.events import AlertEvent, Level
from topics.levels import LEVELS

JOB = "driftline"
OURS = frozenset(
    {"alertname", "instance", "severity", "model", "model_version", "rule", "subject", "metric", "topic", "partition"}
)
"""Labels that tell alerts apart, or say how severe one is: nobody can set them for all."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
LONGEST = 200


class LabelError(ValueError):
    """A label or severity that cannot be used; names it."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """What is set beside our labels. `labels`: for every alert; `severities`: the receiver's word for each level."""

    labels: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, str] = field(default_factory=dict)

    def of(self, alert: AlertEvent) -> dict[str, str]:
        """Return the labels of an alert. `instance` tells it apart from all others of its `alertname`."""
        named = ("model", "model_version", "subject", "topic")
        about = {
            "alertname": alert.rule,
            "severity": self.severity(alert.level),
            "instance": "/".join(alert.labels[name] for name in named if alert.labels.get(name)),
        }
        return {"job": JOB, "service": alert.labels.get("model", JOB), **self.labels, **alert.labels, **about}

    def severity(self, level: Level) -> str:
        """Return the receiver's word for a level; the level itself where nothing is set."""
        return self.severities.get(level, level)

    def check(self) -> None:
        """Raises LabelError for the first that cannot be used, with the setting's name."""
        for name, value in self.labels.items():
            if NAME.fullmatch(name) is None:
                raise LabelError(f"webhook_labels: {name!r} is no label's name: letters, digits and _")
            if name in OURS:
                raise LabelError(f"webhook_labels: {name!r} is a label of each alert's own; choose another name")
            _check_value("webhook_labels", name, value)
        for level, word in self.severities.items():
            if level not in LEVELS:
                raise LabelError(f"webhook_severities: there is no level {level!r}; known are {', '.join(LEVELS)}")
            _check_value("webhook_severities", level, word)


PLAIN = Labelling()
"""Nothing is set."""


def _check_value(setting: str, name: str, value: str) -> None:
    if not value or len(value) > LONGEST or not value.isprintable():
        raise LabelError(f"{setting}: {name} must have 1 to {LONGEST} characters, on one line")
