"""Which rows of the history are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from sqlalchemy import ColumnElement, FromClause

from app.history.paging import FIRST_YEAR, LAST_YEAR, Key
from app.history.tables import DRIFT_CHECKS, PREDICTIONS
from topics.events import AlertStatus, Level

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class HistoryFilter:
    """Of a model, of one version of it, from `since` on, before `until`; the newest `limit` of them.

    `after`: the key of the last that is known already (`paging.Order`). `models`: of these models alone.

    Raises ValueError, which names the field.
    """

    model: str | None = None
    model_version: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 50
    after: Key | None = None
    models: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.model_version is not None and self.model is None:
            raise ValueError("model_version: versions are a model's; give model too")
        for name, value in vars(self).items():
            if isinstance(value, str) and "\x00" in value:
                raise ValueError(f"{name}: has a NUL character in it")
            if isinstance(value, datetime) and not FIRST_YEAR < value.year < LAST_YEAR:
                raise ValueError(f"{name}: must be between {FIRST_YEAR} and {LAST_YEAR}")

    def whole(self, length: timedelta) -> tuple[datetime | None, datetime | None]:
        """Return the start of the first whole day, or hour (UTC), and the end of the last; None: there is no bound."""
        first = None if self.since is None else _begun(_utc(self.since) + length - timedelta(microseconds=1), length)
        return first, None if self.until is None else _begun(_utc(self.until), length)

    def conditions(self, table: FromClause, moment: str) -> list[ColumnElement[bool]]:
        """The rows of a table whose time is in the column `moment`."""
        columns = table.c
        found: list[ColumnElement[bool]] = []
        if self.model is not None:
            found.append(columns.model == self.model)
        if self.models is not None:
            found.append(columns.model.in_(self.models))
        if self.model_version is not None:
            found.append(columns.model_version == self.model_version)
        if self.since is not None:
            found.append(columns[moment] >= _utc(self.since))
        if self.until is not None:
            found.append(columns[moment] < _utc(self.until))
        return found


@dataclass(frozen=True)
class PredictionsFilter(HistoryFilter):
    """Also: one of them, those of a label, with or without feedback, wrong or right."""

    prediction_id: str | None = None
    prediction: str | None = None
    feedback: bool | None = None
    wrong: bool | None = None

    def conditions(self, table: FromClause = PREDICTIONS, moment: str = "predicted_at") -> list[ColumnElement[bool]]:
        """The rows of `predictions`."""
        columns, found = table.c, super().conditions(table, moment)
        if self.prediction_id is not None:
            found.append(columns.prediction_id == self.prediction_id)
        if self.prediction is not None:
            found.append(columns.prediction == self.prediction)
        if self.feedback is not None:
            found.append(columns.actual.is_not(None) if self.feedback else columns.actual.is_(None))
        if self.wrong is not None:
            found.append(columns.actual != columns.prediction if self.wrong else columns.actual == columns.prediction)
        return found


@dataclass(frozen=True)
class ChecksFilter(HistoryFilter):
    """Checks of one kind; `detected`: those that found something, or nothing.

    Of each window the newest revision, unless `every` is wanted.
    """

    kind: Literal["drift", "performance"] = "drift"
    detected: bool | None = None
    every: bool = False
    report: bool = False

    def conditions(self, table: FromClause = DRIFT_CHECKS, moment: str = "window_end") -> list[ColumnElement[bool]]:
        """The rows of `drift_checks`."""
        found = [table.c.kind == self.kind, *super().conditions(table, moment)]
        if self.detected is not None:
            found.append(table.c.detected.is_(self.detected))
        return found


@dataclass(frozen=True)
class AlertsFilter(HistoryFilter):
    """Also: one transition, those of a status, a level or a rule."""

    alert_id: str | None = None
    status: AlertStatus | None = None
    level: Level | None = None
    rule: str | None = None

    def conditions(self, table: FromClause, moment: str) -> list[ColumnElement[bool]]:
        """The rows of `alerts`."""
        return super().conditions(table, moment) + _equal(self, table, "alert_id", "status", "level", "rule")


@dataclass(frozen=True)
class DeliveriesFilter(HistoryFilter):
    """Also: those of one transition, of a channel, delivered or given up."""

    alert_id: str | None = None
    channel: str | None = None
    outcome: Literal["delivered", "failed"] | None = None

    def conditions(self, table: FromClause, moment: str) -> list[ColumnElement[bool]]:
        """The rows of `deliveries`, with their alerts' models."""
        return super().conditions(table, moment) + _equal(self, table, "alert_id", "channel", "outcome")


@dataclass(frozen=True)
class TrainingFilter(HistoryFilter):
    """Also: of a status, in an environment, anew or for the first time."""

    status: str | None = None
    environment: str | None = None
    is_retraining: bool | None = None

    def conditions(self, table: FromClause, moment: str) -> list[ColumnElement[bool]]:
        """The rows of `training_runs`."""
        return super().conditions(table, moment) + _equal(self, table, "status", "environment", "is_retraining")


@dataclass(frozen=True)
class DeploymentsFilter(HistoryFilter):
    """Also: of a status, in an environment."""

    status: str | None = None
    environment: str | None = None

    def conditions(self, table: FromClause, moment: str) -> list[ColumnElement[bool]]:
        """The rows of `model_deployments`."""
        return super().conditions(table, moment) + _equal(self, table, "status", "environment")


@dataclass(frozen=True)
class AuditFilter(HistoryFilter):
    """Also: by whom, what, and of what."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None

    def conditions(self, table: FromClause, moment: str) -> list[ColumnElement[bool]]:
        """The rows of `audit`."""
        return super().conditions(table, moment) + _equal(self, table, "actor", "action", "subject")


def _equal(wanted: HistoryFilter, table: FromClause, *names: str) -> list[ColumnElement[bool]]:
    return [table.c[name] == value for name in names if (value := getattr(wanted, name)) is not None]


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _begun(utc: datetime, length: timedelta) -> datetime:
    """Return when the day, or the hour, of a time began."""
    return utc - (utc - _EPOCH) % length
