"""The models view: a registration that is acknowledged is seen by who catches up after it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from app.cli import app
from app.core.config.monitoring import Alerting, DriftThresholds, Monitoring, Rule
from app.core.reference.profile import Profile, categorical_column, numeric_column, with_identity
from app.kafka.errors import BrokerUnavailable
from app.kafka.producer import Producer
from app.kafka.topics import ensure_topics
from app.registration.effective_monitoring import EffectiveMonitoring
from app.registration.models_table import ModelsTable
from app.settings.settings import Settings, load_settings
from topics.events import ModelEvent
from topics.registry import MODELS

Rules = dict[str, dict[str, bool | int | float | str]]


def a_profile(model: str = "churn", version: str = "1") -> Profile:
    return with_identity(
        Profile(
            model=model, model_version=version, task="binary",
            features=(numeric_column("age", np.array([1.0, 2.5, np.nan])), categorical_column("sex", ["f", None, "m"])),
            prediction=categorical_column("prediction", ["no", "yes", "yes"], order=("no", "yes")),
            probability=numeric_column("probability", np.array([0.1, 0.9, 0.8])),
            labels=("no", "yes"), baseline={"accuracy": 0.9}, estimated_baseline={},
            calibration=((0.0, 0.1), (1.0, 0.9)), n=3,
        )
    )  # fmt: skip


async def publish(producer: Producer, profile: Profile, monitoring: Monitoring, rules: Rules | None = None) -> None:
    event = ModelEvent(
        model=profile.model, model_version=profile.model_version, registered_at=datetime.now(UTC),
        profile=msgspec.Raw(msgspec.json.encode(profile)), monitoring=msgspec.Raw(msgspec.json.encode(monitoring)),
        rules=rules or {},
    )  # fmt: skip
    await producer.send(MODELS, f"{profile.model}/{profile.model_version}".encode(), msgspec.json.encode(event))


@pytest.fixture
async def producer(settings: Settings) -> AsyncIterator[Producer]:
    await ensure_topics(settings, [MODELS])
    async with Producer(settings) as connected:
        yield connected


async def test_what_is_registered_before_the_start_is_loaded(producer: Producer, settings: Settings) -> None:
    await publish(producer, a_profile(), Monitoring())
    await publish(producer, a_profile(version="2"), Monitoring(drift=DriftThresholds(share=0.5)))
    async with ModelsTable(settings) as view:
        found = view.get("churn", "2")
        assert found is not None
        assert (found.profile, found.monitoring.drift.share) == (a_profile(version="2"), 0.5)
        assert [one.key for one in view.all()] == [("churn", "1"), ("churn", "2")]
        assert view.get("churn", "3") is None


async def test_an_acknowledged_registration_is_seen_after_catching_up(producer: Producer, settings: Settings) -> None:
    async with ModelsTable(settings) as view:
        for version in map(str, range(20)):
            await publish(producer, a_profile(version=version), Monitoring())
            await view.catch_up()
            assert view.get("churn", version) is not None
        assert view.revision == 20


async def test_the_newest_registration_wins_and_a_tombstone_removes(producer: Producer, settings: Settings) -> None:
    async with ModelsTable(settings) as view:
        for share in (0.3, 0.7):
            await publish(producer, a_profile(), Monitoring(drift=DriftThresholds(share=share)))
            await view.catch_up()
            found = view.get("churn", "1")
            assert found is not None
            assert found.monitoring.drift.share == share
        await producer.send(MODELS, b"churn/1", None)
        await view.catch_up()
        assert view.get("churn", "1") is None
        assert view.all() == []


async def test_the_rules_are_the_settings_but_for_what_a_registration_says(
    producer: Producer, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "driftline.toml").write_text("[rules.traffic]\nfor_windows = 5\nclear_windows = 6\n")
    with_rules = load_settings(bootstrap_servers=settings.bootstrap_servers, prefix=settings.prefix)
    says = Monitoring(alerting=Alerting(traffic=Rule(for_windows=7)))  # as it was sent before `rules` were
    cases: list[tuple[Monitoring, Rules, tuple[int, int]]] = [
        (Monitoring(), {}, (5, 6)),
        (Monitoring(), {"traffic": {"for_windows": 2}}, (2, 6)),
        (says, {}, (7, 6)),
    ]
    async with ModelsTable(settings) as view:
        watching = EffectiveMonitoring(with_rules, view)
        assert watching.get("churn", "1") is None
        for monitoring, rules, expected in cases:
            await publish(producer, a_profile(), monitoring, rules)
            await view.catch_up()
            found = watching.get("churn", "1")
            assert found is not None
            assert (found.alerting.traffic.for_windows, found.alerting.traffic.clear_windows) == expected
            assert watching.get("churn", "1") is found
    flags = ("--bootstrap-servers", str(settings.bootstrap_servers), "--prefix", settings.prefix)
    run = ("alerts", "rules", "--model", "churn")
    shown = await asyncio.to_thread(CliRunner().invoke, app, [*run, *flags, "--json"])
    (traffic,) = [one for one in map(json.loads, shown.stdout.splitlines()) if one["rule"] == "traffic"]
    assert traffic["model_version"] == "1"
    assert traffic["for_windows"] == {"value": 7, "from": "monitoring.json"}
    assert traffic["clear_windows"] == {"value": 6, "from": "settings [rules]"}
    unknown = await asyncio.to_thread(CliRunner().invoke, app, [*run, "--version", "9", *flags])
    assert "churn version 9 is not registered (registered: churn 1)" in str(unknown.exception)


async def test_what_cannot_be_read_is_logged_and_stops_nobody(
    producer: Producer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    bad = ModelEvent(
        model="bad", model_version="1", registered_at=datetime.now(UTC), profile=msgspec.Raw(b'{"model": 3}'),
        monitoring=msgspec.Raw(b"{}"),
    )  # fmt: skip
    await producer.send(MODELS, b"x", b"no json")
    await producer.send(MODELS, b"bad/1", msgspec.json.encode(bad))
    await publish(producer, a_profile(), Monitoring())
    with caplog.at_level(logging.ERROR):
        async with ModelsTable(settings) as view:
            assert [one.key for one in view.all()] == [("churn", "1")]
    for offset in (0, 1):
        assert caplog.text.count(f"models partition 0 offset {offset} is left out, it is no ModelEvent") == 1


async def test_no_broker_is_said_at_once() -> None:
    with pytest.raises(BrokerUnavailable, match="no Kafka answers"):
        await ModelsTable(load_settings(bootstrap_servers="127.0.0.1:9")).start()
