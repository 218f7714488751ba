"""The stream's reports, the offline check and a recomputation from the raw rows say the same of every window."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as sk

from app.core.config.monitoring import Monitoring
from app.core.panes.pane import Pane
from app.core.reference.layout import layout_of
from app.core.reference.profile import Profile
from app.core.scales.judging import judge_scales
from app.demo.census import CATEGORICAL, FEATURES, TRUTH, census
from app.demo.model import train
from app.demo.run import MONITORING
from app.demo.story import Fault, story
from app.kafka.client_options import client_options
from app.kafka.topics import ensure_topics
from app.offline import decision as offline
from app.registration.monitoring import MonitoringFile
from app.registration.profiling import profile_of
from app.registration.publish import register
from app.registration.setup import read_monitoring
from app.replay.run import close_windows
from app.replay.send import ReplaySender
from app.settings.settings import Settings
from tests.support.stream import Counts, send, until, worker
from topics.events import DriftReport, FeatureDrift, PerformanceReport
from topics.registry import FEEDBACK, PREDICTIONS

NAME, RELEASE = "census-employment", "2"
DAY = 86_400.0
FIRST, LAST = (pd.Timestamp(day, tz="UTC").timestamp() for day in ("2017-04-06", "2017-06-08"))
"""Nine weeks; the demo's fault begins in the fourth."""
DUPLICATED, TOLD, CORRECTED = 0.1, 0.9, 0.03
EXACT = 1e-12
SHUFFLES = 4000


@dataclass(frozen=True)
class Material:
    """Reference and current rows; `records` as they are sent; `rows` with the truth that came last, by time."""

    reference: pd.DataFrame
    rows: pd.DataFrame
    records: list[tuple[str, bytes, bytes]]
    file: MonitoringFile
    profile: Profile

    @property
    def monitoring(self) -> Monitoring:
        """How it is watched."""
        return self.file.monitoring

    def windows(self) -> Iterator[tuple[float, pd.DataFrame]]:
        """The end and the rows of every window that has any, those after the last pane too."""
        pane, panes = self.monitoring.windows.pane, self.monitoring.windows.panes
        times = self.rows["timestamp"]
        for end in np.arange((times.min() // pane + 1) * pane, times.max() + pane * panes, pane).tolist():
            yield end, self.rows[(times >= end - pane * panes) & (times < end)]


@pytest.fixture(scope="module")
def material() -> Material:
    """Nine weeks of the demo's people, some values lost or unheard of, doubled, corrected and shuffled."""
    reference, later = census()
    trained = train(reference)
    people = story(later[later["year"] == 2017], trained.pipeline, Fault(), duplicated=0.0).people
    rows = people[people["timestamp"].between(FIRST, LAST, inclusive="left")].reset_index(drop=True)
    rows = rows.astype(dict.fromkeys(CATEGORICAL, object))
    rng = np.random.default_rng(11)
    rows.loc[rng.random(len(rows)) < 0.02, "AGEP"] = np.nan
    rows.loc[rng.random(len(rows)) < 0.02, "SCHL"] = None
    rows.loc[rng.random(len(rows)) < 0.01, "MAR"] = "unheard of"
    records, answers = sent(rows, random.Random(12))
    rows[TRUTH] = rows["prediction_id"].map(answers)
    read = read_monitoring(MONITORING)
    patient = replace(read.monitoring.windows, retention=120 * DAY, lateness=120 * DAY)  # all of it in any order
    file = msgspec.structs.replace(read, monitoring=replace(read.monitoring, windows=patient))
    return Material(trained.reference, rows, records, file, profile_of(NAME, RELEASE, trained.reference, file))


def sent(rows: pd.DataFrame, rng: random.Random) -> tuple[list[tuple[str, bytes, bytes]], dict[str, float]]:
    """What is sent, in that order, and each person's truth that is the last of theirs."""
    records: list[tuple[str, bytes, bytes]] = []
    for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
        key = row["prediction_id"]
        event = {
            "prediction_id": key, "model": NAME, "model_version": RELEASE, "timestamp": row["timestamp"],
            "features": {name: row[name] for name in FEATURES},
            "prediction": row["prediction"], "probability": row["probability"],
        }  # fmt: skip
        made = [(PREDICTIONS.name, key.encode(), msgspec.json.encode(event))]
        truths = [row[TRUTH]] * (rng.random() < TOLD) + [1 - row[TRUTH]] * (rng.random() < CORRECTED)
        made += [
            (FEEDBACK.name, key.encode(), msgspec.json.encode({"prediction_id": key, "actual": told}))
            for told in truths
        ]
        records += [record for one in made for record in [one] * (1 + (rng.random() < DUPLICATED))]
    rng.shuffle(records)
    answers = [msgspec.json.decode(value) for topic, _, value in records if topic == FEEDBACK.name]
    return records, {answer["prediction_id"]: answer["actual"] for answer in answers}


def judged_of(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with a truth."""
    return rows[rows[TRUTH].notna()]


def confusion_of(rows: pd.DataFrame) -> NDArray[np.int64]:
    judged = judged_of(rows)
    found: NDArray[np.int64] = sk.confusion_matrix(judged[TRUTH].astype(int), judged["prediction"], labels=[0, 1])
    return found


def complete(counts: Counts, expected: dict[float, tuple[int, tuple[tuple[int, ...], ...]]]) -> bool:
    """Whether every window is there with all of its predictions and truths."""
    for end, (n, confusion) in expected.items():
        drift, performance = counts.reports.get(("drift", end)), counts.reports.get(("performance", end))
        if drift is None or not isinstance(performance, PerformanceReport):
            return False
        if (drift.n, performance.n, performance.confusion) != (n, n, confusion):
            return False
    return True


async def streamed(settings: Settings, material: Material, workers: int) -> Counts:
    """All records through so many workers, and what was reported once it is complete."""
    await ensure_topics(settings)
    await register(settings, NAME, RELEASE, material.reference, material.file)
    expected = {
        end: (len(rows), tuple(tuple(row) for row in confusion_of(rows).tolist())) for end, rows in material.windows()
    }
    names = [f"worker-{number}" for number in range(workers)]
    with ExitStack() as running:
        for name in names:
            running.enter_context(worker(settings, name))
        half = len(material.records) // 2
        await send(settings, material.records[:half], close=False)
        async with asyncio.timeout(45):
            # other processes: they tell nobody
            while not all("predictions recovered" in log_of(settings, name) for name in names):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        await send(settings, material.records[half:], close=False)
        async with ReplaySender(client_options(settings)) as sender:
            last = float(material.rows["timestamp"].max())
            await close_windows(sender, NAME, RELEASE, material.monitoring.windows, last, prefix=settings.prefix)
        counts = await until(settings, lambda found: complete(found, expected), 45)
    found = {key: report.n for key, report in counts.reports.items() if key[0] in {"drift", "performance"}}
    assert complete(counts, expected), f"{expected}\n{found}\n{log_of(settings, names[0])}"
    assert found == {(kind, end): n for end, (n, _) in expected.items() for kind in ("drift", "performance")}
    return counts


def log_of(settings: Settings, name: str) -> str:
    path = Path(settings.state_dir / f"{name}.log")
    return path.read_text()[-20_000:] if path.exists() else ""


def assert_offline_equal(
    material: Material, rows: pd.DataFrame, reports: tuple[DriftReport, PerformanceReport]
) -> None:
    """Every field but the envelope, as `driftline check` has it of the same rows."""
    columns = rows.drop(columns="prediction_id")  # the id column, by monitoring.json, is another
    decision = offline.judge(material.profile, columns, material.monitoring, material.file.columns)
    assert decision.performance is not None
    for report, found in zip(reports, (asdict(decision.drift), asdict(decision.performance)), strict=True):
        said, wanted = (msgspec.json.decode(msgspec.json.encode(one)) for one in (report, found))
        for name in ("scales", "needed_panes", "first_panes"):  # a table has no panes
            wanted.pop(name, None)
        if isinstance(report, PerformanceReport):  # of the newest truth, in whatever window
            wanted.pop("needed")
        assert {name: said[name] for name in wanted} == wanted


def panes_of(material: Material) -> dict[int, Pane]:
    """The raw rows of each pane, counted."""
    layout, rows = layout_of(material.profile), material.rows.drop(columns="prediction_id")
    numbers = (material.rows["timestamp"] // material.monitoring.windows.pane).astype(int)
    return {
        number: offline.pane_of(layout, rows[numbers == number], material.file.columns)
        for number in numbers.unique().tolist()
    }


def assert_newest_panes_equal(material: Material, panes: dict[int, Pane], end: float, report: DriftReport) -> None:
    """What the newest panes show, as a recomputation from the raw rows of each pane has it."""
    pane = material.monitoring.windows.pane
    expected = judge_scales(layout_of(material.profile), panes, round(end / pane) - 1, material.monitoring)
    assert expected is not None
    assert report.scales is not None
    said, wanted = (msgspec.json.decode(msgspec.json.encode(one)) for one in (report.scales, asdict(expected)))
    for one, other in zip(said.pop("found"), wanted.pop("found"), strict=True):
        assert {name: one[name] for name in other} == other  # beside the numbers of panes are their times
        assert datetime.fromisoformat(one["since"]).timestamp() == end - pane * (other["since_panes"] - 1)
    assert said | {"data_drift": None} == wanted | {"data_drift": None}
    assert (said["data_drift"] is None) == (wanted["data_drift"] is None)


def assert_drift_equal(material: Material, rows: pd.DataFrame, report: DriftReport) -> None:
    """Against pandas and scipy on the raw rows."""
    thresholds, reference = material.monitoring.drift, material.reference
    age, prediction, probability = report.features[0], report.prediction, report.probability
    assert [feature.name for feature in report.features] == list(FEATURES)
    assert prediction is not None
    assert probability is not None
    ks = stats.ks_2samp(reference["AGEP"], rows["AGEP"].dropna(), method="asymp")
    assert (age.test, age.n, age.missing) == ("ks", rows["AGEP"].count(), rows["AGEP"].isna().sum())
    assert age.statistic == pytest.approx(ks.statistic, abs=EXACT)
    assert age.p_value == pytest.approx(ks.pvalue, abs=EXACT)
    assert age.direction == ("higher" if ks.statistic_sign > 0 else "lower")
    for feature in report.features[1:]:
        assert_categorical_equal(feature, reference[feature.name], rows[feature.name])
    assert_categorical_equal(prediction, reference["prediction"], rows["prediction"])
    thinned = stats.ks_2samp(reference["probability"], rows["probability"])
    assert abs((probability.statistic or 0.0) - thinned.statistic) <= probability.error_bound + EXACT
    p = [feature.p_value if feature.p_value is not None else math.nan for feature in report.features]
    adjusted = stats.false_discovery_control(p)
    effects = [f.statistic >= 0.1 if f.test == "ks" else f.statistic > 0.1 for f in report.features]  # type: ignore[operator]
    drifted = tuple(
        name
        for name, value, effect in zip(FEATURES, adjusted.tolist(), effects, strict=True)
        if value < thresholds.alpha and effect and len(rows) >= thresholds.min_samples
    )
    assert (report.drifted_features, report.sufficient) == (drifted, len(rows) >= thresholds.min_samples)
    assert report.drift_share == len(drifted) / len(FEATURES)
    assert report.drift_detected == (report.drift_share >= thresholds.share)
    assert report.missing_share == pytest.approx(rows[list(FEATURES)].isna().to_numpy().mean(), abs=EXACT)


def shuffled_p_value(before: NDArray[np.int64], after: NDArray[np.int64]) -> float:
    """How often shuffled rows of both tables are as far apart as these: the permutation test."""
    n, m = int(before.sum()), int(after.sum())
    drawn = np.random.default_rng(3).multivariate_hypergeometric(before + after, m, size=SHUFFLES, method="marginals")

    def apart(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        found: NDArray[np.float64] = jensenshannon(rows / m, (before + after - rows) / n, axis=-1)
        return found

    return float((1 + (apart(drawn) >= apart(after) - EXACT).sum()) / (SHUFFLES + 1))


def assert_categorical_equal(feature: FeatureDrift, before: pd.Series, after: pd.Series) -> None:
    after = after.dropna()
    tallies = [column.astype(object).value_counts() for column in (before, after)]
    names = tallies[0].index.union(tallies[1].index)
    p, q = (tally.reindex(names, fill_value=0) / tally.sum() for tally in tallies)
    distance = jensenshannon(p, q, base=2)
    m = len(after)
    assert (feature.test, feature.n) == ("jensen-shannon", m)
    assert feature.statistic == pytest.approx(distance, abs=EXACT)
    assert feature.p_value is not None
    shuffled = shuffled_p_value(*(tally.reindex(names, fill_value=0).to_numpy() for tally in tallies))
    assert shuffled / 2 <= feature.p_value <= 2 * shuffled or max(shuffled, feature.p_value) < 20 / SHUFFLES
    unseen = tallies[1].drop(tallies[0].index, errors="ignore")
    assert feature.unseen == unseen.sum()
    assert feature.unseen_names == unseen.to_dict()


def assert_performance_equal(material: Material, rows: pd.DataFrame, report: PerformanceReport) -> None:
    """Against scikit-learn on the raw rows."""
    judged = judged_of(rows)
    truth, said, score = judged[TRUTH].astype(int), judged["prediction"].astype(int), judged["probability"]
    assert (report.n, report.feedback) == (len(rows), len(judged))
    assert report.coverage == pytest.approx(len(judged) / len(rows), abs=EXACT)
    assert [list(row) for row in report.confusion] == sk.confusion_matrix(truth, said, labels=[0, 1]).tolist()
    exact = {
        "accuracy": sk.accuracy_score(truth, said),
        "precision": sk.precision_score(truth, said, zero_division=0.0),
        "recall": sk.recall_score(truth, said),
        "f1": sk.f1_score(truth, said),
    }
    bounded = {
        "roc_auc": sk.roc_auc_score(truth, score), "average_precision": sk.average_precision_score(truth, score),
        "log_loss": sk.log_loss(truth, score), "brier": sk.brier_score_loss(truth, score),
    }  # fmt: skip
    found = {metric.name: metric for metric in report.metrics}
    assert set(found) == {*exact, *bounded}
    for name, value in exact.items():
        assert found[name].value == pytest.approx(value, abs=EXACT)
    for name, value in bounded.items():
        assert abs((found[name].value or 0.0) - value) <= found[name].error_bound + EXACT
    reference = material.reference
    baseline = sk.f1_score(reference[TRUTH], reference["prediction"])
    assert found["f1"].baseline == pytest.approx(baseline, abs=EXACT)
    assert found["f1"].relative == pytest.approx((baseline - exact["f1"]) / baseline, abs=EXACT)


@pytest.mark.timeout(150)
@pytest.mark.parametrize(("partitions", "workers"), [(1, 1), (4, 2), (8, 2)])
async def test_stream_offline_and_raw_rows_agree(
    settings: Settings, material: Material, partitions: int, workers: int
) -> None:
    # every pane changes until the end: judged too often, the windows are all that two cores do
    settings = settings.model_copy(update={"partitions": partitions, "checkpoint_seconds": 0.5, "reissue_seconds": 1.0})
    counts = await streamed(settings, material, workers)
    windows, panes = 0, panes_of(material)
    for end, rows in material.windows():
        drift, performance = counts.reports["drift", end], counts.reports["performance", end]
        assert isinstance(drift, DriftReport)
        assert isinstance(performance, PerformanceReport)
        assert_offline_equal(material, rows, (drift, performance))
        assert_newest_panes_equal(material, panes, end, drift)
        assert_drift_equal(material, rows, drift)
        assert_performance_equal(material, rows, performance)
        windows += 1
    assert windows == 12
    detected = [report for report in counts.reports.values() if isinstance(report, DriftReport)]
    assert {name for report in detected for name in report.drifted_features} == {"AGEP"}
    found = [one for report in detected if report.scales is not None for one in report.scales.found]
    assert "AGEP" in {one.name for one in found if one.fault == "distribution"}
