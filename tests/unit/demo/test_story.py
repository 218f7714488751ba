"""What the demo replays: honest data, one fault, late truth, repeats."""

from __future__ import annotations

import pandas as pd
import pytest
from sklearn.metrics import accuracy_score

from app.demo.census import FEATURES, TRUTH, census
from app.demo.model import DemoModel, train
from app.demo.story import DAY, DemoStream, Fault, story

pytestmark = pytest.mark.slow  # a model is trained

FAULT = Fault()


@pytest.fixture(scope="module")
def people() -> tuple[pd.DataFrame, pd.DataFrame]:
    return census()


@pytest.fixture(scope="module")
def trained(people: tuple[pd.DataFrame, pd.DataFrame]) -> DemoModel:
    return train(people[0])


@pytest.fixture(scope="module")
def told(people: tuple[pd.DataFrame, pd.DataFrame], trained: DemoModel) -> DemoStream:
    return story(people[1].iloc[::10], trained.pipeline, FAULT)


def test_the_census_is_whole(people: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    reference, later = people
    assert (len(reference), len(later)) == (68_785, 208_892)
    assert later.groupby("year").size().to_dict() == {2016: 69_126, 2017: 69_635, 2018: 70_131}
    assert [*reference.columns] == [*later.columns] == ["id", "year", *FEATURES, TRUTH]
    assert pd.concat([reference["id"], later["id"]]).is_unique
    assert all(isinstance(value, str) for value in reference["SCHL"].head(100))


def test_the_reference_is_of_people_whom_the_model_has_not_seen(trained: DemoModel) -> None:
    assert trained.people + len(trained.reference) == 68_785
    assert trained.accuracy == accuracy_score(trained.reference[TRUTH], trained.reference["prediction"])
    assert 0.8 < trained.accuracy < 0.86


def test_each_years_people_are_spread_evenly_over_their_year(told: DemoStream) -> None:
    when = pd.to_datetime(told.people["timestamp"], unit="s", utc=True)
    assert when.is_monotonic_increasing
    assert (when.dt.year == told.people["year"]).all()
    assert told.people.groupby([when.dt.year, when.dt.quarter]).size().between(1650, 1820).all()


def test_the_fault_changes_one_feature_in_its_span_only(
    people: tuple[pd.DataFrame, pd.DataFrame], told: DemoStream
) -> None:
    truth = people[1].set_index("id").loc[told.people["id"]].reset_index()
    start, end = FAULT.start.timestamp(), FAULT.end.timestamp()
    broken = told.people["timestamp"].between(start, end, inclusive="left").to_numpy()
    factor = told.people["AGEP"].to_numpy() / truth["AGEP"].where(truth["AGEP"] > 0, 1).to_numpy()
    aged = truth["AGEP"].to_numpy() > 0
    assert (factor[broken & aged] == 12).all()
    assert (factor[~broken & aged] == 1).all()
    others = [name for name in (*FEATURES, TRUTH) if name != FAULT.feature]
    assert (told.people[others].astype(str).to_numpy() == truth[others].astype(str).to_numpy()).all()


def test_the_model_gets_worse_by_the_fault_and_only_then(told: DemoStream) -> None:
    start, end = FAULT.start.timestamp(), FAULT.end.timestamp()
    broken = told.people["timestamp"].between(start, end, inclusive="left")
    right = told.people["prediction"] == told.people[TRUTH]
    assert right[broken].mean() < 0.6
    assert right[~broken].mean() > 0.8


def test_truth_comes_late_and_in_another_order_and_some_events_twice(told: DemoStream) -> None:
    people, n = told.people.set_index("prediction_id"), len(told.people)
    late = told.feedback["timestamp"] - people["timestamp"].loc[told.feedback["prediction_id"]].to_numpy()
    assert late.between(DAY, 30 * DAY).all()
    assert not told.feedback["prediction_id"].is_monotonic_increasing
    for sent in (told.predictions, told.feedback):
        assert len(sent) == n + int(n * 0.02)
        assert sent["prediction_id"].nunique() == n
    twice = told.predictions[told.predictions["prediction_id"].duplicated(keep=False)]
    assert (twice.groupby("prediction_id")["probability"].nunique() == 1).all()
