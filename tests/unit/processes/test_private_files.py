"""What is written is its owner's alone, whatever the umask; a model that others may replace is not loaded."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from app.alerting.channels.file import FileChannel
from app.alerting.notify.channel import Delivered
from app.history import History
from app.history.exporting import export
from app.history.tables import PREDICTION_DAYS, PREDICTIONS
from app.processes.private_files import keep_private, private_folder
from app.serving import BundleError, load_bundle
from tests.support.alert_events import alert_event, notification_of


@pytest.fixture
def generous() -> Iterator[None]:
    """A umask that gives everything to everybody."""
    before = os.umask(0)
    yield
    os.umask(before)


def given_to_others(folder: Path) -> list[str]:
    paths = [folder, *folder.rglob("*")]
    return [f"{path.name} {stat.S_IMODE(path.stat().st_mode):o}" for path in paths if path.stat().st_mode & 0o077]


@pytest.mark.usefixtures("generous")
def test_the_history_and_its_exports_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "history.db"
    history = History(path)
    history.prepare()
    at = datetime(2026, 6, 1, tzinfo=UTC)
    version = {"model": "m", "model_version": "1"}
    row = {
        "prediction_id": "p", "predicted_at": at, "recorded_at": at, "features": "{}", "prediction": "1", **version,
    }  # fmt: skip
    with history.writing() as connection:
        connection.execute(insert(PREDICTIONS).values(row))
        connection.execute(insert(PREDICTION_DAYS).values(day="2026-06-01", revision=1, trimmed=False, **version))
    assert len(export(history, tmp_path / "exports", ["jsonl", "parquet"])) == 2
    assert path.with_name("history.db-wal").exists()
    history.close()
    assert given_to_others(path.parent) == []
    assert given_to_others(tmp_path / "exports") == []


@pytest.mark.usefixtures("generous")
async def test_alerts_in_files_are_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "alerts"
    delivered = await FileChannel(folder).deliver(notification_of(alert_event()))
    assert isinstance(delivered, Delivered)
    assert given_to_others(folder) == []


@pytest.mark.usefixtures("generous")
def test_a_state_folder_of_an_earlier_release_is_closed_to_others(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    private_folder(tmp_path / "state")
    keep_private()
    (tmp_path / "state" / "file").touch()
    assert given_to_others(tmp_path / "state") == []


@pytest.mark.parametrize("name", ["", "model.joblib", "feature_metadata.json", "training_metadata.json"])
def test_a_model_that_others_may_write_is_refused(name: str, tmp_path: Path) -> None:
    for file in ("model.joblib", "feature_metadata.json", "training_metadata.json"):
        (tmp_path / file).write_text("{}")
    (tmp_path / name).chmod(0o777)
    with pytest.raises(BundleError, match="others may write"):
        load_bundle(tmp_path)
