"""Reasons to mute an alert: silences, maintenance windows, and inhibition by an alert that explains it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.alerting.notify.decision import Reason
from app.core.config.matchers import MOST_MATCHERS, Matcher, MatcherError, all_match, matchers_of
from app.core.config.routes import Inhibit, Maintenance
from app.core.config.weekly import Weekly, WeeklyError, weekly_of
from topics.events import AlertEvent, Hours, SilenceEvent

SAME_MODEL = ("model", "model_version")
"""Labels that an inhibiting alert must share: no worker sees the alerts of all model versions."""


def labels_of(alert: AlertEvent) -> dict[str, str]:
    """Return the labels that matchers apply to: an alert's labels, rule and level, and its owner if it has one."""
    owner = {"owner": alert.owner} if alert.owner else {}
    return {"rule": alert.rule, **owner, **alert.labels, "level": alert.level}


@dataclass(frozen=True, slots=True)
class MutedHours:
    """Hours of the week in a time zone."""

    weekly: Weekly
    zone: ZoneInfo

    def covers(self, now: datetime) -> bool:
        """Return whether a moment lies within the hours."""
        local = now.astimezone(self.zone)
        return self.weekly.covers(local.weekday(), local.hour * 60 + local.minute + local.second / 60)


def window_of(weekdays: Iterable[str], start: str, end: str, zone: str) -> MutedHours:
    """Parse hours of the week. Raises WeeklyError."""
    try:
        found = ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise WeeklyError(f"zone: there is no time zone {zone!r}; write it as Europe/Berlin") from None
    return MutedHours(weekly_of(weekdays, start, end), found)


@dataclass(frozen=True, slots=True)
class Mute:
    """A silence or a maintenance window with parsed matchers."""

    matchers: tuple[Matcher, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    window: MutedHours | None = None

    def mutes(self, labels: Mapping[str, str], now: datetime) -> bool:
        """Return whether an alert with these labels is muted at this time."""
        if (self.starts_at is not None and now < self.starts_at) or (self.ends_at is not None and now >= self.ends_at):
            return False
        return (self.window is None or self.window.covers(now)) and all_match(self.matchers, labels)

    @property
    def reason(self) -> Reason:
        """Return the reason that is reported for alerts that this mutes."""
        return Reason.SILENCED if self.window is None else Reason.MAINTENANCE


def quiet_of(silence: SilenceEvent) -> Mute:
    """Parse a silence event. Raises WeeklyError, and MatcherError also for a silence that the API would refuse."""
    if len(silence.matchers) > MOST_MATCHERS:
        raise MatcherError(f"matchers: at most {MOST_MATCHERS}")
    hours: Hours | None = silence.hours
    window = None if hours is None else window_of(hours.weekdays, hours.start, hours.end, hours.zone)
    return Mute(matchers_of(silence.matchers), silence.starts_at, silence.ends_at, window)


def maintenance_of(number: int, given: Maintenance) -> Mute:
    """Parse a maintenance window of the settings. Raises ValueError, which names the window by its number."""
    try:
        window = window_of(given.weekdays, given.start, given.end, given.zone)
        return Mute(matchers_of(given.matchers), window=window)
    except (MatcherError, WeeklyError) as error:
        raise ValueError(f"maintenance[{number}]: {error}") from None


@dataclass(frozen=True, slots=True)
class Inhibition:
    """A rule by which firing alerts that match `source` mute alerts that match `target`."""

    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]

    def mutes(self, alert: AlertEvent, labels: Mapping[str, str], firing: Iterable[AlertEvent]) -> bool:
        """Return whether one of the `firing` alerts inhibits the alert.

        An alert that matches both source and target is not inhibited by another that matches both.
        """
        if not all_match(self.target, labels):
            return False
        both = all_match(self.source, labels)
        for other in firing:
            theirs = labels_of(other)
            if other.fingerprint == alert.fingerprint or not all_match(self.source, theirs):
                continue
            same = all(labels.get(name, "") == theirs.get(name, "") for name in self.equal)
            if same and not (both and all_match(self.target, theirs)):
                return True
        return False


def inhibition_of(number: int, given: Inhibit) -> Inhibition:
    """Parse an inhibition rule of the settings. Raises ValueError, which names the rule by its number."""
    try:
        equal = tuple(dict.fromkeys((*SAME_MODEL, *given.equal)))
        return Inhibition(matchers_of(given.source), matchers_of(given.target), equal)
    except MatcherError as error:
        raise ValueError(f"inhibit[{number}]: {error}") from None


@dataclass(frozen=True, slots=True)
class Muting:
    """Everything that can mute an alert: silences, maintenance windows and inhibition rules."""

    quiets: Sequence[Mute] = ()
    inhibitions: Sequence[Inhibition] = ()

    def reason(self, alert: AlertEvent, firing: Iterable[AlertEvent], now: datetime) -> Reason | None:
        """Return the reason why an alert is muted now; None where it is not. `firing`: all alerts that fire at the same
        time.
        """
        labels = labels_of(alert)
        muting = {quiet.reason for quiet in self.quiets if quiet.mutes(labels, now)}
        if muting:
            return Reason.SILENCED if Reason.SILENCED in muting else Reason.MAINTENANCE
        return Reason.INHIBITED if any(rule.mutes(alert, labels, firing) for rule in self.inhibitions) else None
