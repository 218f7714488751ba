"""The API's door: who comes in, for what, and from which page."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from api.routes.events import MAX_STREAMS_OF_A_KEY
from app.access import ROLES, KeyFile, KeyFileError
from tests.support.keyed_api import bearer, client_of, key_of

OURS = {"origin": "http://api:8700"}
ENDLESS = ["/events"]
"""A stream that does not end; what it needs is asked for by itself."""
PUBLIC = ["/dashboard/{name}", "/health", "/ready"]
PRODUCED = [
    "/predict", "/predict/{model}", "/predictions", "/feedback", "/heartbeats", "/alerts", "/training-runs",
    "/deployments",
]  # fmt: skip
CHANGED = ["/silences", "/receivers", "/models/{model}/serve", "/models/{model}/versions/{version}"]
"""What admin alone changes."""
LEAVING_OUT = ["/", "/alerts", "/dashboard", "/models", "/monitor", "/silences"] + [
    f"/history/{name}"
    for name in ("alerts", "deliveries", "deployments", "drift", "performance", "predictions", "training")
]
"""What a key for some models may ask for, without what is of others."""


def routes_of(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    app = client.app  # type: ignore[attr-defined]
    assert isinstance(app, FastAPI)
    return sorted((method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods)


async def test_every_route_asks_for_a_key_but_those_that_are_named(tmp_path: Path) -> None:
    key_of(tmp_path, "admin")
    async with client_of(tmp_path) as client:
        routes = routes_of(client)
        assert len(routes) > 10
        for method, path in routes:
            answer = await client.request(method, path)
            assert ("www-authenticate" in answer.headers) == (path not in PUBLIC), (
                f"{method} {path}: {answer.status_code}"
            )


async def test_a_key_may_do_what_its_roles_say_and_no_more(tmp_path: Path) -> None:
    keys = {role: key_of(tmp_path, role) for role in ROLES}
    special = {"/history/predictions": {"rows"}, "/history/audit": set[str](), "/metrics": {"metrics", "read"}}
    async with client_of(tmp_path) as client:
        for method, path in routes_of(client):
            if path in (*PUBLIC, *ENDLESS):
                continue
            produces = method == "POST" and path in PRODUCED
            reading = special.get(path, {"read"})
            allowed = {"admin", *({"produce"} if produces else reading if method in ("GET", "HEAD") else ())}
            for role, key in keys.items():
                answer = await client.request(method, path, headers=bearer(key))
                assert (answer.status_code in (401, 403)) == (role not in allowed), f"{role} {method} {path}"
        for path in ENDLESS:
            for role in ("produce", "rows", "metrics"):
                assert (await client.get(path, headers=bearer(keys[role]))).status_code == 403
        told = (await client.get("/models", headers=bearer(keys["produce"]))).json()
        assert told["detail"].endswith("it needs the role read, or admin")
        assert (await client.get("/models", headers={"x-api-key": keys["read"]})).status_code == 503


async def test_a_key_for_some_models_reaches_nothing_of_others(tmp_path: Path) -> None:
    key = key_of(tmp_path, "produce", "read", "rows", models=["mine"])
    async with client_of(tmp_path) as client:
        for method, path in routes_of(client):
            if path in (*PUBLIC, *ENDLESS):
                continue
            theirs = path.replace("{model}", "theirs")
            answer = await client.request(method, theirs, headers=bearer(key))
            left_out = theirs == path and (path in LEAVING_OUT or path in PRODUCED) and method != "DELETE"
            changes = path in CHANGED and method in ("POST", "DELETE")
            assert (answer.status_code == 403) == (not left_out or changes), f"{method} {theirs}: {answer.status_code}"
            own = await client.request(method, path.replace("{model}", "mine"), headers=bearer(key))
            assert (own.status_code == 403) == (("{model}" not in path and not left_out) or changes), f"{method} {path}"
        for path in LEAVING_OUT:
            if path.startswith("/history"):
                answer = await client.get(path, params={"model": "theirs"}, headers=bearer(key))
                assert answer.status_code == 403, path
                assert (await client.get(path, params={"model": "mine"}, headers=bearer(key))).status_code != 403, path


def test_a_key_for_some_models_has_no_role_that_is_about_all(tmp_path: Path) -> None:
    for role in ("admin", "metrics"):
        with pytest.raises(KeyFileError, match=f"{role} is about all models"):
            key_of(tmp_path, role, models=["mine"])


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer dlk_0123456789ab_guess"])
async def test_what_is_no_good_key_is_401_and_says_how_to_get_one(given: str, tmp_path: Path) -> None:
    key_of(tmp_path, "admin")
    async with client_of(tmp_path) as client:
        answer = await client.get("/models", headers={"authorization": given})
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_revoked_key_is_refused_from_the_next_request_on(tmp_path: Path) -> None:
    key = key_of(tmp_path, "read")
    file = KeyFile(tmp_path / "api-keys.json")
    async with client_of(tmp_path) as client:
        assert (await client.get("/models", headers=bearer(key))).status_code == 503
        file.revoke(file.all()[0].id, datetime.now(UTC))
        assert (await client.get("/models", headers=bearer(key))).status_code == 401


async def test_without_keys_it_is_open_until_the_first_one_and_never_again(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        assert (await client.get("/models")).status_code == 503
        assert "Sign out" not in (await client.get("/dashboard")).text
        key = bearer(key_of(tmp_path, "read"))
        assert (await client.get("/models")).status_code == 401
        (tmp_path / "api-keys.json").write_text("no keys")
        assert "keys cannot be read" in (await client.get("/models", headers=key)).json()["detail"]
        (tmp_path / "api-keys.json").unlink()
        assert (await client.get("/models")).status_code == 401


async def test_an_address_that_others_reach_is_not_open_but_by_the_setting(tmp_path: Path) -> None:
    async with client_of(tmp_path, api_host="0.0.0.0") as client:
        assert (await client.get("/models")).status_code == 401
    async with client_of(tmp_path, api_host="0.0.0.0", allow_unauthenticated_api=True) as client:
        assert (await client.get("/models")).status_code == 503


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 503),
        (OURS, 503),
        ({"sec-fetch-site": "same-origin"}, 503),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://api:8701"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "rebound.example"}, 403),
        ({"host": "rebound.example", "origin": "http://rebound.example"}, 403),
        ({"host": "rebound"}, 403),
        ({"host": "API.:8700"}, 503),
        ({"host": "[::1]:8700"}, 503),
        ({"host": "10.0.0.7"}, 503),
        ({"host": "127.0.0.1.rebound.example"}, 403),
        ({"host": "[::1"}, 400),
        ({"host": "api:8700@rebound.example"}, 400),
        ({"host": "a b"}, 400),
        ({"origin": "http://["}, 403),
        ({"host": "127.0.0.1:8700"}, 503),
    ],
)
async def test_an_open_door_is_not_open_to_other_peoples_pages(
    headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    async with client_of(tmp_path) as client:
        answer = await client.delete("/silences/x", headers=headers)
        assert answer.status_code == status, answer.text
    async with client_of(
        tmp_path, api_host="0.0.0.0", allow_unauthenticated_api=True
    ) as client:  # Compose, behind its own port
        answer = await client.delete("/silences/x", headers=headers)
        assert answer.status_code == status, answer.text


async def test_cors_is_off_but_for_origins_that_are_set(tmp_path: Path) -> None:
    asks = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    key = key_of(tmp_path, "read")
    async with client_of(tmp_path) as client:
        assert (await client.options("/predictions", headers=asks)).status_code in (401, 403)
        answer = await client.get("/models", headers={**asks, **bearer(key)})
        assert "access-control-allow-origin" not in answer.headers
    async with client_of(tmp_path, cors_origins="https://shop.example") as client:
        answer = await client.options("/predictions", headers=asks)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, "https://shop.example")
        assert "access-control-allow-credentials" not in answer.headers
        asks["origin"] = "https://other.example"
        assert "access-control-allow-origin" not in (await client.options("/predictions", headers=asks)).headers


async def test_a_browser_is_led_to_the_form_and_its_session_is_a_cookie_that_no_script_reads(tmp_path: Path) -> None:
    key = key_of(tmp_path, "read", "admin")
    async with client_of(tmp_path) as client:
        answer = await client.get("/dashboard?model=a&version=b", headers={"accept": "text/html,*/*"})
        assert (answer.status_code, answer.headers["location"]) == (
            303,
            "/sign-in?to=/dashboard%3Fmodel%3Da%26version%3Db",
        )
        form = await client.get(answer.headers["location"])
        assert 'action="/sign-in?to=/dashboard%3Fmodel%3Da%26version%3Db"' in form.text
        wrong = await client.post(answer.headers["location"], data={"key": key + "x"}, headers=OURS)
        assert wrong.status_code == 401
        assert 'role="alert"' in wrong.text
        assert key not in wrong.text
        answer = await client.post(answer.headers["location"], data={"key": key}, headers=OURS)
        assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard?model=a&version=b")
        cookie = answer.headers["set-cookie"]
        assert all(words in cookie for words in ("HttpOnly", "SameSite=strict", "Path=/"))
        assert key.rpartition("_")[2] not in cookie
        assert "Sign out" in (await client.get("/dashboard")).text
        assert "Sign out" not in (await client.get("/dashboard", headers=bearer(key))).text
        assert (await client.get("/models")).status_code == 503
        assert (await client.get("/sign-in")).status_code == 303
        assert (await client.post("/sign-out", headers={"origin": "https://evil.example"})).status_code == 403
        answer = await client.post("/sign-out", headers=OURS)
        assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
        assert (await client.get("/models")).status_code == 401


async def test_a_session_is_over_when_it_is_signed_out_whoever_kept_its_cookie(tmp_path: Path) -> None:
    key = key_of(tmp_path, "read")
    async with client_of(tmp_path) as client:
        await client.post("/sign-in", data={"key": key}, headers=OURS)
        kept = {"cookie": f"driftline_session={client.cookies['driftline_session']}"}
        client.cookies.clear()
        assert (await client.get("/models", headers=kept)).status_code == 503
        await client.post("/sign-out", headers={**OURS, **kept})
        client.cookies.clear()
        assert (await client.get("/models", headers=kept)).status_code == 401
        assert (await client.get("/models", headers=bearer(key))).status_code == 503


async def test_strangers_are_told_no_more_than_whether_it_is_ready(tmp_path: Path) -> None:
    key = key_of(tmp_path, "read")
    async with client_of(tmp_path) as client:
        stranger, reader = await client.get("/ready"), await client.get("/ready", headers=bearer(key))
        assert stranger.json()["detail"] == "not ready; a key that may read is given the reason"
        assert reader.json()["detail"] != stranger.json()["detail"]
        client.app.state.services.connected.set()  # type: ignore[attr-defined]
        client.app.state.services.check = sound  # type: ignore[attr-defined]
        assert (await client.get("/ready?for=events")).json() == {"status": "ready"}
        assert "workers" in (await client.get("/ready?for=events", headers=bearer(key))).json()


async def sound() -> str:
    return ""


async def test_one_keys_streams_take_no_place_from_others(tmp_path: Path) -> None:
    keys = [key_of(tmp_path, "read") for _ in range(2)]
    async with client_of(tmp_path) as client:
        streams = client.app.state.services.streams  # type: ignore[attr-defined]
        streams[keys[0].split("_")[1]] = MAX_STREAMS_OF_A_KEY
        answer = await client.get("/events", headers=bearer(keys[0]))
        assert (answer.status_code, "close some" in answer.json()["detail"]) == (429, True)
        answer = await client.head("/events", headers=bearer(keys[1]))
        assert answer.status_code == 200
        assert streams.total() == MAX_STREAMS_OF_A_KEY  # the one that is over is not counted


async def test_websockets_are_refused(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        await client.app({"type": "websocket", "path": "/events", "headers": []}, receive, send)  # type: ignore[attr-defined]
        assert [one["type"] for one in sent] == ["websocket.close"]


async def test_a_session_changes_something_only_for_a_page_of_ours(tmp_path: Path) -> None:
    key = key_of(tmp_path, "admin")
    async with client_of(tmp_path) as client:
        await client.post("/sign-in", data={"key": key}, headers=OURS)
        allowed = [OURS, {"sec-fetch-site": "same-origin"}]
        for headers in [{}, {"origin": "https://evil.example"}, {"sec-fetch-site": "same-site"}, *allowed]:
            answer = await client.delete("/silences/x", headers=headers)
            assert answer.status_code == (503 if headers in allowed else 403), headers


async def test_a_session_is_marked_secure_where_the_page_is(tmp_path: Path) -> None:
    key = key_of(tmp_path, "read")
    async with client_of(tmp_path) as client:
        answer = await client.post("https://api:8700/sign-in", data={"key": key})
        assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    "to",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "evil",
        "/a\nb",
        "\t//evil.example",
        "#//evil.example",
    ],
)
async def test_the_form_leads_nowhere_else(to: str, tmp_path: Path) -> None:
    key = key_of(tmp_path, "read")
    async with client_of(tmp_path) as client:
        answer = await client.post("/sign-in", params={"to": to}, data={"key": key}, headers=OURS)
        assert answer.headers["location"] == "/dashboard"


async def test_a_link_from_elsewhere_is_asked_for_again_so_that_the_strict_cookie_comes(tmp_path: Path) -> None:
    key_of(tmp_path, "read")
    async with client_of(tmp_path) as client:
        headers = {"accept": "text/html", "sec-fetch-site": "cross-site"}
        answer = await client.get("/dashboard", headers=headers)
        assert 'http-equiv="refresh"' in answer.text
        answer = await client.get("/dashboard", headers={**headers, "sec-fetch-site": "same-origin"})
        assert answer.status_code == 303


async def test_every_answer_has_the_headers_that_make_it_safe_to_show(tmp_path: Path) -> None:
    async with client_of(tmp_path) as client:
        for path in ("/", "/health", "/dashboard", "/sign-in", "/nothing", "/models", "/dashboard/chart.js"):
            headers = (await client.get(path)).headers
            assert headers["x-content-type-options"] == "nosniff", path
            assert headers["x-frame-options"] == "DENY", path
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy, path
            assert "frame-ancestors 'none'" in policy, path
            assert "unsafe" not in policy, path
