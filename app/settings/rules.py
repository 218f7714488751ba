"""Settings of the rules, for every model and for single models."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic_settings import BaseSettings

from app.core.config.close_names import name_hint
from app.core.config.rule_layers import RULES, Given, Layer, check_runbook
from topics.levels import Level


class RuleChange(BaseModel):
    """Changes to one rule; see `app.core.config.monitoring.Rule`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool | None = None
    level: Level | None = None
    for_windows: Annotated[int, Field(ge=1)] | None = None
    clear_windows: Annotated[int, Field(ge=1)] | None = None
    hysteresis: Annotated[float, Field(gt=0, le=1)] | None = None
    owner: str | None = None
    runbook_url: Annotated[str, AfterValidator(check_runbook)] | None = None


def _known(changes: dict[str, RuleChange]) -> dict[str, RuleChange]:
    for name in changes:
        if name not in RULES:
            raise ValueError(f"there is no rule {name!r}; {name_hint(name, RULES)}")
    return changes


RuleChanges = Annotated[dict[str, RuleChange], AfterValidator(_known)]


class ModelChange(BaseModel):
    """Changes to one model's rules, for every version. `owner` and `runbook_url` apply to all its rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rules: RuleChanges = Field(default_factory=dict)
    owner: str | None = None
    runbook_url: Annotated[str, AfterValidator(check_runbook)] | None = None

    def given(self) -> Given:
        """Return the settings by rule: the rule's own, else the model's."""
        of_model = {"owner": self.owner, "runbook_url": self.runbook_url}
        said = {name: value for name, value in of_model.items() if value is not None}
        own = _given(self.rules)
        return {rule: {**said, **own.get(rule, {})} for rule in RULES if said or rule in own}


class RuleSettings(BaseSettings):
    """Tables `[rules.NAME]` and `[models.MODEL.rules.NAME]` of driftline.toml."""

    rules: RuleChanges | None = Field(None, description="Rules for every model: level, windows, hysteresis, enabled.")
    alert_values: bool = Field(
        True, description="Whether alerts name values of categories and labels as they were sent: they may be people's."
    )
    models: dict[str, ModelChange] | None = Field(None, description="The same for single models.")

    def rule_layers(self, model: str | None = None) -> list[Layer]:
        """Return the rules' values in these settings: for all models, then for one model."""
        layers = [Layer("settings [rules]", _given(self.rules or {}))]
        own = (self.models or {}).get(model or "")
        if own is not None:
            layers.append(Layer(f"settings [models.{model}.rules]", own.given()))
        return layers


def _given(changes: dict[str, RuleChange]) -> Given:
    return {rule: change.model_dump(exclude_none=True) for rule, change in changes.items()}
