"""Replay of the demo, and its display while it runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from app.core.config.monitoring import Windows
from app.demo.census import FEATURES
from app.demo.screen import Screen
from app.demo.seen import DemoSeen
from app.demo.story import DemoStream
from app.demo.verdict import Expected, settled
from app.demo.watch import Watch
from app.kafka.client_options import client_options
from app.replay.encode import ReplayColumns, encode_feedback, encode_predictions
from app.replay.files import frame_chunks
from app.replay.run import Sent, close_windows, replay
from app.replay.send import ReplaySender
from app.settings.settings import Settings

STALLED_SECONDS = 60.0
"""Seconds without any progress after which the demo continues to its verdict, which then fails."""
CALM_SECONDS = 20.0
"""Seconds that alerts may take to resolve after the last window is complete."""
LAST_WORDS_SECONDS = 2.0
"""Seconds to wait for more output after everything seems complete."""
SHOW_SECONDS = 0.25
COLUMNS = ReplayColumns(features=FEATURES)

Interrupted = Callable[[], bool]


@dataclass(slots=True)
class Streaming:
    """Replay of the demo, and the output of the stream."""

    settings: Settings
    model: str
    version: str
    story: DemoStream
    expected: Expected
    rate: float | None = None
    seen: DemoSeen = field(default_factory=DemoSeen)
    sent: int = 0
    all_sent: bool = False

    async def run(self, screen: Screen, interrupted: Interrupted) -> float:
        """Send all events and follow the stream until its output is complete. Return the seconds until then.

        Raises KeyboardInterrupt when interrupted, and the errors of sending and reading.
        """
        started = time.monotonic()
        watch = Watch(self.settings, self.model, self.version, self.seen)
        tasks = [asyncio.create_task(watch.follow()), asyncio.create_task(self._send())]
        try:
            return await self._shown(screen, tasks, interrupted) - started
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _shown(self, screen: Screen, tasks: list[asyncio.Task[None]], interrupted: Interrupted) -> float:
        """Update the screen until the output is complete or nothing changes.

        Return the (monotonic) time of that moment.
        """
        settled_at: float | None = None
        moved, progress = time.monotonic(), (0, 0, 0)
        while True:
            for task in tasks:
                if task.done():
                    task.result()
            if interrupted():
                raise KeyboardInterrupt
            screen.show(self.seen, self.sent, self.story.events)
            now = time.monotonic()
            if self._progress() != progress:
                moved, progress = now, self._progress()
            if self.all_sent and settled_at is None and settled(self.seen, self.expected):
                settled_at = now
            if settled_at is not None and now - settled_at > (CALM_SECONDS if self.seen.firing else LAST_WORDS_SECONDS):
                return settled_at
            if now - moved > STALLED_SECONDS:
                return moved
            await asyncio.sleep(SHOW_SECONDS)

    def _progress(self) -> tuple[int, int, int]:
        return self.sent, self.seen.taken, len(self.seen.alerts)

    async def _send(self) -> None:
        windows: Windows = self.expected.monitoring.windows

        def told(sent: Sent) -> None:
            self.sent = sent.predictions + sent.feedback

        predictions = frame_chunks(
            self.story.predictions, lambda rows: encode_predictions(rows, COLUMNS, self.model, self.version)
        )
        feedback = frame_chunks(self.story.feedback, lambda rows: encode_feedback(rows, COLUMNS))
        async with ReplaySender(client_options(self.settings)) as sender:
            await replay(sender, predictions, feedback, prefix=self.settings.prefix, rate=self.rate, progress=told)
            last = float(self.story.people["timestamp"].max())
            await close_windows(sender, self.model, self.version, windows, last, prefix=self.settings.prefix)
        self.all_sent = True
