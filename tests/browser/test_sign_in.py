"""The form that turns a key into a session, in a real browser; Kafka is not needed to sign in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, sync_playwright

from app.access import KeyFile, keys_path
from app.local.kafka_probe import free_ports
from app.settings.settings import Settings, load_settings
from tests.support.programs import chromium
from tests.support.stream import worker


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[str, str, Settings]]:
    """An API that asks for keys: its address, a key that may read, its settings."""
    port = free_ports(1)[0]
    settings = load_settings(bootstrap_servers="127.0.0.1:1", api_port=port, state_dir=tmp_path)
    key = KeyFile(keys_path(settings)).create("ada", ["read"], datetime.now(UTC)).text
    address = f"http://127.0.0.1:{port}"
    with worker(settings, "api", ("-m", "app.cli", "api")) as process:
        deadline = time.monotonic() + 60
        while not answers(address):
            assert process.poll() is None, (tmp_path / "api.log").read_text()
            assert time.monotonic() < deadline
        yield address, key, settings


@pytest.fixture
def page() -> Iterator[Page]:
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        yield browser.new_context().new_page()
        browser.close()


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/health", timeout=1).is_success
    except httpx.TransportError:
        time.sleep(0.05)
        return False


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_a_reader_signs_in_keeps_the_place_signs_out_and_is_out_when_the_key_is(
    guarded: tuple[str, str, Settings], page: Page
) -> None:
    address, key, settings = guarded
    refused: list[str] = []
    page.on("console", lambda said: refused.append(said.text) if "Content Security Policy" in said.text else None)
    page.goto(f"{address}/dashboard?model=churn&version=3")
    assert page.url.startswith(f"{address}/sign-in?to=")
    assert page.evaluate("document.activeElement.id") == "key"
    page.keyboard.type("a guess")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("unknown, expired or revoked").wait_for()
    sign_in(page, key)
    page.wait_for_url(f"{address}/dashboard#/model/churn/3")
    page.get_by_role("link", name="Driftline").wait_for()
    (cookie,) = page.context.cookies()
    assert (cookie["name"], cookie["httpOnly"], cookie["sameSite"]) == ("driftline_session", True, "Strict")
    assert page.evaluate("document.cookie") == ""
    asked = "async (path) => (await fetch(path, {headers: {Accept: 'application/json'}})).status"
    assert page.evaluate(asked, "/models") == 503  # let in, to where Kafka is not
    # a link on somebody else's page: the strict cookie comes with the second request
    elsewhere = f"http://localhost:{settings.api_port}/health"
    place = f"{address}/dashboard#/model/team%20a/50%25%3F"
    page.goto(elsewhere)
    page.evaluate(f"location.href = '{place}'")
    page.get_by_role("link", name="Driftline").wait_for()
    assert page.url == place
    # out in one window is out in all
    other = page.context.new_page()
    other.goto(f"{address}/dashboard#/alerts")
    page.get_by_role("button", name="Sign out").press("Enter")
    page.wait_for_url(f"{address}/sign-in?to=%2Fdashboard#/model/team%20a/50%25%3F")
    other.wait_for_url(f"{address}/sign-in?to=%2Fdashboard#/alerts")
    other.close()
    assert page.context.cookies() == []
    page.goto(place)
    page.wait_for_url(f"{address}/sign-in?to=/dashboard#/model/team%20a/50%25%3F")
    sign_in(page, key + "x")
    page.get_by_role("alert").wait_for()
    sign_in(page, key)
    page.wait_for_url(place)
    assert page.evaluate(asked, "/models") == 503
    keys = KeyFile(keys_path(settings))
    keys.revoke(keys.all()[0].id, datetime.now(UTC))
    page.wait_for_url(f"{address}/sign-in?to=%2Fdashboard#/model/team%20a/50%25%3F")  # by itself
    assert refused == []


def test_a_page_whose_name_is_made_to_lead_here_reads_nothing(tmp_path: Path) -> None:
    """DNS rebinding, of an API that is open beyond loopback as in Compose."""
    port = free_ports(1)[0]
    settings = load_settings(
        bootstrap_servers="127.0.0.1:1", api_port=port, state_dir=tmp_path, api_host="0.0.0.0",
        allow_unauthenticated_api=True, api_hosts="ours.example",
    )  # fmt: skip
    rules = "MAP rebound.example 127.0.0.1, MAP ours.example 127.0.0.1"
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--host-resolver-rules={rules}"]
    read = """async () => {
        const models = await fetch('/models'), made = await fetch('/silences', {method: 'POST', body: '{}'});
        return [models.status, made.status];
    }"""
    with worker(settings, "api", ("-m", "app.cli", "api")) as process, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=arguments)
        deadline = time.monotonic() + 60
        while not answers(f"http://127.0.0.1:{port}"):
            assert process.poll() is None, (tmp_path / "api.log").read_text()
            assert time.monotonic() < deadline
        found = {}
        for name in ("rebound.example", "ours.example", "127.0.0.1"):
            page = browser.new_context(bypass_csp=True).new_page()  # a page of another name has no policy of ours
            page.goto(f"http://{name}:{port}/health")
            found[name] = page.evaluate(read)
        browser.close()
    assert found == {"rebound.example": [403, 403], "ours.example": [503, 422], "127.0.0.1": [503, 422]}
