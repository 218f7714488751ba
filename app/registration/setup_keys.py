"""Keys of the complete configuration, checked by pydantic: names, types, ranges."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from app.core.config.close_names import name_hint
from app.core.config.monitoring import Alerting, DriftThresholds, PerformanceThresholds
from app.core.config.routes import check_channels
from app.core.reference.metadata import METRIC_NAMES, METRICS

Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
AtLeast0 = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, le=1)]
Finite = Annotated[float, Field(allow_inf_nan=False)]

FREQUENCIES = {"minutely": 60.0, "hourly": 3600.0, "daily": 86_400.0, "weekly": 604_800.0}
_DRIFT, _PERFORMANCE, _ALERTING = DriftThresholds(), PerformanceThresholds(), Alerting()


class SetupPart(BaseModel):
    """Part of the configuration: no unknown keys, no numbers as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class PerformanceMonitoring(SetupPart):
    """Judged metrics with their baseline. A metric is degraded when it is worse by more than the threshold's share.

    `policy: threshold`: significance is not required; then `limits` are values that decide instead of the drop.
    """

    enabled: bool = True
    policy: Literal["decision", "threshold"] = _PERFORMANCE.policy
    metrics: list[str] = []
    thresholds: dict[str, AtLeast0] = {}
    limits: dict[str, Finite] = {}
    baseline: dict[str, Finite] = {}

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name in self.metrics:
            if name not in METRICS:
                raise ValueError(f"metrics: no metric {name!r}; {name_hint(name, METRIC_NAMES)}")
        for key, names in (("thresholds", self.thresholds), ("limits", self.limits)):
            for name in names:
                if name not in self.metrics:
                    raise ValueError(f"{key}.{name}: not one of performance_monitoring.metrics")
        if self.limits and self.policy != "threshold":
            raise ValueError('limits: decide with policy "threshold" alone; set it too')
        return self


class SetupThresholds(SetupPart):
    """Thresholds of drift for a column, as in monitoring.json's `drift`; `numerical` is read as `alpha`."""

    policy: Literal["decision", "threshold"] = _DRIFT.policy
    alpha: Share = _DRIFT.alpha
    numerical_effect: Above0 = _DRIFT.numerical_effect
    categorical: Above0 = _DRIFT.categorical
    min_samples: Annotated[int, Field(ge=0)] = _DRIFT.min_samples


class DriftMonitoring(SetupPart):
    """Columns and reference that are compared, and the interval: seconds, or minutely, hourly, daily, weekly."""

    enabled: bool = True
    check_frequency: float | str = 60.0
    reference_data_path: str | None = None
    current_data_path: str | None = None
    drift_thresholds: SetupThresholds = SetupThresholds()
    numerical_features: list[str] = []
    categorical_features: list[str] = []

    @field_validator("check_frequency")
    @classmethod
    def _how_often(cls, value: float | str) -> float | str:
        if value in FREQUENCIES if isinstance(value, str) else 0 < value < float("inf"):
            return value
        raise ValueError(f"must be seconds above 0 or one of {', '.join(FREQUENCIES)}, not {value!r}")

    @model_validator(mode="after")
    def _once(self) -> Self:
        both = [name for name in self.numerical_features if name in self.categorical_features]
        if both:
            raise ValueError(f"numerical_features and categorical_features: {', '.join(both)} is in both")
        return self


class AlertThresholds(SetupPart):
    """Drop from which an alert of performance is critical, and share of drifted features from which the data has
    drifted.
    """

    degradation: AtLeast0 = _PERFORMANCE.degradation
    drift: Share = _DRIFT.share


class AlertingSetup(SetupPart):
    """Switch and channels of alerting."""

    enabled: bool = True
    channels: list[str] = list(_ALERTING.channels)
    thresholds: AlertThresholds = AlertThresholds()

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_channels("channels", self.channels)
        return self


class MonitoringSetup(SetupPart):
    """Complete configuration of a model's monitoring."""

    enabled: bool = True
    performance_monitoring: PerformanceMonitoring = PerformanceMonitoring()
    data_drift_monitoring: DriftMonitoring = DriftMonitoring()
    alerting: AlertingSetup = AlertingSetup()
