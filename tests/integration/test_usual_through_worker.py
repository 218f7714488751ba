"""Nights, storms and a season through a real worker: the same findings as without a stream, and the fault's alert."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from app.core.windows.model_windows import ModelWindows
from app.kafka.topics import ensure_topics
from app.registration.publish import register
from app.settings.settings import Settings, environment
from tests.support.kafka_topics import records_of
from tests.support.run_command import command_of
from tests.support.stream import Counts, until, worker
from tests.support.usual_world import DAY, FILE, START, World, stream
from topics.events import AlertEvent, DriftReport
from topics.registry import ALERTS

MODEL, VERSION = "flights", "1"


def replayed(settings: Settings, path: Path) -> subprocess.CompletedProcess[str]:
    """Send a file as somebody types it."""
    command = command_of("replay", "--model", MODEL, "--version", VERSION, "--predictions", str(path), "--json")
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=600, env=environment(settings)
    )  # fmt: skip


async def alerts_until(settings: Settings, subject: str, seconds: float) -> list[AlertEvent]:
    """Read alerts until one of a subject has fired, or the time is over."""
    alerts = list[AlertEvent]()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not any(alert.labels["subject"] == subject for alert in alerts):
        alerts = [msgspec.json.decode(record.value, type=AlertEvent) for record in await records_of(settings, ALERTS)]
    return alerts


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_a_real_stream_finds_what_is_found_without_one(settings: Settings, tmp_path: Path) -> None:
    await ensure_topics(settings)
    reference = (await register(settings, MODEL, VERSION, stream(1, 30), FILE)).profile
    assert reference.usual is not None
    frame, change = stream(3, 6, first=30), START + 34 * DAY + 9 * 3600
    frame["delay"] = frame["delay"].where(frame["timestamp"] < change, frame["delay"] * 60)
    frame["prediction_id"] = [f"p{i}" for i in range(len(frame))]
    path = tmp_path / "later.parquet"
    frame.to_parquet(path)

    alone = World(ModelWindows(reference, FILE.monitoring, 1, 0.0))
    alone.fill(frame, judge=False)
    expected = {}
    for end in sorted(alone.windows.changed):
        found = alone.windows.evaluate(end)
        if found is not None and found.drift is not None and found.drift.scales is not None:
            expected[(end + 1) * 900.0] = found.drift

    def all_there(counts: Counts) -> bool:
        return set(expected) <= {end for kind, end in counts.reports if kind == "drift"}

    with worker(settings):
        sent = replayed(settings, path)
        assert sent.returncode == 0, sent.stderr
        counts = await until(settings, all_there, 600, VERSION)
        alerts = await alerts_until(settings, "delay", 60)
    reports = {end: report for (_, end), report in counts.reports.items() if isinstance(report, DriftReport)}
    assert set(expected) <= set(reports)
    for moment, drift in expected.items():
        report = reports[moment]
        assert report.n == drift.n
        assert report.scales is not None
        assert drift.scales is not None
        assert report.scales.spans == drift.scales.spans
        there = [(one.name, one.fault, one.panes, one.usual, one.slow) for one in report.scales.found]
        assert there == [(one.name, one.fault, one.panes, one.usual, one.slow) for one in drift.scales.found]
    fired = [alert for alert in alerts if alert.status == "firing" and alert.labels["subject"] == "delay"]
    assert [alert.rule for alert in fired] == ["feature_drift"]
    assert change - 900 <= fired[0].started_at.timestamp() <= change + 6 * 3600
    named = {alert.labels["subject"] for alert in alerts}
    assert named.isdisjoint({"hour", "distance"})
