"""The windows of one model version: partials added up over partitions and panes, closed by the watermark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import ceil
from zlib import crc32

from app.core.config.monitoring import MOST_SILENT, REACH, Monitoring
from app.core.evaluation.decision import drift_decision, performance_decision
from app.core.evaluation.results import DriftDecision, PaneMetricScales, PerformanceDecision, Traffic
from app.core.join.state import MICROSECONDS, NEVER
from app.core.panes.outcomes import outcome_layout
from app.core.panes.pane import Pane, merge
from app.core.panes.row_counts import RowCounts
from app.core.panes.slices import Partial, Slice, Slices, drop, held_up_to, newest_slices, rows_of, source_of, sums_of
from app.core.reference.layout import Layout, layout_of
from app.core.reference.profile import Profile
from app.core.reference.usual import ReferenceUsual
from app.core.scales.blocks import MOST_ROWS, Blocks, Older
from app.core.scales.judging import judge_scales
from app.core.scales.levels import traffic_level
from app.core.scales.metrics import judge_metrics, judges_metrics
from app.core.scales.newest_truth import NO_TRUTH, Truth, newest_truth
from app.core.scales.reach import Reach, oldest_needed, reach_of
from app.core.scales.suffixes import suffixes_of
from app.core.scales.truth_blocks import TruthBlocks
from app.core.traffic.history import TrafficHistory, slot_of
from app.core.traffic.judging import CHANCE, TrafficSeen, most_panes, spans, traffic_of
from app.core.usual.days import Look
from app.core.usual.detectable import Detectable, detectable_of, long_spans
from app.core.usual.live import ColumnWeeks, LiveUsual, UsualState
from app.core.usual.live_metrics import MetricWeeks
from app.core.windows.moving_reference import MovedReference, MovingWindowReference
from app.core.windows.running_sum import RunningSum

ONE_SIDED = "only one kind of truth has come: the other is silence (performance.default_truth)"
"""Reason for which the metrics of a window wait, while its silence is no truth yet."""

FAR_MORE = 3
"""Multiple of the rows with which a span is judged: no quiet night reduces this many rows to that number."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of one source partition since its first record.

    `waiting` and `expired_feedback` are over all models: feedback whose prediction has not come, and feedback that
    came too late. `too_late`: the latter as far as it is known to be this model's.
    """

    feedback: int = 0
    duplicates: int = 0
    late: int = 0
    expired: int = 0
    waiting: int = 0
    expired_feedback: int = 0
    too_late: int = 0


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A judged window: `end` is its last pane; each source identifies the partials that were used.

    A decision is None without predictions, and where its source is known. `traffic` is given where the model is
    served live. `panes`: the number of the window's panes, more than usual where it is thin and reaches back.
    `truth_source`: the source of the truth before its usual panes. It changes with every truth, so only the newest
    closed window is judged again.
    """

    end: int
    drift: DriftDecision | None
    drift_source: int
    performance: PerformanceDecision | None
    performance_source: int
    traffic: Traffic | None
    panes: int = 0
    truth_source: int = 0
    usual: UsualState | None = None
    """State of the usual effects used; None where they are not used (policy `threshold`)."""
    reference: MovedReference | None = None
    """Reference of the window, where it moves; None for the registered one."""


class ModelWindows:
    """Panes of one profile of one model version, and their windows. Times in microseconds of event time.

    Source partitions below 0 are those of an earlier prefix, which is drained.
    """

    def __init__(self, profile: Profile, monitoring: Monitoring, partitions: int, now: float) -> None:
        self.profile = profile
        self.monitoring = monitoring
        self.layout = layout_of(profile)
        self.outcome_layout = outcome_layout(profile)
        self.pane = round(monitoring.windows.pane * MICROSECONDS)
        self.panes = monitoring.windows.panes
        self._partitions = partitions
        self._since = now
        self._inputs: Slices = {}
        self._outcomes: Slices = {}
        self._input_sum = RunningSum(self.layout.size, self.layout.sums)
        self._outcome_sum = RunningSum(self.outcome_layout.size, self.outcome_layout.sums)
        self._learned: tuple[Profile, Layout] | None = None
        self._found_at: tuple[ReferenceUsual | None, Monitoring, tuple[Detectable, ...]] | None = None
        self.learning = self._unlearned()
        """The usual effects of the stream, where its reference does not show them."""
        self.moving = MovingWindowReference(self.layout)
        """Counts of the last weeks, where the reference moves."""
        self._blocks = Blocks(self._long_spans(), self.layout.size, self.layout.sums)
        self._truth_blocks = TruthBlocks(self.panes, self.outcome_layout.size, self.outcome_layout.sums)
        self._progress: dict[int, tuple[int, int, bool]] = {}
        self._settled: dict[int, int] = {}
        self._rows = {"input": 0, "outcome": 0}
        self._counts = {"input": RowCounts(), "outcome": RowCounts()}
        slot = slot_of(monitoring.windows.pane)
        self.past = TrafficHistory(slot)
        """Predictions of the last days in panes that were dropped."""
        self._arrived = TrafficHistory(slot)
        """Predictions of the last days in all panes."""
        self._behind: dict[int, int] = {}
        self._newest = NEVER
        self._oldest = -NEVER
        """The oldest pane with predictions among those that are kept."""
        self._first_held, self._last_held = -NEVER, NEVER
        """Bounds of the kept panes of either kind: none is before the first or after the last one."""
        self._followed = NEVER
        self._whole = NEVER
        """The newest pane whose silence was a truth at the last check."""
        self.totals: dict[int, Totals] = {}
        self.forgotten = NEVER
        """The newest pane that was dropped."""
        self.first = NEVER
        """The end of the oldest window that is judged: all panes that it is compared with are kept.

        Nothing in windows before it can change (see `forget`), so they are not judged again.
        """
        self._closed = NEVER
        self._judged = NEVER
        """The end of the newest window that was judged."""
        self.changed: set[int] = set()
        """Ends of windows to be judged, or judged again, once closed."""

    def learn(self, profile: Profile) -> None:
        """Replace the profile by the same one with other usual effects; the counted panes stay."""
        self.profile, self.layout = profile, layout_of(profile)
        self.learning, self._learned = self._unlearned(), None
        self.moving.relearn(self.layout)
        self._blocks = Blocks(self._long_spans(), self.layout.size, self.layout.sums)

    def _unlearned(self) -> LiveUsual | None:
        if self.profile.usual is not None:
            return None
        return LiveUsual(self.layout, self.outcome_layout, self.monitoring)

    def remember(self, past: TrafficHistory) -> None:
        """Add the traffic of the last days in dropped panes. To be called before any pane is added."""
        self.past.update(past)
        self._arrived.update(past)

    def size_of(self, kind: str) -> tuple[int, int]:
        """Return the numbers of counts and sums of a pane of a kind."""
        layout = self.layout if kind == "input" else self.outcome_layout
        return layout.size, layout.sums

    def add(self, kind: str, pane: int, partition: int, revision: int, partial: Pane) -> bool:
        """Take a partial; one that is older than the known one changes nothing.

        Return False where its pane was dropped.
        """
        if pane <= self.forgotten:
            return False
        slices = self._inputs if kind == "input" else self._outcomes
        more = slices.setdefault(pane, Slice()).take(partition, revision, partial)
        if more is None:
            return True
        self._rows[kind] += more
        self._counts[kind].add(pane, more)
        self._first_held, self._last_held = min(self._first_held, pane), max(self._last_held, pane)
        self._truth_blocks.changed(pane)
        if kind == "input":
            self._blocks.changed(pane)
            self._arrived.add(pane * self.monitoring.windows.pane, more)
        if kind == "input" and partial.n:
            self._newest = max(self._newest, pane)
            self._oldest = min(self._oldest, pane)
        self.changed.update(range(max(pane, self.first), pane + self.panes))
        if kind == "input":
            self.changed.update(self._reaching(pane))
        elif pane + self.panes <= self.latest < pane + self.monitoring.windows.most_truth:
            self.changed.add(self.latest)
        return True

    def progress(
        self, partition: int, revision: int, event_time: int, settled: int | None = None, *, idle: bool
    ) -> None:
        """Note a source partition's event time, and the time before which it can change nothing more."""
        if settled is not None:
            self._settled[partition] = max(settled, self._settled.get(partition, NEVER))
        known = self._progress.get(partition)
        if known is None or revision >= known[0]:
            newest = event_time if known is None else max(known[1], event_time)
            self._progress[partition] = (revision, newest, idle)

    def arrived(self, partition: int, behind: int | None, totals: Totals) -> None:
        """Note how far a source partition's newest time was behind the broker's clock, and its totals."""
        if behind is not None:
            self._behind[partition] = behind
        self.totals[partition] = totals

    @property
    def live(self) -> bool:
        """Return whether the model is served live: its times are within a window of its records' broker times.

        Both times are in the log. So a replay of June in November is not live, whenever it is read.
        """
        return bool(self._behind) and min(self._behind.values()) <= self.pane * self.panes

    @property
    def quiet(self) -> bool:
        """Return whether no source partition has brought a prediction for a while."""
        return bool(self._progress) and all(idle for _, _, idle in self._progress.values())

    @property
    def latest(self) -> int:
        """Return the end of the newest closed window that may have predictions; below all panes where there is none."""
        return min(self._closed, self._newest + self.panes - 1)

    def closed(self, now: float) -> int:
        """Return the newest pane that the watermark has closed; it never decreases.

        The watermark is the lowest time over the partitions, without idle ones. A partition that has reported nothing
        yet holds it back for `idle_after` seconds of the wall clock (`now`).
        """
        waited = now - self._since >= self.monitoring.windows.idle_after
        if self._progress and (waited or _ours(self._progress) == self._partitions):
            times = [time for _, time, idle in self._progress.values() if not idle]
            watermark = min(times) if times else max(time for _, time, _ in self._progress.values())
            allowance = round(self.monitoring.windows.allowance * MICROSECONDS)
            self._closed = max(self._closed, (watermark - allowance) // self.pane - 1)
        return self._closed

    def due(self, now: float) -> list[int]:
        """Return the ends of the changed windows that are closed, oldest first."""
        closed = self.closed(now)
        if self.live and self._newest > NEVER:  # silent windows are judged too, for a while
            newest = self._newest_until(closed)
            last = min(closed, newest + MOST_SILENT * self.panes)
            if newest > NEVER:
                self.changed.update(range(max(newest, self._followed) + 1, last + 1))
                self._followed = max(self._followed, last)
        self.changed.update(self._made_whole())
        return sorted(end for end in self.changed if end <= closed)

    def _newest_until(self, closed: int) -> int:
        """Return the newest pane with predictions up to a closed one; NEVER where it is too old to matter.

        Panes beyond the closed one are still open, or come from clocks that are ahead.
        """
        if self._newest <= closed:
            return self._newest
        recent = range(closed, closed - MOST_SILENT * self.panes - 1, -1)
        return next((pane for pane in recent if self._predictions(pane)), NEVER)

    def evaluate(self, end: int, known: tuple[int, int, int] | None = None) -> Evaluated | None:
        """Judge the window that ends with a pane; None when it is empty and the model is not served live.

        `known`: the sources, of drift, performance and truth, for which the decisions are known.
        """
        self.changed.discard(end)
        if self.learning is not None:
            self.look(end - self.learning.columns.lag, self._final(end))
            self._judged = max(self._judged, end)
        traffic = self._traffic(end) if self.live else None
        if not self._counts["input"].sum(end - self.panes + 1, end):
            return None if traffic is None else Evaluated(end, None, 0, None, 0, traffic, self.panes)
        profile, layout = self._rule(end)
        reach = self._reach(end)
        moved = self._moved(end)
        compared = layout if moved is None else moved.layout
        newest = self._newest_slices(self._inputs, end, reach.scales)
        # days and weeks are judged where their usual effects are known
        held = end - min(self._oldest, end) + 1
        before = Older(held=held) if profile.usual is None else self._older(end, reach)
        drift_source = source_of(newest) ^ before.source ^ (0 if moved is None else moved.source)
        outcomes = self._newest_slices(self._outcomes, end, reach.window)
        usual = {pane: one for pane, one in outcomes.items() if pane > end - self.panes}
        whole = self._whole_until
        waits = whole is not None and end > whole
        performance_source = crc32(repr((drift_source, None if waits else source_of(usual))).encode())
        truth, truth_source = None, 0 if known is None else known[2]
        judged = known is not None and known[1] == performance_source
        if not judged or end == self.latest:  # the truth of older windows is not judged any more
            late = int(self.monitoring.windows.retention // self.monitoring.windows.pane)
            truth = self._truth(end, late, whole) if judges_metrics(profile, self.monitoring) else NO_TRUTH
            truth_source = crc32(repr((source_of(outcomes), truth.source)).encode())
            judged = judged and known is not None and known[2] == truth_source
        drift, performance = None, None
        if known is None or known[0] != drift_source or not judged:
            panes = sums_of(newest, *self.size_of("input"))
            first = end - reach.window
            seconds = min(reach.window, before.held) * self.monitoring.windows.pane
            total = self._input_sum.of({pane: one for pane, one in panes.items() if pane > first})
            if known is None or known[0] != drift_source:
                scales = judge_scales(compared, panes, end, self.monitoring, most=reach.scales, older=before)
                drift = replace(drift_decision(compared, total, self.monitoring, seconds), scales=scales)
                first = 0 if scales is None else scales.needed
                drift = replace(
                    drift,
                    needed_panes=self._panes_until(drift.needed, reach, self.monitoring.drift.min_samples),
                    first_panes=self._panes_until(first, reach, reach.rows + first),
                )
            if truth is not None and not judged:
                found = Pane.empty(self.outcome_layout.sums)
                if not waits:
                    found = self._outcome_sum.of(sums_of(outcomes, *self.size_of("outcome")))
                performance = performance_decision(
                    profile, self.outcome_layout, layout, total, found, self.monitoring, seconds
                )
                coverage = self._rows["outcome"] / max(self._rows["input"], 1)
                metrics = judge_metrics(profile, self.outcome_layout, truth.panes, coverage, self.monitoring)
                reason = ONE_SIDED if waits else performance.reason
                needed, after = self._truths_until(metrics)
                performance = replace(performance, scales=metrics, reason=reason, needed=needed, needed_panes=after)
        return Evaluated(
            end, drift, drift_source, performance, performance_source, traffic, reach.window, truth_source,
            self.usual_state(end), moved,
        )  # fmt: skip

    def _moved(self, end: int) -> MovedReference | None:
        """Return the reference of the window that ends with a pane; None where the registered one is used."""
        setting = self.monitoring.reference
        if setting is None:
            return None
        start, until = (end - self.panes + 1) * self.pane, (end + 1) * self.pane
        last = (until - round(setting.behind * MICROSECONDS)) // self.pane
        kept = {one: self._inputs[one] for one in held_up_to(self._inputs, self._first_held, last)}
        usual = self.usual_at(end)
        return self.moving.at(setting, (start, until), kept, self.pane, self.monitoring.drift.min_samples, usual)

    def usual_state(self, end: int) -> UsualState | None:
        """Return the state of the usual effects for the window that ends with a pane."""
        if self.monitoring.drift.policy != "decision":
            return None
        usual = self.profile.usual
        if usual is not None:
            return UsualState("reference", usual.since, usual.until)
        return None if self.learning is None else self.learning.state(end)

    def judged_from(self, end: int) -> tuple[Detectable, ...]:
        """Return the detectable changes of each column in the window that ends with a pane; nothing while learning."""
        usual = self.usual_at(end)
        known = self._found_at
        if known is None or known[0] is not usual or known[1] is not self.monitoring:
            found = tuple(detectable_of(self.profile, usual, self.monitoring))
            self._found_at = known = usual, self.monitoring, found
        return known[2]

    def usual_at(self, end: int) -> ReferenceUsual | None:
        """Return the usual effects for the window that ends with a pane; None where they are not known."""
        return self._rule(end)[0].usual

    def _rule(self, end: int) -> tuple[Profile, Layout]:
        """Return the profile and layout by which a window is judged, with its usual effects."""
        usual = None if self.learning is None else self.learning.at(end)
        if usual is None:
            return self.profile, self.layout
        if self._learned is None or self._learned[0].usual is not usual:
            profile = replace(self.profile, usual=usual)
            self._learned = profile, layout_of(profile)
        return self._learned

    def look(self, until: int, final: int) -> None:
        """Learn from panes up to `until`, after which no prediction is late, and from truth up to the pane `final`."""
        learning = self.learning
        if learning is None:
            return
        columns, metrics = learning.columns, learning.metrics
        if columns.learned is None and self._oldest <= until:
            columns.monitoring = self.monitoring
            for look in columns.looks(self._oldest, until):
                self._look_at_columns(columns, look)
            if columns.fresh:
                self.relearn()
        if metrics.learned is None and metrics.names and self._oldest <= final:
            metrics.monitoring = self.monitoring
            for look in metrics.looks(self._oldest, final, self._judged):
                self._look_at_metrics(metrics, look)

    def _look_at_columns(self, columns: ColumnWeeks, look: Look) -> None:
        reach = self._reach(look.end)
        if not reach.rows:
            return
        before = self._older(look.end, reach)
        wanted = [columns.days.spans[place] for place in look.places]
        spans = {span for span in wanted if span <= before.held and (span <= reach.scales or span in before.spans)}
        newest = min(max(1, round(columns.days.stride / columns.days.pane)), reach.scales)
        panes = sums_of(self._newest_slices(self._inputs, look.end, reach.scales), *self.size_of("input"))
        suffixes = suffixes_of({**before.panes, **panes}, look.end, sorted(spans | {newest}), self.layout.size)
        columns.take(look, suffixes, newest)

    def _look_at_metrics(self, metrics: MetricWeeks, look: Look) -> None:
        reach = self._reach(look.end)
        held = look.end - min(self._outcomes, default=look.end) + 1
        found = self._newest_slices(self._outcomes, look.end, reach.window)
        panes = sums_of(found, *self.size_of("outcome"))
        for place in look.places:
            span = metrics.days.spans[place]
            if span <= min(reach.window, held):
                newest = (pane for at, pane in panes.items() if at > look.end - span)
                metrics.take(look, place, merge(newest, *self.size_of("outcome")))

    def _final(self, end: int) -> int:
        """Return the newest pane up to an end in which nothing can change any more; NEVER where this is not known."""
        if _ours(self._settled) < self._partitions:
            return NEVER
        return min(end, min(time for partition, time in self._settled.items() if partition >= 0) // self.pane - 1)

    def relearn(self) -> None:
        """Rebuild the blocks for the days and weeks that the learned usual effects need."""
        self._blocks = Blocks(self._long_spans(), self.layout.size, self.layout.sums)

    def _older(self, end: int, reach: Reach) -> Older:
        return self._blocks.older(self._inputs, end, end - reach.scales + 1, reach.rows, self._oldest)

    def _truth(self, end: int, late: int, newest: int | None = None) -> Truth:
        return newest_truth(
            self._truth_blocks, self._inputs, self._outcomes, end, late, self.forgotten, self.monitoring, newest=newest
        )

    @property
    def _whole_until(self) -> int | None:
        """Return the newest pane whose silence is a truth by now; None where silence never is."""
        silence = self.monitoring.performance.default_truth
        return None if silence is None else self._closed - ceil(silence.after / self.monitoring.windows.pane)

    def _made_whole(self) -> list[int]:
        """Return the ends of windows with predictions whose silence has become a truth since the last call."""
        until = self._whole_until
        if until is None:
            return []
        since = max(self._whole + 1, self.first, self._oldest)
        self._whole = max(self._whole, until)
        return [
            end for end in range(since, until + 1) if any(map(self._predictions, range(end - self.panes + 1, end + 1)))
        ]

    def _predictions(self, pane: int) -> int:
        return rows_of(self._inputs, pane)

    def _newest_slices(self, slices: Slices, end: int, panes: int) -> Slices:
        return newest_slices(slices, self._inputs, end, panes, self.panes)

    def _long_spans(self) -> list[int]:
        """Return the spans, in panes, beyond the window that are needed to judge each column that can be judged."""
        pane = self.monitoring.windows.pane
        learned = None if self.learning is None else self.learning.columns.learned
        if self.learning is not None and learned is None:
            return list(self.learning.columns.long_spans)
        spans = (round(seconds / pane) for seconds in long_spans(learned or self.profile.usual))
        return [span for span in spans if self.panes < span <= self.monitoring.windows.most_panes]

    def _panes_until(self, needed: int, reach: Reach, in_all: int) -> int | None:
        """Return after how many panes a window that lacks rows has enough, at the rate of its longest suffix.

        None where even the longest window never has `in_all` rows.
        """
        if not needed or not reach.rows:
            return None
        rate = reach.rows / reach.scales
        within = rate * self.monitoring.windows.most_panes >= in_all
        return ceil(needed / rate) if within else None

    def _truths_until(self, found: PaneMetricScales | None) -> tuple[int, int | None]:
        """Return how many truths the newest ones lack, and after how many panes they will have come at their rate."""
        wanted, known = self.monitoring.performance.min_samples, 0 if found is None else found.truths
        needed = max(0, wanted - known)
        if found is None or not needed or not known:
            return needed, None
        return needed, ceil(needed * (found.start_panes - found.end_panes + 1) / known)

    def _reach(self, end: int) -> Reach:
        most, needed = self.monitoring.windows.most_panes, self.monitoring.drift.min_samples
        return reach_of(self._inputs, end, self.panes, most, needed)

    def _reaching(self, pane: int) -> Iterator[int]:
        """Yield the ends of closed windows that are thin and reach back to a pane before their usual ones."""
        last = min(self.latest, pane + self.monitoring.windows.most_panes - 1)
        if last < pane + self.panes:
            return
        rows = sum(map(self._predictions, range(pane + 1, pane + self.panes)))
        for end in range(pane + self.panes, last + 1):
            rows += self._predictions(end)
            if rows >= self.monitoring.drift.min_samples:
                return
            if end >= self.first:
                yield end

    def _traffic(self, end: int) -> Traffic | None:
        """Judge the traffic up to a pane; None before any prediction."""
        pane = self.monitoring.windows.pane
        most = max(REACH * self.panes, most_panes(self.panes, pane))
        rows = self._counts["input"]
        counts = rows.between(max(self._oldest, end - most + 1), end)
        if not counts.any():
            return None
        in_slot = round(self._arrived.slot / pane)

        def later(at: float) -> int:
            first = round(at / pane)
            return rows.sum(max(end + 1, first), min(self._newest, first + in_slot - 1))

        arrived = self._arrived.until((end + 1) * pane, later)
        level = traffic_level(self.monitoring, len(spans(self.panes, pane)) + 1) or CHANCE
        seen = TrafficSeen(counts, self.panes, pane, (end + 1) * pane, arrived)
        found = traffic_of(seen, self.monitoring.alerting.volume_drop, level)
        return replace(found, coverage=self._coverage(end - self.panes))

    def _coverage(self, end: int) -> float:
        asked, answered = (self._counts[kind].sum(end - self.panes + 1, end) for kind in ("input", "outcome"))
        return min(1.0, answered / asked) if asked else 0.0

    def forget(self) -> list[Partial]:
        """Drop the panes that neither a record nor a window still to be judged again can reach.

        Return their partials.
        """
        if self._closed == NEVER or _ours(self._settled) < self._partitions:
            return []
        # An earlier prefix has only older records: it does not hold this back.
        settled = min(time for partition, time in self._settled.items() if partition >= 0) // self.pane
        held = self._last_held
        if NEVER < held < settled and not self.changed:  # traffic has stopped: later predictions begin anew
            self.look(held, held)
            return self.forget_to(held, held + self.panes)
        first = min(settled, self._closed, min(self.changed, default=self._closed))
        if first <= self.first:
            return []
        self.look(first - 1, first - 1)
        return self.forget_to(min(first - REACH * self.panes, self._oldest_needed(first) - 1), first)

    def forget_to(self, newest: int, first: int) -> list[Partial]:
        """Drop the panes up to the `newest`; windows are judged from the one that ends with `first`.

        Return their partials.
        """
        self.first = max(first, self.first)
        if newest <= self.forgotten:
            return []
        self.forgotten = newest
        return self._dropped(newest)

    def _oldest_needed(self, first: int) -> int:
        """Return the oldest pane that windows from the one that ends with `first` on need, for rows or for truth."""
        most, needed = self.monitoring.windows.most_panes, self.monitoring.drift.min_samples
        needed = max(needed, MOST_ROWS) if self._blocks.spans else needed
        by_rows = oldest_needed(self._inputs, first, most, needed)
        if self._blocks.spans and self._too_many_to_learn(first):
            by_rows = oldest_needed(self._inputs, first, most, self.monitoring.drift.min_samples)
        return min(by_rows, self._truth(first, 0).needed)

    def _too_many_to_learn(self, first: int) -> bool:
        """Return whether a day has far more rows than are used, at the present rate.

        Then nothing is kept to learn from days.
        """
        if self.learning is None or self.learning.columns.learned is not None:
            return False
        newest = range(first - REACH * self.panes + 1, first + 1)
        rate = sum(map(self._predictions, newest)) / len(newest)
        return rate * min(self._blocks.spans) > FAR_MORE * MOST_ROWS

    def drop(self) -> list[Partial]:
        """Drop all panes. Return their partials."""
        return self._dropped(self._last_held)

    @property
    def told_of(self) -> list[int]:
        """Return the source partitions that have reported their progress."""
        return list(self._progress)

    def _dropped(self, newest: int) -> list[Partial]:
        gone: list[Partial] = []
        for kind, slices in (("input", self._inputs), ("outcome", self._outcomes)):
            panes = held_up_to(slices, self._first_held, newest)
            for pane in panes:
                self._rows[kind] -= slices[pane].n
                self._counts[kind].add(pane, -slices[pane].n)
            for pane in panes if kind == "input" else ():
                self._blocks.changed(pane)
                self.past.add(pane * self.monitoring.windows.pane, self._predictions(pane))
            if kind == "input" and self.monitoring.reference is not None:
                for pane in sorted(panes):
                    total = slices[pane].sum(*self.size_of("input"))
                    self.moving.sums.add(pane * self.pane, (pane + 1) * self.pane, total)
            gone += drop(slices, kind, panes)
        for _, pane, _ in gone:
            self._truth_blocks.changed(pane)
        if newest >= self._last_held:
            self._first_held, self._last_held = -NEVER, NEVER
        else:
            self._first_held = max(self._first_held, newest + 1)
        if self._oldest <= newest:
            held = range(self._first_held, min(self._newest, self._first_held + len(self._inputs)) + 1)
            near = (pane for pane in held if self._predictions(pane))
            found = next(near, None)
            others = (pane for pane in self._inputs if self._predictions(pane))
            self._oldest = min(others, default=-NEVER) if found is None else found
        return gone


def _ours(partitions: Iterable[int]) -> int:
    """Return how many of the partitions are of this prefix."""
    return sum(partition >= 0 for partition in partitions)
