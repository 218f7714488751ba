"""Records as a history takes them, written without Kafka; one partition a topic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Table, select

from app.core.config.monitoring import DefaultTruth, Monitoring, PerformanceThresholds, Windows
from app.core.reference.profile import Profile
from app.history import History
from app.history.event_rows import entries_of
from app.history.writer import RecordedRun, Writer
from topics.events import ModelEvent, Scalar
from topics.registry import Topic

AT = 1_700_000_000.0
"""2023-11-14T22:13:20Z."""
ISO = "2026-03-01T12:00:00Z"


@dataclass
class Sent:
    """A record as it came."""

    offset: int
    value: bytes | None
    key: bytes | None = None
    timestamp: int = 1_700_000_500_000
    headers: Sequence[tuple[str, bytes]] = ()


def prediction(key: str, **changes: object) -> dict[str, object]:
    """A prediction as it travels."""
    event: dict[str, object] = {
        "prediction_id": key, "model": "churn", "model_version": "3", "timestamp": AT,
        "features": {"age": 41.5, "town": "Oulu"}, "prediction": "stays", "probability": 0.25,
    }  # fmt: skip
    return {**event, **changes}


def registered(profile: Profile, default: Scalar | None, after: float = 100.0, pane: float = 60.0) -> ModelEvent:
    """A registration by which silence is `default` after so many seconds."""
    silence = None if default is None else DefaultTruth(default, after)
    monitoring = Monitoring(windows=Windows(pane=pane), performance=PerformanceThresholds(default_truth=silence))
    return ModelEvent(
        model=profile.model, model_version=profile.model_version, registered_at=datetime(2026, 6, 1, tzinfo=UTC),
        profile=msgspec.Raw(msgspec.json.encode(profile)), monitoring=msgspec.Raw(msgspec.json.encode(monitoring)),
    )  # fmt: skip


class Stream:
    """Records, and where they have been written to; `clock` is when they are recorded."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.clock: datetime | None = None
        self.writer = Writer(history, lambda: self.clock or datetime.now(UTC))
        self.offsets: dict[Topic, int] = {}

    def run(self, topic: Topic, *events: object, start: int | None = None) -> RecordedRun:
        """The next run of a topic, or one from `start` on."""
        if topic not in self.offsets:
            self.writer.move((topic.name, 0), 0)
        at = self.offsets.get(topic, 0) if start is None else start
        records = []
        for i, event in enumerate(events):
            named = event.get("prediction_id") if isinstance(event, dict) else None
            records.append(Sent(at + i, msgspec.json.encode(event), str(named).encode() if named else b"key"))
        entries, rejected = entries_of(topic, records)
        assert rejected == []
        self.offsets[topic] = max(at + len(events), self.offsets.get(topic, 0))
        return RecordedRun(topic, (topic.name, 0), at, at + len(events), tuple(entries))

    def write(self, topic: Topic, *events: object, start: int | None = None) -> None:
        """Write it."""
        self.writer.write([self.run(topic, *events, start=start)])

    def rows(self, table: Table) -> list[dict[str, Any]]:
        """All of a table, by its key."""
        with self.history.reading() as connection:
            return [dict(row) for row in connection.execute(select(table).order_by(*table.primary_key)).mappings()]


RUN = {
    "run_id": "r1", "model": "churn", "model_version": "3", "model_type": "LogisticRegression",
    "status": "completed", "started_at": ISO, "finished_at": ISO, "rows": 900, "features": 4,
    "metrics": {"accuracy": 0.9}, "parameters": {"C": 1.0},
}  # fmt: skip
