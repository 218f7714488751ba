"""Usual drops of metrics in a live stream whose reference has no times, learned from its first weeks.

Truth comes late. So a window is looked at once the join has reported that nothing in it can change any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

import numpy as np

from app.core.config.monitoring import Monitoring
from app.core.evaluation.degradation import limit_of, scale_of
from app.core.evaluation.performance import LOSSES, judged, metrics_of
from app.core.panes.outcomes import OutcomeLayout
from app.core.panes.pane import Pane
from app.core.reference.profile import Profile
from app.core.reference.usual import MetricUsual
from app.core.usual.days import Days, Look
from app.core.usual.from_days import bounds, faulty_days, seen_at, without_difference
from app.core.usual.metrics import CONFIDENCE, EXCEEDING, UNLIMITED, sampling_of
from app.core.usual.spans import FEWEST_ROWS
from app.core.usual.weeks import Weeks

Drops = tuple[tuple[float, ...], tuple[MetricUsual, ...]]
"""Spans in seconds, and the usual drops of metrics at each."""


class MetricWeeks(Weeks[Drops]):
    """The first weeks of the metrics that have a baseline."""

    def __init__(
        self, profile: Profile, layout: OutcomeLayout, monitoring: Monitoring, spans: tuple[int, ...], needs: int,
        lag: int,
    ) -> None:  # fmt: skip
        self.names = tuple(profile.baseline)
        super().__init__(Days(spans, monitoring.windows.pane, len(self.names)), needs, lag)
        self.monitoring = monitoring
        self._profile, self._layout = profile, layout

    def take(self, look: Look, place: int, outcomes: Pane) -> None:
        """Take the outcomes of the window of a span that ends with a look."""
        if judged(self._layout, outcomes) < FEWEST_ROWS:
            return
        drops = dict(self._drops(outcomes))
        self.days.add(look, place, np.array([drops.get(name, 0.0) for name in self.names]))
        self.unsaved.add(self.days.day_of(look))

    def at_spans(self, spans: tuple[float, ...]) -> tuple[MetricUsual, ...]:
        """Return the usual drops at other spans (seconds): at each the larger one of the nearest that were learned."""
        known, metrics = self.learned or ((), ())
        if not known:
            return ()
        above = np.searchsorted(known, spans, side="left").clip(max=len(known) - 1)
        below = (np.searchsorted(known, spans, side="right") - 1).clip(min=0)
        return tuple(
            MetricUsual(one.name, tuple(max(one.drop[i], one.drop[j]) for i, j in zip(above, below, strict=True)))
            for one in metrics
        )

    def _drops(self, outcomes: Pane) -> Iterator[tuple[str, float]]:
        """Yield each metric's drop below its baseline, without sampling, as a share that ends at 1."""
        for metric in metrics_of(self._layout, outcomes, CONFIDENCE):
            baseline = self._profile.baseline.get(metric.name)
            scale = None if baseline is None else scale_of(metric.name, baseline, self._profile.prediction.scale)
            if metric.value is None or baseline is None or scale is None or metric.interval is None:
                continue
            worse = metric.value - baseline if metric.name in LOSSES else baseline - metric.value
            drop = float(np.sqrt(max(worse * abs(worse) - sampling_of(metric) ** 2, 0.0))) / scale
            yield metric.name, drop / (1.0 + drop) if metric.name in UNLIMITED else min(drop, 1.0)

    def _learn(self) -> Drops:
        """Return the usual drops of the days, without those of a fault in any metric.

        A drop that is present from the first day on is subtracted: the drop of the middle window.
        """
        windows = seen_at(self.days)
        floors = [limit_of(self.monitoring.performance, name, 0.0) for name in self.names]
        found_in = [faulty_days(windows, place, floor, EXCEEDING) for place, floor in enumerate(floors)]
        faulty = set[int]().union(*found_in)
        learned = []
        for place, name in enumerate(self.names):
            longest = windows[-1].effects[windows[-1].without(faulty), place] if windows else np.zeros(0)
            away = median(longest.tolist()) if len(longest) else 0.0
            found = without_difference(bounds(windows, place, faulty, EXCEEDING), away, floors[place], longest)
            if name in UNLIMITED:
                found = tuple(bound / max(1.0 - bound, 1e-6) for bound in found)
            learned.append(MetricUsual(name, tuple(round(float(bound), 4) for bound in found)))
        return tuple(one.span for one in windows), tuple(learned)
