"""Codes of labels: the same in a reference, in the stream and in a table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from app.core.config.monitoring import Windows
from app.core.join import delta
from app.core.join.expiry import keep_waiting
from app.core.join.feedback import add_feedback
from app.core.join.predictions import add_predictions
from app.core.join.state import CompiledModel, FeedbackBatch, JoinState, PredictionBatch
from app.core.panes.inputs import InputCounter, Values
from app.core.panes.labels import BUCKETS, INVALID, MISSING, bucket_of, label_codes, truths_of
from app.core.panes.pane import LONGEST_NAME
from app.core.profile_builder import build_profile
from app.core.reference.layout import layout_of
from tests.support.join_log import PROFILES

KNOWN = {"no": 0, "1": 1}
CELLS = st.none() | st.text(max_size=3) | st.sampled_from(["no", "1", 1, 1.0, True, 2.5, "x" * 300, "x" * 301])


@given(st.lists(CELLS))
def test_known_labels_have_their_codes_and_others_one_that_is_theirs_alone(
    cells: list[str | float | bool | None],
) -> None:
    codes, unknown = label_codes(KNOWN, cells)
    for cell, code in zip(cells, codes.tolist(), strict=True):
        if cell is None or cell == "":
            assert code == MISSING
        elif code < 2:
            assert KNOWN[str(int(cell)) if isinstance(cell, float) else str(cell)] == code
        else:
            assert code - 2 == bucket_of(unknown[code])
            assert label_codes(KNOWN, [cell])[0].tolist() == [code]
    assert all(2 <= code < 2 + BUCKETS and len(name) <= LONGEST_NAME for code, name in unknown.items())


def test_a_label_has_the_same_code_for_ever() -> None:
    """Saved state holds codes: another hash would make other labels of them."""
    assert [bucket_of(name) for name in ("d", "é", "")] == [2764, 3390, 0]


def test_the_predicted_labels_of_the_stream_have_these_codes() -> None:
    profile = build_profile("m", "1", "multiclass", {}, ["a", "b", "b", "z"], None, labels=["a", "b"])
    layout = layout_of(profile)
    cells = ["b", "z", "new", None, 7.0, "a"]
    codes, _, unknown = InputCounter(layout).count([cells]).labels_and_values(layout)
    wanted, spelled = label_codes({"a": 0, "b": 1}, cells)
    assert codes.tolist() == wanted.tolist()
    assert unknown == spelled
    assert set(unknown.values()) == {"z", "new", "7"}


def test_truths_of_a_regression_are_numbers_or_counted_as_none() -> None:
    found = truths_of([1, 2.5, None, "3", True, float("nan")])
    assert np.array_equal(found, [1.0, 2.5, np.nan, 3.0, np.inf, np.nan], equal_nan=True)
    profile = build_profile("m", "1", "regression", {}, np.array([1.0, 2.0]))
    layout = layout_of(profile)
    codes, values, _ = InputCounter(layout).count([[1.0, None, "many"]]).labels_and_values(layout)
    assert codes.tolist() == [MISSING, MISSING, INVALID]
    assert np.array_equal(values, [1.0, np.nan, np.nan], equal_nan=True)


def test_spellings_outlive_the_delta_that_brought_them() -> None:
    """The oldest delta is dropped when its rows have expired; what it says of labels is said again by the next."""
    watched = [CompiledModel(PROFILES["multiclass"], Windows())]
    ids, now = np.array([[1, 1], [2, 2]], np.uint64), np.full(2, 10**15)
    state = JoinState(watched)
    columns: dict[int, Sequence[Values]] = {0: [[20.0, 30.0], ["d", "a"]]}
    add_predictions(state, PredictionBatch(ids, np.zeros(2, np.int16), now, columns))
    add_feedback(state, FeedbackBatch(ids, ["e", "d"], now))
    first = delta.take(state, 0, (0, 0), (2, 2))
    (total,) = first.outcomes.values()
    assert total.names == {"actual": {"d": 1, "e": 1}, "prediction": {"d": 1}}
    keep_waiting(first.delta, state)
    add_feedback(state, FeedbackBatch(ids[:1], ["f"], now[:1]))
    second = delta.take(state, 2, (2, 2), (2, 3))
    (total,) = second.outcomes.values()
    assert total.names == {"actual": {"d": 1, "f": 1}, "prediction": {"d": 1}}
    restored = JoinState(watched)
    delta.restore(restored, second.delta)
    assert sorted(restored.unknown_labels[0].values()) == ["d", "e", "f"]
