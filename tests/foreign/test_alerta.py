"""Alerta's own parser of Alertmanager's payload takes every webhook and keeps alerts apart: `make test-receivers`."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.alerting.channels.webhook import payload_of
from app.alerting.notify.digest import digest_of
from app.alerting.notify.notification import Notification
from app.alerting.rendering.labels import Labelling
from tests.support.alert_events import notification_of, of_rule, resolved
from tests.support.notify_world import alert_of
from topics.levels import LEVELS

pytestmark = pytest.mark.receivers
LABELLING = Labelling({"environment": "Production"}, {"info": "informational", "error": "major"})


def read_by_alerta(*notifications: Notification) -> list[list[dict[str, Any]]]:
    payloads = [msgspec.to_builtins(payload_of(one, LABELLING)) for one in notifications]
    reader = Path(__file__).with_name("alerta_parser.py")
    found = subprocess.run(
        [os.environ["RECEIVERS"], str(reader)], input=json.dumps(payloads), capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    read: list[list[dict[str, Any]]] = json.loads(found.stdout)
    return read


def test_versions_stay_apart_and_an_end_closes_its_own_beginning_alone() -> None:
    third, fourth = of_rule("data_drift"), of_rule("data_drift", version="4")
    begun, over = read_by_alerta(notification_of(third, fourth), notification_of(resolved(third)))
    assert begun[0]["key"] != begun[1]["key"]
    assert [one["key"] for one in over] == [begun[0]["key"]]
    assert [one["severity"] for one in begun] == ["major", "major"]
    assert over[0]["severity"] == "normal"


def test_every_level_is_one_that_alerta_knows() -> None:
    (found,) = read_by_alerta(notification_of(*(alert_of(i, level) for i, level in enumerate(LEVELS))))
    assert [one["severity"] for one in found] == ["informational", "warning", "major", "critical"]
    assert all(one["known"] for one in found)


def test_a_digest_of_two_hundred_models_is_two_hundred_alerts() -> None:
    groups = [
        msgspec.structs.replace(
            notification_of(alert_of(i)),
            notification_id=str(i), group_labels={"model": f"m{i}", "model_version": "1"},
            group=f'default{{model="m{i}",model_version="1"}}',
        )
        for i in range(200)
    ]  # fmt: skip
    (found,) = read_by_alerta(digest_of(groups, datetime.now(UTC)))
    assert len({tuple(one["key"]) for one in found}) == 200
    assert {one["service"][0] for one in found} == {f"m{i}" for i in range(200)}
