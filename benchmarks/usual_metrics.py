"""How many alerts of its metrics a model gives in calm weeks of a real stream, and how soon wrong labels are found.

    python -m benchmarks.usual_metrics flights.parquet --timestamp scheduled --until 2013-04-01 --late arr_delay

The rows before `--until` are the reference. A gradient-boosted classifier learns from them whether `--late` is above
`--above`, from the numeric columns but for that one; its predictions of the reference are made out of fold. What
follows goes pane by pane through the real windows, rules and lifecycle, each prediction with its truth, with the
defaults: once as it is, and once from `--change` on with a share of the truths turned round.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import cross_val_predict

from agents.windows.reports import performance_report
from app.alerting.rules.lifecycle import RuleState, step
from app.alerting.rules.model_rules import rule_of, verdicts_of
from app.core.config.monitoring import Monitoring
from app.core.join.state import MICROSECONDS
from app.core.panes.outcomes import outcome_layout, outcome_pane
from app.core.reference.profile import Profile
from app.core.windows.model_windows import ModelWindows
from app.offline.decision import panes_of
from app.registration.monitoring import MonitoringFile, monitoring_of
from app.registration.profiling import read_reference
from app.tables import CellTable, read_table
from app.tables.times import epoch_seconds

PREDICTION, PROBABILITY, TARGET = "prediction", "probability", "late"


@dataclass
class World:
    """One model version: its windows, the state of its rules, and what turned as (time, rule, subject, how)."""

    profile: Profile
    file: MonitoringFile
    monitoring: Monitoring
    states: dict[tuple[str, str], RuleState] = field(default_factory=dict)
    turned: list[tuple[float, str, str, str]] = field(default_factory=list)

    def run(self, frame: pd.DataFrame, timestamp: str, every: int, since: float = 0.0) -> World:
        """Judge a table as a stream: the end of each so-manieth pane from `since` (epoch seconds) on."""
        pane = self.monitoring.windows.pane
        times = epoch_seconds(CellTable(frame), timestamp)
        windows, layout = ModelWindows(self.profile, self.monitoring, 1, 0.0), outcome_layout(self.profile)
        rows = frame.groupby((times // pane).astype(int)).indices
        codes, scores, truth = (frame[name].to_numpy(float) for name in (PREDICTION, PROBABILITY, TARGET))
        for number, one in panes_of(windows.layout, frame, times, pane, self.file.columns):
            windows._closed = max(windows._closed, number - 1)
            for end in sorted(end for end in windows.changed if end <= number - 1):
                if end % every == 0 and end * pane >= since:
                    self._judge(windows, end)
                windows.changed.discard(end)
            windows.add("input", number, 0, 1, one)
            if number in rows:
                at = rows[number]
                came = outcome_pane(layout, codes[at].astype(np.int64), scores[at], truth[at])
                windows.add("outcome", number, 0, 1, came)
            time = int((number + 1) * pane * MICROSECONDS)
            windows.progress(0, number, time, time, idle=False)
            if not number % 60:
                windows.forget()
        return self

    def _judge(self, windows: ModelWindows, end: int) -> None:
        found = windows.evaluate(end)
        if found is None or found.performance is None:
            return
        report = performance_report(windows, end, found.performance, 1, datetime.now(UTC), found.panes)
        at = report.window_end.timestamp()
        for verdict in verdicts_of(report, self.monitoring):
            key, rule = (verdict.rule, verdict.subject), rule_of(verdict, self.monitoring.alerting)
            self.states[key], change = step(self.states.get(key, RuleState()), verdict, at, 1, rule)
            if change is not None and change.status != "firing":
                self.turned.append((at, *key, "ends"))
            elif change is not None:
                self.turned.append((at, *key, "fires"))


def predicted(frame: pd.DataFrame, options: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the reference and what follows it, with the predictions of a model of the reference."""
    frame = frame.assign(**{TARGET: (frame[options.late] > options.above).astype(int)})
    before = frame[options.timestamp] < pd.Timestamp(options.until)
    features = [name for name in frame.select_dtypes("number") if name not in {options.late, TARGET, *options.leave}]
    model = HistGradientBoostingClassifier(max_iter=60, random_state=0)
    reference, after = frame[before].reset_index(drop=True), frame[~before].reset_index(drop=True)
    scores = cross_val_predict(model, reference[features], reference[TARGET], cv=3, method="predict_proba")[:, 1]
    model.fit(reference[features], reference[TARGET])
    later = model.predict_proba(after[features])[:, 1]
    wanted = [options.timestamp, *features, TARGET]
    return tuple(
        part[wanted].assign(**{PREDICTION: (score > 0.5).astype(int), PROBABILITY: score})
        for part, score in ((reference, scores), (after, later))
    )


def lines(frame: pd.DataFrame, options: argparse.Namespace) -> Iterator[str]:
    """What was measured, a line each."""
    reference, after = predicted(frame, options)
    columns = {"timestamp": options.timestamp, "target": TARGET, "ignore": []}
    file = monitoring_of({"columns": columns, "positive_label": "1"})
    profile = read_reference("model", "1", reference, file).profile
    yield f"reference: {len(reference):,} rows; " + ", ".join(f"{n} {v:.3f}" for n, v in profile.baseline.items())
    if not options.fault_only:
        calm = World(profile, file, file.monitoring).run(after, options.timestamp, options.every)
        yield from _told(f"{len(after):,} rows as they are", calm.turned)
    change = pd.Timestamp(options.change)
    times = after[options.timestamp]
    near = after[times.between(change - pd.Timedelta(days=8), change + pd.Timedelta(days=options.days))].copy()
    near = near.reset_index(drop=True)
    turned = (near[options.timestamp] >= change) & (np.random.default_rng(0).random(len(near)) < options.turned)
    near[TARGET] = near[TARGET].where(~turned, 1 - near[TARGET])
    begun = change.timestamp()
    bad = World(profile, file, file.monitoring).run(near, options.timestamp, options.every, begun - 86_400)
    first = next((at for at, _, _, how in bad.turned if how == "fires" and at > begun), None)
    yield from _told(f"{options.turned:.0%} of the truths turned round from {change} on", bad.turned)
    yield "first alert: " + ("none" if first is None else f"after {(first - begun) / 3600:.2f} h")


def _told(words: str, turned: Sequence[tuple[float, str, str, str]]) -> Iterator[str]:
    fired = Counter(f"{rule} {subject}" for _, rule, subject, how in turned if how == "fires")
    yield f"{words}: {sum(fired.values())} alerts" + "".join(f"; {name}: {n}" for name, n in sorted(fired.items()))
    for at, rule, subject, how in turned[:20]:
        yield f"  {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} {rule} {subject} {how}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--timestamp", default="timestamp")
    parser.add_argument("--until", required=True, help="the reference's end")
    parser.add_argument("--late", required=True, help="the numeric column that is to be foreseen")
    parser.add_argument("--above", type=float, default=15.0, help="from which value on a row is positive")
    parser.add_argument("--leave", nargs="*", default=["air_time"], help="columns that the model is not given")
    parser.add_argument("--change", default="2013-05-01 06:00")
    parser.add_argument("--turned", type=float, default=0.3, help="share of the truths that are turned round")
    parser.add_argument("--days", type=float, default=3.0, help="how long the fault lasts")
    parser.add_argument("--every", type=int, default=20, help="judge the end of each so-manieth pane alone")
    parser.add_argument("--fault-only", action="store_true")
    options = parser.parse_args(arguments)
    for line in lines(read_table(options.file), options):
        print(line, flush=True)


if __name__ == "__main__":
    main()
