"""Several models in one API, versions that take each other's place under load, and a model that hangs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pandas as pd
import pytest

from api.served.models import ServedModel, ServedModels
from app.access import KeyFile, Role, keys_path
from app.serving import BundleError, save_bundle
from app.serving.bundle import MODEL, TRAINING
from app.settings.settings import Settings, load_settings
from app.telemetry import metrics
from tests.support.api import client_of, ready, services_of
from tests.support.kafka_topics import records_of
from tests.support.served_model import save_stubborn
from tests.support.stubborn_model import FAILS, HANGS, PID
from topics.events import AuditEvent, DeploymentEvent, PredictionEvent
from topics.registry import AUDIT, DEPLOYMENTS, PREDICTIONS

ROW: dict[str, Any] = {"features": {"age": 3}}


class Doubled:
    """Twice the age, and a version's own number added."""

    def __init__(self, added: float) -> None:
        self.added = added
        self.feature_names_in_ = np.array(["age"])
        self.n_features_in_ = 1

    def predict(self, frame: pd.DataFrame) -> Any:
        if (frame["age"] < 0).any():
            raise ValueError(f"cannot take {frame['age'].tolist()}")
        return 2 * frame["age"].to_numpy() + self.added


def save(folder: Path, model: str, version: str, added: float) -> Path:
    example = {"features": {"age": 1.0}, "prediction": 2 + added, "probability": None}
    save_bundle(
        folder, Doubled(added), {"age": "numeric"}, model=model, model_version=version, training={"examples": [example]}
    )
    return folder


@pytest.fixture
async def served(settings: Settings, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Two models, of few threads."""
    root = tmp_path / "models"
    folders = (save(root / "price-1", "price", "1", 0), save(root / "risk", "risk", "1", 1000))
    few = {"model_path": folders, "model_root": root, "predict_threads": 2, "predict_queue": 1}
    async with client_of(settings.model_copy(update=few)) as client:
        await ready(client)
        yield client


async def predicted(client: httpx.AsyncClient, path: str = "/predict", row: dict[str, Any] = ROW) -> tuple[Any, ...]:
    answer = await client.post(path, json=row)
    told = answer.json()
    return answer.status_code, told.get("prediction"), told.get("model_version"), told.get("model")


def served_of(client: httpx.AsyncClient, name: str) -> ServedModel:
    found = services_of(client).served_models.get(name)
    assert found is not None
    return found


async def test_each_model_is_asked_by_its_name_and_told_of_with_its_libraries(
    served: httpx.AsyncClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    assert await predicted(served) == (200, 6, "1", "price")
    assert await predicted(served, "/predict/price") == (200, 6, "1", "price")
    assert await predicted(served, "/predict/risk") == (200, 1006, "1", "risk")
    answer = await served.post("/predict/other", json=ROW)
    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "no model 'other' is served here; served: price, risk",
    )
    told = (await served.get("/")).json()
    assert [(one["model"], one["skew"], one["examples"]) for one in told["models"]] == [
        ("price", [], "1 agree with training"), ("risk", [], "1 agree with training"),
    ]  # fmt: skip
    recorded = json.loads((settings.state_dir.parent / "models" / "risk" / TRAINING).read_text())
    assert told["models"][1]["sha256"] == recorded["sha256"]
    assert told["models"][1]["libraries"]["numpy"] == {"trained": np.__version__, "here": np.__version__}
    assert told["model"] == "price"
    keys = KeyFile(keys_path(settings))

    def key(*roles: Role) -> dict[str, str]:
        text = keys.create("-".join(roles), list(roles), datetime.now(UTC), models=["risk"]).text
        return {"authorization": f"Bearer {text}"}

    theirs = key("read", "produce")
    assert [one["model"] for one in (await served.get("/", headers=theirs)).json()["models"]] == ["risk"]
    assert (await served.post("/predict/risk", json=ROW, headers=theirs)).status_code == 200
    for path in ("/predict", "/predict/price", "/models/risk/serve"):
        assert (await served.post(path, json=ROW, headers=theirs)).status_code == 403, path
    caplog.clear()
    answer = await served.post("/predict/risk", json={"features": {"age": -4711}}, headers=theirs)
    assert (answer.status_code, answer.json()["errors"]) == (422, {"age": "the model cannot take this number"})
    assert "4711" not in caplog.text + answer.text


async def test_a_version_takes_anothers_place_and_no_request_is_refused(
    served: httpx.AsyncClient, settings: Settings, tmp_path: Path
) -> None:
    old = served_of(served, "price")
    entered, release = threading.Event(), threading.Event()
    plain = old.bundle.estimator.predict

    def slow(frame: pd.DataFrame) -> Any:
        if (frame["age"] > 100).any():
            entered.set()
            assert release.wait(30)
        return plain(frame)

    old.bundle.estimator.predict = slow
    begun = asyncio.create_task(predicted(served, row={"features": {"age": 101}}))
    assert await asyncio.to_thread(entered.wait, 20)
    answers: list[tuple[Any, ...]] = []
    stop = asyncio.Event()

    async def asking() -> None:
        while not stop.is_set():
            answers.append(await predicted(served))

    asker = asyncio.create_task(asking())
    save(tmp_path / "models" / "price-2", "price", "2", 10)
    answer = await served.post("/models/price/serve", json={"folder": "price-2"})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["model_version"], told["previous_version"], told["examples_checked"]) == ("2", "1", 1)
    assert told["under_way"] >= 1
    assert await predicted(served) == (200, 16, "2", "price")
    assert not begun.done()
    stop.set()
    await asker
    release.set()
    assert await begun == (200, 202, "1", "price")  # by the version that had it
    assert old.users == 0
    assert {answer[0] for answer in answers} == {200}
    assert {answer[1:3] for answer in answers} <= {(6, "1"), (16, "2")}
    audited = [msgspec.json.decode(one.value, type=AuditEvent) for one in await records_of(settings, AUDIT)]
    assert [(one.action, one.subject, one.detail) for one in audited] == [
        ("model.served", "price", {"folder": "price-2"})
    ]


async def test_what_cannot_be_served_leaves_the_version_that_is_and_a_signal_loads_all_again(
    served: httpx.AsyncClient, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "models"
    broken = save(root / "broken", "price", "3", 20)
    (broken / MODEL).write_bytes(b"cut short")
    (root / "link").symlink_to(tmp_path)
    cases = {
        "broken": "SHA-256 differs", "risk": "is the model 'risk', not 'price'", "nowhere": "no such folder",
        "../models/risk": "the name of a folder in model_root", "..": "the name of a folder in model_root",
        "link": "leads to no other place",
    }  # fmt: skip
    for folder, words in cases.items():
        answer = await served.post("/models/price/serve", json={"folder": folder})
        assert (answer.status_code, words in answer.json()["detail"]) == (422, True), answer.text
    assert (await served.post("/models/other/serve")).status_code == 404
    release = threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr("api.served.models.LOAD_SECONDS", 0.05)
        patched.setattr("api.served.models.load_bundle", lambda _: release.wait(30))
        first = asyncio.create_task(served.post("/models/price/serve"))
        while not services_of(served).served_models.loading.locked():  # noqa: ASYNC110 - a lock notifies nobody
            await asyncio.sleep(0)
        assert (await served.post("/models/price/serve")).status_code == 409
        answer = await first
        assert (answer.status_code, "not loaded" in answer.json()["detail"]) == (422, True)
        release.set()
    assert await predicted(served) == (200, 6, "1", "price")
    assert await records_of(settings, AUDIT) == []

    save(root / "risk", "risk", "2", 2000)
    (root / "price-1" / MODEL).write_bytes(b"cut short")
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(30):
        while await predicted(served, "/predict/risk") != (200, 2006, "2", "risk"):
            pass
    assert await predicted(served) == (200, 6, "1", "price")
    save(root / "price-1", "price", "4", 30)
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(30):
        while await predicted(served) != (200, 36, "4", "price"):
            pass
    deployed = [msgspec.json.decode(one.value, type=DeploymentEvent) for one in await records_of(settings, DEPLOYMENTS)]
    assert sorted((one.model, one.model_version) for one in deployed) == [
        ("price", "1"), ("price", "4"), ("risk", "1"), ("risk", "2"),
    ]  # fmt: skip


def test_two_folders_of_one_model_are_refused(tmp_path: Path) -> None:
    folders = [save(tmp_path / name, "price", "1", 0) for name in ("a", "b")]
    with pytest.raises(BundleError, match=r"model_path: .*/a and .*/b are both the model 'price'"):
        ServedModels(load_settings(model_path=",".join(map(str, folders))))


class Hanging:
    """In the place of a model's predict: it hangs until it is let go, and fails then."""

    def __init__(self) -> None:
        self.began, self.release = threading.Semaphore(0), threading.Event()

    def __call__(self, _: pd.DataFrame) -> Any:
        self.began.release()
        assert self.release.wait(60)
        raise RuntimeError("canary-4711 in its words")


def limit(client: httpx.AsyncClient, seconds: float) -> None:
    services = services_of(client)
    services.settings = services.settings.model_copy(update={"predict_seconds": seconds})


async def test_where_all_threads_hang_it_is_not_ready_and_nobody_waits_until_there_are_new_ones(
    served: httpx.AsyncClient,
) -> None:
    model, hanging = served_of(served, "risk"), Hanging()
    model.bundle.estimator.predict = hanging

    async def asked() -> httpx.Response:
        return await served.post("/predict/risk", json=ROW)

    hung = [asyncio.create_task(asked()) for _ in range(2)]
    for _ in hung:
        assert await asyncio.to_thread(hanging.began.acquire, timeout=20)
    waiting = asyncio.create_task(asked())
    async with asyncio.timeout(20):
        while not model.threads.waiting:  # noqa: ASYNC110 - a queue notifies nobody
            await asyncio.sleep(0)
    full = await asked()
    assert (full.status_code, full.headers["retry-after"]) == (503, "5")
    assert full.json()["detail"] == "1 requests wait for the model already (predict_queue)"
    assert (await served.get("/ready?for=events")).status_code == 200
    limit(served, 1e-3)
    async with asyncio.timeout(30):
        while (answer := await served.get("/ready?for=events")).status_code == 200:
            pass
    assert answer.json()["detail"].startswith("model risk: all 2 threads of the model are busy")
    early = await waiting  # it did not wait for its own time to pass
    assert (early.status_code, early.headers["retry-after"]) == (503, "5")
    early = await asked()
    assert (early.status_code, early.headers["retry-after"]) == (503, "5")
    assert "POST /models/{model}/serve gives it new ones" in early.json()["detail"]
    text = (await served.get("/metrics")).text
    assert 'driftline_api_predict_overdue_threads{model="risk"} 2.0' in text
    assert 'driftline_api_predict_overdue_threads{model="price"} 0.0' in text
    assert not any(one.done() for one in hung)
    limit(served, 30)
    assert (await served.post("/models/risk/serve")).status_code == 200
    assert await predicted(served, "/predict/risk") == (200, 1006, "1", "risk")
    assert (await served.get("/ready?for=events")).status_code == 200
    hanging.release.set()
    assert [(await one).status_code for one in hung] == [500, 500]


async def test_a_timeout_is_logged_and_counted_and_a_failure_is_logged_with_its_frames(
    served: httpx.AsyncClient, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    model, hanging = served_of(served, "risk"), Hanging()
    model.bundle.estimator.predict = hanging
    before = metrics.API_PREDICT_TIMEOUTS.labels("risk")._value.get()
    limit(served, 0.05)
    late = await served.post("/predict/risk", json=ROW)
    assert (late.status_code, "has not answered within 0.05 s" in late.text) == (503, True)
    assert metrics.API_PREDICT_TIMEOUTS.labels("risk")._value.get() == before + 1
    assert "model risk 1: a request has not been answered within 0.05 s; 1 of its 2 threads are overdue" in caplog.text
    limit(served, 30)
    hanging.release.set()
    failed = await served.post("/predict/risk", json=ROW)
    assert (failed.status_code, failed.json()["detail"]) == (500, "the model failed on these features: RuntimeError")
    line = next(one for one in caplog.messages if one.startswith("the model risk failed: RuntimeError at "))
    assert f"{Path(__file__).name}:" in line  # where in the model's own code
    assert "canary-4711" not in caplog.text
    assert await records_of(settings, PREDICTIONS) == []


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_a_model_in_a_process_of_its_own_hangs_there_and_is_replaced_by_another(
    settings: Settings, tmp_path: Path
) -> None:
    folder = save_stubborn(tmp_path / "m")
    more = {"model_path": folder, "predict_processes": 1}
    async with client_of(settings.model_copy(update=more)) as client:

        async def asked(age: float) -> httpx.Response:
            return await client.post("/predict", json={"features": {"age": age}})

        async def again_ready() -> None:
            async with asyncio.timeout(60):
                while (await client.get("/ready?for=predict")).status_code != 200:
                    pass

        await again_ready()
        assert (await asked(3)).json()["prediction"] == 6
        pid = int((await asked(PID)).json()["prediction"])
        assert pid != os.getpid()
        before = metrics.API_PREDICT_RESTARTS.labels("m")._value.get()
        limit(client, 0.2)
        hung = asyncio.create_task(asked(HANGS))
        assert (await client.get("/health")).status_code == 200  # though the model holds Python's lock
        lost = await hung
        limit(client, 60.0)
        assert (
            (await client.get("/ready?for=predict")).json()["detail"].startswith("model m: model m 1 is being started")
        )
        assert (lost.status_code, lost.headers["retry-after"]) == (503, "5")
        assert "its process was ended and is started again" in lost.json()["detail"]
        assert gone(pid)
        await again_ready()
        assert (await asked(3)).json()["prediction"] == 6
        unfit = await asked(FAILS)  # an example is known to be good
        assert (unfit.status_code, unfit.json()["errors"]) == (422, {"age": "the model cannot take this number"})
        text = (await client.get("/metrics")).text
        assert f'driftline_api_predict_process_restarts_total{{model="m"}} {before + 1}' in text
        pid = int((await asked(PID)).json()["prediction"])
        save_stubborn(folder, "2", 10)
        answer = await client.post("/models/m/serve")
        assert (answer.status_code, answer.json()["model_version"]) == (200, "2")
        assert (await asked(3)).json()["prediction"] == 16
        async with asyncio.timeout(30):
            while not gone(pid):
                await client.get("/health")
        last = int((await asked(PID)).json()["prediction"])
    async with asyncio.timeout(30):
        while not gone(last):  # noqa: ASYNC110 - a process that ends notifies nobody
            await asyncio.sleep(0)
    events = [msgspec.json.decode(one.value, type=PredictionEvent) for one in await records_of(settings, PREDICTIONS)]
    assert {event.features["age"] for event in events} == {3, PID}
