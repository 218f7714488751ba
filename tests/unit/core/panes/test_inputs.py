"""Runs of events into panes: equal to counting value by value, whichever way a run is decoded."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections import Counter as Tally
from collections.abc import Sequence
from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.config.monitoring import Windows
from app.core.join.predictions import MANY, add_predictions
from app.core.join.state import CompiledModel, JoinState
from app.core.panes.inputs import Scalar, pick
from app.core.profile_builder import build_profile
from app.core.reference.layout import CLIP, FIXED_POINT
from app.core.reference.profile import ColumnProfile, Profile, with_identity
from app.ingest.decoding import Record
from app.ingest.predictions import PredictionColumns, heads_of

Event = dict[str, object]
Row = tuple[Scalar, ...]
FEATURES = ("size", "weight", "colour", "flag")
UNKNOWN = "wheels"


def _profile(version: str) -> Profile:
    """Two numeric and two categorical features; with reference values as the text of events can have them."""
    rng = np.random.default_rng(3)
    n = 400
    probability = rng.random(n).round(3)
    profile = build_profile(
        "m", version, "binary",
        {"size": rng.integers(-3, 4, n).astype(np.float64), "weight": rng.normal(size=n).round(2),
         "colour": rng.choice(["red", "green", "5", "1"], n).tolist(),
         "flag": rng.choice(["true", "false"], n).tolist()},
        np.where(probability > 0.5, "1", "0").tolist(), probability, rng.choice(["0", "1"], n).tolist(),
    )  # fmt: skip
    size = replace(profile.features[0], centre=0.5, scale=0.001)  # so that sums are clipped, too
    return with_identity(replace(profile, features=(size, *profile.features[1:])))


PROFILES = [_profile("1"), _profile("2")]

numbers = st.sampled_from([-4, -3, 0, 0.5, 2, 3, 1e300, -0.01, 0.37, 1.0, "Infinity", "-Infinity", "NaN", None])
plain_numbers = st.sampled_from([-4, -3, 0, 0.5, 2, 3, 1e300, -0.01, 0.37, 1.0])
wrong = st.sampled_from(["text", True, False])
categories = st.sampled_from(["red", "green", "blue", "5", 5, 5.0, 1, 1.0, True, False, "true", 0, None, ""])
plain_categories = st.sampled_from(["red", "green", "blue", "5"])


def events(numeric: st.SearchStrategy[object], categorical: st.SearchStrategy[object]) -> st.SearchStrategy[Event]:
    """Events with such features, some of them absent."""
    values = {"size": numeric, "weight": numeric, "colour": categorical, "flag": categorical}
    return st.fixed_dictionaries({
        "features": st.fixed_dictionaries({}, optional=values),
        "prediction": st.sampled_from(["0", "1", 1, 0, True, "2"]),
        "probability": st.sampled_from([0.0, 0.25, 0.731, 1, None, {"0": 0.3, "1": 0.7}, {"0": 1.0}]),
    })  # fmt: skip


any_event = st.one_of(
    events(plain_numbers, plain_categories),
    events(numbers, categories),
    events(numbers | wrong, categories),
    events(plain_numbers, plain_categories).map(
        lambda event: {**event, "features": {**event["features"], UNKNOWN: 4}}  # type: ignore[dict-item]
    ),
)
runs = st.lists(
    st.one_of(
        st.lists(st.tuples(st.just(0), events(plain_numbers, plain_categories)), min_size=1, max_size=12),
        st.lists(st.tuples(st.integers(0, 1), any_event), min_size=1, max_size=12),
        st.lists(st.tuples(st.just(1), any_event), min_size=1, max_size=12),
    ),
    min_size=1,
    max_size=5,
)


@dataclass(slots=True)
class Stub:
    key: bytes | None
    value: bytes | None
    offset: int = 0
    topic: str = "predictions"
    partition: int = 0
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes]] = ()


def records_of(made: list[list[tuple[int, Event]]]) -> list[list[Record]]:
    """Each run's records, with ids of their own, over three panes."""
    runs_: list[list[Record]] = []
    n = 0
    for run in made:
        records: list[Record] = []
        for number, event in run:
            envelope = {"prediction_id": f"p{n}", "model": "m", "model_version": PROFILES[number].model_version}
            whole = {**envelope, "timestamp": 60.0 * (n % 3), **event}
            records.append(Stub(f"p{n}".encode(), json.dumps(whole).encode()))
            n += 1
        runs_.append(records)
    return runs_


def spelled(value: object) -> str:
    """How the reference spells a category."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(int(value)) if float(value).is_integer() else repr(float(value))
    return str(value)


def named(column: ColumnProfile, value: object) -> str:
    """The same in a column: of truth values 0 and 1 are two, of the labels 0 and 1 truth values are."""
    name = spelled(value)
    if set(column.categories) == {"true", "false"}:
        return {"0": "false", "1": "true"}.get(name, name.lower())
    if set(column.categories) <= {"0", "1"}:
        return {"false": "0", "true": "1"}.get(name.lower(), name)
    return name


def slot_of(column: ColumnProfile, value: object) -> int:
    """The slot of one value, from the column's own start."""
    if column.kind == "categorical":
        k = len(column.categories)
        if value is None or value == "":
            return k + 1
        name = named(column, value)
        return column.categories.index(name) if name in column.categories else k
    m = len(column.values)
    if isinstance(value, bool) or (isinstance(value, str) and value not in {"NaN", "Infinity", "-Infinity"}):
        return 2 * m + 4
    if value is None or value == "NaN":
        return 2 * m + 3
    number = float(value)  # type: ignore[arg-type]
    if np.isinf(number):
        return 2 * m + 2 if number > 0 else 0
    return bisect_left(column.values, number) + bisect_right(column.values, number) + 1


def share_of(column: ColumnProfile, value: object) -> tuple[int, int]:
    """What one value adds to its column's two sums."""
    if value is None or isinstance(value, bool) or (isinstance(value, str) and "Infinity" not in value):
        return 0, 0
    number = float(value)  # type: ignore[arg-type]
    scaled = min(max((number - column.centre) / column.scale, -CLIP), CLIP)
    return round(scaled * FIXED_POINT), round(scaled * scaled * FIXED_POINT)


def values_of(profile: Profile, event: Event) -> list[object]:
    """One event's values in the profile's order."""
    features, probability = event["features"], event["probability"]
    assert isinstance(features, dict)
    if isinstance(probability, dict):
        probability = probability.get("1")
    return [*(features.get(name) for name in FEATURES), event["prediction"], probability]


@pytest.mark.parametrize("many", [1, MANY])
@given(runs)
def test_panes_count_what_each_value_says(many: int, made: list[list[tuple[int, Event]]]) -> None:
    """`many`: rows of one model that are counted by themselves; those of models with fewer are counted together."""
    with mock.patch("app.core.join.predictions.MANY", many):
        count_and_compare(made)


def count_and_compare(made: list[list[tuple[int, Event]]]) -> None:
    watched = [CompiledModel(profile, Windows()) for profile in PROFILES]
    numbers_ = {("m", profile.model_version): i for i, profile in enumerate(PROFILES)}
    columns = PredictionColumns(watched, lambda model, version: numbers_.get((model, version)))
    state = JoinState(watched)
    slots: dict[tuple[int, int], Tally[int]] = {}
    sums: dict[tuple[int, int], Tally[int]] = {}
    unknown: Tally[tuple[int, int]] = Tally()
    n = 0
    for run, records in zip(made, records_of(made), strict=True):
        batch, rejected, kept = columns.batch(heads_of(records, columns.expected))
        assert not rejected
        assert kept == records
        add_predictions(state, batch)
        for number, event in run:
            key, layout = (number, n % 3), watched[number].layout
            n += 1
            unknown[key] += UNKNOWN in event["features"]  # type: ignore[operator]
            at = 0
            for place, value in zip(layout.slots, values_of(PROFILES[number], event), strict=True):
                slots.setdefault(key, Tally())[place.offset + slot_of(place.column, value)] += 1
                if place.column.kind == "numeric":
                    one, two = share_of(place.column, value)
                    sums.setdefault(key, Tally()).update({at: one, at + 1: two})
                    at += 2
    found = state.new_inputs.take()
    assert set(found) == set(slots)
    for key, pane in found.items():
        assert dict(zip(pane.indices.tolist(), pane.counts.tolist(), strict=True)) == slots[key]
        assert [sums[key][i] for i in range(len(pane.sums) - 2)] == pane.sums[:-2].tolist()
        assert pane.names.get("", {}).get(UNKNOWN, 0) == unknown[key]


@given(runs)
def test_a_run_decoded_in_one_go_is_the_run_decoded_in_two(made: list[list[tuple[int, Event]]]) -> None:
    def counted(*, expecting: bool) -> list[tuple[list[list[int]], list[int], bool]]:
        watched = [CompiledModel(profile, Windows()) for profile in PROFILES]
        versions = [profile.model_version for profile in PROFILES]
        columns = PredictionColumns(watched, lambda _, version: versions.index(version))
        found: list[tuple[list[list[int]], list[int], bool]] = []
        for records in records_of(made):
            heads = heads_of(records, columns.expected if expecting else None)
            batch, _, _ = columns.batch(heads)
            alone = [
                [watched[m].counter.count(pick(batch.columns[m], [i])).slots[0].tolist() for i in range(n)]
                for m, n in sorted(Tally(batch.model.tolist()).items())
            ]
            found.append(([row for rows in alone for row in rows], batch.ids.ravel().tolist(), heads.alone is not None))
        return found

    one_go, two = counted(expecting=True), counted(expecting=False)
    assert [row[:2] for row in one_go] == [row[:2] for row in two]
    assert not any(alone for _, _, alone in two)


def test_sound_runs_of_one_model_are_decoded_in_one_go() -> None:
    watched = [CompiledModel(profile, Windows()) for profile in PROFILES]
    columns = PredictionColumns(watched, lambda _, version: int(version) - 1)
    event: Event = {"features": {"size": 1, "colour": "red"}, "prediction": "1", "probability": 0.5}
    first, second, third, mixed = records_of([[(0, event)] * 3, [(0, event)] * 3, [(1, event)] * 3,
                                              [(0, event), (1, event)]])  # fmt: skip
    alone: list[bool] = []
    for run in (first, second, third, third, mixed, first, first):
        heads = heads_of(run, columns.expected)
        alone.append(heads.alone is not None)
        columns.batch(heads)
    assert alone == [False, True, False, True, False, False, True]


def test_what_is_unusual_in_every_run_is_learnt() -> None:
    watched = [CompiledModel(profile, Windows()) for profile in PROFILES]
    columns = PredictionColumns(watched, lambda _, version: int(version) - 1)
    event: Event = {"features": {"size": "text", UNKNOWN: 4}, "prediction": "1", "probability": 0.5}
    first, second = records_of([[(0, event)] * 3, [(0, event)] * 3])
    columns.batch(heads_of(first, columns.expected))
    heads = heads_of(second, columns.expected)
    batch, _, _ = columns.batch(heads)
    assert heads.alone is not None
    assert batch.columns[0][0] == ("text",) * 3
    assert batch.unknown == {0: [(0, UNKNOWN), (1, UNKNOWN), (2, UNKNOWN)]}


def test_a_version_registered_again_is_decoded_by_its_new_profile() -> None:
    kept = PROFILES[0].features
    narrower = with_identity(replace(PROFILES[0], features=(kept[1], kept[2])))
    watched = [CompiledModel(PROFILES[0], Windows()), CompiledModel(narrower, Windows())]
    number = 0
    columns = PredictionColumns(watched, lambda _, __: number)
    event: Event = {"features": {"weight": 1, "colour": "red"}, "prediction": "1", "probability": 0.5}
    run = records_of([[(0, event)] * 3])[0]
    columns.batch(heads_of(run, columns.expected))
    number = 1
    for _ in range(2):
        batch, _, _ = columns.batch(heads_of(run, columns.expected))
        assert batch.columns.keys() == {1}
        assert [list(column) for column in batch.columns[1][:2]] == [[1.0] * 3, ["red"] * 3]
