"""Truth that comes after the retention: counted by the model that it is of, an alert, and a warning at registration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from agents.windows.reports import Issued
from app.core.config.monitoring import Monitoring, Windows
from app.core.join import delta
from app.core.join.expiry import sweep
from app.core.join.feedback import add_feedback
from app.core.join.predictions import add_predictions
from app.core.join.state import MICROSECONDS, CompiledModel, FeedbackBatch, JoinState, PredictionBatch
from app.core.panes.inputs import Values
from app.registration.monitoring import monitoring_of
from app.registration.profiling import read_reference
from tests.support.join_log import PROFILES
from tests.support.reports import traffic
from tests.support.verdicts import found

DAY = 86_400
WINDOWS = Windows(retention=7 * DAY)
OTHER = replace(PROFILES["multiclass"], model="another", profile_id="other")


def at(days: float, n: int = 1) -> np.ndarray:
    return np.full(n, round((20_000 + days) * DAY * MICROSECONDS))


def served(state: JoinState, first: int, n: int, days: float, model: int = 0) -> np.ndarray:
    """Predictions with ids from `first` on, all at one time."""
    ids = np.arange(first, first + n, dtype=np.uint64)[:, None].repeat(2, axis=1)
    columns: dict[int, Sequence[Values]] = {model: [[20.0] * n, ["a"] * n]}
    add_predictions(state, PredictionBatch(ids, np.full(n, model, np.int16), at(days, n), columns))
    return ids


def test_truth_after_the_retention_is_counted_by_its_model_beyond_restarts() -> None:
    watched = [CompiledModel(PROFILES["multiclass"], WINDOWS), CompiledModel(OTHER, WINDOWS)]
    state = JoinState(watched)
    ours, others = served(state, 1, 10, 0), served(state, 100, 5, 0, model=1)
    add_feedback(state, FeedbackBatch(ours[:4], ["a"] * 4, at(6, 4)))
    add_feedback(state, FeedbackBatch(ours[4:7], ["a"] * 3, at(8, 3)))
    add_feedback(state, FeedbackBatch(others[:1], ["a"], at(8, 1)))
    counted = {model: (tally.feedback, tally.too_late) for model, tally in state.tallies.items()}
    assert counted == {0: (4, 3), 1: (0, 1)}
    assert state.expired_feedback == 4
    restored = JoinState(watched)
    delta.restore(restored, delta.take(state, 0, (0, 0), (15, 8)).delta)
    assert {model: tally.too_late for model, tally in restored.tallies.items()} == {0: 3, 1: 1}


@pytest.mark.parametrize(("models", "known"), [(1, 6), (2, 0)])
def test_truth_whose_prediction_is_forgotten_is_that_of_the_only_model(models: int, known: int) -> None:
    state = JoinState([CompiledModel(PROFILES["multiclass"], WINDOWS), CompiledModel(OTHER, WINDOWS)])
    ours = served(state, 1, 10, 0)
    if models == 2:
        served(state, 100, 1, 0, model=1)
    served(state, 200, 1, 20)
    assert sweep(state, feedback_caught_up=True)
    add_feedback(state, FeedbackBatch(ours[:6], ["a"] * 6, at(20, 6)))
    assert len(state.waiting) == 6
    served(state, 300, 1, 40)
    if models == 2:
        served(state, 400, 1, 40, model=1)
    assert sweep(state, feedback_caught_up=True)
    assert (state.expired_feedback, sum(tally.too_late for tally in state.tallies.values())) == (6, known)


def test_the_share_is_that_of_the_last_windows() -> None:
    note, panes = Issued(0, 0, 0), 6
    late = joined = 0
    for step in range(400):
        late += 4 if step >= 200 else 0
        joined += 6
        note = note.after(joined, 0.5, panes, late)
        if step in (199, 205, 399):
            share = note.recent_late / (note.recent_late + note.recent_joined)
            assert share == pytest.approx({199: 0.0, 205: 0.06, 399: 0.4}[step], abs=0.02)
    again = note.after(joined, 0.5, panes, late)
    assert again.recent_late < note.recent_late


@pytest.mark.parametrize(
    ("late", "joined", "state"),
    [(0.0, 100.0, "clear"), (4.0, 96.0, "clear"), (4.8, 95.0, "between"), (34.0, 66.0, "breach"),
     (4.0, 30.0, "between"), (10.0, 5.0, "insufficient")],
)  # fmt: skip
def test_too_much_late_truth_is_a_breach(late: float, joined: float, state: str) -> None:
    report = traffic([50] * 12, recent_too_late=late, recent_joined=joined, too_late=2768)
    assert found(report)["feedback", "too late"].state == state


def test_register_warns_of_truth_that_would_come_too_late() -> None:
    rng = np.random.default_rng(1)
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(1000), "h")
    delays = pd.to_timedelta(np.where(np.arange(1000) % 3 > 0, 2.0, 30.0), "D")
    frame = pd.DataFrame({
        "amount": rng.normal(size=1000), "prediction": rng.choice(["0", "1"], 1000),
        "fraud": rng.choice(["0", "1"], 1000),
        "at": times, "known_at": times + delays,
    })  # fmt: skip
    raw = {"columns": {"timestamp": "at", "truth_timestamp": "known_at", "target": "fraud"}}
    reference = read_reference("m", "1", frame, monitoring_of(raw))
    assert [column.name for column in reference.profile.features] == ["amount"]
    (warning,) = (note for note in reference.notes if note.startswith("WARNING"))
    assert warning == (
        "WARNING: 334 of 1,000 truths (33%) come after windows.retention (7 d) and would enter no metric: "
        "set it to 2592000 (30 days)"
    )
    longer = monitoring_of(raw | {"windows": {"retention": 30 * DAY}})
    notes = read_reference("m", "1", frame, longer).notes
    assert "truth comes within 2 d for half of the rows, within 30 d for 99 %" in notes
    assert not any("WARNING" in note for note in notes)
    assert Monitoring().windows.retention == WINDOWS.retention
