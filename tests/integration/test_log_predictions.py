"""The predictions of a service and of a function are logged as they were made, whatever shape they have."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import httpx
import numpy as np
import pandas as pd
import polars as pl
import pytest
import uvicorn
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request as Served
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from api.intake.bodies import decode_items
from api.intake.events import predictions as http_predictions
from api.intake.events import wrong_prediction
from driftline import Client, InvalidEvent, PredictionMiddleware, Undelivered, log_predictions
from tests.support.client_server import accepting, events, server
from tests.support.docs import blocks
from tests.support.paths import DOCS
from tests.support.receivers import Receiver

pytestmark = pytest.mark.usefixtures("direct")

made: list[Client] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while made:
        with contextlib.suppress(Undelivered):
            made.pop().close(0)


def client_of(found: Receiver, **given: Any) -> Client:
    made.append(Client(found.origin, **{"model": "churn", "model_version": "3", **given}))
    return made[-1]


def parts(logged: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """The id, features, prediction and probability of each event."""
    return [(one["prediction_id"], one["features"], one["prediction"], one.get("probability")) for one in logged]


@contextlib.contextmanager
def run(app: Any) -> Iterator[str]:
    """Serve an app with uvicorn; it has shut down when the context ends."""
    running = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="on"))
    sock = running.config.bind_socket()
    thread = Thread(target=lambda: asyncio.run(running.serve(sockets=[sock])))
    thread.start()
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()
        sock.close()


def test_the_page_on_fastapi_does_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = "\n".join(text for language, text in blocks(DOCS / "how-to" / "fastapi.md") if language == "python")
    with server(accepting) as found:
        monkeypatch.setenv("DRIFTLINE_API_URL", found.origin)
        module: dict[str, Any] = {"__name__": "service"}
        exec(compile(page, "service.py", "exec"), module)
        made.append(module["client"])
        sent = [{"tenure": 3.5, "plan": "basic"}, {"tenure": 40, "plan": "gold"}]
        with run(module["app"]) as url, httpx.Client(base_url=url, trust_env=False) as http:
            answers = [http.post("/predict", json=one) for one in sent]
            assert http.post("/predict", json={"tenure": "long"}).status_code == 422
            ids = [answer.headers["driftline-prediction-id"] for answer in answers]
            assert http.post(f"/churned/{ids[0]}", params={"churned": True}).status_code == 200
        # the service has ended, so that all has been sent
        assert [answer.json() for answer in answers] == [
            {"prediction": 1, "probability": 0.9}, {"prediction": 0, "probability": 0.2}
        ]  # fmt: skip
        logged = events(found)
        assert parts(logged) == [
            (name, features, answer.json()["prediction"], answer.json()["probability"])
            for name, features, answer in zip(ids, sent, answers, strict=True)
        ]
        assert {(one["model"], one["model_version"]) for one in logged} == {("churn", "3")}
        decoded = decode_items(found.requests[0].body, "", http_predictions, wrong_prediction)
        assert (len(decoded.accepted), list(decoded.rejected), list(decoded.warnings)) == (2, [], [])
        assert events(found, "/feedback") == [{"prediction_id": ids[0], "actual": 1}]
        assert module["score"]({"plan": "gold"}) == 0.2
        assert module["client"].flush()
        assert [(one["features"], one["prediction"]) for one in events(found)[2:]] == [({"plan": "gold"}, 0.2)]
        assert module["client"].stats.lost == 0


class Exchange(NamedTuple):
    response: httpx.Response
    logged: list[tuple[Any, ...]]
    lost: list[str]


async def exchanged(
    found: Receiver,
    endpoint: Callable[[Served], Awaitable[Response]],
    content: Any,
    path: str = "/predict",
    watched: str | None = None,
    **options: Any,
) -> Exchange:
    """Send one request to an endpoint behind the middleware. Its events begin anew each time."""
    before, lost = len(events(found)), []
    client = client_of(found, on_loss=lambda loss: lost.append(loss.reason), raises=True)
    service = Starlette(
        routes=[
            Route(path, endpoint, methods=["POST", "GET"]),
            Mount("/v2", routes=[Route(path, endpoint, methods=["POST"])]),
        ]
    )
    app = PredictionMiddleware(service, client, watched or path, **options)
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://s") as http:
        response = await http.post(path.replace("{name}", "churn"), content=body)
    with contextlib.suppress(Undelivered):  # it is in the list
        await asyncio.to_thread(client.flush)
    return Exchange(response, parts(events(found)[before:]), lost)


def returning(result: object, **given: Any) -> Callable[[Served], Awaitable[Response]]:
    async def endpoint(request: Served) -> Response:
        await request.json()
        return JSONResponse(result, **given)

    return endpoint


ROW: dict[str, Any] = {"age": 31, "plan": "gold"}
ROWS: list[dict[str, Any]] = [ROW, {"age": 25, "plan": None}]


@pytest.mark.parametrize(
    ("content", "result", "options", "expected"),
    [
        (ROW, 1, {}, [(None, ROW, 1, None)]),
        (ROW, "stays", {}, [(None, ROW, "stays", None)]),
        ({"features": ROW, "trace": {}}, {"prediction": False}, {}, [(None, ROW, False, None)]),
        ({"features": 3, "age": 1}, {"prediction": 0}, {}, [(None, {"features": 3, "age": 1}, 0, None)]),
        (
            {"customer": {"data": ROW}, "request_id": 7},
            {"result": {"label": "a", "scores": {"a": 0.75, "b": 0.25}}},
            {"features": "customer.data", "prediction": "result.label", "probability": "result.scores",
             "prediction_id": "request_id"},
            [("7", ROW, "a", {"a": 0.75, "b": 0.25})],
        ),
        ({**ROW, "prediction_id": "a"}, {"prediction": 1, "prediction_id": "b"}, {}, [("b", ROW, 1, None)]),
        ({**ROW, "prediction_id": "mine"}, {"prediction": 1}, {}, [("mine", ROW, 1, None)]),
        ({**ROW, "prediction_id": None}, [1], {}, [(None, ROW, 1, None)]),
        (ROWS, [0, 1], {}, [("-0", ROWS[0], 0, None), ("-1", ROWS[1], 1, None)]),
        (
            {"features": ROWS},
            {"predictions": [{"p": 0.1}, {"p": 0.9}], "prediction_id": ["x", "y"]},
            {"prediction": "predictions.p"},
            [("x", ROWS[0], 0.1, None), ("y", ROWS[1], 0.9, None)],
        ),
        (
            [{**row, "id": name} for row, name in zip(ROWS, "xy", strict=True)],
            [{"prediction": 0, "probability": 0.1}, {"prediction": 1}],
            {"prediction_id": "id"},
            [("x", ROWS[0], 0, 0.1), ("y", ROWS[1], 1, None)],
        ),
        (ROWS[:1], [1], {}, [(None, ROW, 1, None)]),
        ([], [], {}, []),
    ],
)  # fmt: skip
async def test_a_response_of_any_shape_is_logged(
    content: object, result: object, options: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    with server(accepting) as found:
        got = await exchanged(found, returning(result), content, **options)
        assert (got.response.json(), got.lost) == (result, [])
        reported = got.response.headers.get("driftline-prediction-id")
        named = [(*one[:1], *one[1:]) for one in expected]
        for row, (name, *_) in enumerate(named):
            logged_id = got.logged[row][0]
            if name is None or name.startswith("-"):
                assert logged_id == f"{reported}{name or ''}"
                named[row] = (logged_id, *named[row][1:])
        assert got.logged == named
        if len(named) == 1:
            assert reported == got.logged[0][0]


async def test_what_cannot_be_logged_is_counted_and_the_response_is_as_it_was() -> None:
    async def text(_request: Served) -> Response:
        return PlainTextResponse("gold")

    async def streamed(_request: Served) -> Response:
        async def parts_of() -> AsyncIterator[bytes]:
            for part in (b'{"prediction"', b": ", b"1}"):
                yield part

        return StreamingResponse(parts_of(), media_type="application/json")

    async def compressed(_request: Served) -> Response:
        body = gzip.compress(b"1")
        return Response(body, headers={"content-encoding": "gzip", "content-type": "application/json"})

    with server(accepting) as found:
        for endpoint, content, options, reason in (
            (returning({"churn": 1}), ROW, {}, "prediction: the result has no prediction, but churn"),
            (returning({"r": {"a": 1}}), ROW, {"prediction": "r.b"}, "prediction: the result has no b, but a"),
            (
                returning({"prediction": 1}),
                ROW,
                {"probability": "p"},
                "probability: the result has no p, but prediction",
            ),
            (returning([1, 2, 3]), ROWS, {}, "prediction: 2 rows were given, and 3 values returned"),
            (returning(1), [1, 2], {}, "features: the request has no names of features"),
            (returning(1), {"a": 1}, {"features": "b"}, "features: the request has no b, but a"),
            (text, ROW, {}, "prediction: the response is text/plain, not JSON"),
            (compressed, ROW, {}, "prediction: the response is compressed"),
            (text, b"age=31", {}, "prediction: the response is text/plain, not JSON"),
            (streamed, b"age=31", {}, "features: the request is not JSON"),
            (returning({"prediction": [1, 2]}), ROW, {}, "prediction: list is no number, text"),
        ):
            got = await exchanged(found, endpoint, content, **options)
            assert (got.response.status_code, got.logged) == (200, []), reason
            (lost,) = got.lost
            assert lost.startswith(reason)
            assert "driftline-prediction-id" not in got.response.headers
            assert "31" not in lost
        got = await exchanged(found, streamed, ROW)
        assert (got.response.content, [one[2] for one in got.logged]) == (b'{"prediction": 1}', [1])
        for result, options in (
            (returning({"detail": "no"}, status_code=400), {}),
            (returning(1), {"watched": "/score"}),
        ):
            got = await exchanged(found, result, ROW, **options)
            assert (got.logged, got.lost) == ([], [])


async def test_paths_ids_and_bodies_reach_the_endpoint_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    async def echo(request: Served) -> Response:
        body = await request.json()
        assert await request.body() == json.dumps(body).encode()
        return JSONResponse({"prediction": 0, "seen": request.state.prediction_id})

    async def failing(_request: Served) -> Response:
        raise OSError("the model is broken")

    with server(accepting) as found:
        for content in (ROW, {**ROW, "prediction_id": "mine"}, ROWS[:1]):
            got = await exchanged(found, echo, content, "/models/{name}/predict")
            seen = got.response.json()["seen"]
            assert [one[0] for one in got.logged] == [seen]
            assert got.response.headers["driftline-prediction-id"] == seen
        with pytest.raises(OSError, match="broken"):
            await exchanged(found, failing, ROW)
        monkeypatch.setattr("driftline.middleware.LARGEST_BODY", 2000)
        large = {"age": "x" * 3000}
        got = await exchanged(found, echo, large)
        assert (got.response.status_code, got.logged) == (200, [])
        assert got.lost == ["features: the request has more than 0 MiB"]
        got = await exchanged(found, returning({"prediction": "x" * 3000}), ROW)
        assert (len(got.response.content), got.lost) == (3017, ["prediction: the response has more than 0 MiB"])


async def test_a_service_below_a_prefix_and_behind_compression_is_logged_too() -> None:
    with server(accepting) as found:
        client = client_of(found)
        inner = Starlette(routes=[Route("/predict", returning({"prediction": 1, "pad": "x" * 2000}), methods=["POST"])])
        inner.add_middleware(PredictionMiddleware, client=client)
        outer = Starlette(routes=[Mount("/v2", inner)])
        outer.add_middleware(GZipMiddleware)
        transport = httpx.ASGITransport(outer, root_path="/proxy")
        async with httpx.AsyncClient(transport=transport, base_url="http://s") as http:
            response = await http.post("/proxy/v2/predict", json=ROW)
        assert (response.status_code, response.headers["content-encoding"]) == (200, "gzip")
        assert await asyncio.to_thread(client.flush)
        assert parts(events(found)) == [(response.headers["driftline-prediction-id"], ROW, 1, None)]
    with pytest.raises(ValueError, match="must start with a slash"):
        PredictionMiddleware(inner, client, "predict")


class Customer(BaseModel):
    age: int
    plan: str | None = None


@dataclass
class Person:
    age: int
    plan: str | None
    order: str = "o1"


class Result(NamedTuple):
    prediction: str
    probability: float


FRAME = pd.DataFrame({"age": [31, 25], "plan": ["gold", None]}, index=[7, 9])


@pytest.mark.parametrize(
    ("given", "result", "options", "expected"),
    [
        (ROW, 1, {}, [(ROW, 1, None)]),
        (Customer(**ROW), {"prediction": "a", "probability": {"a": 0.75}}, {}, [(ROW, "a", {"a": 0.75})]),
        (Person(**ROW), Result("a", 0.5), {"prediction_id": "order"}, [("o1", ROW, "a", 0.5)]),
        (pd.Series(ROW), np.float32(0.5), {}, [(ROW, 0.5, None)]),
        (FRAME, np.array([0, 1]), {}, [(ROWS[0], 0, None), (ROWS[1], 1, None)]),
        (FRAME, pd.Series(["a", "b"], index=["x", "y"]), {}, [(ROWS[0], "a", None), (ROWS[1], "b", None)]),
        (FRAME.iloc[:1], np.array([1]), {}, [(ROW, 1, None)]),
        (FRAME.iloc[:0], np.array([]), {}, []),
        (pl.DataFrame(ROWS), pl.Series([0.1, 0.9]), {}, [(ROWS[0], 0.1, None), (ROWS[1], 0.9, None)]),
        (
            FRAME, {"label": ["a", "b"], "p": [0.1, 0.9]}, {"prediction": "label", "probability": "p"},
            [(ROWS[0], "a", 0.1), (ROWS[1], "b", 0.9)],
        ),
    ],
)  # fmt: skip
def test_a_function_is_logged_with_what_it_was_called_with(
    given: object, result: object, options: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    with server(accepting) as found:
        client = client_of(found, raises=True)

        @log_predictions(client, **options)
        def predict(data: object) -> object:
            """Predict."""
            if isinstance(data, dict):
                data.clear()  # after the call began
            return result

        class Model:
            @log_predictions(client, **options)
            async def predict(self, data: object, trace: object) -> object:
                return result

        assert (predict.__name__, predict.__doc__) == ("predict", "Predict.")
        assert predict(dict(given) if isinstance(given, dict) else given) is result
        assert asyncio.run(Model().predict(given, None)) is result
        assert client.flush()
        logged = parts(events(found))
        named = [one if len(one) == 4 else (None, *one) for one in expected] * 2
        assert [(None if row[0] is None else own[0], *own[1:]) for own, row in zip(logged, named, strict=True)] == named


def test_arguments_are_features_where_the_first_is_a_value() -> None:
    with server(accepting) as found:
        client = client_of(found)

        @log_predictions(client)
        def score(age: int, plan: str | None = "gold", *, prediction_id: str | None = None) -> float:
            return 0.5

        @log_predictions(client)
        def by_name(**features: object) -> int:
            return 1

        assert (score(31), score(25, plan=None, prediction_id="r1"), by_name(**ROW)) == (0.5, 0.5, 1)
        assert client.flush()
        assert [(one["features"], one["prediction"]) for one in events(found)] == [(ROW, 0.5), (ROWS[1], 0.5), (ROW, 1)]
        assert events(found)[1]["prediction_id"] == "r1"


def test_a_function_that_cannot_be_logged_works_as_before(caplog: pytest.LogCaptureFixture) -> None:
    with server(accepting) as found:
        client, strict = client_of(found), client_of(found, raises=True)

        def model(data: Any) -> Any:
            return data["churn"] if isinstance(data, dict) else [0] * 3

        logged = log_predictions(client)(model)
        for given, reason in (
            (np.zeros((3, 2)), "features: ndarray has no names of features"),
            ([[1, 2], [3, 4]], "features: list has no names of features"),
            (FRAME, "prediction: 2 rows were given, and 3 values returned"),
            ({"churn": {"a": 1}}, "prediction: the result has no prediction, but a"),
        ):
            assert logged(given) == model(given)
            with pytest.raises(InvalidEvent, match=reason):
                log_predictions(strict)(model)(given)
        assert (client.stats.lost_by_kind, client.stats.logged) == ({"invalid": 4}, 4)
        assert "features: ndarray has no names of features (invalid; 1 so far)" in caplog.text
        with pytest.raises(KeyError):
            logged({"other": 1})
        with pytest.raises(TypeError, match="missing 1 required positional argument"):
            logged()  # type: ignore[call-arg]
        assert client.stats.logged == 4
        with pytest.raises(TypeError, match=r"model has no argument 'row'; it has data"):
            log_predictions(client, features="row")(model)
        with pytest.raises(TypeError, match="has no arguments, so no features"):
            log_predictions(client)(lambda: 1)


ENDPOINTS = """
from __future__ import annotations

from typing import Annotated, TYPE_CHECKING
from fastapi import Depends, FastAPI, Request
from pydantic import BaseModel
from driftline import log_predictions

if TYPE_CHECKING:
    from nowhere import Missing

class Order(BaseModel):
    age: int
    plan: str
    number: str

app = FastAPI()

def threshold(request: Request) -> float:
    return 0.5

@app.post("/sync")
@log_predictions(client, prediction_id="number")
def sync(order: Order, least: Annotated[float, Depends(threshold)]) -> dict[str, float]:
    return {"prediction": least}

@app.post("/async")
@log_predictions(client, features="order", prediction_id="number")
async def coroutine(request: Request, order: Order) -> float:
    return float(len(request.url.path))

@log_predictions(client)
def unresolved(features: Missing) -> float:
    return 1.0
"""


async def test_a_decorated_endpoint_keeps_its_parameters() -> None:
    with server(accepting) as found:
        client = client_of(found)
        module: dict[str, Any] = {"__name__": "endpoints", "client": client}
        exec(compile(ENDPOINTS, "endpoints.py", "exec"), module)
        assert inspect.signature(module["sync"]).parameters["order"].annotation is module["Order"]
        async with httpx.AsyncClient(transport=httpx.ASGITransport(module["app"]), base_url="http://s") as http:
            answers = [await http.post(f"/{path}", json={**ROW, "number": path}) for path in ("sync", "async")]
        assert [(one.status_code, one.json()) for one in answers] == [(200, {"prediction": 0.5}), (200, 6.0)]
        assert module["unresolved"](ROW) == 1.0
        assert await asyncio.to_thread(client.flush)
        first, second, third = parts(events(found))
        assert (first, second, third[1:]) == (("sync", ROW, 0.5, None), ("async", ROW, 6.0, None), (ROW, 1.0, None))
