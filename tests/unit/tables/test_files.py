"""Files as colleagues write them: encodings, separators, decimal commas, packed, sparse. One table, one profile."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from app.core.reference.profile import Profile
from app.offline.check import check_files
from app.registration.monitoring import MonitoringFile, monitoring_of
from app.registration.profiling import profile_of, read_reference
from app.tables import CellTable, FileOptions, TableError, read_chunks, read_table
from app.tables.files import form_words
from app.tables.times import epoch_seconds, unit_of


def a_table(n: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    return pd.DataFrame({
        "price": rng.choice([1.5, 2.25, 1000.75, 3.0], n), "city": rng.choice(["Köln", "NA", "Bad Ems, Lahn"], n),
        "zip": rng.choice(["01067", "50667"], n), "prediction": rng.choice(["ja", "nein"], n),
    })  # fmt: skip


def german(path: Path) -> Path:
    a_table().to_csv(path, index=False, sep=";", decimal=",", encoding="cp1252")
    return path


def packed(path: Path) -> Path:
    path.write_bytes(gzip.compress(a_table().to_csv(index=False).encode()))
    return path


def with_mark(path: Path) -> Path:
    path.write_bytes(b"\xef\xbb\xbf" + a_table().to_csv(index=False).encode())
    return path


def decimals(path: Path) -> Path:
    table = a_table()
    prices = pa.array([Decimal(str(price)) for price in table["price"]], pa.decimal128(12, 4))
    texts = {name: pa.array(table[name].tolist()).dictionary_encode() for name in ("city", "zip", "prediction")}
    pq.write_table(pa.table({"price": prices, **texts}), path)
    return path


FILES: dict[str, tuple[Callable[[Path], Path], FileOptions]] = {
    "utf-16.csv": (lambda p: a_table().to_csv(p, index=False, encoding="utf-16") or p, FileOptions()),
    "mark.csv": (with_mark, FileOptions()),
    "tabs.tsv": (lambda p: a_table().to_csv(p, index=False, sep="\t") or p, FileOptions()),
    "german.csv": (german, FileOptions(encoding="cp1252")),
    "packed.csv.gz": (packed, FileOptions()),
    "decimals.parquet": (decimals, FileOptions()),
    "lines.jsonl": (lambda p: a_table().to_json(p, orient="records", lines=True) or p, FileOptions()),
}


@pytest.mark.parametrize("name", FILES)
def test_a_table_has_one_profile_however_it_is_written(name: str, tmp_path: Path) -> None:
    write, options = FILES[name]
    a_table().to_csv(tmp_path / "plain.csv", index=False)
    want = profile_of("m", "1", read_table(tmp_path / "plain.csv"))
    assert [column.kind for column in want.features] == ["numeric", "categorical", "categorical"]
    assert set(want.features[2].categories) == {"01067", "50667"}
    found: Profile = profile_of("m", "1", read_table(write(tmp_path / name), options))
    assert found == want


def test_another_encoding_is_one_line_that_says_what_to_give(tmp_path: Path) -> None:
    path = german(tmp_path / "g.csv")
    with pytest.raises(TableError, match=r"g\.csv: it does not decode as utf-8 .*--encoding cp1252"):
        read_table(path)
    assert form_words(path, FileOptions(encoding="cp1252")) == (
        f"{path}: read as CP1252, separated by semicolons, decimal commas "
        "(--encoding, --separator and --decimal change it)"
    )
    with pytest.raises(TableError, match="--encoding: 'klingon' is not known"):
        read_table(path, FileOptions(encoding="klingon"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x,x\n1,2\n", "column 'x' stands there twice"),
        (b"x,y\n1,2\n1\n", "Expected 2 fields in line 3, saw 1"),
        (b'x,y\n"a\nb",2\n1,2,3\n', "Expected 2 fields in line 4, saw 3"),
        (b"\n\n", "No columns to parse"),
    ],
)
def test_a_broken_csv_names_the_line(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(content)
    with pytest.raises(TableError, match=words):
        read_table(tmp_path / "b.csv")


def test_chunks_are_the_table(tmp_path: Path) -> None:
    rows = 30_000
    pd.DataFrame({"x": range(rows), "y": ["é" * (i % 30) for i in range(rows)]}).to_csv(tmp_path / "c.csv", index=False)
    whole = read_table(tmp_path / "c.csv")
    parts = list(read_chunks(tmp_path / "c.csv", 7_000))
    assert [len(part) for part in parts] == [7_000] * 4 + [2_000]
    assert pd.concat(parts, ignore_index=True).equals(whole)
    assert all(part.attrs == whole.attrs for part in parts)


def test_whole_numbers_with_gaps_keep_every_digit_in_parquet_and_json(tmp_path: Path) -> None:
    cells = [2**62 + 1, None, 7]
    pq.write_table(pa.table({"code": pa.array(cells, pa.int64())}), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text('{"code": 4611686018427387905}\n{"other": NaN}\n{"code": 7}\n')
    for name in ("a.parquet", "a.jsonl"):
        assert CellTable(read_table(tmp_path / name)).cells("code") == cells


def test_an_index_of_pandas_is_no_column_unless_it_has_a_name(tmp_path: Path) -> None:
    table = a_table(60)
    table.set_axis([3 * i for i in range(60)]).to_parquet(tmp_path / "a.parquet")
    assert list(read_table(tmp_path / "a.parquet").columns) == list(table.columns)
    table.set_axis([f"p{i}" for i in range(60)]).rename_axis("prediction_id").to_parquet(tmp_path / "b.parquet")
    assert "prediction_id" in read_table(tmp_path / "b.parquet").columns


def test_a_file_of_something_else_is_one_line(tmp_path: Path) -> None:
    a_table(600).to_csv(tmp_path / "r.csv", index=False)
    pd.DataFrame({"a": [1], "b": [2]}).to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(TableError, match=r"shares no feature with the reference: it has a, b; the reference has price"):
        check_files(tmp_path / "r.csv", tmp_path / "c.csv", now=datetime(2026, 6, 1, tzinfo=UTC))


def test_what_was_decided_is_said(tmp_path: Path) -> None:
    table = a_table(200).assign(income=[f"{i}.5" for i in range(200)], born="1990-01-02", target=0)
    table.loc[17, "income"] = "unknown"
    table.to_csv(tmp_path / "r.csv")
    found = read_reference("m", "1", read_table(tmp_path / "r.csv"), MonitoringFile(task="multiclass"))
    assert found.profile.features[3].invalid == 1
    notes = "\n".join(found.notes)
    assert "task multiclass: as task says" in notes
    assert "target is taken as the target, by its name (columns.target names another)" in notes
    assert "Unnamed: 0 is left out: it counts its rows (columns.features, columns.numeric or" in notes
    assert "born is left out: it holds dates or times" in notes
    assert "income: 1 of 200 cells are no numbers: row 18 'unknown'" in notes
    assert found.profile.ignored == ("Unnamed: 0", "born")


def test_missing_words_are_a_setting() -> None:
    table = pd.DataFrame({"x": ["1", "-9", "-9", "3"] * 9, "city": ["NA", "?", "DE", ""] * 9})
    table.attrs["driftline_text"] = True
    plain = profile_of("m", "1", table).features
    assert [column.missing for column in plain] == [0, 9]
    given = monitoring_of({"columns": {"missing": {"numeric": ["-9"], "categorical": ["?"]}}})
    assert [column.missing for column in profile_of("m", "1", table, given).features] == [18, 9]
    assert "" in profile_of("m", "1", table, given).features[1].categories


def test_one_column_of_each_class_is_its_probability() -> None:
    rng = np.random.default_rng(1)
    p = rng.dirichlet([1, 1, 1], 600)
    labels = np.array(["a", "b", "c"])
    table = pd.DataFrame(
        {"x": rng.normal(size=600), "prediction": labels[p.argmax(axis=1)], "actual": labels[p.argmax(axis=1)]}
    )
    table[["pa", "pb", "pc"]] = p
    named = monitoring_of({"columns": {"probabilities": {"a": "pa", "b": "pb", "c": "pc"}}})
    by_column = profile_of("m", "1", table, named)
    dicts = [dict(zip(labels.tolist(), row, strict=True)) for row in p.tolist()]
    by_dict = profile_of("m", "1", table[["x", "prediction", "actual"]].assign(probability=dicts))
    assert by_column == by_dict
    assert [column.name for column in by_column.features] == ["x"]


@pytest.mark.parametrize(
    ("texts", "seconds"),
    [
        (["2026-03-01T12:00:00Z", ""], [1772366400.0, np.nan]),
        (["2026-03-01 13:00:00+01:00", "1772366400"], [1772366400.0, 1772366400.0]),
        (["1772366400.5", "NaN"], [1772366400.5, np.nan]),
    ],
)
def test_times_are_read_in_every_usual_form(texts: list[str], seconds: list[float]) -> None:
    table = CellTable(pd.DataFrame({"t": texts}))
    assert np.array_equal(epoch_seconds(table, "t"), seconds, equal_nan=True)


def test_a_unit_is_told_by_the_times() -> None:
    now = 1772366400.0
    assert [unit_of(now * f, now * f + 9)[1] for f in (1, 1e3, 1e6, 1e9)] == [
        "seconds", "milliseconds", "microseconds", "nanoseconds",
    ]  # fmt: skip
    assert unit_of(0.0, 40.0)[0] == 1.0
    with pytest.raises(TableError, match=r"column 't' row 2 is no timestamp .*'soon'"):
        epoch_seconds(CellTable(pd.DataFrame({"t": ["2026-03-01", "soon"]})), "t")
