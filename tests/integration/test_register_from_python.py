"""`driftline.register`: whatever holds the table, the registration is that of the file."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

import driftline
from app.registration.models_table import ModelsTable
from app.registration.profiling import profile_of
from app.registration.setup import monitoring_from
from app.settings.settings import Settings
from driftline import RegisterFailed, RegisterResult, registering
from driftline.tables import file_of
from tests.support.api import client_of, on_port, ready
from tests.support.client_server import server
from tests.support.docs import blocks
from tests.support.kafka_topics import records_of
from tests.support.mlflow_folder import write_mlflow_model
from tests.support.paths import DOCS
from tests.support.receivers import answering
from tests.support.run_command import typed
from tests.support.served_model import PEOPLE, TRUTH
from topics.registry import FEEDBACK, PREDICTIONS

pytestmark = pytest.mark.usefixtures("direct")

REFERENCE = PEOPLE.assign(prediction=TRUTH, probability=TRUTH * 0.8 + 0.1, target=TRUTH)
CONFIG = {"columns": {"hash": ["plan"]}, "alerting": {"critical_features": ["age"]}}
HASH_KEY = "0123456789abcdef"


class Interchange:
    """A table of which nothing is known but the interchange protocol."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def __dataframe__(self, *args: Any, **more: Any) -> Any:
        return self._table.__dataframe__(*args, **more)


async def register(reference: object, **given: Any) -> RegisterResult:
    return await asyncio.to_thread(lambda: driftline.register(reference, model="churn", **given))


async def test_a_table_in_memory_is_registered_as_its_file_is(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLINE_HASH_KEY", HASH_KEY)
    monkeypatch.chdir(tmp_path)
    REFERENCE.to_parquet("r.parquet")
    (tmp_path / "m.json").write_text(json.dumps(CONFIG))
    table = pq.read_table("r.parquet")
    hashing = settings.model_copy(update={"hash_key": SecretStr(HASH_KEY)})
    expected = profile_of("churn", "3", REFERENCE, monitoring_from(CONFIG), key=HASH_KEY.encode())
    async with client_of(hashing) as client:
        await ready(client)
        async with on_port(client) as url:
            monkeypatch.setenv("DRIFTLINE_API_URL", url)
            sent = (
                REFERENCE,
                Path("r.parquet"),
                pl.from_arrow(table),
                table,
                Interchange(table),
                REFERENCE.set_index("age", drop=False),
            )
            done = [
                await register(one, version="3", config=CONFIG if number else "m.json")
                for number, one in enumerate(sent)
            ]
            assert [one.profile_id for one in done] == [expected.profile_id] * len(sent)
            assert [one.created for one in done] == [True] + [False] * (len(sent) - 1)
            first = done[0]
            assert {column.name: column.kind for column in expected.features} == first.features
            assert (first.n, first.task, first.baseline) == (expected.n, expected.task, expected.baseline)
            words = ("--model", "churn", "--version", "3", "--reference", "r.parquet", "--config", "m.json")
            status, out, err = await asyncio.to_thread(typed, "register", *words, "--json", "--api", url)
            assert (status, json.loads(out), err.splitlines()) == (0, first.to_dict(), list(first.notes))
            await mistakes_are_named(url)
            monkeypatch.setattr(registering, "LARGEST_FILE", 10)
            here = await register(REFERENCE, version="3", config=CONFIG)
            assert here.to_dict() == first.to_dict()
            monkeypatch.setattr(registering, "HOME", "absent.module")
            with pytest.raises(RegisterFailed, match=r"reference: has 0 MiB, at most 0 MiB can be sent: give a sample"):
                await register(REFERENCE, version="3")
            monkeypatch.undo()
            monkeypatch.setenv("DRIFTLINE_API_URL", url)
            monkeypatch.chdir(tmp_path)
            await the_page_does_what_it_says(settings)
            await the_page_on_mlflow_does_what_it_says(settings, tmp_path)


async def mistakes_are_named(url: str) -> None:
    for reference, config, status, reason in (
        (REFERENCE, {"columns": {"ignore": "age"}}, 422, "columns.ignore"),
        (
            REFERENCE,
            {"alerting": {"critical_features": ["agee"]}},
            422,
            "agee is not one of the features; did you mean age",
        ),
        (REFERENCE.assign(age=None), None, 422, "column 'age' has no values"),
    ):
        with pytest.raises(RegisterFailed, match=reason) as failed:
            await register(reference, version="4", config=config)
        assert failed.value.status == status
        assert str(failed.value).startswith(f"{url}: 422 ")
    with pytest.raises(RegisterFailed) as failed:
        await register(REFERENCE, version="4", api="http://127.0.0.1:9", timeout=0.2)
    assert failed.value.status is None


async def the_page_does_what_it_says(settings: Settings) -> None:
    rng = np.random.default_rng(7)
    for name, shift in (("validation", 0.0), ("june", 25.0)):
        tenure = rng.exponential(24, 600).round(1) + shift
        churned = rng.random(600) < 1 / (1 + np.exp(0.1 * tenure - 2))
        columns = {"tenure": tenure, "plan": rng.choice(["basic", "gold"], 600), "churned": churned.astype(int)}
        pd.DataFrame({**columns, "prediction": (tenure < 20).astype(int)}).to_parquet(f"{name}.parquet")
    page = [text for language, text in blocks(DOCS / "how-to" / "notebook.md") if language == "python"]
    module: dict[str, Any] = {}
    await asyncio.to_thread(lambda: exec("\n".join(page), module))
    assert module["found"].drifted is True
    assert "tenure" in module["found"]._repr_html_()
    assert "tenure" in Path("june.html").read_text()  # noqa: ASYNC240 - a small file
    assert dict(module["done"].features) == {"tenure": "numeric", "plan": "categorical"}
    async with ModelsTable(settings) as models:
        found = models.get("churn", "3")
    assert found is not None
    assert found.monitoring.alerting.critical_features == ("tenure",)
    expected = {f"june-{number}" for number in range(600)}
    for topic in (PREDICTIONS, FEEDBACK):
        sent = [msgspec.json.decode(one.value)["prediction_id"] for one in await records_of(settings, topic)]
        assert (len(sent), set(sent)) == (600, expected)


async def the_page_on_mlflow_does_what_it_says(settings: Settings, folder: Path) -> None:
    write_mlflow_model(folder / "model")
    codes = ["01067", "01069", "10115"] * 200
    table = pd.DataFrame({"tenure": np.arange(600) / 7, "plan": codes, "region": [1, 2] * 300, "row": range(600)})
    table.assign(prediction=[0, 1] * 300, target=[0, 0, 1] * 200).to_csv("validation.csv", index=False)
    pages = blocks(DOCS / "how-to" / "mlflow.md")
    *by_uri, local = [line for language, text in pages if not language for line in text.splitlines()]
    status, out, err = await asyncio.to_thread(typed, *shlex.split(local)[1:], "--json")
    assert status == 0, err
    assert json.loads(out)["features"] == {"tenure": "numeric", "plan": "categorical", "region": "numeric"}
    assert "not monitored, since the reference does not have them: member" in err
    async with ModelsTable(settings) as models:
        found = models.get("churn", "3")
    assert found is not None
    assert found.profile.features[1].categories == ("01067", "01069", "10115")
    for line in by_uri:
        status, _, err = await asyncio.to_thread(typed, *shlex.split(line)[1:])
        assert (status, "needs MLflow, but mlflow is not installed: pip install mlflow" in err) == (2, True), err
    status, _, err = await asyncio.to_thread(typed, "register", "--reference", "validation.csv")
    assert (status, "--model: missing" in err) == (2, True)


def test_a_table_that_parquet_has_no_type_for_is_sent_as_lines() -> None:
    mixed = pd.DataFrame(
        {1: [1, "x", None], "age": [1.5, float("nan"), float("inf")], "at": pd.date_range("2026", periods=3)}
    )
    name, content = file_of(mixed)
    assert (name, [json.loads(line) for line in content.splitlines()]) == ("reference.jsonl", [
        {"1": 1, "age": 1.5, "at": "2026-01-01T00:00:00"},
        {"1": "x", "age": None, "at": "2026-01-02T00:00:00"},
        {"1": None, "age": "Infinity", "at": "2026-01-03T00:00:00"},
    ])  # fmt: skip
    assert list(mixed.columns) == [1, "age", "at"]
    name, content = file_of(mixed.drop(columns=1))
    assert (name, pq.read_table(pa.BufferReader(content)).column_names) == ("reference.parquet", ["age", "at"])
    for wrong, error, reason in (
        (pd.DataFrame({"a": [1, [2]]}), ValueError, "reference: row 2, column.a: list is no number"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "column 'a' stands there twice"),
        (pd.DataFrame([[1, 2]], columns=[1, "1"]), ValueError, "column '1' stands there twice"),
        ([1, 2], TypeError, "must be a table .* not list"),
        (Path("absent.csv"), FileNotFoundError, "absent.csv"),
    ):
        with pytest.raises(error, match=reason):
            file_of(wrong)


def test_a_busy_api_is_asked_again_and_another_server_is_no_driftline(monkeypatch: pytest.MonkeyPatch) -> None:
    body = {name: {} for name in ("features", "baseline", "left_out")} | {"notes": [], "n": 3, "task": "binary"}
    named = {"model": "churn", "model_version": "3", "profile_id": "p"}
    whole = answering(201, json.dumps(body | named).encode())
    with server(answering(503, b"{}"), answering(429, b"{}"), whole) as found:
        done = driftline.register(REFERENCE, model="a/b", version="1 2", api=found.origin, api_key="k")
        assert (done.created, done.profile_id, len(found.requests)) == (True, "p", 3)
        request = found.requests[-1]
        assert request.line.startswith("POST /models/a%2Fb/versions/1%202 ")
        assert request.headers["authorization"] == "Bearer k"
        assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
        assert [one.body for one in found.requests[:2]] == [request.body] * 2
    monkeypatch.setattr(registering, "pause_before", lambda *_: 1e9)
    for answer, reason in (
        (answering(201, b"{}"), "the response has no 'notes'"),
        (answering(200, b"<html>"), "is this Driftline"),
    ):
        with server(answer) as found, pytest.raises(RegisterFailed, match=reason):
            driftline.register(REFERENCE, model="a", version="1", api=found.origin)
    for config, error, reason in (([1], TypeError, "config: must be"), ({"a": float("nan")}, ValueError, "config: ")):
        with pytest.raises(error, match=reason):
            driftline.register(REFERENCE, model="a", version="1", config=config)  # type: ignore[arg-type]
