"""The channels: one file each. A new one is a file here, and a line in `channels_of`."""

from __future__ import annotations

from pathlib import Path

from app.alerting.channels.file import FileChannel
from app.alerting.channels.log import LogChannel
from app.alerting.delivery import Channel


def channels_of(alerts_dir: Path) -> dict[str, Channel]:
    """Every channel by its name."""
    channels: tuple[Channel, ...] = (LogChannel(), FileChannel(alerts_dir))
    return {channel.name: channel for channel in channels}
