"""Channels, one file each. `log` and `file` always exist; the others depend on the settings."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from app.alerting.channels.file import FileChannel
from app.alerting.channels.log import LogChannel
from app.alerting.notify.channel import Channel


def channels_of(alerts_dir: Path, others: Iterable[Channel] = ()) -> dict[str, Channel]:
    """Return all channels by name."""
    channels: tuple[Channel, ...] = (LogChannel(), FileChannel(alerts_dir), *others)
    return {channel.name: channel for channel in channels}
