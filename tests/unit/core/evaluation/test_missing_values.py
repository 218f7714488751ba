"""More missing values than in the reference: equal to Pearson's test, and quiet by chance."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2_contingency

from app.core.evaluation.missing_values import CHANCE, rises

rows = st.integers(2, 5000)


@given(st.data(), rows, rows, st.integers(1, 200))
def test_it_is_the_one_sided_test_of_the_table_of_counts(
    data: st.DataObject, n: int, reference_n: int, features: int
) -> None:
    missing, before = data.draw(st.integers(0, n)), data.draw(st.integers(0, reference_n))
    table = np.array([[missing, n - missing], [before, reference_n - before]])
    more = missing * reference_n > before * n
    wanted = False
    if more and table.sum(axis=0).all():
        wanted = chi2_contingency(table, correction=False).pvalue / 2 < CHANCE / features
    assert rises(missing, n, before, reference_n, features) == wanted


def test_a_window_like_the_reference_rises_no_more_often_than_it_says() -> None:
    rng = np.random.default_rng(11)
    windows = 4000
    for share in (0.02, 0.3):
        before = rng.binomial(3000, share, (windows, 10)).tolist()
        now = rng.binomial(500, share, (windows, 10)).tolist()
        alarms = sum(
            any(rises(m, 500, b, 3000, 10) for m, b in zip(*pair, strict=True))
            for pair in zip(now, before, strict=True)
        )
        # The normal approximation is loose where few are missing; the increase must be large as well there.
        assert alarms / windows < (0.02 if share < 0.1 else 0.004)


def test_without_rows_nothing_rises() -> None:
    assert not rises(0, 0, 5, 10, 1)
    assert not rises(5, 10, 0, 0, 1)
