"""What a cell means: numbers, names and kinds, against numpy, the standard library and rules written out by hand."""

from __future__ import annotations

import datetime as dt
import enum
import math
import unicodedata
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.values.cell import Cell, UnreadableCellError, cell_of
from app.core.values.kind import decide, not_a_feature
from app.core.values.precision import as_written, in_precision, shortest_decimals
from app.core.values.reading import (
    Reading,
    name_of,
    names,
    number_of,
    numbers,
    spelling_of,
)
from driftline import InvalidEvent
from driftline.encoding import json_value


class Plan(enum.Enum):
    GOLD = "gold"


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (np.int64(2**62 + 1), 2**62 + 1),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.datetime64("2026-01-02T03:04:05"), "2026-01-02T03:04:05"),
        (np.datetime64("NaT"), None),
        (pd.NA, None),
        (pd.NaT, None),
        (pd.Timestamp("2026-01-02", tz="UTC"), "2026-01-02T00:00:00+00:00"),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (Decimal("1.10"), Decimal("1.10")),
        (Decimal("NaN"), None),
        (uuid.UUID(int=7), str(uuid.UUID(int=7))),
        (Plan.GOLD, "gold"),
        ("é".encode(), "é"),
    ],
)
def test_an_object_of_any_library_is_its_cell(value: object, cell: Cell) -> None:
    found = cell_of(value)
    assert (type(found), found) == (type(cell), cell)


@pytest.mark.parametrize("value", [[1], {"a": 1}, (1,), np.array([1]), b"\xff", dt.timedelta(1), object(), 1j])
def test_what_is_no_cell_is_refused_by_what_it_is(value: object) -> None:
    with pytest.raises(UnreadableCellError):
        cell_of(value)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("12", 12.0), (" 12.50 ", 12.5), ("+.5", 0.5), ("5.", 5.0), ("1e3", 1000.0), (7, 7.0), (Decimal("0.1"), 0.1),
        ("inf", math.inf), ("-Infinity", -math.inf), ("1_000", None), ("1,000", None), ("٣", None), ("0x1", None),
        ("unknown", None), (True, None), ("true", None), (10**400, None), ("", math.nan), ("NaN", math.nan),
        ("N/A", math.nan), ("None", math.nan), ("null", math.nan), (None, math.nan), (math.nan, math.nan),
    ],
)  # fmt: skip
def test_a_number_is_what_is_written_as_one_and_missing_is_a_stated_list(cell: Cell, number: float | None) -> None:
    found, invalid = numbers([cell])
    assert invalid.tolist() == [number is None]
    assert number_of(cell) is None if number is None else np.array_equal(found, [number], equal_nan=True)


@pytest.mark.parametrize(
    ("cell", "number"),
    [("1,5", 1.5), ("1.234,56", 1234.56), ("1.234.567,8", 1234567.8), ("7", 7.0), ("1.5", 1.5), ("1,2,3", None)],
)
def test_a_decimal_comma_is_read_where_the_file_has_them(cell: str, number: float | None) -> None:
    assert number_of(cell, decimal=",") == number


@given(st.lists(st.one_of(st.floats(), st.integers(), st.text(), st.booleans(), st.none(), st.decimals()), max_size=20))
def test_reading_many_cells_is_reading_each(cells: list[Cell]) -> None:
    plain = [cell_of(cell) for cell in cells]
    floats, invalid = numbers(plain)
    for cell, number, bad in zip(plain, floats.tolist(), invalid.tolist(), strict=True):
        one = number_of(cell)
        assert bad == (one is None)
        assert math.isnan(number) if one is None or math.isnan(one) else number == one
    assert names(plain) == [name_of(cell) for cell in plain]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float32_is_the_shortest_decimal_that_names_it(value: float) -> None:
    written = float(str(np.float32(value)))  # numpy's own shortest
    assert shortest_decimals(np.array([value]), "float32").tolist() == [value if value.is_integer() else written]
    seen = as_written(np.array([value]))[0]
    assert seen in (value, written)
    assert in_precision(np.array([value, written, seen]), "float32").tolist() == [value] * 3


@given(st.floats(allow_nan=False))
def test_a_number_that_was_no_float32_stays(value: float) -> None:
    with np.errstate(over="ignore"):
        narrow = float(np.float32(value)) == value
    assert narrow or as_written(np.array([value])).tolist() == [value]


def test_numbers_as_people_write_them_stay() -> None:
    written = np.array([0.1, 0.5, 2.25, 1234567.25, 16777217.0, 1e300, -0.0, math.inf, 131072.5])
    assert as_written(written) is written
    assert as_written(np.array([0.10000000149011612])).tolist() == [0.1]


@given(st.integers())
def test_whole_numbers_and_their_texts_are_one_name_with_every_digit(number: int) -> None:
    whole = spelling_of([str(number), 3])
    assert whole.spelling == "whole"
    for cell in (number, str(number), f"{number}.0", Decimal(number)):
        assert name_of(cell, whole) == str(number)
    if abs(number) <= 2**53:
        assert name_of(float(number), whole) == str(number)


@pytest.mark.parametrize("texts", [["1.10", "1.1"], ["01234", "1234"], ["7.0", "a"], ["1e3", "1000"], ["", "07"]])
def test_a_column_with_other_texts_keeps_every_text(texts: list[str]) -> None:
    reading = spelling_of(texts)
    assert reading.spelling == "text"
    assert names(texts, reading) == [text or None for text in texts]


@pytest.mark.parametrize(
    ("reference", "cells", "same"),
    [
        ([True, False], [True, "true", "True", 1, "1", 1.0, "1.0"], "true"),
        (["True", "False"], [True, "TRUE", 1], "true"),
        ([0, 1], [True, "true", 1, "1", 1.0, "1.0"], "1"),
        (["0", "1.0"], [True, 1, "1"], "1"),
        ([0, 1, True], [1, "True", 1.0], "1"),
        ([True, 0, 1], [1, "True", 1.0], "true"),
        (["True", "False", "unknown"], [True, "True"], "True"),
        ([0, 1, 2], [1, "1", "1.0"], "1"),
    ],
)
def test_truth_values_have_the_spelling_of_the_reference(reference: list[Cell], cells: list[Cell], same: str) -> None:
    assert set(names(cells, spelling_of(reference))) == {same}


@given(st.text())
def test_names_are_unicode_nfc(text: str) -> None:
    composed, apart = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    assert name_of(apart) == name_of(composed) == (composed or None)


@pytest.mark.parametrize("word", ["NA", "None", "null", "nan", "N/A"])
def test_a_word_that_is_a_missing_number_is_a_category(word: str) -> None:
    assert name_of(word) == word
    assert name_of(word, Reading(missing=("", word))) is None
    assert decide([word, "DE", "ZA"] * 5, typed=False).kind == "categorical"


@pytest.mark.parametrize(
    ("cells", "typed", "kind"),
    [
        (["1.5", "2", "NA", ""] * 9, False, "numeric"),
        (["1.5"] * 99 + ["unknown"], False, "numeric"),
        (["1.5"] * 90 + ["unknown"] * 10, False, "categorical"),
        (["01234", "10115"] * 9, False, "categorical"),
        (["10115", "20095"] * 9, False, "numeric"),
        (["10115", "20095"] * 9, True, "categorical"),
        ([f"{i / 8}" for i in range(1, 200)], True, "numeric"),
        ([1, 2.5, None] * 20 + ["unknown"], True, "numeric"),
        ([True, False], True, "categorical"),
        (["True", "False"], False, "categorical"),
        ([Decimal("1.10"), Decimal("2.20")], True, "numeric"),
        ([], False, "categorical"),
    ],
)
def test_the_kind_is_decided_over_all_cells(cells: list[Cell], typed: bool, kind: str) -> None:
    assert decide(cells, typed=typed).kind == kind


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("Unnamed: 0", [0, 1, 2], "counts its rows"),
        ("Unnamed: 0", [7, 3, 12], "counts its rows"),
        ("n", list(range(100, 200)), "counts its rows"),
        ("n", list(range(199, 99, -1)), "counts its rows"),
        ("n", [i % 50 for i in range(100)], ""),
        ("n", [2 * i for i in range(100)], ""),
        ("customer_id", [7 * i * i for i in range(200)], "has 200 different whole numbers in 200 rows, as an id has"),
        ("paid", [7 * i * i for i in range(200)], ""),
        ("name", [f"n{i}" for i in range(200)], "has 200 different texts in 200 rows, as an id or a text has"),
        ("born", ["1990-01-02", "1991-03-04 12:00:00"], "holds dates or times"),
        ("born", ["02.01.1990", "3/4/91"], "holds dates or times"),
        ("plan", ["a", "b"], ""),
    ],
)
def test_what_is_no_feature_is_found(name: str, cells: list[Cell], why: str) -> None:
    assert not_a_feature(name, cells, decide(cells, typed=True)) == why
    texts = [str(cell) for cell in cells]
    assert not_a_feature(name, texts, decide(texts, typed=False)) == why


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Decimal("1.10"), "1.10"), (Decimal("NaN"), None), (Plan.GOLD, "gold"), (pd.NA, None), (pd.NaT, None),
        (uuid.UUID(int=7), str(uuid.UUID(int=7))), (dt.date(2026, 1, 2), "2026-01-02"),
        (np.datetime64("2026-01-02"), "2026-01-02"), (np.datetime64("NaT"), None), ("é".encode(), "é"),
        (np.int64(2**62 + 1), 2**62 + 1), (np.float32(0.5), 0.5),
        (pd.Timestamp("2026-01-02", tz="UTC"), "2026-01-02T00:00:00+00:00"),
    ],
)  # fmt: skip
def test_the_client_sends_what_the_tables_read(value: object, plain: object) -> None:
    """The client imports nothing of the tables': both rules are held together here."""
    sent = json_value("features.x", value)
    assert sent == plain
    assert name_of(cell_of(value)) == name_of(sent)
    assert json_value("probability", Decimal("0.25")) == 0.25
    with pytest.raises(InvalidEvent, match=r"features\.x"):
        json_value("features.x", [1])
