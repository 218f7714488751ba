"""How late the event loop was: measured, and warned of with the place where it stood."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Iterator
from types import FrameType

import pytest
from prometheus_client import CollectorRegistry, Histogram

from app.faust_batches.recovery_progress import Recovered
from app.telemetry.loop_lag import EVERY, Warnings, measured_loop, place_of


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def histogram(registry: CollectorRegistry) -> Histogram:
    return Histogram("lag_seconds", "Lag.", buckets=(0.05, 0.15), registry=registry)


async def measurements(registry: CollectorRegistry, n: int) -> None:
    """Return when so many were made."""
    while (registry.get_sample_value("lag_seconds_count") or 0) < n:  # noqa: ASYNC110 - a histogram notifies nobody
        await asyncio.sleep(EVERY / 5)


def block(seconds: float) -> None:
    """Keep the loop, as work without an end would, and use no CPU time."""
    time.sleep(seconds)


async def test_a_blocked_loop_is_counted_and_named(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "app.telemetry.loop_lag"):
        async with measured_loop(histogram(registry), limit=0.2):
            await measurements(registry, 1)
            assert caplog.messages == []
            block(0.6)
            await measurements(registry, 2)
            while not caplog.messages:  # noqa: ASYNC110 - a log notifies nobody
                await asyncio.sleep(EVERY / 5)
    late = (registry.get_sample_value("lag_seconds_count") or 0) - (
        registry.get_sample_value("lag_seconds_bucket", {"le": "0.15"}) or 0
    )
    assert late >= 1
    assert (registry.get_sample_value("lag_seconds_sum") or 0) > 0.5
    (line,) = caplog.messages
    assert "the event loop was late by 0." in line
    assert "limit 0.2" in line
    assert "block" in line


class Looked(dict[str, int]):
    """Its items are asked for by the code of the package: there the thread stands then."""

    frame: FrameType | None = None

    def items(self) -> Iterator[tuple[str, int]]:  # type: ignore[override]
        self.frame = sys._getframe()
        return iter(())


def test_the_place_is_the_innermost_of_the_package() -> None:
    looked = Looked()
    Recovered().told({}, looked)
    file, _, rest = place_of(looked.frame).partition(":")
    assert file == "app/faust_batches/recovery_progress.py"
    assert rest.split() == [rest.split()[0], "Recovered.told"]
    assert place_of(None) == ""


def test_of_many_delays_one_line_in_ten_seconds() -> None:
    warnings = Warnings(0.5)
    assert warnings.of(0.0, 0.49, 0.0, "a") is None
    assert warnings.of(1.0, 0.5, 0.25, "a:1 f") == (
        "the event loop was late by 0.50 s (limit 0.5; 0.25 s of its own CPU time): it was in a:1 f"
    )
    assert warnings.of(2.0, 3.0, 0.0, "b") is None
    assert warnings.of(10.9, 0.7, 0.0, "b") is None
    again = warnings.of(11.0, 0.6, 0.0, "")
    assert again == (
        "the event loop was late by 0.60 s (limit 0.5; 0.00 s of its own CPU time); "
        "2 more since the last warning, the longest 3.00 s"
    )
    assert warnings.of(30.0, 0.6, 0.0, "") == again.partition(";  2")[0].split("; 2 more")[0]
