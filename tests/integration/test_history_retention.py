"""What the history keeps, what it exports, and how it waits for a database that is locked, full or away."""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from sqlalchemy import event, text
from typer.testing import CliRunner

from app.cli import app
from app.history import History, database
from app.history.answers import Prediction
from app.history.exporting import export
from app.history.retention import Limits, retain, size_of
from app.history.retrying import Stopped, until_done
from app.history.setup import housekeeping_of
from app.history.tables import (
    DELIVERIES,
    DRIFT_CHECKS,
    MODEL_DEPLOYMENTS,
    PREDICTION_DAYS,
    PREDICTIONS,
    TRAINING_RUNS,
    WAITING_FEEDBACK,
)
from app.settings.settings import load_settings
from tests.support.databases import Server
from tests.support.history_stream import AT, ISO, RUN, Stream, prediction
from tests.support.reports import drift_report
from topics import registry

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)
ROOMY = 1_000_000


def ids(stream: Stream) -> list[str]:
    return [row["prediction_id"] for row in stream.rows(PREDICTIONS)]


def recorded(stream: Stream, days_ago: int, key: str, **changes: object) -> None:
    """A prediction that was recorded so many days ago."""
    stream.clock = NOW - days_ago * DAY
    stream.write(registry.PREDICTIONS, prediction(key, **changes))


def test_what_was_recorded_too_long_ago_goes_and_the_rest_stays(history: History) -> None:
    stream = Stream(history)
    delivery = {
        "alert_id": "a1", "fingerprint": "f", "channel": "slack", "outcome": "failed", "attempts": 2,
        "detail": "", "delivered_at": ISO, "notification_id": "n1", "reason": "new",
    }  # fmt: skip
    recorded(stream, 40, "old", timestamp="2026-05-30T00:00:00Z")
    stream.write(registry.FEEDBACK, {"prediction_id": "never", "actual": "x"})
    stream.write(registry.REPORTS, drift_report(0))
    stream.write(registry.DELIVERIES, delivery, {**delivery, "notification_id": "n2"})
    stream.write(registry.TRAINING_RUNS, RUN)
    stream.clock = NOW - 366 * DAY
    stream.write(registry.TRAINING_RUNS, {**RUN, "run_id": "of last year"})
    stream.write(registry.DEPLOYMENTS, {"model": "m", "model_version": "1", "deployed_at": ISO, "source": "external"})
    recorded(stream, 20, "new", timestamp=AT)  # replayed from long ago: by its own time it would be gone at once
    assert retain(history, Limits(400, ROOMY), now=lambda: NOW) == 0
    assert retain(history, Limits(30, ROOMY), now=lambda: NOW) == 7
    assert ids(stream) == ["new"]
    assert stream.rows(MODEL_DEPLOYMENTS) == []
    assert [stream.rows(table) for table in (WAITING_FEEDBACK, DRIFT_CHECKS, DELIVERIES)] == [[], [], []]
    assert [row["run_id"] for row in stream.rows(TRAINING_RUNS)] == [RUN["run_id"]]
    assert {row["day"]: row["trimmed"] for row in stream.rows(PREDICTION_DAYS)} == {
        "2026-05-30": True, "2023-11-14": False,
    }  # fmt: skip
    assert retain(history, Limits(30, ROOMY), now=lambda: NOW) == 0


def test_a_replay_after_retention_brings_nothing_back(history: History) -> None:
    stream = Stream(history)
    stream.clock = NOW - 40 * DAY
    run = stream.run(registry.PREDICTIONS, prediction("old"))
    stream.writer.write([run])
    retain(history, Limits(30, ROOMY), now=lambda: NOW)
    stream.writer.write([run])
    assert ids(stream) == []


def filler(rng: random.Random) -> dict[str, str]:
    """Features of 2,000 characters that cannot be compressed."""
    return {f"f{i}": rng.randbytes(25).hex() for i in range(40)}


def test_what_is_too_much_goes_oldest_first_until_it_fits(history: History) -> None:
    stream = Stream(history)
    rng = random.Random(5)
    for batch in range(20):
        stream.clock = NOW - (20 - batch) * DAY
        stream.write(registry.PREDICTIONS, *(prediction(f"{batch:02}-{i:03}", features=filler(rng)) for i in range(50)))
    with history.reading() as connection:
        before = size_of(connection)
    assert before > 2_000_000
    deleted = retain(history, Limits(36_500, 1), now=lambda: NOW)
    with history.reading() as connection:
        after = size_of(connection)
    assert 300_000 < after <= 1_000_000
    kept = ids(stream)
    assert len(kept) == 1000 - deleted
    assert kept == [f"{batch:02}-{i:03}" for batch in range(20) for i in range(50)][deleted:]
    if history.path is not None:
        assert history.path.stat().st_size < before - 500_000


def test_postgresql_s_size_is_about_what_its_files_take(postgresql_history: History) -> None:
    from tests.support.databases import emptied

    stream = Stream(emptied(postgresql_history))
    with closing(postgresql_history.engine.raw_connection()) as raw:
        raw.driver_connection.autocommit = True  # type: ignore[union-attr]
        raw.cursor().execute("VACUUM FULL predictions")
        raw.driver_connection.autocommit = False  # type: ignore[union-attr]
    stream.write(registry.PREDICTIONS, *(prediction(f"p{i}", metadata={"note": "y" * 300}) for i in range(3000)))
    with postgresql_history.reading() as connection:
        size = size_of(connection)
        files = connection.execute(text("SELECT pg_total_relation_size('predictions')")).scalar_one()
    assert size == pytest.approx(files, rel=0.35)


def exported(folder: Path) -> dict[str, list[Any]]:
    return {
        str(path.relative_to(folder)): [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]
        for path in sorted(folder.rglob("*.jsonl"))
    }


def test_each_day_and_version_has_a_file_that_is_written_anew_when_it_changes(history: History, tmp_path: Path) -> None:
    stream, folder = Stream(history), tmp_path / "out"
    stream.write(
        registry.PREDICTIONS, prediction("a"), prediction("b", timestamp=AT + 86_400, prediction=2.5),
        prediction("c", model="../x", model_version="1/2"), prediction("d", timestamp=AT - 1),
    )  # fmt: skip
    stream.write(registry.FEEDBACK, {"prediction_id": "a", "actual": "goes"})
    assert len(export(history, folder, ["jsonl"])) == 3
    found = exported(folder)
    assert {name: [row["prediction_id"] for row in rows] for name, rows in found.items()} == {
        "jsonl/predictions/%2E.%2Fx/1%2F2/2023-11-14.jsonl": ["c"],
        "jsonl/predictions/churn/3/2023-11-14.jsonl": ["d", "a"],
        "jsonl/predictions/churn/3/2023-11-15.jsonl": ["b"],
    }
    assert found["jsonl/predictions/churn/3/2023-11-14.jsonl"][1] == {
        **prediction("a"), "timestamp": "2023-11-14T22:13:20Z", "metadata": None, "actual": "goes",
        "feedback_at": "2023-11-14T22:21:40Z",
    }  # fmt: skip
    assert export(history, folder, ["jsonl"]) == []
    stream.write(registry.FEEDBACK, {"prediction_id": "b", "actual": 3})
    (again,) = export(history, folder, ["jsonl"])
    assert again.name == "2023-11-15.jsonl"
    assert exported(folder)["jsonl/predictions/churn/3/2023-11-15.jsonl"][0]["actual"] == 3
    assert [path.name for path in folder.rglob(".*")] == []


def test_a_day_that_retention_has_cut_stays_as_it_was_exported(history: History, tmp_path: Path) -> None:
    stream = Stream(history)
    recorded(stream, 40, "old")
    recorded(stream, 10, "new")
    export(history, tmp_path / "out", ["jsonl"])
    retain(history, Limits(30, ROOMY), now=lambda: NOW)
    stream.write(registry.FEEDBACK, {"prediction_id": "new", "actual": "goes"})
    assert export(history, tmp_path / "out", ["jsonl"]) == []
    (rows,) = exported(tmp_path / "out").values()
    assert sorted(row["prediction_id"] for row in rows) == ["new", "old"]


def test_a_file_of_another_history_with_more_in_it_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number, keys in enumerate((["a", "b"], ["b"])):
        with closing(History(tmp_path / f"{number}.db")) as history:
            history.prepare()
            stream = Stream(history)
            stream.write(registry.PREDICTIONS, *map(prediction, keys))
            for actual in range(number + 1):
                stream.write(registry.FEEDBACK, {"prediction_id": "b", "actual": actual})
            export(history, tmp_path / "out", ["jsonl"])
    (rows,) = exported(tmp_path / "out").values()
    assert len(rows) == 2
    assert "has 2 rows, the history only 1" in caplog.text


def day_file(folder: Path, version: str, day: str, suffix: str = "parquet") -> Path:
    return folder / suffix / "predictions" / "churn" / version / f"{day}.{suffix}"


def test_pandas_duckdb_and_polars_read_a_root_of_files_in_one_call(history: History, tmp_path: Path) -> None:
    stream, folder = Stream(history), tmp_path / "out"
    sent: list[dict[str, Any]] = [
        prediction("a", model_version="1.1", features={"age": 1}),
        prediction("b", model_version="1.10", features={"age": 2, "town": "Oulu"}),
        prediction("c", model_version="1.10", features={"age": 3, "new": True}, timestamp=AT + 86_400),
        prediction("d", model_version="2026-01-01", features={"age": 4, "odd": 1.5}),
        prediction("e", model="_own", model_version=".5", features={"width": 5.5}, prediction=7),
    ]
    stream.write(registry.PREDICTIONS, *sent)
    stream.write(registry.FEEDBACK, {"prediction_id": "e", "actual": 8})
    export(history, folder, ["jsonl", "parquet"])
    truth = {
        (
            one["prediction_id"],
            one["model"],
            one["model_version"],
            *map(one["features"].get, ("age", "town", "new", "odd", "width")),
        )
        for one in sent
    }
    names = (
        "prediction_id",
        "model",
        "model_version",
        *(f"feature.{name}" for name in ("age", "town", "new", "odd", "width")),
    )
    root = folder / "parquet"
    frame = pd.read_parquet(root)
    assert rows_of(frame.astype(object).where(frame.notna(), None).to_dict("records"), names) == truth
    lazy = pl.scan_parquet(root, missing_columns="insert")
    assert rows_of(lazy.collect().to_dicts(), names) == truth
    assert rows_of(lazy.filter(pl.col("feature.width").is_null()).collect().to_dicts(), names) == {
        row for row in truth if row[-1] is None
    }
    asked = sql(f"SELECT * FROM read_parquet('{root}/**/*.parquet', union_by_name = true)")
    assert rows_of(asked.to_arrow_table().to_pylist(), names) == truth
    # of one model version no reader needs to be asked for anything
    (plain,) = {frozenset(rows_of(found, names[:4])) for found in (
        pd.read_parquet(root / "predictions" / "churn" / "1.10").to_dict("records"),
        pl.read_parquet(root / "predictions" / "churn" / "1.10").to_dicts(),
        sql(f"FROM '{root}/predictions/churn/1.10/*.parquet'").to_arrow_table().to_pylist(),
    )}  # fmt: skip
    assert plain == {row[:4] for row in truth if row[2] == "1.10"}
    # lines of JSON: a label may be a number in one row and a word in the next, so what may differ is asked for as it is
    fields = {name: "JSON" if name in MIXED else "VARCHAR" for name in Prediction.__struct_fields__}
    found = sql(f"SELECT * FROM read_json('{folder}/jsonl/**/*.jsonl', columns = {fields})")
    lines = pl.scan_ndjson(folder / "jsonl", schema=dict.fromkeys(fields, pl.String)).collect()
    for rows in (found.to_arrow_table().to_pylist(), lines.to_dicts()):
        assert {(one["prediction_id"], one["model"], one["model_version"]) for one in rows} == {
            row[:3] for row in truth
        }
        assert {one["prediction_id"]: msgspec.json.decode(one["features"]) for one in rows} == {
            one["prediction_id"]: one["features"] for one in sent
        }


def sql(question: str) -> duckdb.DuckDBPyRelation:
    found = duckdb.sql(question)
    assert found is not None
    return found


MIXED = ("features", "prediction", "probability", "metadata", "actual")


def rows_of(found: list[dict[str, Any]], names: Sequence[str]) -> set[tuple[Any, ...]]:
    return {tuple(row[name] for name in names) for row in found}


def test_all_days_of_a_version_have_the_columns_of_the_newest(history: History, tmp_path: Path) -> None:
    stream, folder = Stream(history), tmp_path / "out"
    recorded(stream, 40, "cut", features={"age": 7, "new": True})
    recorded(stream, 10, "left", features={"age": 7.5, "new": False})
    export(history, folder, ["parquet"])
    retain(history, Limits(30, ROOMY), now=lambda: NOW)
    stream.write(registry.PREDICTIONS, prediction("other", model_version="4", features={"age": 1}))
    export(history, folder, ["parquet"])
    before = {path: path.stat().st_mtime_ns for path in (folder / "parquet" / "predictions").rglob("*.parquet")}
    stream.write(registry.PREDICTIONS, prediction("next", features={"age": "x", "town": "Oulu"}, timestamp=AT + 86_400))
    written = export(history, folder, ["parquet"])
    assert sorted(written) == [day_file(folder, "3", "2023-11-14"), day_file(folder, "3", "2023-11-15")]
    assert day_file(folder, "4", "2023-11-14").stat().st_mtime_ns == before[day_file(folder, "4", "2023-11-14")]
    schemas = [pq.read_schema(path) for path in written]
    assert schemas[0] == schemas[1]
    frame = pd.read_parquet(day_file(folder, "3", "").parent).sort_values("prediction_id")
    assert frame["prediction_id"].tolist() == ["cut", "left", "next"]  # of the one no database has anything any more
    assert frame["feature.age"].tolist() == ["7", "7.5", "x"]
    assert frame["feature.new"].tolist() == [True, False, None]
    assert export(history, folder, ["parquet"]) == []


def test_a_day_whose_rows_are_the_same_is_not_written_again(history: History, tmp_path: Path) -> None:
    stream, folder = Stream(history), tmp_path / "out"
    stream.write(registry.PREDICTIONS, prediction("a"), prediction("b", timestamp=AT + 86_400))
    stream.write(registry.FEEDBACK, {"prediction_id": "a", "actual": "goes"})
    both = ["jsonl", "parquet"]
    export(history, folder, both)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.*")}
    stream.write(registry.FEEDBACK, {"prediction_id": "a", "actual": "goes"})  # sent twice
    assert export(history, folder, both) == []
    stream.write(registry.FEEDBACK, {"prediction_id": "b", "actual": "goes"})
    written = export(history, folder, both)
    assert sorted(written) == sorted(day_file(folder, "3", "2023-11-15", suffix) for suffix in both)
    kept = [path for path, at in before.items() if path.is_file() and path.stat().st_mtime_ns == at]
    assert {day_file(folder, "3", "2023-11-14", suffix) for suffix in both} <= set(kept)
    assert folder / "parquet" / "columns.parquet" in kept


def test_files_of_the_older_layout_are_moved_with_what_the_history_has_no_more(
    history: History, tmp_path: Path
) -> None:
    stream, folder = Stream(history), tmp_path / "out"
    recorded(stream, 40, "old")
    recorded(stream, 40, "next", timestamp=AT + 86_400, features={"age": 1})
    export(history, folder, ["jsonl", "parquet"])
    older = folder / "model=churn" / "version=3"
    older.mkdir(parents=True)
    for suffix in ("jsonl", "parquet"):
        for path in day_file(folder, "3", "", suffix).parent.iterdir():
            path.rename(older / path.name)
    (older / ".2023-11-14.jsonl.new").touch()
    (folder / "exported.json").write_text('{"model=churn/version=3/2023-11-14.jsonl": {"revision": 1, "rows": 1}}')
    retain(history, Limits(30, ROOMY), now=lambda: NOW)
    stream.write(registry.PREDICTIONS, prediction("new", features={"town": "Oulu"}, timestamp=AT + 2 * 86_400))
    export(history, folder, ["jsonl", "parquet"])
    assert [row["prediction_id"] for rows in exported(folder).values() for row in rows] == ["old", "next", "new"]
    frame = pd.read_parquet(folder / "parquet")
    assert frame["prediction_id"].tolist() == ["old", "next", "new"]
    assert frame["feature.town"].tolist()[-1] == "Oulu"
    assert sorted(path.name for path in folder.iterdir()) == ["exported.json", "jsonl", "parquet"]


def test_parquet_has_flat_columns_of_the_types_that_were_sent(history: History, tmp_path: Path) -> None:
    stream = Stream(history)
    stream.write(
        registry.PREDICTIONS,
        prediction("a", features={"age": 1, "town": "Oulu", "new": True, "odd": 1.5}, metadata={"shop": 7}),
        prediction("b", features={"age": 2.5, "town": None, "new": False, "odd": "x"}, prediction=3,
                   probability={"one": 0.5, "two": 0.5}),
    )  # fmt: skip
    stream.write(registry.FEEDBACK, {"prediction_id": "b", "actual": 4})
    (path,) = export(history, tmp_path / "out", ["parquet"])
    table = pq.read_table(path, partitioning=None)
    assert {field.name: str(field.type) for field in table.schema} == {
        "prediction_id": "string", "model": "string", "model_version": "string",
        "timestamp": "timestamp[us, tz=UTC]", "prediction": "string", "prediction_value": "double",
        "probability": "double", "actual": "string", "actual_value": "double",
        "feedback_at": "timestamp[us, tz=UTC]", "feature.age": "double", "feature.new": "bool",
        "feature.odd": "string", "feature.town": "string", "metadata.shop": "double", "probability.one": "double",
        "probability.two": "double",
    }  # fmt: skip
    columns = table.to_pydict()
    assert columns["feature.odd"] == ["1.5", "x"]
    assert (columns["prediction_value"], columns["actual_value"]) == ([None, 3.0], [None, 4.0])
    assert columns["timestamp"][0] == datetime.fromtimestamp(AT, UTC)


def test_the_command_line_exports_both_kinds(tmp_path: Path) -> None:
    with closing(History(tmp_path / "history.db")) as history:
        history.prepare()
        Stream(history).write(registry.PREDICTIONS, prediction("a"))
    arguments = ["history", "export", "--output", str(tmp_path / "out"), "--state-dir", str(tmp_path)]
    answer = CliRunner().invoke(app, [*arguments, "--format", "jsonl", "--format", "parquet"])
    assert answer.exit_code == 0, answer.output
    assert sorted(Path(line).suffix for line in answer.output.splitlines()) == [".jsonl", ".parquet"]
    assert CliRunner().invoke(app, arguments).output == "nothing has changed\n"


async def test_beside_recording_files_are_written_again_and_again_and_what_is_too_old_goes(
    history: History, tmp_path: Path
) -> None:
    stream, stopping = Stream(history), asyncio.Event()
    recorded(stream, 3000, "old", timestamp="2020-01-01T00:00:00Z")
    stream.clock = datetime.now(UTC)
    settings = load_settings(export_dir=tmp_path / "out", export_formats="jsonl,parquet", export_seconds=0.05)
    keeping = asyncio.create_task(housekeeping_of(settings, history, stopping).run())
    await until_true(lambda: len(list(tmp_path.rglob("2020-01-01.*"))) == 2 and ids(stream) == [])
    stream.write(registry.PREDICTIONS, prediction("new"))
    await until_true(lambda: len(list(tmp_path.rglob("2023-11-14.*"))) == 2)
    stopping.set()
    await asyncio.wait_for(keeping, 5)
    assert [[row["prediction_id"] for row in rows] for rows in exported(tmp_path).values()] == [["old"], ["new"]]


async def until_true(happened: Callable[[], bool]) -> None:
    """Wait for what a thread does; it tells nobody."""
    async with asyncio.timeout(20):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks are waited for but a moment at a time."""
    monkeypatch.setattr(database, "BUSY_MS", 20)
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.02)


async def waits_for(
    history: History, caplog: pytest.LogCaptureFixture, words: str, hinder: Callable[[], None], free: Callable[[], None]
) -> None:
    """Writing waits while something hinders it, says so once, and is done when that is over."""
    stream = Stream(history)
    run = stream.run(registry.PREDICTIONS, prediction("a"))
    stopping = asyncio.Event()
    hinder()
    with caplog.at_level(logging.WARNING):
        writing = asyncio.create_task(until_done(history, lambda: stream.writer.write([run]), stopping))
        done, _ = await asyncio.wait([writing], timeout=1.2)
        assert not done
        (told,) = [record.getMessage() for record in caplog.records]
        assert "waits, nothing else does" in told
        assert words in told
        free()
        assert await asyncio.wait_for(writing, 10) == {("predictions", 0): 1}
    assert ids(stream) == ["a"]


@pytest.mark.usefixtures("impatient")
async def test_a_locked_sqlite_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(History(tmp_path / "history.db")) as history:
        history.prepare()
        other = sqlite3.connect(tmp_path / "history.db", isolation_level=None)
        await waits_for(
            history, caplog, "database is locked",
            lambda: void(other.execute("BEGIN EXCLUSIVE")), lambda: void(other.execute("ROLLBACK")),
        )  # fmt: skip
        other.close()


@pytest.mark.usefixtures("impatient")
async def test_a_locked_postgresql_is_waited_for(postgresql: Server, caplog: pytest.LogCaptureFixture) -> None:
    with postgresql.history() as history:
        other = history.engine.connect()
        lock = text("SELECT pg_advisory_lock(:key)")
        await waits_for(
            history, caplog, "lock timeout",
            lambda: void(other.execute(lock, {"key": database.WRITER_LOCK})), other.invalidate,
        )  # fmt: skip


async def test_a_full_disk_is_waited_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(History(tmp_path / "history.db")) as history:
        history.prepare()
        full = [False]

        @event.listens_for(history.engine, "checkout")
        def limit(raw: Any, *_: Any) -> None:
            (pages,) = raw.execute("PRAGMA page_count").fetchone()
            raw.execute(f"PRAGMA max_page_count = {pages if full[0] else 1_000_000}")

        stream = Stream(history)
        large = {f"f{i}": "x" * 100 for i in range(1000)}
        run = stream.run(registry.PREDICTIONS, prediction("a", features=large))
        full[0] = True
        writing = asyncio.create_task(until_done(history, lambda: stream.writer.write([run]), asyncio.Event()))
        done, _ = await asyncio.wait([writing], timeout=1.0)
        assert not done
        assert "database or disk is full" in caplog.text
        full[0] = False
        await asyncio.wait_for(writing, 10)
        assert ids(stream) == ["a"]


async def test_a_database_that_is_away_is_waited_for_until_the_recorder_is_to_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    for away in (History("postgresql://nobody@127.0.0.1:1/none"), History(tmp_path / "file" / "history.db")):
        with closing(away) as history:
            stopping = asyncio.Event()
            waiting = asyncio.create_task(until_done(history, history.prepare, stopping))
            done, _ = await asyncio.wait([waiting], timeout=0.7)
            assert not done
            assert f"the history at {history.name} waits, nothing else does" in caplog.text
            stopping.set()
            with pytest.raises(Stopped):
                await asyncio.wait_for(waiting, 10)


async def test_a_database_that_was_deleted_is_made_anew_and_read_for_again(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    with closing(History(path)) as history:
        history.prepare()
        stream = Stream(history)
        stream.write(registry.PREDICTIONS, prediction("a"))
        run = stream.run(registry.PREDICTIONS, prediction("b"))
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        known = await until_done(history, lambda: stream.writer.write([run]), asyncio.Event())
        assert known == {}  # where to read on from is to be found out anew
        assert ids(stream) == []


def void(_: object) -> None:
    """Nothing."""
