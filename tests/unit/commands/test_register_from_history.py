"""`register --from-history` and `register --api`: what is sent, and what is refused before anything is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from api.intake.forms import form_of
from api.intake.references import PARTS, GivenReference, reference_of
from app.commands.api_client import ApiClient, ApiError, address
from app.history import History
from app.registration.result import registered_version
from tests.support.history_stream import AT, Stream, prediction
from tests.support.run_command import typed
from topics import registry

MODEL = ("--model", "churn", "--version", "4")


class Api:
    """Registers in memory, as the API reads forms. `sent`: the form that came last."""

    def __init__(self) -> None:
        self.sent: dict[str, Any] = {}
        self.key = ""
        self.given: GivenReference

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.key = request.headers.get("authorization", "")
        if request.url.path == "/models":
            return httpx.Response(200, content=b'{"models": []}')
        if request.method == "GET":
            return httpx.Response(200, content=msgspec.json.encode({"profile": self.given.profile}))
        assert request.url.raw_path == b"/models/churn/versions/4"
        self.sent = form_of(request.read(), request.headers["content-type"], PARTS)
        self.given = reference_of("churn", "4", self.sent, None)
        result = registered_version(self.given.profile, self.given.file.monitoring, None)
        return httpx.Response(201, content=msgspec.json.encode(result))


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    found = Api()
    given = httpx.Client

    def client(**more: Any) -> httpx.Client:
        return given(transport=httpx.MockTransport(found), **more)

    monkeypatch.setattr(httpx, "Client", client)
    return found


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two hundred predictions of version 3 in the history that the settings name."""
    history = History(tmp_path / "history.db")
    history.prepare()
    stream = Stream(history)
    features = [{"age": 20 + i % 50, "town": ["Oulu", "Turku"][i % 2]} for i in range(200)]
    outputs = [("stays", 0.25), ("goes", 0.75)]
    stream.write(registry.PREDICTIONS, *(
        prediction(f"p{i}", timestamp=AT + i, features=row, prediction=outputs[i % 2][0], probability=outputs[i % 2][1])
        for i, row in enumerate(features)
    ))  # fmt: skip
    stream.write(registry.FEEDBACK, *({"prediction_id": f"p{i}", "actual": outputs[i % 2][0]} for i in range(200)))
    history.close()
    monkeypatch.setenv("DRIFTLINE_HISTORY_URL", f"sqlite:///{tmp_path / 'history.db'}")


def test_recorded_predictions_are_sent_as_a_profile(api: Api, recorded: None, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("dlk_1\n")
    words = ("--from-history", "--from-version", "3", "--since", "2023-11-14T22:14:00Z")
    status, out, err = typed(
        "register", *MODEL, *words, "--api", "http://api.example", "--api-key-file", str(tmp_path / "key"), "--json"
    )
    assert status == 0, err
    assert api.sent.keys() == {"profile"}
    assert (api.given.profile.n, api.given.profile.task) == (160, "binary")
    assert api.key == "Bearer dlk_1"
    told = msgspec.json.decode(out)
    assert (told["profile_id"], told["decided"].keys()) == (api.given.profile.profile_id, {"age", "town"})
    assert "task binary" in err
    status, _, err = typed("register", *MODEL, "--from-history", "--api", "http://api.example")
    assert (status, "no predictions of churn 4 in that time; it has versions 3 of churn" in err) == (2, True), err


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        (("--from-history", "--reference", "r.csv"), "--from-history: there is --reference too"),
        (
            ("--since", "2026-01-01T00:00:00Z", "--reference", "r.csv"),
            "are for --from-history and --from-topic, which are missing",
        ),
        (("--from-history", "--since", "yesterday"), "--since: 'yesterday' is no moment"),
        (("--reference", "nothing.csv"), "nothing.csv: no such file"),
        (("--reference", "r.csv", "--api-key", "a", "--api-key-file", "b"), "--api-key: there is --api-key-file too"),
        (("--reference", "r.csv", "--api-key-file", "nothing"), "--api-key-file: cannot read nothing"),
    ],
)
def test_what_cannot_be_registered_is_refused_before_anything_is_sent(
    words: tuple[str, ...], wrong: str, api: Api
) -> None:
    status, _, err = typed("register", *MODEL, *words, "--api", "http://api.example")
    assert (status, wrong in err) == (2, True), err
    assert not api.sent


def test_a_key_without_an_api_and_an_address_that_is_none_are_refused() -> None:
    for words, wrong in (
        (("--api", "localhost:8700"), "--api: must be an address such as https://"),
        (("--bootstrap-servers", "127.0.0.1:1", "--api-key", "x"), "--api-key: is for --api, which is missing"),
        (("--api", "http://x", "--prefix", "y."), "--api: is in place of Kafka"),
    ):
        status, _, err = typed("top", *words)
        assert (status, wrong in err) == (2, True), err


def test_a_response_that_is_an_error_is_one_line_and_one_that_may_pass_is_asked_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.commands.api_client._pause", lambda *_: 0.0)
    answers = [
        httpx.Response(503, json={"detail": "loading"}),
        httpx.Response(200, json={"models": 1}),
        httpx.Response(401, json={"detail": "a key is needed"}),
        httpx.Response(502, text="<html>bad gateway</html>"),
        *[httpx.Response(429, json={"detail": "too many"})] * 9,
        httpx.Response(200, text="<html>"),
    ]
    monkeypatch.setattr(
        httpx.Client, "request", lambda *_, **__: answers.pop(0), raising=True
    )  # what a proxy in between, or another service, may answer
    with ApiClient("http://x/drift/", None) as client:
        assert client.get("/models", dict[str, int]) == {"models": 1}
        with pytest.raises(ApiError, match=r"http://x/drift: 401: a key is needed \(--api-key-file, or DRIFTLINE_API"):
            client.get("/models", dict[str, int])
        with pytest.raises(ApiError, match="429: too many"):
            client.get("/models", dict[str, int])
        answers[:] = answers[-1:]
        with pytest.raises(ApiError, match="is it Driftline"):
            client.get("/models", dict[str, int])
    assert address("models", "a b/ü", "versions", "1.0") == "/models/a%20b%2F%C3%BC/versions/1.0"
