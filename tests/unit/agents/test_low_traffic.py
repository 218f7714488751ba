"""80 predictions an hour with the defaults, through the agents: large faults are found within an hour or two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest

from agents.alerts.agent import AlertsAgent
from app.core.config.monitoring import Monitoring, Windows
from app.core.evaluation.too_few import too_few
from app.core.profile_builder import build_profile
from app.faust_batches.batch import Batch
from app.kafka.producer import Outgoing
from app.offline.check import check_files
from app.registration.models_table import RegisteredModel
from app.registration.monitoring import MonitoringFile
from tests.support.reports import StubRecord
from tests.support.year_world import BEGIN, VERSION, World
from topics.events import AlertEvent, DriftReport, minute_of
from topics.registry import ALERTS, REPORTS, VERSIONS, Topic

HOUR = 3600
CALM = 1


class Shop(World):
    """Amounts and regions of purchases; from `fault_at` on amounts are a hundred times as large, regions null."""

    fault_at = float("inf")

    def __post_init__(self) -> None:
        super().__post_init__()
        rng = np.random.default_rng(0)
        amount, region = rng.lognormal(3.0, 1.0, 3000), rng.choice(["north", "south", "west"], 3000).tolist()
        said = (rng.random(3000) < 0.1).astype(int).astype(str).tolist()
        profile = build_profile("quiet", VERSION, "binary", {"amount": amount, "region": region}, said, None)
        registered = RegisteredModel(profile, Monitoring(), datetime(2023, 1, 1, tzinfo=UTC))
        self.models = {("quiet", VERSION): registered}
        self.restart()
        self.alerts: list[AlertEvent] = []
        self.judging = AlertsAgent({}, lambda *_: Monitoring(), now=lambda: datetime.fromtimestamp(self.clock, UTC))
        self.sent = 0

    def predict(self, when: int, partition: int, version: str = VERSION, taken: int | None = None) -> None:
        faulty = when >= self.fault_at
        event = {
            "prediction_id": f"p{self.serial}", "model": "quiet", "model_version": version, "timestamp": when,
            "features": {
                "amount": self.rng.lognormvariate(3.0, 1.0) * (100.0 if faulty else 1.0),
                "region": None if faulty else self.rng.choice(["north", "south", "west"]),
            },
            "prediction": "1" if self.rng.random() < 0.1 else "0",
        }  # fmt: skip
        self.serial += 1
        self._send(partition, 0, event, str(event["prediction_id"]), round(self.clock) if taken is None else taken)
        self.made[version, "input", when // 60] += 1

    async def take_reports(self, records: Sequence[Outgoing]) -> None:
        await super().take_reports(records)
        reports = [StubRecord(self.sent + i, one.value, one.key, 0) for i, one in enumerate(records)]
        self.sent += len(reports)
        await self.judging.handle(Batch(REPORTS, 0, reports), self)
        assert self.rejected == []

    async def publish(self, topic: Topic, records: Sequence[Outgoing]) -> None:
        if topic is ALERTS:
            self.alerts += [msgspec.json.decode(record.value or b"", type=AlertEvent) for record in records]
        elif topic is not VERSIONS:
            await super().publish(topic, records)


def served(hours: int) -> Shop:
    shop = Shop(Windows())
    shop.fault_at = BEGIN + CALM * HOUR
    for step in range(hours * 4):
        shop.clock = BEGIN + step * HOUR / 4
        shop.serve(HOUR // 4, VERSION, every=90)
    return shop


@pytest.mark.slow
def test_a_model_with_80_predictions_an_hour_is_judged_by_its_newest_panes() -> None:
    shop = served(CALM + 1)
    assert shop.wrong_reports() == []
    fired = {(one.rule, one.labels["subject"]): one for one in shop.alerts if one.status == "firing"}
    begun = datetime.fromtimestamp(shop.fault_at, UTC)
    for alert, hours in ((("feature_drift", "amount"), 1), (("data_quality", "missing"), 2)):
        ends = datetime.fromisoformat(str(fired[alert].evidence["window_end"]))
        assert 0 < (ends - begun).total_seconds() <= hours * HOUR, alert
        assert abs((fired[alert].started_at - begun).total_seconds()) <= 300
        assert "changed at 2023-11-15" in fired[alert].message
    assert all(one.started_at >= begun for one in shop.alerts)  # nothing while all was calm
    first = shop.issued[VERSION, "drift", (BEGIN + HOUR) // 60 - 1]
    assert isinstance(first, DriftReport)
    assert (first.n, first.sufficient, first.needed) == (80, False, 420)
    assert first.expected is not None
    assert abs((first.expected - first.window_end).total_seconds() / HOUR - 420 / 80) < 0.1
    assert first.scales is not None
    assert first.scales.needed == 0  # of such a shift half of the rows would be found
    assert first.not_judged_since is None
    newborn = shop.issued[VERSION, "drift", BEGIN // 60 + 2]
    assert isinstance(newborn, DriftReport)
    assert newborn.scales is not None
    assert newborn.not_judged_since is not None
    assert newborn.scales.needed > 0
    assert newborn.expected_first is not None
    assert newborn.expected is not None
    assert newborn.window_end < newborn.expected_first < newborn.expected
    said = too_few(newborn.n, newborn.needed, newborn.scales.detectable, "later", newborn.scales.needed, "soon")
    assert said.startswith(
        f"{newborn.n} predictions in the window are too few to find even a change of half of the rows"
    )
    words = too_few(first.n, first.needed, first.scales.detectable, minute_of(first.expected))
    assert words.startswith(
        "80 predictions in the window: 420 more are needed (drift.min_samples), at the present rate by"
    )


def test_a_table_of_an_hour_s_predictions_fails_a_check(tmp_path: Path) -> None:
    """The same offline: 80 rows, fewer than a window needs, and the fault is found all the same."""
    rng = np.random.default_rng(4)

    def table(name: str, n: int, factor: float) -> Path:
        frame = pd.DataFrame({"amount": rng.lognormal(3.0, 1.0, n) * factor, "size": rng.random(n)})
        frame["prediction"] = rng.integers(0, 2, n)
        frame.to_csv(tmp_path / name, index=False)
        return tmp_path / name

    reference, calm, spoilt = table("r.csv", 3000, 1.0), table("c.csv", 80, 1.0), table("s.csv", 80, 100.0)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    found = check_files(reference, spoilt, MonitoringFile(), now=now)
    assert ("feature_drift", "amount") in {(one.rule, one.subject) for one in found.findings}
    assert (found.verdict, found.exit_status) == ("drift", 1)
    few = check_files(reference, calm, MonitoringFile(), now=now)
    assert (few.verdict, few.exit_status) == ("no decision", 2)
    assert any("420 more are needed" in words for words in few.warnings)
