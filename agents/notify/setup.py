"""Setup of the notify agent from the settings, checked so that a worker starts or logs the reason."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from app.alerting.notify.muting import Mute, Muting, inhibition_of, maintenance_of, quiet_of
from app.alerting.notify.retry_policy import RetryPolicy
from app.alerting.notify.routing import Policy, Routing
from app.alerting.silences.table import SilencesTable
from app.core.config.matchers import MatcherError
from app.core.config.routes import CHANNELS, DEFAULT_INHIBIT, check_channels
from app.core.config.weekly import WeeklyError
from app.settings.settings import Settings, SettingsError
from topics.events import SilenceEvent

log = logging.getLogger(__name__)

PREPARING_SECONDS = 5.0
"""Seconds in which a picture may be drawn."""


def routing_of(settings: Settings, channels: Iterable[str] = CHANNELS) -> Routing:
    """Return the routes of the settings. Raises SettingsError naming what cannot be used.

    `channels`: the channels that exist without receivers.
    """
    policy = Policy(
        wait=settings.group_wait_seconds, interval=settings.group_interval_seconds, repeat=settings.repeat_seconds
    )
    disabled = frozenset(settings.disabled_channels or ())
    routing = Routing(settings.routes or (), settings.group_by or (), policy, disabled)
    try:
        routing.check()
        known = tuple(channels)
        check_channels("disabled_channels", settings.disabled_channels or (), known)
        for number, route in enumerate(routing.routes):
            check_channels(f"routes[{number}].channels", route.channels, known)
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return routing


def patience_of(settings: Settings) -> RetryPolicy:
    """Return how long a channel is tried. The channel itself keeps to `delivery_attempt_seconds` once it sends."""
    return RetryPolicy(
        attempt_seconds=settings.delivery_attempt_seconds + PREPARING_SECONDS, budget_seconds=settings.delivery_seconds
    )


class CurrentMuting:
    """Current muting: maintenance windows and inhibition of the settings, and the silences as they are known."""

    def __init__(self, settings: Settings, silences: SilencesTable) -> None:
        """Raise SettingsError naming what cannot be used."""
        try:
            self._windows = [maintenance_of(*given) for given in enumerate(settings.maintenance or ())]
            inhibit = DEFAULT_INHIBIT if settings.inhibit is None else settings.inhibit
            self._inhibitions = [inhibition_of(*given) for given in enumerate(inhibit)]
        except ValueError as error:
            raise SettingsError(str(error)) from None
        self._silences = silences
        self._revision = -1
        self._muting = Muting()

    def __call__(self) -> Muting:
        """Return the muting as of now."""
        if self._revision != self._silences.revision:
            self._revision = self._silences.revision
            known = [quiet for one in self._silences.all() if (quiet := _quiet_of(one)) is not None]
            self._muting = Muting([*known, *self._windows], self._inhibitions)
        return self._muting


def _quiet_of(silence: SilenceEvent) -> Mute | None:
    """Return a silence as a mute; None, with a line in the log, for an unusable one written without the API."""
    try:
        return quiet_of(silence)
    except (MatcherError, WeeklyError) as error:
        log.error("silence %s is left out: %s", silence.silence_id, error)
        return None
