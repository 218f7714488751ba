"""The slots of scores: in their order, and equal scores only in exact ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.panes.score_grid import score_grid

SCORES = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 5e-324, 0.001, 0.123, 1.0 - 2**-53, np.nextafter(0.123, 1.0)])
GRID = score_grid(np.array([0.1, 0.2, 1.0 / 3.0]))


@given(st.lists(SCORES, max_size=20), st.lists(SCORES, min_size=1, max_size=40))
def test_slots_follow_the_scores(reference: list[float], scores: list[float]) -> None:
    grid = score_grid(np.unique(np.array(reference)))
    found = grid.of(np.sort(np.array(scores)))
    assert (np.diff(found) >= 0).all()
    assert found.min() >= 0
    assert found.max() < grid.size
    own = grid.of(np.array(reference))
    assert grid.exact[own].all()
    assert np.array_equal(grid.middle[own], np.array(reference))
    exact = grid.exact[found]
    assert np.array_equal(grid.middle[found[exact]], np.sort(np.array(scores))[exact])


def test_the_middle_of_a_slot_is_in_it() -> None:
    """But for the slots that no float can reach, among the smallest floats and before 0."""
    normal = (GRID.middle > 1e-300) & (GRID.middle < 1.0)
    assert np.array_equal(GRID.of(GRID.middle)[normal], np.flatnonzero(normal))


@pytest.mark.parametrize("distinct", [0, 1, 100, 10_000])
def test_there_are_about_30_000_slots_for_any_reference(distinct: int) -> None:
    assert 25_000 < score_grid(np.random.default_rng(0).random(distinct)).size < 31_000


@pytest.mark.parametrize("scale", [1e-10, 1e-8, 1e-5, 1e-3, 1.0])
@pytest.mark.parametrize("from_one", [False, True])
def test_near_both_ends_neighbours_are_a_hundredth_apart_at_any_scale(scale: float, from_one: bool) -> None:
    q = scale * np.linspace(0.05, 0.5, 1000)
    slots = GRID.of(1.0 - q if from_one else q)
    width = np.bincount(slots - slots.min())
    assert width.max() * (0.45 / 1000) / 0.5 < 0.0125
