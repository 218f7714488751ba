"""The table of goals: what is left unjudged could set off nothing, and what was not measured is named."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy.stats import poisson

from app.core.config.monitoring import Alerting, Monitoring
from benchmarks.goal_calm import Calm, suspicious_of
from benchmarks.goal_river import NotRun, river
from benchmarks.goal_rows import page
from benchmarks.goal_tables import Measured, most
from benchmarks.model_stream import FIRST, ModelStream, Rules, rows_of
from benchmarks.populations import compiled, different, made_up, moved, watched
from topics.events import DriftReport


@pytest.mark.slow
def test_every_evaluation_in_which_a_rule_is_breached_is_judged_in_full() -> None:
    """By the window alone where every column comes to stand at its floor, by the newest panes where one is moved."""
    rng = np.random.default_rng(5)
    population = made_up(6, rows=4_000)
    reference = watched(population, 2_000, rng)
    at_floor, far = (
        compiled(shift(population, rng), reference.layout.profile) for shift in (different(0.1), moved("x0", 3.0))
    )
    panes, n = 60, 600
    sources = [reference] * (panes + 8) + [far] * 4 + [reference] * 20 + [at_floor] * 50
    drawn = [(source, rng.integers(population.n, size=rows_of(i, n, panes))) for i, source in enumerate(sources)]
    critical = Monitoring(alerting=Alerting(critical_features=tuple(population.features)))
    stream, rules = ModelStream(reference, critical), Rules(critical)
    by_window, by_newest, fired = set[int](), set[int](), 0
    for number, (source, rows) in enumerate(drawn):
        stream.add(source, rows)
        if number < panes:
            stream.skip()
            continue
        reports = stream.judge()
        fired += sum(one.status == "firing" for one in rules.take(reports))
        (report,) = (one for one in reports if isinstance(one, DriftReport))
        assert report.window_end.timestamp() == (FIRST + number + 1) * 60
        if report.scales and report.scales.found:
            by_newest.add(number)
        elif report.drifted_features or report.prediction_drift:
            by_window.add(number)
    found = set(suspicious_of(reference.layout, drawn, range(panes, len(drawn)), panes, Monitoring()))
    assert by_window | by_newest <= found
    assert fired
    assert by_window
    assert by_newest
    assert len(found) < len(drawn) - panes - 5, "calm ones are left out"


def test_what_was_not_measured_is_named_and_too_few_evaluations_reach_nothing() -> None:
    few = Calm("calm", 15, 500, 1_000)
    text = page(Measured({"calm": [few]}, {"river": "no river here"}))
    (row,) = (line for line in text.splitlines() if line.startswith("| false alarms, any rule"))
    assert row.endswith("| 0 in 1,000 evaluations (at most 30 in 10,000) | too few evaluations to say |")
    assert "Not run: river: no river here." in text
    assert text.count("not measured") >= 10
    often = Calm("calm", 15, 500, 1_000, alerts=Counter({"data_drift": 1}))
    assert "; data_drift 1 | **no** |" in page(Measured({"calm": [often]}, {}))
    enough = Calm("calm", 15, 500, 30_000)
    assert page(Measured({"calm": [enough]}, {})).splitlines()[2].endswith("| yes |")


@pytest.mark.parametrize("alerts", [0, 1, 7])
def test_the_upper_limit_is_poissons(alerts: int) -> None:
    assert poisson.cdf(alerts, most(alerts, 500) * 500) == pytest.approx(0.05)


def test_a_missing_environment_is_said() -> None:
    with pytest.raises(NotRun, match="nowhere"):
        river(("/nowhere/python", 1, 0.1, "number"))
