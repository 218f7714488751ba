"""Filters of history queries: one class for each kind of history.

A field with `asked` is an option of the kind's command and a parameter of its route.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal, NamedTuple, get_args, get_type_hints

from sqlalchemy import ColumnElement, FromClause

from app.history.paging import FIRST_YEAR, LAST_YEAR, Key
from app.history.tables import DRIFT_CHECKS, PREDICTIONS
from topics.events import AlertStatus, Level

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Words:
    """Description of a filter, and its flags where they differ from `--name`.

    `with_json`: the command accepts the filter only with --json, because its table has no column for it.
    """

    help: str
    flags: tuple[str, ...]
    with_json: bool


def asked(description: str, *flags: str, with_json: bool = False) -> dict[str, Words]:
    """Return the metadata of a field that callers may set."""
    return {"words": Words(description, flags, with_json)}


class Option(NamedTuple):
    """One filter of a kind.

    `type` is the type without None. `default` is None where the filter is off by default.
    """

    name: str
    type: Any
    default: Any
    words: Words


@dataclass(frozen=True)
class HistoryFilter:
    """Filter by model, version and half-open time range; newest first, at most `limit` rows.

    `since` is included, `until` is not. `after`: the key of the last row of the page before (`paging.PageOrder`).
    `models`: the models to which the result is limited. Raises ValueError, which names the field.
    """

    model: str | None = field(default=None, metadata=asked("only this model"))
    model_version: str | None = field(default=None, metadata=asked("only this version of it", "--version"))
    since: datetime | None = field(default=None, metadata=asked("from this time on, 2026-06-01T12:00:00Z say"))
    until: datetime | None = field(default=None, metadata=asked("before this time"))
    limit: int = field(default=50, metadata=asked("the newest so many"))
    after: Key | None = None
    models: tuple[str, ...] | None = None
    equal: ClassVar[tuple[str, ...]] = ()
    """Further filters that are columns of the kind's table: a row must have the given value."""

    @classmethod
    def options(cls) -> tuple[Option, ...]:
        """Return the filters that callers may set, those of every kind first."""
        types = get_type_hints(cls)
        return tuple(
            Option(one.name, _without_none(types[one.name]), one.default, one.metadata["words"])
            for one in fields(cls)
            if "words" in one.metadata
        )

    def __post_init__(self) -> None:
        if self.model_version is not None and self.model is None:
            raise ValueError("model_version: versions are a model's; give model too")
        for name, value in vars(self).items():
            if isinstance(value, str) and "\x00" in value:
                raise ValueError(f"{name}: has a NUL character in it")
            if isinstance(value, datetime) and not FIRST_YEAR < value.year < LAST_YEAR:
                raise ValueError(f"{name}: must be between {FIRST_YEAR} and {LAST_YEAR}")

    def whole(self, length: timedelta) -> tuple[datetime | None, datetime | None]:
        """Return the start of the first whole day or hour (UTC), and the end of the last. None means no bound."""
        first = None if self.since is None else _begun(_utc(self.since) + length - timedelta(microseconds=1), length)
        return first, None if self.until is None else _begun(_utc(self.until), length)

    def conditions(self, table: FromClause, moment: str) -> list[ColumnElement[bool]]:
        """Return the conditions of the rows of a table whose time is in the column `moment`."""
        columns = table.c
        given = {name: getattr(self, name) for name in ("model", "model_version", *self.equal)}
        found = [columns[name] == value for name, value in given.items() if value is not None]
        if self.models is not None:
            found.append(columns.model.in_(self.models))
        if self.since is not None:
            found.append(columns[moment] >= _utc(self.since))
        if self.until is not None:
            found.append(columns[moment] < _utc(self.until))
        return found


@dataclass(frozen=True)
class PredictionsFilter(HistoryFilter):
    """Filter predictions also by id, label, feedback and correctness."""

    equal = ("prediction_id", "prediction")
    prediction_id: str | None = field(default=None, metadata=asked("only this one", "--id"))
    prediction: str | None = field(default=None, metadata=asked("only those of this label"))
    feedback: bool | None = field(default=None, metadata=asked("with truth, or without", "--feedback/--no-feedback"))
    wrong: bool | None = field(default=None, metadata=asked("whose label is not the truth, or is", "--wrong/--right"))

    def conditions(self, table: FromClause = PREDICTIONS, moment: str = "predicted_at") -> list[ColumnElement[bool]]:
        """Return the conditions of the rows of `predictions`."""
        columns, found = table.c, super().conditions(table, moment)
        if self.feedback is not None:
            found.append(columns.actual.is_not(None) if self.feedback else columns.actual.is_(None))
        if self.wrong is not None:
            found.append(columns.actual != columns.prediction if self.wrong else columns.actual == columns.prediction)
        return found


@dataclass(frozen=True)
class ChecksFilter(HistoryFilter):
    """Filter checks of one kind, also by `detected`: whether the check found drift or degradation.

    Return the newest revision of each window, or every revision with `every`.
    """

    equal = ("kind",)
    kind: Literal["drift", "performance"] = field(
        default="drift", metadata=asked("checks for drift, or of performance")
    )
    detected: bool | None = field(
        default=None, metadata=asked("that found something, or not", "--detected/--not-detected")
    )
    every: bool = field(default=False, metadata=asked("every revision, not only each window's newest", "--all"))
    report: bool = field(default=False, metadata=asked("the whole report too", "--report", with_json=True))

    def conditions(self, table: FromClause = DRIFT_CHECKS, moment: str = "window_end") -> list[ColumnElement[bool]]:
        """Return the conditions of the rows of `drift_checks`."""
        found = super().conditions(table, moment)
        if self.detected is not None:
            found.append(table.c.detected.is_(self.detected))
        return found


@dataclass(frozen=True)
class AlertsFilter(HistoryFilter):
    """Filter alerts also by transition, status, level and rule."""

    equal = ("alert_id", "status", "level", "rule")
    alert_id: str | None = field(default=None, metadata=asked("only this transition", "--id"))
    status: AlertStatus | None = field(default=None, metadata=asked("that fire, or are resolved"))
    level: Level | None = field(default=None, metadata=asked("only those of this level"))
    rule: str | None = field(default=None, metadata=asked("only those of this rule, data_drift say"))


@dataclass(frozen=True)
class DeliveriesFilter(HistoryFilter):
    """Filter deliveries also by transition, channel and outcome."""

    equal = ("alert_id", "channel", "outcome")
    alert_id: str | None = field(default=None, metadata=asked("only of this transition, by its id", "--alert"))
    channel: str | None = field(default=None, metadata=asked("only through this channel"))
    outcome: Literal["delivered", "failed"] | None = field(default=None, metadata=asked("sent, or given up"))


@dataclass(frozen=True)
class TrainingFilter(HistoryFilter):
    """Filter training runs also by status, environment, and first training or retraining."""

    equal = ("status", "environment", "is_retraining")
    status: Literal["completed", "failed"] | None = field(default=None, metadata=asked("only those of this status"))
    environment: str | None = field(default=None, metadata=asked("only in this environment"))
    is_retraining: bool | None = field(
        default=None, metadata=asked("of a model that was there before, or not", "--retraining/--first")
    )


@dataclass(frozen=True)
class DeploymentsFilter(HistoryFilter):
    """Filter deployments also by status and environment."""

    equal = ("status", "environment")
    status: str | None = field(default=None, metadata=asked("only those of this status"))
    environment: str | None = field(default=None, metadata=asked("only in this environment"))


@dataclass(frozen=True)
class AuditFilter(HistoryFilter):
    """Filter audited changes also by actor, action and subject."""

    equal = ("actor", "action", "subject")
    actor: str | None = field(default=None, metadata=asked("only by this one: a key's name, or a user's"))
    action: str | None = field(default=None, metadata=asked("only this: silence.created, key.revoked, say"))
    subject: str | None = field(default=None, metadata=asked("only of this: a silence's id, a receiver's name, say"))


def _without_none(kind: Any) -> Any:
    """Return the type of a filter that is set: `X` of `X | None`."""
    rest = [one for one in get_args(kind) if one is not type(None)]
    return rest[0] if type(None) in get_args(kind) else kind


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _begun(utc: datetime, length: timedelta) -> datetime:
    """Return the start of the day or hour that contains a time."""
    return utc - (utc - _EPOCH) % length
