"""The same table is the same counts, whatever file it comes in and by which door: files, replay, HTTP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.intake.bodies import decode_items
from api.intake.events import encode, wrong_prediction
from api.intake.events import predictions as http_predictions
from app.core.config.monitoring import Monitoring, Windows
from app.core.join.state import CompiledModel
from app.core.panes.inputs import InputCounter
from app.core.panes.pane import Pane
from app.core.reference.profile import Profile
from app.ingest.decoding import Record
from app.ingest.predictions import PredictionColumns, heads_of
from app.offline.decision import judge
from app.registration.monitoring import TableColumns
from app.registration.profiling import profile_of
from app.replay.encode import ReplayColumns as Sent
from app.replay.encode import encode_predictions
from app.replay.files import encoded_chunks
from app.tables import CellTable, read_table
from app.tables.json_cells import json_of
from driftline.encoding import NO_PREDICTION
from driftline.encoding import encoded as client_event
from tests.support.reports import StubRecord
from topics.events import utc_now

NAMES = ("amount", "city", "code", "member")
NUMBERS = (
    0.1,
    12.5,
    -3,
    7,
    1e300,
    "12.5",
    " 7 ",
    "1e3",
    "unknown",
    "NaN",
    "N/A",
    "",
    None,
    True,
    "inf",
    0.10000000149011612,
)
CITIES = ("Köln", "Ko\u0308ln", "NA", "None", "a,b", 'say "x"', " lead", "1.10", "", None)
CODES = (2**62 + 1, 2**62 + 2, str(2**62 + 1), 7, 7.0, "7", "7.0", "07", "", None, 10**30)
MEMBERS = (True, False, "true", "False", 1, 0, "1", "", None, "unknown")
PREDICTIONS = ("0", "1", 1, 0, "1.0", True, "", None)
PROBABILITIES = (0.25, "0.75", None)


def a_reference(n: int = 400) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    p = rng.random(n).round(3)
    return pd.DataFrame({
        "amount": rng.choice([0.1, 0.5, 7.0, 12.5, 1000.0], n),
        "city": rng.choice(["Köln", "NA", "None", "1.10"], n),
        "code": rng.choice(np.array([2**62 + 1, 2**62 + 2, 7]), n),
        "member": rng.choice([True, False], n),
        "prediction": (p > 0.5).astype(int), "probability": p,
    })  # fmt: skip


FILE_COLUMNS = TableColumns(categorical=("code",))
PROFILE: Profile


def profile() -> Profile:
    from app.registration.monitoring import MonitoringFile

    return profile_of("m", "1", a_reference(), MonitoringFile(columns=FILE_COLUMNS))


PROFILE = profile()
WATCHED = CompiledModel(PROFILE, Windows())
SENT = Sent(features=NAMES, profile=PROFILE, known=(*NAMES, "prediction", "probability"))

rows = st.fixed_dictionaries({
    "amount": st.sampled_from(NUMBERS), "city": st.sampled_from(CITIES), "code": st.sampled_from(CODES),
    "member": st.sampled_from(MEMBERS), "prediction": st.sampled_from(PREDICTIONS),
    "probability": st.sampled_from(PROBABILITIES),
})  # fmt: skip
Row = dict[str, object]


def text_of(cell: object) -> str:
    """A cell as a CSV has it: nothing for null."""
    return "" if cell is None else str(cell)


def csv_of(table: Sequence[Row], path: Path, *, separator: str = ",", encoding: str = "utf-8") -> Path:
    frame = pd.DataFrame([{name: text_of(cell) for name, cell in row.items()} for row in table])
    frame.to_csv(path, index=False, sep=separator, encoding=encoding)
    return path


def jsonl_of(table: Sequence[Row], path: Path) -> Path:
    """Lines of JSON; what is null is left out in every other row."""
    kept = [{k: v for k, v in row.items() if v is not None or i % 2} for i, row in enumerate(table)]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in kept))
    return path


def parquet_of(table: Sequence[Row], path: Path) -> Path:
    """Parquet has one type a column: of mixed ones text."""
    pd.DataFrame([{n: None if c is None else str(c) for n, c in row.items()} for row in table]).astype(
        "str"
    ).to_parquet(path)
    return path


def identified(path: Path) -> list[pd.DataFrame]:
    frame = read_table(path)
    return [frame.assign(prediction_id=[f"p{i}" for i in range(len(frame))], timestamp=1e9)]


def pane_of_records(values: Sequence[bytes]) -> Pane:
    """What the stream counts of events, as they lie in Kafka."""
    records: list[Record] = []
    for i, value in enumerate(values):
        key = json.loads(value)["prediction_id"].encode()
        records.append(StubRecord(i, value, key, 2_000_000_000_000))
    batch, rejected, _ = PredictionColumns([WATCHED], lambda *_: 0).batch(heads_of(records))
    assert not rejected
    counted = InputCounter(WATCHED.layout).count(batch.columns[0])
    dense = np.bincount(counted.slots.ravel(), minlength=WATCHED.layout.size)
    return Pane.of(len(values), dense, counted.sums.sum(axis=0), counted.names())


def by_replay(path: Path) -> Pane:
    values = [v for frame in identified(path) for v in encode_predictions(frame, SENT, "m", "1").values]
    return pane_of_records(values)


def by_http(table: Sequence[Row]) -> Pane:
    """NDJSON over HTTP: what the door accepts, as it is sent on."""
    lines = b"\n".join(
        json.dumps({
            "prediction_id": f"p{i}", "model": "m", "model_version": "1", "timestamp": 1e9,
            "features": {name: row[name] for name in NAMES}, "prediction": row["prediction"],
            "probability": None if row["probability"] is None else float(str(row["probability"])),
        }).encode()
        for i, row in enumerate(table)
    )  # fmt: skip
    found = decode_items(lines, "application/x-ndjson", http_predictions, wrong_prediction)
    assert not found.rejected
    return pane_of_records([encode(event.event(utc_now())) for _, event in found.accepted])


def by_client(table: Sequence[Row]) -> Pane:
    documents = [
        client_event({
            "prediction_id": f"p{i}", "model": "m", "model_version": "1", "timestamp": 1e9,
            "features": {name: row[name] for name in NAMES},
            "prediction": NO_PREDICTION if row["prediction"] is None else row["prediction"],
            "probability": None if row["probability"] is None else Decimal(str(row["probability"])),
        })
        for i, row in enumerate(table)
    ]  # fmt: skip
    return pane_of_records(documents)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.lists(rows, min_size=1, max_size=25))
def test_a_table_is_the_same_counts_in_every_file_and_by_every_door(tmp_path: Path, table: list[Row]) -> None:
    files = [
        csv_of(table, tmp_path / "t.csv"),
        csv_of(table, tmp_path / "u.csv", separator=";", encoding="utf-16"),
        jsonl_of(table, tmp_path / "t.jsonl"),
        parquet_of(table, tmp_path / "t.parquet"),
    ]
    want = by_http(table)
    assert by_client(table).same(want)
    for path in files:
        assert by_replay(path).same(want), path
    found = [judge(PROFILE, read_table(path), Monitoring(), FILE_COLUMNS).drift for path in files]
    assert all(drift == found[0] for drift in found)
    offline = {f.name: (f.n, f.missing, f.invalid, f.unseen, f.statistic) for f in found[0].features}
    for slots in WATCHED.layout.features:
        dense = want.dense(WATCHED.layout.size)[slots.offset : slots.offset + slots.size]
        assert offline[slots.column.name][1:3] == (dense[slots.missing], dense[slots.invalid])
        assert offline[slots.column.name][0] == dense[: slots.missing].sum()


narrow_numbers = st.floats(allow_nan=False, allow_infinity=False, width=32).filter(
    lambda v: not v.is_integer() or abs(v) < 2**24  # of larger whole ones every digit is kept
)


@pytest.mark.slow
@given(st.lists(narrow_numbers, min_size=2, max_size=40))
def test_float32_beside_float64_is_the_same_number(values: list[float]) -> None:
    wide = [float(str(np.float32(v))) for v in values]
    narrow = pd.DataFrame(
        {"x": np.array(values, np.float32), "prediction": ["a", "b"] * (len(values) // 2) + ["a"] * (len(values) % 2)}
    )
    double = narrow.assign(x=wide)
    for reference, current in ((narrow, double), (double, narrow)):
        found = judge(profile_of("m", "1", reference), current, Monitoring(), TableColumns()).drift.features[0]
        assert found.statistic == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_chunks_do_not_change_what_a_cell_means(suffix: str, tmp_path: Path) -> None:
    table: list[Row] = [
        {"prediction_id": str(7 * i), "timestamp": 1e9 + i, "amount": NUMBERS[i % 16], "city": CITIES[i % 10],
         "code": CODES[i % 11], "member": MEMBERS[i % 10], "prediction": PREDICTIONS[i % 6], "probability": 0.5}
        for i in range(200)
    ]  # fmt: skip
    path = tmp_path / f"t.{suffix}"
    {"csv": csv_of, "jsonl": jsonl_of, "parquet": parquet_of}[suffix](table, path)
    whole = [
        v for part in encoded_chunks(path, lambda f: encode_predictions(f, SENT, "m", "1"), 1000) for v in part.values
    ]
    for chunk in (1, 7, 64):
        parts = encoded_chunks(path, lambda f: encode_predictions(f, SENT, "m", "1"), chunk)
        assert [v for part in parts for v in part.values] == whole


def test_cells_that_json_has_no_words_for_are_spelled() -> None:
    assert [json_of(c) for c in (float("inf"), float("nan"), 1.5)] == ["Infinity", None, 1.5]
    assert len(CellTable(a_reference())) == 400
