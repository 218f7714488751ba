"""A genuine Chromium, Debian's, driven by Playwright; what a page complains about fails the test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Error, async_playwright

from tests.support.programs import chromium


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """Chromium without a window."""
    path = chromium()
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(
                executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
            )
        except Error as error:
            pytest.fail(f"the Chromium at {path} does not start: {error.message.splitlines()[0]}")
        yield browser
        await browser.close()
