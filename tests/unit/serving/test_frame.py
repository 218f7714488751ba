"""The frame that a model is asked with: what pandas makes of each column alone, whatever the columns beside it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.panes.inputs import NON_FINITE
from app.serving.types import Scalar, feature_type, frame_of

VALUES: dict[str, st.SearchStrategy[Scalar]] = {
    "number": st.none() | st.floats(allow_nan=False) | st.integers(-(2**70), 2**70) | st.sampled_from(list(NON_FINITE)),
    "text": st.none() | st.text(max_size=4) | st.integers() | st.floats() | st.booleans(),
    "integer": st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-(2**53), 2**53).map(float),
    "boolean": st.none() | st.booleans(),
}
DTYPES = {"number": "float64", "text": "str", "integer": "int64", "boolean": "bool"}


@st.composite
def tables(draw: st.DrawFn) -> tuple[dict[str, str], list[dict[str, Scalar]]]:
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=8))
    types = {f"c{i}": kind for i, kind in enumerate(kinds)}
    row = st.fixed_dictionaries({name: VALUES[kind] for name, kind in types.items()})
    rows = draw(st.lists(row, min_size=1, max_size=4))
    return types, [dict(reversed(one.items())) if draw(st.booleans()) else one for one in rows]


def plain(value: Scalar, kind: str) -> object:
    """One cell by the rules of the bundle, without pandas."""
    if value is None:
        return None
    if kind == "number":
        return float(NON_FINITE[value] if isinstance(value, str) else value)
    if kind != "text":
        return int(value) if kind == "integer" else value
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not value.is_integer():
        return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), str(value))
    return str(value).lower() if isinstance(value, bool) else str(int(value))


@given(tables())
def test_each_column_has_its_type_its_values_and_its_place(
    table: tuple[dict[str, str], list[dict[str, Scalar]]],
) -> None:
    types, rows = table
    frame = frame_of({name: feature_type(kind) for name, kind in types.items()}, rows)
    assert list(frame.columns) == list(types)
    assert frame.index.tolist() == list(range(len(rows)))
    for name, kind in types.items():
        expected = [plain(row[name], kind) for row in rows]
        gaps = None in expected
        assert str(frame[name].dtype) == ("object" if gaps and kind in ("integer", "boolean") else DTYPES[kind])
        found = frame[name].tolist()
        for value, told in zip(expected, found, strict=True):
            if value is None or (isinstance(value, float) and math.isnan(value)):
                assert told is None if gaps and kind in ("integer", "boolean") else pd.isna(told)
            else:
                assert told == value
                assert type(told) is type(value)


@pytest.mark.parametrize(
    ("kind", "value", "dtype"),
    [
        ("number", 1.5, np.float64), ({"type": "text", "dtype": "object"}, "gold", object),
        ({"type": "integer", "nullable": True}, None, object), ({"type": "boolean", "dtype": "object"}, True, object),
    ],
)  # fmt: skip
def test_a_wide_row_is_one_block(kind: object, value: Scalar, dtype: type) -> None:
    types = {f"c{i}": feature_type(kind) for i in range(2000)}
    frame = frame_of(types, [dict.fromkeys(types, value)])
    assert frame.to_numpy().dtype == dtype
    assert len(frame._mgr.blocks) == 1
    assert frame.iloc[0].tolist() == [value] * 2000


OBJECTS = {"text": VALUES["text"], "integer": VALUES["integer"], "boolean": VALUES["boolean"]}


@given(st.data())
def test_objects_are_what_a_series_of_each_column_has(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(sorted(OBJECTS)), min_size=1, max_size=6))
    n = data.draw(st.integers(1, 4))
    types = {f"c{i}": feature_type({"type": kind, "dtype": "object"}) for i, kind in enumerate(kinds)}
    rows = [{name: data.draw(VALUES[kind.type]) for name, kind in types.items()} for _ in range(n)]
    expected = {
        name: pd.Series([plain(row[name], kind.type) for row in rows], dtype=object) for name, kind in types.items()
    }
    pd.testing.assert_frame_equal(frame_of(types, rows), pd.DataFrame(expected, dtype=object), check_exact=True)


def test_a_category_is_pandas_own_of_all_of_its_categories_whichever_a_row_has() -> None:
    for categories, value in ((["b", "a"], "a"), ([3, 1, 2], 1), ([0.5, 2.0], 2.0), ([False, True], True)):
        types = {f"c{i}": feature_type({"type": "category", "categories": categories}) for i in range(3)}
        rows: list[dict[str, Scalar]] = [{"c0": value, "c1": None, "c2": "none of them"}]
        frame = frame_of(types, rows)
        for name, expected in (("c0", value), ("c1", None), ("c2", None)):
            made = pd.Series(pd.Categorical([expected], categories=categories), name=name)
            pd.testing.assert_series_equal(frame[name], made)
            assert frame[name].cat.codes.dtype == made.cat.codes.dtype
