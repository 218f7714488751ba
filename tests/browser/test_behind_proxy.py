"""The page under /drift/ behind a genuine nginx as docs/how-to/proxy.md sets it up, with and without the prefix."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Error

from app.access import KeyFile, keys_path
from app.kafka.topics import ensure_topics
from app.local.kafka_probe import free_ports
from app.processes.guarded import GuardedProcess
from app.settings.settings import Settings
from tests.support.dashboard import Watched, api, load_models, with_port
from tests.support.docs import blocks
from tests.support.paths import DOCS
from tests.support.programs import program
from topics.events import utc_now

PAGE = DOCS / "how-to" / "proxy.md"
CONFIG = """
daemon off; master_process off; error_log stderr warn; pid {folder}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    {location}
    location / {{ return 404; }}
  }}
}}
"""


def location(settings: Settings, *, strips: bool) -> str:
    """Return the page's block for this API, which strips the prefix or not.

    If it strips the prefix it passes on no `Host` either, but its own upstream's, as nginx does by default.
    """
    ((_, shown),) = [(language, text) for language, text in blocks(PAGE) if text.startswith("location /drift/ {")]
    upstream, host = "http://127.0.0.1:8700;", "proxy_set_header Host $http_host;"
    assert upstream in shown
    assert host in shown
    shown = shown.replace(upstream, f"http://127.0.0.1:{settings.api_port}{'/' if strips else ''};")
    return shown.replace(host, "") if strips else shown


@contextmanager
def nginx(folder: Path, port: int, settings: Settings, *, strips: bool) -> Iterator[None]:
    """One that shows the API under /drift/; it buffers answers, as it does unless it is told otherwise."""
    command = program("nginx", "nginx", [Path("/usr/sbin/nginx")])
    folder.mkdir()
    config = folder / "nginx.conf"
    config.write_text(CONFIG.format(folder=folder, port=port, location=location(settings, strips=strips)))
    process = GuardedProcess([command, "-c", str(config), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.stop()


@pytest.mark.browser
@pytest.mark.parametrize("strips", [True, False], ids=["taken off", "passed on"])
async def test_the_page_its_stream_and_its_session_work_under_a_prefix(
    browser: Browser, settings: Settings, tmp_path: Path, strips: bool
) -> None:
    (port,) = free_ports(1)
    at = f"http://127.0.0.1:{port}/drift"
    given = {"public_url": at} if strips else {"root_path": "/drift"}
    settings = with_port(settings.model_copy(update=given))
    key = KeyFile(keys_path(settings)).create("ada", ["admin"], utc_now()).text
    await ensure_topics(settings)
    await load_models(settings, models=2, features=3, windows=2)
    asked: list[str] = []
    with api(settings), nginx(tmp_path / "nginx", port, settings, strips=strips):
        context = await browser.new_context()
        watched = Watched(await context.new_page())
        page = watched.page
        page.on("request", lambda one: asked.append(one.url))
        for _ in range(100):
            try:
                await page.goto(f"{at}/dashboard?model=model-00&version=1")
                break
            except Error:  # nginx starts
                await page.wait_for_timeout(50)
        await page.get_by_label("API key").fill(key)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(f"{at}/dashboard#/model/model-00/1")
        await page.get_by_text("feature_000").first.wait_for()
        await page.get_by_text("Live", exact=True).wait_for()  # a stream that nginx does not keep back
        await page.get_by_role("link", name="Driftline").click()
        await page.get_by_role("link", name="model-01").first.click()
        await page.wait_for_url(f"{at}/dashboard#/model/model-01/1")
        await page.get_by_role("link", name="/models").click()
        await page.wait_for_url(f"{at}/models")
        await page.go_back()
        await page.get_by_role("heading", name="model-01").and_(page.locator(":focus")).wait_for()
        await page.get_by_role("button", name="Sign out").press("Enter")
        await page.wait_for_url(f"{at}/sign-in?to=%2Fdrift%2Fdashboard#/model/model-01/1")
        watched.check(lost=True)
        await context.close()
    assert [url for url in asked if not url.startswith((f"{at}/", "data:"))] == []
    assert len(asked) > 10
