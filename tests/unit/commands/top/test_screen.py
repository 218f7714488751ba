"""What `driftline top` draws, at the sizes that terminals have."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from app.alerting.events.self_monitoring import SELF
from app.commands.options import CommandError
from app.commands.top.choice import Choice
from app.commands.top.screen import _table, screen
from app.read_model.summary import ModelSummary
from app.read_model.workers import Monitored, Worker
from tests.support.alert_events import alert_event
from topics.events import AlertEvent, Usual

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
    assert rows == models or f"{rows} of {models} shown, and {models - rows} more, none of them worse" in text
    assert told == 0 or text.index("alert 0") < text.index("customers-of-the")
    assert told == alerts or f"and {alerts - told} more: driftline alerts list" in text
    assert len(lines) == height or models < 50  # all the room is used


def test_what_matters_most_is_shown_whole_where_there_is_little_room() -> None:
    narrow, wide = drawn(80, 24, 3), drawn(180, None, 3)
    for words in ("healthy", "█████       50%", "accuracy 0.912", "customers-of-the"):
        assert words in narrow[6], words
    for words in ("customers-of-the-shop-00 2026.06.01", "age, income and 5 more", "0.930", "12,345", "2026-06-01"):
        assert words in wide[6], words


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
    since = {"not_judged": "20 predictions are too few", "sufficient": False, "not_judged_since": NOW}
    assert f"not judged since {NOW.astimezone():%m-%d %H:%M}" in row(**since)
    learning = Usual(source="learning", since=NOW, until=NOW, days=3, needs=14)
    assert "learning 3/14 d" in row(usual=learning)
    assert "learning" not in row(usual=Usual(source="live", since=NOW, until=NOW, days=14, needs=14))
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


STATES = ["healthy", "drifting", "alerting", "waiting", "degraded", "insufficient"]
FLEET = [
    a_model(number, model=f"{'churn' if number % 2 else 'price'}-{number:03}", state=STATES[number % 6])
    for number in range(60)
]


def shown(choice: Choice, height: int | None = None, alerts: Sequence[AlertEvent] = ()) -> list[str]:
    console = Console(width=200, height=100, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(screen(FLEET, list(alerts), QUIET, NOW, (200, height), choice=choice))
    return captured.get().rstrip("\n").split("\n")


@pytest.mark.parametrize("names", [(), ("churn-*",), ("churn-001", "price-002"), ("*-05?",)])
@pytest.mark.parametrize("states", [(), ("drifting",), ("waiting", "alerting")])
@pytest.mark.parametrize("limit", [None, 1, 4, 1000])
@pytest.mark.parametrize("height", [None, 20])
def test_the_worst_of_those_that_are_asked_for_are_shown_and_the_others_are_counted(
    names: tuple[str, ...], states: tuple[str, ...], limit: int | None, height: int | None
) -> None:
    lines = shown(Choice(names, states, limit), height)
    wanted = [
        one.model
        for state in ("alerting", "degraded", "drifting", "insufficient", "waiting", "healthy")
        for one in sorted(FLEET, key=lambda one: one.model)
        if one.state == state and state in (states or STATES)
        and (not names or any(re.fullmatch(name.replace("*", ".*").replace("?", "."), one.model) for name in names))
    ]  # fmt: skip
    found = [
        word
        for line in lines
        for word in line.split()
        if re.fullmatch(r"(churn|price)-\d\d\d", word) and "--" not in line
    ]
    assert found == wanted[: len(found)]
    assert height is None or len(lines) <= height
    assert len(found) == min(len(wanted), limit or len(wanted)) or (height is not None and len(lines) == height)
    cut = f"{len(found)} of {len(wanted)} shown, and {len(wanted) - len(found)} more, none of them worse"
    assert (cut in lines) == (len(found) < len(wanted))
    asked = bool(names or states)
    assert any(line.startswith(f"{len(wanted)} of 60 model versions: --") for line in lines) == asked
    assert wanted or "no model version is like that" in lines[0]


def test_alerts_of_models_that_are_not_asked_for_are_left_out_but_the_monitors_own_are_not() -> None:
    of = {name: alert_event(title=f"about {name}", labels={"model": name}) for name in ("churn-001", "price-002", SELF)}
    none = alert_event(title="about none", labels={})
    text = "\n".join(shown(Choice(("churn-*",)), alerts=[*of.values(), none]))
    assert "3 firing" in text
    assert ["about churn-001" in text, "about price-002" in text, f"about {SELF}" in text, "about none" in text] == [
        True, False, True, True,
    ]  # fmt: skip


def test_a_name_that_no_model_has_is_refused_with_those_that_there_are() -> None:
    Choice(("churn-*",)).check(FLEET)
    with pytest.raises(CommandError, match=r"--model: no model is named 'chrun'; there are churn-001, .* and 55 more"):
        Choice(("churn-*", "chrun")).check(FLEET)
    with pytest.raises(CommandError, match="nothing is registered"):
        Choice(("x",)).check([])
