"""Labels of an alert in the form that Prometheus' tools expect, for webhooks and for Alertmanager."""

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
"""Labels that identify an alert or give its severity. Settings cannot set them for all alerts."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
LONGEST = 200


class LabelError(ValueError):
    """Error of an invalid label or severity. The message names it."""


@dataclass(frozen=True, slots=True)
class Labelling:
    """Additional labels from the settings. `labels`: for every alert; `severities`: the receiver's word for each
    level.
    """

    labels: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, str] = field(default_factory=dict)

    def of(self, alert: AlertEvent) -> dict[str, str]:
        """Return the labels of an alert. `instance` distinguishes it from all others of its `alertname`."""
        named = ("model", "model_version", "subject", "topic")
        about = {
            "alertname": alert.rule,
            "severity": self.severity(alert.level),
            "instance": "/".join(alert.labels[name] for name in named if alert.labels.get(name)),
        }
        return {"job": JOB, "service": alert.labels.get("model", JOB), **self.labels, **alert.labels, **about}

    def severity(self, level: Level) -> str:
        """Return the receiver's word for a level; the level itself where no word is set."""
        return self.severities.get(level, level)

    def check(self) -> None:
        """Check the labels and severities. Raises LabelError for the first invalid one, with the setting's name."""
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
"""Labelling without additional labels or severities."""


def _check_value(setting: str, name: str, value: str) -> None:
    if not value or len(value) > LONGEST or not value.isprintable():
        raise LabelError(f"{setting}: {name} must have 1 to {LONGEST} characters, on one line")
