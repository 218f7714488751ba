"""How-to pages run: commands print what their pages show, and settings have the effect that the pages state."""

from __future__ import annotations

import re
import shlex
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import pytest

from api.app import create_app
from app.access import KeyFile
from app.registration.monitoring import monitoring_of
from app.settings.settings import load_settings
from tests.support.docs import blocks
from tests.support.paths import DOCS
from tests.support.run_command import typed

LOW_TRAFFIC, PROXY = DOCS / "how-to" / "low-traffic.md", DOCS / "how-to" / "proxy.md"


def test_the_plan_for_few_predictions_is_printed_as_shown(folder: Path) -> None:
    command, _, output = blocks(LOW_TRAFFIC)[0][1].partition("\n")
    status, out, err = typed(*shlex.split(command.removeprefix("$ driftline ")))
    assert (status, err) == (0, "")
    assert out == output


def test_the_defaults_for_few_predictions_are_as_stated() -> None:
    text, defaults = LOW_TRAFFIC.read_text(), monitoring_of({}).monitoring
    (samples,) = re.findall(r"fewer than `drift.min_samples` \((\d+)\)", text)
    (longest,) = re.findall(r"at most `windows.longest`\n  \((\d+) days\)", text)
    (after,) = re.findall(r"`alerting.not_judged_after`: seconds, (\d+) by default", text)
    assert defaults.drift.min_samples == int(samples)
    assert defaults.windows.longest == int(longest) * 86_400
    assert defaults.alerting.not_judged_after == float(after)
    (truth,) = [msgspec.json.decode(block) for language, block in blocks(LOW_TRAFFIC) if language == "json"]
    silence = monitoring_of(truth).monitoring.performance.default_truth
    assert silence is not None
    assert (silence.value, silence.after) == (0, 30 * 86_400)


@pytest.fixture
async def behind_proxy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client that reaches the API, set up as the page says, as the page's proxy would."""
    exported = dict(re.findall(r"^export (\w+)=(\S+)$", blocks(PROXY)[0][1], re.MULTILINE))
    assert len(exported) == 2
    for name, value in exported.items():
        monkeypatch.setenv(name, value)
    app = create_app(load_settings(bootstrap_servers="127.0.0.1:1", state_dir=folder))
    transport = httpx.ASGITransport(app=app, client=(exported["DRIFTLINE_TRUSTED_PROXIES"], 1234))
    passed_on = {"host": "monitor.example.org", "x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8700", headers=passed_on) as client,
    ):
        yield client


@pytest.mark.parametrize("prefix", ["", "/drift"], ids=["stripped", "passed on"])
async def test_the_page_about_proxies_sets_up_prefix_session_and_callers(
    folder: Path, behind_proxy: httpx.AsyncClient, prefix: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = KeyFile(folder / "api-keys.json").create("ada", ["admin"], datetime.now(UTC)).text
    page = {"accept": "text/html", "sec-fetch-site": "none"}
    asked = await behind_proxy.get(f"{prefix}/dashboard", headers=page)
    assert (asked.status_code, asked.headers["location"]) == (303, "/drift/sign-in?to=/drift/dashboard")
    for origin, status in (("https://monitor.example.org", 303), ("https://other.example", 403)):
        signed_in = await behind_proxy.post(f"{prefix}/sign-in", data={"key": key}, headers={"origin": origin})
        assert signed_in.status_code == status
        if status == 303:
            assert {"Secure", "Path=/drift"} <= {*signed_in.headers["set-cookie"].split("; ")}
    await behind_proxy.get(f"{prefix}/models", headers={"authorization": "Bearer dlk_0_guess"})
    assert "given from 203.0.113.9" in caplog.text
