"""`driftline.check`: the stream's decision on two tables in memory."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from app.offline.check import check_tables
from app.offline.result import CheckedTables
from app.registration.monitoring import MonitoringError, MonitoringFile
from app.registration.setup import monitoring_from, read_monitoring
from app.tables.frames import table_of


def check_frames(reference: object, current: object, config: object = None) -> CheckedTables:
    """Judge one table against another. `config`: monitoring.json, as a dictionary or as the path of a file.

    Raises TableError or MonitoringError naming table, column or key; OSError where a file cannot be read.
    """
    file = _file_of(config)
    tables = table_of(reference, "reference"), table_of(current, "current")
    return CheckedTables(check_tables(*tables, file, now=datetime.now(UTC)))


def _file_of(config: object) -> MonitoringFile:
    if config is None or isinstance(config, str | Path):
        return read_monitoring(None if config is None else Path(config))
    if not isinstance(config, Mapping):
        raise MonitoringError(f"config: must be a dictionary or a file's path, not {type(config).__name__}")
    plain: Any = msgspec.to_builtins(dict(config))
    return monitoring_from(plain)
