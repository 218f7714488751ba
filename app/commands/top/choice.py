"""Selection of model versions in `driftline top`: by name, by state and by number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from app.commands.options import CommandError

if TYPE_CHECKING:
    from app.read_model.summary import ModelSummary
    from topics.events import AlertEvent

NAMED = 5
"""Models that an error names."""


class Condition(StrEnum):
    """States of a model version, the worst first."""

    alerting = "alerting"
    degraded = "degraded"
    drifting = "drifting"
    insufficient = "insufficient"
    learning = "learning"
    waiting = "waiting"
    healthy = "healthy"
    retired = "retired"


ORDER = tuple(one.value for one in Condition)
"""States in order of severity. The first three need attention."""


@dataclass(frozen=True)
class Choice:
    """Selection of model versions; empty: all but retired versions.

    `models`: name patterns, in which * matches anything.
    """

    models: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    limit: int | None = None

    def of(self, summaries: Sequence[ModelSummary]) -> list[ModelSummary]:
        """Return the selected model versions, the worst first, without the limit."""
        found = [one for one in summaries if self.names(one.model) and self._wants(one.state)]
        return sorted(found, key=lambda one: (ORDER.index(one.state), -one.firing, one.model, one.model_version))

    def _wants(self, state: str) -> bool:
        """Return whether a state is selected. Retired versions are selected only by name of the state."""
        return state in self.states if self.states else state != Condition.retired

    def names(self, model: str) -> bool:
        """Return whether a model is selected."""
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)

    def alerts(self, firing: Sequence[AlertEvent]) -> list[AlertEvent]:
        """Return the alerts of the selected models. Alerts about Driftline itself concern every model."""
        from app.alerting.events.self_monitoring import SELF

        return [one for one in firing if (name := one.labels.get("model", "")) in ("", SELF) or self.names(name)]

    def check(self, summaries: Sequence[ModelSummary]) -> None:
        """Check that each name matches a model. Raises CommandError that lists the known models."""
        known = sorted({one.model for one in summaries})
        for pattern in self.models:
            if not any(fnmatchcase(name, pattern) for name in known):
                more = f" and {len(known) - NAMED} more" if len(known) > NAMED else ""
                there = f"there are {', '.join(known[:NAMED])}{more}" if known else "nothing is registered"
                raise CommandError(f"--model: no model is named {pattern!r}; {there}")

    def words(self, matching: int, total: int) -> str:
        """Return the number of selected model versions of the total, in words; empty where all are selected."""
        asked = [f"--model {name}" for name in self.models] + [f"--state {state}" for state in self.states]
        if not asked:
            return f"{matching} of {total} model versions; --state retired shows the others" if matching < total else ""
        return f"{matching} of {total} model versions: {' '.join(asked)}"
