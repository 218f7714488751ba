"""Whatever value the client is given, the API takes what it sends, and reads the value that the tables would read."""

from __future__ import annotations

import datetime as dt
import enum
import math
import subprocess
import sys
import uuid
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from api.intake.bodies import decode_items
from api.intake.events import IncomingPrediction, wrong_prediction
from api.intake.events import predictions as http_predictions
from app.core.values.cell import UnreadableCellError, cell_of
from app.core.values.reading import name_of, number_of
from driftline.encoding import encoded, name_text
from driftline.losses import InvalidEvent
from driftline.rows import mapped


class Plan(enum.Enum):
    GOLD = "gold"
    RATE = Decimal("1.50")


class Level(enum.IntEnum):
    HIGH = 3


zones = st.sampled_from([None, dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30)), dt.timezone(dt.timedelta(0, 7))])
values: Any = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(10**40), max_value=10**40),
    st.floats(),
    st.text(),
    st.decimals(),
    st.uuids(),
    st.dates(),
    st.times(),
    st.timedeltas(),
    st.datetimes(timezones=zones),
    st.sampled_from([*Plan, *Level, pd.NA, pd.NaT, np.datetime64("NaT"), 1j, [1], {"a": 1}, (1,), object(), 10**5000]),
    st.sampled_from([np.longdouble(0.1), pd.Timestamp("2026-01-02 03:04:05.123456789"), pd.Timedelta(5)]),
    st.sampled_from(["\ud800", float("nan"), -0.0]),
    st.binary(),
    st.one_of(
        arrays.boolean_dtypes(), arrays.integer_dtypes(), arrays.floating_dtypes(), arrays.unicode_string_dtypes(),
        arrays.datetime64_dtypes(), arrays.timedelta64_dtypes(), arrays.complex_number_dtypes(),
    ).flatmap(arrays.from_dtype),
)  # fmt: skip
features: Any = st.dictionaries(st.text(max_size=20).filter(lambda name: "\\" not in name), values, max_size=8)


def taken(document: bytes) -> IncomingPrediction:
    found = decode_items(document, "application/json", http_predictions, wrong_prediction)
    assert not found.rejected
    ((_, event),) = found.accepted
    return event


def sent(row: object, left_out: list[InvalidEvent]) -> dict[str, object]:
    event = {
        "prediction_id": "p",
        "model": "m",
        "model_version": "1",
        "features": mapped("features", row),
        "prediction": 1,
    }
    return dict(taken(encoded(event, left_out)).features)


def reads_alike(name: str, value: Any, found: dict[str, object], left_out: list[InvalidEvent]) -> None:
    try:
        cell = cell_of(value)
        str(cell).encode()
    except (UnreadableCellError, ValueError):  # of no meaning, or of no form in JSON: half a surrogate, too many digits
        assert name not in found
        assert any(str(one).startswith(f"features.{name}: ") for one in left_out)
        return
    assert name in found
    sent_cell: Any = found[name]
    assert name_of(sent_cell) == name_of(cell)
    one, other = number_of(sent_cell), number_of(cell)
    assert (one is None) == (other is None)
    assert one == other or (math.isnan(one or 0.0) and math.isnan(other or 0.0))


@given(features)
def test_what_the_client_sends_the_api_takes_and_reads_as_the_tables_do(row: dict[str, Any]) -> None:
    left_out: list[InvalidEvent] = []
    found = sent(row, left_out)
    for name, value in row.items():
        reads_alike(name, value, found, left_out)
    assert len(found) + len(left_out) == len(row)


@given(features)
def test_a_series_is_the_mapping_that_it_holds(row: dict[str, Any]) -> None:
    series = pd.Series(list(row.values()), index=list(row), dtype=object)
    one: list[InvalidEvent] = []
    other: list[InvalidEvent] = []
    assert repr(sent(series, one)) == repr(sent(row, other))
    assert list(map(str, one)) == list(map(str, other))


FRAME = pd.DataFrame({
    "whole": pd.array([2**62 + 1], "int64"), "none": pd.array([pd.NA], "Int64"), "narrow": np.array([0.1], np.float32),
    "yes": [True], "maybe": pd.array([None], "boolean"), "text": ["Köln"], "kind": pd.Categorical(["a"], ["b", "a"]),
    "day": pd.to_datetime(["2026-01-02"]), "at": pd.to_datetime(["2026-01-02 03:04"], utc=True), "gap": [pd.NaT],
    "nan": [float("nan")], "price": [Decimal("1.10")], "list": [[1]],
})  # fmt: skip


def test_a_frame_of_one_row_keeps_the_type_of_each_column() -> None:
    left_out: list[InvalidEvent] = []
    found = sent(FRAME, left_out)
    assert found == {
        "whole": 2**62 + 1, "none": None, "narrow": float(np.float32(0.1)), "yes": True, "maybe": None, "text": "Köln",
        "kind": "a", "day": "2026-01-02T00:00:00", "at": "2026-01-02T03:04:00+00:00", "gap": None, "nan": None,
        "price": "1.10",
    }  # fmt: skip
    assert [str(one).partition(": ")[0] for one in left_out] == ["features.list"]
    for name in FRAME.columns:
        reads_alike(name, FRAME[name].iloc[0], found, left_out)


def test_a_polars_frame_of_one_row_is_a_mapping_and_of_two_is_none() -> None:
    frame = pl.DataFrame({"a": [1], "b": [None], "c": ["x"]})
    assert sent(frame, []) == {"a": 1, "b": None, "c": "x"}
    with pytest.raises(InvalidEvent, match="features: a frame of 2 rows"):
        mapped("features", pl.concat([frame, frame]))


def test_a_name_that_is_no_unicode_is_left_out_too() -> None:
    left_out: list[InvalidEvent] = []
    assert sent(dict(zip(["\ud800", "\udfff", "a"], [1, [1], 1], strict=True)), left_out) == {"a": 1}
    assert sorted(str(one).partition(": ")[0] for one in left_out) == ["features.\\ud800", "features.\\udfff"]


@pytest.mark.parametrize(
    ("given_id", "text"),
    [
        ("a", "a"), (7, "7"), (7.0, "7"), (np.int64(7), "7"), (np.str_("a"), "a"), (Level.HIGH, "3"), (Decimal(7), "7"),
        (uuid.UUID(int=7), f"{uuid.UUID(int=7)}"),
    ],
)  # fmt: skip
def test_ids_are_the_texts_that_the_api_makes_of_them(given_id: Any, text: str) -> None:
    assert name_text(given_id) == text
    assert type(name_text(given_id)) is str


def test_none_of_the_libraries_is_imported_for_it() -> None:
    code = """if True:
        import sys
        from driftline.encoding import encoded
        from driftline.rows import mapped
        encoded({"features": mapped("features", {"a": 1.5}), "prediction": 1})
        mapped("features", [1])
        print([name for name in ("numpy", "pandas", "polars") if name in sys.modules])
    """
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
