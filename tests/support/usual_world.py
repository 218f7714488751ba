"""A stream of nights, storms and seasons, and the windows of the model that reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.core.join.state import MICROSECONDS
from app.core.reference.profile import Profile
from app.core.windows.model_windows import Evaluated, ModelWindows
from app.offline.decision import panes_of
from app.registration.monitoring import MonitoringFile, monitoring_of

DAY = 86_400.0
START = 1_709_251_200.0
"""2024-03-01."""
FILE = monitoring_of({"windows": {"pane": 900, "panes": 4}, "drift": {"min_samples": 100}})
COLUMNS = ("hour", "delay", "distance", "warmth")


def stream(seed: int, days: int, *, first: int = 0) -> pd.DataFrame:
    """Rows from 5 to 24 o'clock, 200 a day. `delay` has days of storm, `warmth` a season, `distance` nothing."""
    rng = np.random.default_rng([seed, first])
    frames = []
    for day in range(first, first + days):
        time = np.sort(rng.uniform(5, 24, 200)) * 3600
        storm = rng.random() < 0.2
        late = storm & (rng.random(200) < 0.5)
        delay = rng.normal(15, 10, 200) + np.where(late, rng.exponential(60, 200), 0)
        frames.append({
            "timestamp": START + day * DAY + time, "hour": time // 3600, "delay": delay.round(),
            "distance": rng.choice([200, 500, 760, 1000, 2475], 200).astype(float),
            "warmth": (rng.normal(5 + 0.25 * day, 2) + rng.normal(0, 3, 200)).round(1),
        })  # fmt: skip
    return pd.DataFrame({name: np.concatenate([frame[name] for frame in frames]) for name in frames[0]})


@dataclass
class World:
    """The windows of one model version, filled from a table."""

    windows: ModelWindows
    file: MonitoringFile = FILE

    def fill(self, frame: pd.DataFrame, *, judge: bool = True, every: int = 4) -> dict[int, Evaluated]:
        """Add all panes; judge each hour's end."""
        found: dict[int, Evaluated] = {}
        times = frame["timestamp"].to_numpy(np.float64)
        for number, pane in panes_of(self.windows.layout, frame, times, 900.0, self.file.columns):
            self.windows.add("input", number, 0, 1, pane)
            time = int((number + 1) * 900 * MICROSECONDS)
            self.windows.progress(0, number, time + 10 * MICROSECONDS, time - 900 * MICROSECONDS, idle=False)
            assert self.windows.closed(1e9) == number
            if judge and number % every == every - 1:
                one = self.windows.evaluate(number)
                if one is not None:
                    found[number] = one
                self.windows.changed.clear()
                self.windows.forget()
        return found


def world(profile: Profile) -> World:
    return World(ModelWindows(profile, FILE.monitoring, 1, 0.0))


def names_of(found: Mapping[int, Evaluated], *, slow: bool | None = None) -> dict[str, list[int]]:
    """Each feature's panes at whose end it is found in the newest panes, or has drifted in the window."""
    names: dict[str, list[int]] = {}
    for pane, one in found.items():
        assert one.drift is not None
        scales = one.drift.scales
        assert scales is not None
        there = {f.name for f in scales.found if slow is None or f.slow == slow}
        for name in there | ({f.name for f in one.drift.features if f.drifted} if slow is None else set()):
            names.setdefault(name, []).append(pane)
    return names


FAULTS: dict[str, tuple[Callable[[pd.Series], pd.Series], int]] = {
    "hour": (lambda x: (x + 4) % 24, 6),
    "distance": (lambda x: x * 1.609, 12),
    "delay": (lambda x: x * 60, 4),
}
