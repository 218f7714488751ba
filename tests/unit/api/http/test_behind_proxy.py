"""The API as a proxy shows it: under a prefix, by another scheme, for a caller behind it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app
from app.access import KeyFile
from app.settings.settings import SettingsError, load_settings

NOWHERE = "127.0.0.1:1"


@contextlib.asynccontextmanager
async def client_of(state: Path, caller: str = "127.0.0.1", **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(load_settings(bootstrap_servers=NOWHERE, state_dir=state, **more))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, client=(caller, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700") as client:
            yield client


@pytest.fixture
def key(tmp_path: Path) -> str:
    return KeyFile(tmp_path / "api-keys.json").create("ada", ["admin"], datetime.now(UTC)).text


@pytest.mark.parametrize("prefix", ["/drift", ""], ids=["passed on", "taken off"])
async def test_paths_come_with_the_prefix_or_without_it(tmp_path: Path, key: str, prefix: str) -> None:
    async with client_of(tmp_path, root_path="/drift/") as client:
        asks = {"accept": "text/html", "sec-fetch-site": "none"}
        told = await client.get(f"{prefix}/dashboard?model=m", headers=asks)
        assert (told.status_code, told.headers["location"]) == (303, "/drift/sign-in?to=/drift/dashboard%3Fmodel%3Dm")
        assert (await client.get(f"{prefix}/health")).is_success
        assert (await client.get(f"{prefix}/dashboard/main.js")).is_success
        form = (await client.get(f"{prefix}/sign-in", params={"to": "/drift/dashboard#/x"})).text
        assert 'action="/drift/sign-in?to=/drift/dashboard' in form
        assert 'href="/' not in form
        assert 'src="/' not in form
        ours = {"origin": "http://127.0.0.1:8700"}
        for to, at in (("/drift/dashboard", "/drift/dashboard"), ("/dashboard", "/drift/dashboard"),
                       ("//evil.example", "/drift/dashboard")):  # fmt: skip
            told = await client.post(f"{prefix}/sign-in", params={"to": to}, data={"key": key}, headers=ours)
            assert (told.status_code, told.headers["location"]) == (303, at)
        assert "Path=/drift;" in told.headers["set-cookie"]
        told = await client.get(f"{prefix}/", headers={"authorization": f"Bearer {key}"})
        assert told.json()["dashboard"] == "/drift/dashboard"
        told = await client.get(f"{prefix}/openapi.json", headers={"authorization": f"Bearer {key}"})
        assert told.json()["servers"] == [{"url": "/drift"}]
        told = await client.get(f"{prefix}/models/", headers={"authorization": f"Bearer {key}"})
        assert (told.status_code, told.headers["location"]) == (307, "/drift/models")
        assert (await client.get("/drifting/health")).status_code in (401, 404)


async def test_the_prefix_guards_what_it_leads_to(tmp_path: Path, key: str) -> None:
    async with client_of(tmp_path, root_path="/drift") as client:
        for path in ("/drift/models", "/drift/drift/models", "/drift//models", "/drift/../models"):
            assert (await client.get(path)).status_code in (401, 404), path
            assert (await client.post(path)).status_code in (401, 404), path


async def test_without_trusted_proxies_nobody_says_who_asks(tmp_path: Path, key: str) -> None:
    said = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https", "origin": "http://127.0.0.1:8700"}
    async with client_of(tmp_path) as client:
        told = await client.post("/sign-in", data={"key": key}, headers=said)
        assert "Secure" not in told.headers["set-cookie"]


@pytest.mark.parametrize("caller", ["10.1.2.3", "::ffff:10.1.2.3"])
async def test_a_trusted_proxy_says_who_asks_and_how(
    tmp_path: Path, key: str, caller: str, caplog: pytest.LogCaptureFixture
) -> None:
    said = {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https", "origin": "https://127.0.0.1:8700"}
    async with client_of(tmp_path, caller, trusted_proxies="192.0.2.1, 10.0.0.0/8") as client:
        told = await client.post("/sign-in", data={"key": key}, headers=said)
        assert "Secure" in told.headers["set-cookie"]
        await client.get("/models", headers={**said, "authorization": "Bearer no-such-key"})
        assert "from 203.0.113.9" in caplog.text
    async with client_of(tmp_path, "192.0.2.2", trusted_proxies="192.0.2.1") as client:
        await client.get("/models", headers={**said, "authorization": "Bearer no-such-key"})
        assert "from 192.0.2.2" in caplog.text


async def test_a_page_at_the_public_url_may_act_though_the_proxy_names_another_host(tmp_path: Path) -> None:
    given = {"origin": "https://monitor.example.org", "sec-fetch-site": "same-origin"}
    silence = {"no": "silence"}
    async with client_of(tmp_path, public_url="https://monitor.example.org/drift") as client:
        assert (await client.post("/silences", json=silence, headers=given)).status_code == 422  # let in
        named = {**given, "host": "monitor.example.org"}
        assert (await client.get("/models", headers=named)).status_code == 503
        assert (await client.get("/", headers=given)).json()["dashboard"] == "/drift/dashboard"
        other = {"origin": "https://evil.example"}
        assert (await client.post("/silences", json=silence, headers=other)).status_code == 403
        assert (await client.get("/models", headers={"host": "evil.example"})).status_code == 403
    async with client_of(tmp_path) as client:
        assert (await client.post("/silences", json=silence, headers=given)).status_code == 403


@pytest.mark.parametrize(
    "wrong", [{"root_path": "drift"}, {"root_path": "/a b"}, {"root_path": "//x"}, {"root_path": '/"x'},
              {"trusted_proxies": "proxy.example.org"}, {"trusted_proxies": "*"}],
)  # fmt: skip
def test_what_is_no_prefix_and_no_proxy_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        load_settings(**wrong)


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Forwarded-Host", "Via"])
async def test_a_proxy_on_this_machine_does_not_open_an_api_without_keys(
    header: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(tmp_path) as client:
        for _ in range(3):
            answer = await client.get("/models", headers={header: "203.0.113.9"})
            assert (answer.status_code, answer.json()["detail"].startswith(header.lower())) == (403, True)
        assert sum("a proxy lets in" in record.message for record in caplog.records) == 1
        assert (await client.get("/models")).status_code == 503
    async with client_of(tmp_path, allow_unauthenticated_api=True) as client:  # the proxy asks who it is
        assert (await client.get("/models", headers={header: "203.0.113.9"})).status_code == 503


async def test_a_session_is_marked_secure_where_people_reach_the_page_by_https(tmp_path: Path, key: str) -> None:
    async with client_of(tmp_path, public_url="https://drift.example") as client:
        told = await client.post("/sign-in", data={"key": key})
        assert "Secure" in told.headers["set-cookie"]


@pytest.mark.parametrize("said", ["\x1b[31mred", "evil.example", "203.0.113.9%x\x1b", "1.2.3"])
async def test_a_caller_is_an_address_or_the_proxy_itself(
    said: str, tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_of(tmp_path, "10.1.2.3", trusted_proxies="10.0.0.0/8") as client:
        headers = {"x-forwarded-for": said, "authorization": "Bearer dlk_0_guess"}
        assert (await client.get("/models", headers=headers)).status_code == 401
    (record,) = [record for record in caplog.records if "not good" in record.message]
    assert record.message.endswith("given from 10.1.2.3")
