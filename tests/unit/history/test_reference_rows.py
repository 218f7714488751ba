"""What was recorded, taken as a reference: from the database, and from its exports of either kind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.core.reference.profile import Profile
from app.history import History
from app.history.exporting import export
from app.history.reference_rows import reference_rows
from app.registration.profiling import profile_of
from app.tables import TableError, read_table
from tests.support.history_stream import AT, Stream, prediction
from topics import registry

ROWS = 300
RNG = np.random.default_rng(7)
AGES = RNG.integers(18, 80, ROWS)
PAID = np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.normal(100.0, 20.0, ROWS).round(2))
TRUTH = RNG.random(ROWS) < 0.4
CLASSES = np.array(["a", "b", "c"])[RNG.integers(0, 3, ROWS)]

OUTPUTS: dict[str, tuple[list[Any], list[Any]]] = {
    "texts": (["goes" if t else "stays" for t in TRUTH], [0.75 if t else 0.25 for t in TRUTH]),
    "whole numbers": ([int(t) for t in TRUTH], [None] * ROWS),
    "truth values": ([bool(t) for t in TRUTH], [0.9 if t else 0.1 for t in TRUTH]),
    "numbers": ((PAID * 2.5).tolist(), [None] * ROWS),
    "classes": (CLASSES.tolist(), [{one: 0.5 if one == c else 0.25 for one in "abc"} for c in CLASSES]),
    "features": ([None] * ROWS, [None] * ROWS),
}


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Stream]:
    history = History(tmp_path / "history.db")
    history.prepare()
    yield Stream(history)
    history.close()


def record(stream: Stream, outputs: str) -> None:
    told, probabilities = OUTPUTS[outputs]
    told = [0.0 if isinstance(one, float) and np.isnan(one) else one for one in told]
    events = [
        prediction(
            f"p{i}", timestamp=AT + i * 1000.0, prediction=told[i], probability=probabilities[i], metadata={"shop": 7},
            features={
                "age": int(AGES[i]), "paid": None if np.isnan(PAID[i]) else float(PAID[i]),
                "town": ["Oulu", "Turku"][i % 2], "member": bool(i % 3), "code": i % 4,
            },
        )
        for i in range(ROWS)
    ]  # fmt: skip
    stream.write(registry.PREDICTIONS, *events)
    if outputs != "features":
        truths = [{"prediction_id": f"p{i}", "actual": told[(i + (i % 5 == 0)) % ROWS]} for i in range(ROWS) if i % 4]
        stream.write(registry.FEEDBACK, *truths)


@pytest.mark.parametrize("outputs", OUTPUTS)
def test_database_and_exports_become_the_same_profile(outputs: str, stream: Stream, tmp_path: Path) -> None:
    record(stream, outputs)
    export(stream.history, tmp_path / "out", ["jsonl", "parquet"])
    tables = [
        reference_rows(stream.history, "churn", "3", None, None),
        *(read_table(tmp_path / "out" / kind / "predictions" / "churn" / "3") for kind in ("jsonl", "parquet")),
    ]
    profiles = [profile_of("churn", "4", table) for table in tables]
    assert {one.n for one in profiles} == {ROWS}
    assert profiles[0].task == {"numbers": "regression", "classes": "multiclass", "features": "features"}.get(
        outputs, "binary"
    )
    assert profiles[0] == profiles[1]
    assert content(profiles[2]) == content(profiles[0])
    columns = {column.name: column for column in profiles[0].features}
    values, counts = np.unique(AGES, return_counts=True)
    assert columns.keys() == {"age", "paid", "town", "member", "code"}
    assert (columns["age"].values, columns["age"].counts) == (tuple(values.tolist()), tuple(counts.tolist()))
    assert (columns["paid"].missing, columns["paid"].total) == (np.isnan(PAID).sum(), (~np.isnan(PAID)).sum())
    assert columns["town"].counts == (ROWS / 2, ROWS / 2)


def content(profile: Profile) -> dict[str, object]:
    """Return what is counted, by column: Parquet has the columns sorted, and whole numbers as floats."""
    usual = profile.usual
    assert usual is not None
    return {
        **{one.name: (one.kind, one.values, one.categories, one.counts, one.missing) for one in profile.columns},
        "": (
            profile.task,
            profile.labels,
            profile.baseline,
            profile.calibration,
            profile.n,
            usual.spans,
            usual.metrics,
        ),
        "usual": {one.name: one for one in usual.columns},
    }


def test_a_time_range_chooses_and_what_is_not_there_is_named(stream: Stream) -> None:
    record(stream, "texts")
    since, until = (datetime.fromtimestamp(AT + at * 1000.0, UTC) for at in (100, 150))
    found = reference_rows(stream.history, "churn", "3", since, until)
    assert found["prediction_id"].tolist() == [f"p{i}" for i in range(100, 150)]
    with pytest.raises(TableError, match="no predictions of churn 4 in that time; it has versions 3 of churn"):
        reference_rows(stream.history, "churn", "4", None, None)
    with pytest.raises(TableError, match="it has no predictions of x"):
        reference_rows(stream.history, "x", "4", None, None)


def test_a_folder_has_files_of_one_kind(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="has no files"):
        read_table(tmp_path)
    (tmp_path / "1.csv").write_text("a,b\n1,2\n")
    (tmp_path / "2.csv").write_text("a,b\n3,4\n")
    (tmp_path / "_SUCCESS").touch()
    assert read_table(tmp_path)["a"].tolist() == ["1", "3"]
    (tmp_path / "3.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(TableError, match=r"has \.csv and \.jsonl files"):
        read_table(tmp_path)
