"""The calibration's windows are the stream's: the same rows through real panes, merged, count the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from app.core.panes.inputs import input_pane
from app.core.panes.outcomes import outcome_pane
from app.core.panes.pane import Pane, merge
from benchmarks.calibration import shifted, stationary
from benchmarks.populations import Watched, compiled, made_up, moved, watched
from benchmarks.window_streams import PANES, independent, rolling


def real(watching: Watched, rows: NDArray[np.int64]) -> tuple[Pane, Pane]:
    """Inputs and outcomes of rows, as `driftline check` counts them."""
    people = watching.population
    features: dict[str, Sequence[str | float | None]] = {
        name: [column[i] for i in rows.tolist()] for name, column in people.features.items()
    }
    predicted, probability = people.prediction[rows], people.probability[rows]
    inputs = input_pane(watching.layout, features, [str(p) for p in predicted], probability)
    return inputs, outcome_pane(watching.outcome_layout, predicted, probability, people.actual[rows].astype(np.float64))


def same_counts(mine: Pane, truth: Pane) -> bool:
    return (
        mine.n == truth.n and np.array_equal(mine.indices, truth.indices) and np.array_equal(mine.counts, truth.counts)
    )


def test_windows_on_their_own_and_rolling_ones_equal_merged_panes() -> None:
    people = made_up(6, rows=300)
    watching = watched(people, 200, np.random.default_rng(0))
    later = compiled(moved("x0", 1.0)(people, np.random.default_rng(1)), watching.layout.profile)
    (one,) = independent(watching, 100, 1, np.random.default_rng(2))
    inputs, outcomes = real(watching, np.random.default_rng(2).integers(people.n, size=100))
    assert same_counts(one.inputs, inputs)
    assert one.outcomes.same(outcomes)
    assert np.array_equal(one.inputs.sums[-2:], inputs.sums[-2:])

    rng = np.random.default_rng(3)
    drawn = [real(later if pane >= 2 + PANES - 1 else watching, rng.integers(people.n, size=2)) for pane in range(64)]
    found = list(rolling(watching, 2 * PANES, 5, np.random.default_rng(3), later, change=2))
    assert len(found) == 5
    for number, window in enumerate(found):
        panes = drawn[number : number + PANES]
        layout, outcome = watching.layout, watching.outcome_layout
        assert same_counts(window.inputs, merge([i for i, _ in panes], layout.size, layout.sums))
        assert window.outcomes.same(merge([o for _, o in panes], outcome.size, outcome.sums))


@pytest.mark.slow
def test_the_decision_is_calm_on_what_never_drifts_and_finds_what_does() -> None:
    """A small part of the benchmark's counts, with its own seeds: the whole is in docs/decision.md."""
    calm = stationary(("15", 0, 500, 60))
    for counts in (calm.apart, calm.rolled):
        assert counts["windows"] == 30
        assert {rule: counts.get(rule, 0) for rule in ("data", "prediction", "performance", "missing")} == {
            "data": 0, "prediction": 0, "performance": 0, "missing": 0,
        }  # fmt: skip
        assert counts.get("feature", 0) <= 2
        assert counts["plain"] > counts.get("feature", 0)
    assert not [rule for rule in calm.rolled if rule.startswith("alert")]
    found = shifted(("mean +1 sd", 500, 1, 10))
    assert (found.found["feature"], found.before.get("feature", 0)) == (10, 0)
    (delay,) = found.delays["feature"]
    assert delay is not None
    assert 2 <= delay <= 30, "of 60 panes, in two windows in a row"
