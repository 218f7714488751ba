"""The offline check: equal to scipy and scikit-learn on the raw rows, whatever the pieces."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn.metrics import average_precision_score, f1_score, precision_recall_fscore_support

from app.core.config.monitoring import Monitoring, Windows
from app.core.panes.pane import Pane
from app.core.windows.model_windows import ONE_SIDED, ModelWindows
from app.offline import decision as offline
from app.offline.decision import decide, windows
from app.registration.monitoring import MonitoringFile, TableColumns, monitoring_of
from app.registration.profiling import profile_of

FILE = MonitoringFile()
REFERENCE = pd.DataFrame({"x": [1.0, 2.0], "prediction": [0, 1]})
PROFILE = profile_of("m", "1", REFERENCE)


def people(seed: int, n: int = 3000, shift: float = 0.0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    age = np.round(rng.normal(40 + shift, 10, n))
    probability = 1 / (1 + np.exp(-(age - 40) / 8))
    return pd.DataFrame({
        "age": age, "town": rng.choice(["Oulu", "Turku", "Vaasa"], n, p=[0.5, 0.3, 0.2]),
        "prediction": (probability >= 0.5).astype(int), "probability": probability,
        "actual": (rng.random(n) < probability).astype(int),
    })  # fmt: skip


def test_statistics_are_those_of_scipy_and_scikit_learn_on_the_raw_rows() -> None:
    reference, current = people(1), people(2, shift=4)
    decision = decide(reference, current, FILE)
    age, town = decision.drift.features
    ks = stats.ks_2samp(reference["age"], current["age"], method="asymp")
    assert age.statistic == pytest.approx(ks.statistic, abs=1e-12)
    assert age.p_value == pytest.approx(ks.pvalue, rel=1e-9)
    names = ["Oulu", "Turku", "Vaasa"]
    shares = [frame["town"].value_counts(normalize=True)[names] for frame in (reference, current)]
    assert town.statistic == pytest.approx(jensenshannon(*shares, base=2), abs=1e-12)
    assert decision.performance is not None
    metrics = {metric.name: metric.value for metric in decision.performance.metrics}
    assert metrics["accuracy"] == (current["prediction"] == current["actual"]).mean()
    assert metrics["f1"] == pytest.approx(f1_score(current["actual"], current["prediction"]), abs=1e-15)


def test_pieces_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    reference, current = people(1), people(2, shift=4)
    whole = decide(reference, current, FILE)
    monkeypatch.setattr(offline, "PIECE", 123)
    assert decide(reference, current, FILE) == whole


def test_rows_without_truth_are_left_out_of_performance_only() -> None:
    reference, current = people(1), people(2)
    current["actual"] = current["actual"].astype(float).where(np.arange(len(current)) % 3 == 0)
    decision = decide(reference, current, FILE)
    assert decision.performance is not None
    assert (decision.drift.n, decision.performance.feedback) == (3000, 1000)


def test_silence_is_a_truth_where_it_is_old_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only positives are reported: metrics are those of scikit-learn with the negatives that silence means."""
    monkeypatch.setattr(offline, "PIECE", 700)
    file = monitoring_of({"performance": {"default_truth": {"value": 0, "after": "2d"}}, "windows": {"pane": 3600}})
    reference, current = people(1), people(2)
    current["timestamp"] = 1_700_000_000.0 + np.sort(np.random.default_rng(3).uniform(0, 10 * 86_400, len(current)))
    sent = current.assign(actual=current["actual"].where(current["actual"] == 1).astype(object))
    decision = decide(reference, sent, file)
    ends = (current["timestamp"] // 3600 + 1) * 3600
    whole = current[ends <= current["timestamp"].max() - 2 * 86_400]
    assert decision.performance is not None
    assert decision.performance.feedback == len(whole) < len(current)
    metrics = {metric.name: metric.value for metric in decision.performance.metrics}
    assert metrics["accuracy"] == (whole["prediction"] == whole["actual"]).mean()
    assert metrics["f1"] == pytest.approx(f1_score(whole["actual"], whole["prediction"]), abs=1e-15)
    assert decision.drift.n == len(current)

    young = decide(reference, sent[sent["timestamp"] > sent["timestamp"].max() - 86_400], file).performance
    assert young is not None
    assert (young.judged, young.feedback, young.reason) == (False, 0, ONE_SIDED)
    undated = decide(reference, sent.drop(columns="timestamp"), file).performance
    assert undated is not None
    assert (undated.judged, undated.feedback) == (False, 0)
    assert "columns.timestamp" in undated.reason


def test_without_truth_there_is_no_performance_but_drift_is_judged() -> None:
    decision = decide(people(1), people(2, shift=30).drop(columns="actual"), FILE)
    assert decision.performance is None
    assert decision.drift.drifted_features == ("age",)
    assert decision.drifted


def test_an_absent_feature_is_missing_and_a_new_column_is_unknown() -> None:
    current = people(2).drop(columns="town").assign(shoe=42)
    drift = decide(people(1), current, FILE).drift
    assert [(f.name, f.missing) for f in drift.features] == [("age", 0), ("town", 3000)]
    assert drift.unknown_features == {"shoe": 3000}


def test_columns_are_found_where_the_file_says() -> None:
    names = {"prediction": "said", "probability": "score", "actual": "truth"}
    file = MonitoringFile(columns=TableColumns(prediction="said", probability="score", target="truth"))
    renamed = decide(people(1).rename(columns=names), people(2, shift=4).rename(columns=names), file)
    assert renamed == decide(people(1), people(2, shift=4), FILE)


def test_windows_last_as_long_as_any_row_can_be_seen() -> None:
    times = np.array([5.0, 59.9, 60.0, 250.0])
    frame = pd.DataFrame({"t": times})
    monitoring = Monitoring(windows=Windows(pane=60.0, panes=2))
    found = {end: rows["t"].tolist() for end, rows in windows(frame, times, monitoring)}
    assert found == {60.0: [5.0, 59.9], 120.0: [5.0, 59.9, 60.0], 180.0: [60.0], 300.0: [250.0], 360.0: [250.0]}


@pytest.mark.slow
@given(
    st.lists(st.integers(0, 400_000), min_size=1, max_size=30),
    st.sampled_from([0.1, 0.3, 1.0, 7.5, 60.0]),
    st.integers(1, 6),
    st.integers(1, 3),
)
def test_windows_are_the_streams_own(millis: list[int], pane: float, panes: int, partitions: int) -> None:
    times = np.sort(np.array(millis) / 1000 + 1_700_000_000)
    monitoring = Monitoring(windows=Windows(pane=pane, panes=panes))
    stream = ModelWindows(PROFILE, monitoring, partitions, now=0.0)
    for partition in range(partitions):
        mine = [round(time * 1_000_000) // stream.pane for time in times[partition::partitions].tolist()]
        for number, n in Counter(mine).items():
            empty = Pane.empty(stream.layout.sums)
            stream.add("input", number, partition, 1, Pane(n, empty.indices, empty.counts, empty.sums))
        stream.progress(partition, 1, 2_000_000_000_000_000, idle=False)
    judged = {
        end: found.drift.n for end in stream.due(0.0) if (found := stream.evaluate(end)) is not None and found.drift
    }
    offline_ = {round(end * 1_000_000) // stream.pane - 1: len(rows) for end, rows in
                windows(pd.DataFrame({"t": times}), times, monitoring)}  # fmt: skip
    assert offline_ == judged


def test_labels_that_the_reference_lacks_are_wrong_and_named() -> None:
    """In the truth, among the predictions, and right where they are both: as scikit-learn has it on the same rows."""
    rng = np.random.default_rng(0)
    reference = pd.DataFrame({"x": np.arange(6.0), "prediction": list("abcabc"), "target": list("abccba")})
    cells = [None, *"abcdef"]
    current = pd.DataFrame({"x": 1.0, "prediction": rng.choice(cells, 4000), "target": rng.choice(cells, 4000)})
    current.loc[:2000, "target"] = current.loc[:2000, "prediction"]
    performance = decide(reference, current, MonitoringFile(task="multiclass")).performance
    assert performance is not None
    answered = current.dropna(subset=["target"])
    rows = answered.dropna()
    found = {metric.name: metric.value for metric in performance.metrics}
    assert found["accuracy"] == (rows["prediction"] == rows["target"]).mean()
    macro = precision_recall_fscore_support(rows["target"], rows["prediction"], average="macro", zero_division=0)
    names = ("macro_precision", "macro_recall", "macro_f1")
    assert [found[name] for name in names] == pytest.approx(list(macro[:3]), rel=1e-12)
    assert performance.feedback == len(answered)
    assert performance.not_judged == {"missing prediction": len(answered) - len(rows)}
    for told, column in ((performance.unknown_actuals, "target"), (performance.unknown_predictions, "prediction")):
        assert told == {name: count for name, count in Counter(rows[column]).items() if name in "def"}
    known = rows[rows["prediction"].isin(list("abc")) & rows["target"].isin(list("abc"))]
    assert sum(map(sum, performance.confusion)) == len(known)
    assert [one.actual for one in performance.classes] == [(rows["target"] == name).sum() for name in "abc"]


def test_a_binary_model_is_wrong_where_a_label_is_unknown() -> None:
    rng = np.random.default_rng(1)
    reference, current = people(1), people(2)
    current["actual"] = np.where(rng.random(3000) < 0.4, "maybe", current["actual"].astype(str))
    current.loc[:99, "probability"] = np.nan
    performance = decide(reference, current, FILE).performance
    assert performance is not None
    found = {metric.name: metric.value for metric in performance.metrics}
    told = current["prediction"].astype(str)
    assert found["accuracy"] == (told == current["actual"]).mean()
    (wanted,) = f1_score(current["actual"], told, labels=["1"], average=None)
    assert found["f1"] == pytest.approx(wanted, rel=1e-12)
    assert performance.unknown_actuals == {"maybe": (current["actual"] == "maybe").sum()}
    assert performance.not_judged == {}
    unknown = (current["actual"] == "maybe") & current["probability"].notna()
    assert performance.not_scored == {"missing probability": 100, "unknown truth": unknown.sum()}
    scored = current[current["probability"].notna() & ~unknown]
    wanted = average_precision_score(scored["actual"] == "1", scored["probability"])
    assert found["average_precision"] == pytest.approx(wanted, abs=1e-3)
