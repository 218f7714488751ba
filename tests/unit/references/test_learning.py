"""A version that learns its reference: what is registered and when, without Kafka."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import msgspec
import pandas as pd
import pytest

from agents.join.intake import BatchIntake
from agents.join.model_index import ModelIndex
from app.ingest.predictions import HEARTBEAT, PredictionColumns, heads_of
from app.read_model.reports_table import ModelReports
from app.read_model.summary import summary_of
from app.references import reading
from app.references.learning import Learner
from app.references.reading import ReadRows
from app.registration.versions_table import Registered, VersionsTable
from app.settings.settings import load_settings
from tests.support.reports import StubRecord
from tests.support.stream import frame
from topics.events import AuditEvent, Learning, ModelEvent, VersionEvent
from topics.registry import AUDIT, DEPLOYMENTS, MODELS, VERSIONS, Topic

SINCE = datetime(2026, 6, 1, tzinfo=UTC)
NAMED = ("churn", "3")
NONE_LEFT = frame(300).assign(prediction="1", probability=2.0)
"""Rows that no reference can be made of: probabilities outside 0 to 1."""


def event(rows: int = 300, **changes: object) -> VersionEvent:
    given = VersionEvent(
        model=NAMED[0], model_version=NAMED[1], status="learning", since=SINCE, by="command",
        learning=Learning(rows=rows, by="ann"),
    )  # fmt: skip
    return msgspec.structs.replace(given, **changes)


@dataclass
class Kafka:
    """Topics `versions` and `models` as a worker has them, and what was sent; its rows come as `here` says."""

    versions: VersionsTable
    frame: pd.DataFrame
    here: int = 0
    registered: dict[tuple[str, str], datetime] = field(default_factory=dict)
    by_others: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """Registrations that are not read yet."""
    sent: list[tuple[Topic, bytes]] = field(default_factory=list)

    def put(self, one: VersionEvent) -> None:
        self.versions._take(b"churn/3", msgspec.json.encode(one), len(self.sent))

    async def send(self, topic: Topic, key: bytes, value: bytes) -> None:
        self.sent.append((topic, value))
        if topic is VERSIONS:
            self.put(msgspec.json.decode(value, type=VersionEvent))
        if topic is MODELS:
            found = msgspec.json.decode(value, type=ModelEvent)
            self.registered[found.model, found.model_version] = found.registered_at

    async def catch_up(self) -> None:
        self.registered |= self.by_others

    def __call__(self, *_: object) -> Kafka:
        return self

    def __len__(self) -> int:
        return self.here

    async def read_on(self) -> None:
        pass

    async def read(self) -> ReadRows:
        return ReadRows(self.frame, 0)

    def topics(self) -> list[Topic]:
        return [topic for topic, _ in self.sent]


class World:
    """A cluster with one version that learns, and its workers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rows: pd.DataFrame | None = None) -> None:
        self.settings = load_settings(bootstrap_servers="127.0.0.1:1")
        self.kafka = Kafka(VersionsTable(self.settings), frame(300) if rows is None else rows)
        self.lives = Registered(self.kafka.versions, lambda *version: self.kafka.registered.get(version))
        monkeypatch.setattr(reading, "FirstRows", self.kafka)
        self.counts: list[int | None] = []

    def learner(self, *, owns: bool = True) -> Learner:
        return Learner(
            self.settings, self.kafka, self.lives, self.kafka, lambda *_: owns,  # type: ignore[arg-type]
            lambda model, version, seen: self.counts.append(seen),
        )  # fmt: skip

    def look(self, learner: Learner, here: int) -> None:
        self.kafka.here = here
        asyncio.run(learner.look())


def test_a_version_is_registered_once_it_has_its_rows_by_the_worker_that_owns_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch)
    kafka = world.kafka
    kafka.put(event())
    stranger = world.learner(owns=False)
    world.look(stranger, 300)
    assert (kafka.sent, world.counts) == ([], [])
    killed = world.learner()
    world.look(killed, 120)
    world.look(killed, 130)  # too soon after the last record of the progress
    told = world.lives.learns(*NAMED)
    assert (kafka.topics(), told and told.learning and told.learning.seen) == ([VERSIONS], 120)
    other = world.learner()
    world.look(other, 300)
    assert kafka.topics() == [VERSIONS, AUDIT, MODELS, DEPLOYMENTS]
    registered = msgspec.json.decode(kafka.sent[2][1], type=ModelEvent)
    assert msgspec.json.decode(registered.profile)["n"] == 300
    audited = msgspec.json.decode(kafka.sent[1][1], type=AuditEvent)
    assert (audited.actor, audited.detail["learned"]) == ("ann", "true")
    assert world.lives.learns(*NAMED) is None
    for learner in (other, killed, world.learner()):
        world.look(learner, 400)
    assert (len(kafka.sent), world.counts) == (4, [120, 130, 300, None, None])


def test_a_version_that_was_registered_meanwhile_is_not_registered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.kafka.put(event())
    world.kafka.by_others[NAMED] = SINCE + timedelta(seconds=1)
    world.look(world.learner(), 300)
    assert world.kafka.sent == []
    world.kafka.put(event(since=SINCE + timedelta(seconds=2)))  # it is to learn anew
    world.look(world.learner(), 300)
    assert world.kafka.topics() == [AUDIT, MODELS, DEPLOYMENTS]


def test_a_reference_that_cannot_be_made_is_shown_with_its_reason_and_not_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, NONE_LEFT)
    world.kafka.put(event())
    learner = world.learner()
    for _ in range(2):
        world.look(learner, 300)
    assert world.kafka.topics() == [VERSIONS]
    life = world.lives.learns(*NAMED)
    assert life is not None
    shown = summary_of(*NAMED, None, ModelReports(), None, life)
    assert shown.state == "learning"
    assert shown.not_judged.startswith("it cannot learn its reference: column 'probability' has values outside 0 to 1")


def test_a_version_that_cannot_be_read_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    world.kafka.put(event(learning=Learning(rows=300, config='{"windows": {"pane": 0}}')))
    learner = world.learner()
    for _ in range(2):
        world.look(learner, 300)
    assert world.kafka.topics() == [VERSIONS]
    life = world.lives.learns(*NAMED)
    assert life is not None
    assert "config: windows.pane" in life.reason

    async def read_on(_: Kafka) -> None:
        raise RuntimeError("odd")

    monkeypatch.setattr(Kafka, "read_on", read_on)
    world.kafka.put(event(since=SINCE + timedelta(seconds=1)))
    world.look(learner, 300)
    life = world.lives.learns(*NAMED)
    assert (life and life.reason, world.kafka.topics()) == ("RuntimeError: odd", [VERSIONS, VERSIONS])


def test_predictions_of_a_version_that_learns_are_left_out_and_no_dead_letters() -> None:
    value = {"prediction_id": "a", "model": "churn", "timestamp": 1.7e9, "features": {"size": 1.0}}
    records = [
        StubRecord(i, msgspec.json.encode({**value, "model_version": version, **more}), b"a")
        for i, (version, more) in enumerate((("3", {}), ("4", {}), ("3", {"timestamp": 1.7e12}), ("3", {})))
    ]
    columns = PredictionColumns([], lambda *_: None, lambda *version: version == NAMED)
    batch, rejected, kept = columns.batch(heads_of(records))
    assert (len(batch.ids), kept) == (0, [])
    assert [(one.record.offset, one.reason.split(":")[0]) for one in rejected] == [
        (1, "unknown `model_version`"), (2, "`timestamp` is outside 1970 to 2100"),
    ]  # fmt: skip


def test_a_heartbeat_of_a_version_that_learns_is_no_dead_letter() -> None:
    class Models:
        revision = 0

        def get(self, model: str, version: str) -> None:
            return None

        async def catch_up(self) -> None:
            pass

    intake = BatchIntake(ModelIndex(Models()), lambda: 0.0, 0, lambda *version: version == NAMED)
    beats = [
        StubRecord(
            0,
            msgspec.json.encode({"model": "churn", "model_version": version, "timestamp": 1.7e9}),
            headers=[HEARTBEAT],
        )
        for version in ("3", "4")
    ]
    rejected = [asyncio.run(intake._beat(None, beat, {})) for beat in beats]  # type: ignore[arg-type]  # no state is used
    assert [len(one) for one in rejected] == [0, 1]
