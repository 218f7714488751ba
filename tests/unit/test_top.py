"""What `driftline top` draws, at the sizes that terminals have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from api.glance import ModelSummary
from api.workers import Monitored, Worker
from app.commands.top_screen import _table, screen
from tests.unit.notifications import alert_event

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
QUIET = Monitored(workers=[], lag={}, behind_seconds=0.0, over_time=[], dead_letters=[])


def a_model(number: int, **changes: Any) -> ModelSummary:
    values: dict[str, Any] = {
        "model": f"customers-of-the-shop-{number:02}", "model_version": "2026.06.01", "state": "healthy",
        "task": "binary", "features": 20, "window_seconds": 300.0, "registered_at": NOW, "window_start": NOW,
        "window_end": NOW, "n": 12_345, "sufficient": True, "drift_share": 0.5, "drift_threshold": 0.3,
        "drifted": ["age", "income"], "drifted_count": 7, "recent": [], "metric": "accuracy", "value": 0.912,
        "baseline": 0.93, "estimated": 0.91, "degraded": False, "coverage": 0.5, "firing": 0, "level": None,
    }  # fmt: skip
    return ModelSummary(**values | changes)


def drawn(width: int, height: int | None, models: int, alerts: int = 0, **more: Any) -> list[str]:
    console = Console(width=width, height=100, force_terminal=True, color_system=None)
    firing = [alert_event(title=f"alert {number} {'of a long title ' * 9}") for number in range(alerts)]
    with console.capture() as captured:
        console.print(screen([a_model(i) for i in range(models)], firing, QUIET, NOW, (width, height), **more))
    return captured.get().rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 30), (150, 40)])
@pytest.mark.parametrize(("models", "alerts"), [(0, 0), (1, 1), (50, 0), (50, 30)])
def test_it_fits_the_terminal_and_says_what_is_left_out(width: int, height: int, models: int, alerts: int) -> None:
    lines = drawn(width, height, models, alerts)
    text = "\n".join(lines)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width
    rows = sum("customers-of-the" in line for line in lines)
    told = sum(line.startswith("error") for line in lines)
    assert rows == models or f"and {models - rows} more, none of them worse" in text
    assert told == alerts or f"and {alerts - told} more: driftline alerts list" in text
    assert len(lines) == height or models < 50  # all the room is used


def test_what_matters_most_is_shown_whole_where_there_is_little_room() -> None:
    narrow, wide = drawn(80, 24, 3), drawn(180, None, 3)
    for words in ("healthy", "█████       50%", "accuracy 0.912", "customers-of-the"):
        assert words in narrow[4], words
    for words in ("customers-of-the-shop-00 2026.06.01", "age, income and 5 more", "0.930", "12,345", "2026-06-01"):
        assert words in wide[4], words


def test_a_usual_name_is_whole_where_less_needed_columns_would_take_its_room() -> None:
    table = _table([a_model(1, model="census-employment", model_version="1-replay")], 80)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(table)
    assert "census-employment 1-replay" in captured.get()
    assert "accuracy 0.912" in captured.get()


def test_an_empty_screen_says_what_to_do_and_an_old_one_that_it_is_old() -> None:
    text = "\n".join(drawn(80, 24, 0))
    for words in ("no model is registered", "driftline register --model M", "driftline worker", "no alert is firing"):
        assert words in text
    assert "Kafka does not answer; what you see" in drawn(80, 24, 1, trouble="Kafka does not answer; what you see")[1]


def test_late_truth_has_its_date_and_what_is_not_judged_or_left_out_is_said() -> None:
    def row(**changes: Any) -> str:
        console = Console(width=250, height=100, force_terminal=True, color_system=None)
        with console.capture() as captured:
            console.print(screen([a_model(1, **changes)], [], QUIET, NOW, (250, None)))
        return next(line for line in captured.get().splitlines() if "customers-of-the-shop" in line)

    then = NOW - timedelta(days=2)
    assert f"50% until {then.astimezone():%m-%d %H:%M}" in row(truth_end=then)
    assert "until" not in row(truth_end=NOW)
    assert "none yet" in row(truth_end=None, coverage=0.0)
    assert "accuracy 0.912 not judged" in row(truth_end=NOW, judged=False)
    assert "late 12, repeated id 3" in row(truth_end=NOW, left_out={"late": 12, "repeated id": 3})
    assert "not judged" in row(not_judged="62% of the features' values are missing", drift_share=0.0)


def test_workers_are_counted() -> None:
    worker = Worker(worker="a:1", group="g", at=NOW, silent=False, rate=1.0, behind_seconds=2.0, lag={"feedback": 5})
    monitored = Monitored(
        workers=[worker], lag={"feedback": 5}, behind_seconds=2.0, over_time=[], dead_letters=[]
    )  # fmt: skip
    console = Console(width=100)
    with console.capture() as captured:
        console.print(screen([], [], monitored, NOW, (100, None)))
    assert "1 worker at work, 5 records waiting, behind by 2 s, 0 dead letters" in captured.get()
