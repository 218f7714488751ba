"""Monitoring of a model version as registered, with the settings' rule values where the registration has none."""

from __future__ import annotations

from dataclasses import replace

from app.core.config.monitoring import Monitoring
from app.core.config.rule_layers import Given, Layer, with_layers
from app.registration.models_table import ModelsTable, RegisteredModel
from app.settings.rules import RuleSettings

REGISTERED = "monitoring.json"


def layers_of(settings: RuleSettings, model: str, given: Given) -> list[Layer]:
    """Return the sources of the rules' values, the strongest last. `given`: values of the registration."""
    return [*settings.rule_layers(model), Layer(REGISTERED, given)]


class EffectiveMonitoring:
    """Monitoring of each model version with the rules in force, computed once for each registration."""

    def __init__(self, settings: RuleSettings, models: ModelsTable) -> None:
        self._settings = settings
        self._models = models
        self._known: dict[tuple[str, str], tuple[RegisteredModel, Monitoring]] = {}

    def get(self, model: str, version: str) -> Monitoring | None:
        """Return the monitoring of the newest registration; None where the version is not registered."""
        found = self._models.get(model, version)
        if found is None:
            return None
        known = self._known.get(found.key)
        if known is None or known[0] is not found:
            monitoring = self.of(model, found.monitoring, found.rules)
            known = self._known[found.key] = found, monitoring
        return known[1]

    def of(self, model: str, monitoring: Monitoring, given: Given) -> Monitoring:
        """Return a monitoring with the rules in force."""
        return replace(monitoring, alerting=with_layers(monitoring.alerting, layers_of(self._settings, model, given)))
