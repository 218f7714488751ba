"""A replay reads its files before it sends: what cannot be right is refused, what can be mended is, and it is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from app.replay import sort
from app.replay.check import Checked, check_files
from app.replay.encode import ReplayColumns, ReplayError
from app.replay.merge import merged
from app.replay.sort import in_order

COLUMNS = ReplayColumns(features=("x",), probability=None)
START = 1_772_366_400.0
DAY = 86_400.0


def predictions(n: int = 50) -> pd.DataFrame:
    return pd.DataFrame({
        "prediction_id": [f"{i}.0" for i in range(n)], "timestamp": START + 10.0 * np.arange(n),
        "x": np.arange(n) / 7, "prediction": ["a", "b"] * (n // 2),
    })  # fmt: skip


def truth(n: int = 50) -> pd.DataFrame:
    return pd.DataFrame(
        {"prediction_id": range(n), "actual": ["a"] * n, "timestamp": START + 600 + 10.0 * np.arange(n)}
    )


def checked(
    folder: Path, rows: pd.DataFrame, feedback: pd.DataFrame | None = None, *, retention: float = DAY
) -> Checked:
    rows.to_csv(folder / "p.csv", index=False)
    if feedback is not None:
        feedback.to_csv(folder / "t.csv", index=False)
    of_truth = None if feedback is None else folder / "t.csv"
    return check_files(folder / "p.csv", of_truth, COLUMNS, ("m", "1"), retention)


def sent(found: Checked) -> list[tuple[str, dict[str, object]]]:
    feedback = iter(()) if found.feedback is None else in_order(found.feedback)
    slabs = merged(in_order(found.predictions), feedback)
    return [(source, json.loads(value)) for source, slab in slabs for value in slab.values]


def test_ids_are_one_spelling_in_both_files(tmp_path: Path) -> None:
    found = checked(tmp_path, predictions(), truth())
    assert found.notes == ()
    events = sent(found)
    assert {e["prediction_id"] for s, e in events if s == "predictions"} == set(map(str, range(50)))
    assert {e["prediction_id"] for s, e in events if s == "feedback"} == set(map(str, range(50)))


def test_rows_out_of_order_are_sorted_in_bounded_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sort, "RUN", 9)
    monkeypatch.setattr(sort, "BLOCK", 2)
    rows = predictions().sample(frac=1.0, random_state=1)
    rows.loc[rows.index[:20], "timestamp"] = START
    found = checked(tmp_path, rows, truth().sample(frac=1.0, random_state=2))
    assert sum("sorted for sending" in note for note in found.notes) == 2
    events = [e for _, e in sent(found)]
    times = [float(str(e["timestamp"])) for e in events]
    assert times == sorted(times)
    assert len(events) == 100
    tied = [str(e["prediction_id"]) for e in events if e["timestamp"] == START]
    assert tied == [
        id_.removesuffix(".0")
        for id_ in rows["prediction_id"]
        if rows.set_index("prediction_id").timestamp[id_] == START
    ]


def test_truth_without_times_follows_its_prediction(tmp_path: Path) -> None:
    found = checked(tmp_path, predictions(), truth().drop(columns="timestamp").sample(frac=1.0, random_state=3))
    assert found.notes == (f"{tmp_path / 't.csv'}: 50 truths have no time; each is sent after its prediction",)
    seen: set[object] = set()
    for source, event in sent(found):
        assert source == "predictions" or event["prediction_id"] in seen
        seen.add(event["prediction_id"])
    again = checked(tmp_path, predictions(), truth().drop(columns="timestamp").sample(frac=1.0, random_state=3))
    assert sent(again) == sent(found)


def test_milliseconds_are_read_as_such_and_said(tmp_path: Path) -> None:
    found = checked(tmp_path, predictions().assign(timestamp=lambda f: f.timestamp * 1000))
    assert found.notes == (f"{tmp_path / 'p.csv'}: column 'timestamp' is read as milliseconds since 1970",)
    assert found.predictions.times.tolist() == (START + 10.0 * np.arange(50)).tolist()


def test_ids_that_repeat_are_said(tmp_path: Path) -> None:
    rows = predictions()
    rows.loc[3, "prediction_id"] = "2.0"
    notes = checked(tmp_path, rows).notes
    assert notes == (f"{tmp_path / 'p.csv'}: 1 of 50 ids repeat; only the first prediction of an id counts",)


def test_truth_of_unknown_predictions_is_counted(tmp_path: Path) -> None:
    notes = checked(tmp_path, predictions(), truth().assign(prediction_id=range(45, 95))).notes
    assert any("45 of 50 truths have no prediction in" in note for note in notes)


Change = Callable[[pd.DataFrame], pd.DataFrame]


@pytest.mark.parametrize(
    ("rows", "feedback", "words"),
    [
        (lambda f: f.assign(prediction_id="1"), None, "49 of 50 ids in column 'prediction_id' repeat.*--id-column"),
        (lambda f: f.assign(timestamp=-5.0), None, "row 1 has the time -5, outside 1970 to 2100"),
        (lambda f: f.assign(timestamp="soon"), None, "column 'timestamp' row 1 is no timestamp"),
        (lambda f: f.assign(timestamp=f.timestamp.where(f.index != 30)), None, "empty timestamps .row 31."),
        (lambda f: f.iloc[:0], None, "the table has no rows"),
        (lambda f: f.drop(columns="x"), None, "no column 'x'; the file has"),
        (lambda f: f, lambda f: f.assign(prediction_id=f.prediction_id + 99), "none of 50 ids in column .* is one of"),
        (lambda f: f, lambda f: f.assign(actual=""), "there is no truth in column 'actual'"),
        (lambda f: f, lambda f: f.assign(timestamp=f.timestamp + 9 * DAY),
         r'50 of 50 truths come later than 1 days .*at most 9.01 days.*"retention": 864000'),
    ],
)  # fmt: skip
def test_what_would_not_count_is_refused_before_anything_is_sent(
    rows: Change, feedback: Change | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ReplayError, match=words):
        checked(tmp_path, rows(predictions()), None if feedback is None else feedback(truth()))


def test_a_little_late_truth_is_said(tmp_path: Path) -> None:
    late = truth().assign(timestamp=lambda f: f.timestamp.where(f.index != 7, f.timestamp + 2 * DAY))
    notes = checked(tmp_path, predictions(), late).notes
    assert any("1 of 50 truths come later than 1 days after their prediction" in note for note in notes)


def test_sparse_lines_have_no_value_where_they_have_no_key(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    lines = [{"prediction_id": i, "timestamp": START + i, "prediction": "a"} | ({"x": 1} if i == 2500 else {})
             for i in range(3000)]  # fmt: skip
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    found = check_files(path, None, COLUMNS, ("m", "1"), DAY)
    values = [e["features"] for _, e in sent(found)]
    assert [i for i, v in enumerate(values) if v != {"x": None}] == [2500]


def test_features_alone_are_sent_without_predictions(tmp_path: Path) -> None:
    predictions().drop(columns="prediction").to_csv(tmp_path / "p.csv", index=False)
    alone = replace(COLUMNS, prediction=None)
    found = check_files(tmp_path / "p.csv", None, alone, ("m", "1"), DAY)
    assert {e["prediction"] for _, e in sent(found)} == {None}
