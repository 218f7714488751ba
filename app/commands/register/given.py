"""Input and output of a registration, through Kafka or over HTTP."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from app.core.reference.profile import Profile
    from app.registration.monitoring import MonitoringFile
    from app.registration.result import RegisteredVersion
    from app.settings.settings import Settings
    from app.tables import FileOptions
    from topics.events import DriftReport


class RecordedRows(NamedTuple):
    """Selection of predictions in the history as a reference. `version` None: of the version to register."""

    version: str | None
    since: datetime | None
    until: datetime | None


class TopicRows(NamedTuple):
    """Selection of predictions in Kafka as a reference. `version` None: of the version to register."""

    version: str | None
    last: int | None
    since: datetime | None
    until: datetime | None


class GivenTable(NamedTuple):
    """Rows of a reference, and notes about how they were found."""

    frame: pd.DataFrame
    notes: tuple[str, ...] = ()


class GivenFiles(NamedTuple):
    """Files of a registration as given (`config`: its name and content), and the two small ones decoded.

    `table`: rows of the reference, where they were read already.
    """

    reference: Path | RecordedRows | TopicRows
    config: tuple[str, bytes] | None
    baseline: Path | None
    options: FileOptions
    file: MonitoringFile
    metrics: Mapping[str, float]
    table: GivenTable | None = None


class RegisteredReference(NamedTuple):
    """Registered version. `reports`: newest drift reports of the model; none where the reference has times."""

    result: RegisteredVersion
    profile: Profile
    reports: list[DriftReport]


def table_of(settings: Settings, model: str, version: str, given: GivenFiles) -> GivenTable:
    """Return the rows of a reference, from its file, the history or Kafka.

    Rows that were recorded have the default truth of the configuration. Raises TableError, HistoryError,
    BrokerUnavailable.
    """
    from app.tables import read_table

    if given.table is not None:
        return given.table
    source = given.reference
    if isinstance(source, Path):
        return GivenTable(read_table(source, given.options))
    from app.references.default_truth import with_default_truth

    frame, notes = _recorded(settings, model, version, source, given.file.monitoring.windows.ahead)
    frame, silence = with_default_truth(frame, given.file.monitoring)
    return GivenTable(frame, (*notes, silence) if silence else notes)


def _recorded(
    settings: Settings, model: str, version: str, source: RecordedRows | TopicRows, ahead: float
) -> GivenTable:
    version = source.version or version
    if isinstance(source, RecordedRows):
        from app.history.reference_rows import reference_rows
        from app.history.setup import history_of

        with closing(history_of(settings)) as history:
            return GivenTable(reference_rows(history, model, version, source.since, source.until))
    from app.references.event_topics import OwnTopics
    from app.references.reading import WantedRows, read_rows

    wanted = WantedRows(model, version, ahead, source.last, source.since, source.until)
    read = asyncio.run(read_rows(settings, OwnTopics(settings), wanted))
    return GivenTable(
        read.frame, (f"{read.rejected:,} records cannot be read, and are left out",) if read.rejected else ()
    )


def is_one_file(source: Path | RecordedRows | TopicRows) -> TypeGuard[Path]:
    """Return whether a reference is one file, not a folder or recorded rows."""
    return isinstance(source, Path) and source.is_file()
