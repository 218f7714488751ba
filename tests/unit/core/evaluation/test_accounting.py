"""What is left out of the metrics is said with its share and its reason."""

from __future__ import annotations

import pytest

from app.core.evaluation.accounting import accounting_of, counted, mostly_left_out
from tests.support.reports import performance_report


def said(**changes: dict[str, int]) -> list[str]:
    return list(accounting_of(performance_report(0, **changes)))


def test_nothing_is_said_where_nothing_is_left_out() -> None:
    assert said() == []


@pytest.mark.parametrize(
    ("count", "words"), [(369, "41 %"), (1, "less than 1 %"), (899, "more than 99 %"), (900, "100 %")]
)
def test_labels_that_the_reference_lacks_are_named_with_their_share(count: int, words: str) -> None:
    assert said(unknown_actuals={"d": count}) == [f"{words} of the truth is `d`, which the reference does not have"]
    assert said(unknown_predictions={"d": count}) == [
        f"{words} of the predictions with truth is `d`, which the reference does not have"
    ]


def test_many_labels_are_counted_and_a_long_one_is_cut() -> None:
    labels = {f"label {i}": 90 - i for i in range(10)} | {"x" * 500: 200}
    lines = said(unknown_actuals=labels)
    assert len(lines) == 4
    assert "x" * 61 not in lines[0]
    assert lines[-1].endswith("is one of 8 other labels that the reference does not have")


def test_rows_that_enter_no_metric_are_told_by_reason() -> None:
    lines = said(not_judged={"missing prediction": 400, "unreadable truth": 60, "none": 0})
    assert lines == ["460 of 900 rows with truth enter no metric: missing prediction 400, unreadable truth 60"]
    assert mostly_left_out(performance_report(0, not_judged={"missing prediction": 451}))
    assert not mostly_left_out(performance_report(0, not_judged={"missing prediction": 450}))
    assert counted({f"r{i}": i for i in range(12)}, most=2) == "r11 11, r10 10 and 9 other reasons"
