"""An e-mail's page in Chromium, light and dark: what axe finds, and the colours that it finds contrast in."""

from __future__ import annotations

from playwright.async_api import Browser

from app.alerting.rendering.content import build_content
from app.alerting.rendering.templates import html_of
from tests.support.dashboard import Watched
from tests.support.notifications import MOMENT, alert, drifted, metric, notification

ALERTS = [
    alert("a1", features=[drifted("age"), drifted("plan")], metrics=[metric()]),
    alert("a2", rule="performance", level="critical", title="recall has got worse"),
    alert("a3", status="resolved", ended_at=MOMENT, title="traffic is back"),
]


async def test_a_message_has_enough_contrast_and_follows_the_readers_scheme(browser: Browser) -> None:
    watched = Watched(await browser.new_page())
    await watched.page.set_content(html_of(build_content(notification(*ALERTS))))
    grounds = []
    for scheme in ("light", "dark"):
        await watched.page.emulate_media(color_scheme=scheme)
        await watched.accessible()
        grounds.append(await watched.page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert grounds == ["rgb(255, 255, 255)", "rgb(16, 24, 40)"]
