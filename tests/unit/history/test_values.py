"""Values come back from the history as they were sent, whole numbers with every digit."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from app.core.values.reading import spelled
from app.history.answers import Prediction, _as_sent
from app.history.parquet import write_parquet
from app.history.rows import number

LARGE = 2**62 + 1
labels = st.one_of(
    st.integers(-(10**30), 10**30), st.booleans(), st.floats(allow_nan=False, allow_infinity=False), st.text()
)


@given(labels.filter(lambda label: label != ""))
def test_a_label_comes_back_as_it_was_sent(label: str | float | bool) -> None:
    found = _as_sent(spelled(label), number(label))
    assert found == label
    assert isinstance(found, bool) == isinstance(label, bool)


def test_an_export_keeps_every_digit(tmp_path: Path) -> None:
    row = Prediction(
        prediction_id="a", model="m", model_version="1", timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        features=msgspec.json.decode(f'{{"code": {LARGE}, "age": 7}}', type=dict[str, str | int | float | bool | None]),
        prediction=LARGE, probability=None, metadata=None, actual=LARGE + 1, feedback_at=None,
    )  # fmt: skip
    assert write_parquet(tmp_path / "a.parquet", lambda: [row]).rows == 1
    (found,) = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert (found["feature.code"], found["prediction"], found["actual"]) == (str(LARGE), str(LARGE), str(LARGE + 1))
    assert found["feature.age"] == 7.0
