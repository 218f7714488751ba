"""Many models on one worker: what is counted together is what is counted alone, and nothing costs what is only held."""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.join.agent import JoinAgent
from agents.join.chain import DeltaChain
from agents.join.partition import JoinPartition, recover
from agents.join.store import JoinStore, decode_delta
from app.core.config.monitoring import Windows
from app.core.join import delta as join_delta
from app.core.join import expiry
from app.core.join.delta import PaneDelta
from app.core.join.feedback import add_feedback
from app.core.join.predictions import add_predictions, reaches_back
from app.core.join.rows_by_id import firsts, occurrences
from app.core.join.state import NEVER, CompiledModel, FeedbackBatch, JoinState, PredictionBatch
from app.core.panes.inputs import Values
from app.core.panes.pane import Pane
from app.core.panes.sorted_arrays import SortedArrays
from app.core.panes.sums import PaneKey, PaneShape, PaneSums
from app.core.profile_builder import build_profile
from app.core.reference.profile import Profile
from app.faust_batches.batch import Batch
from app.ingest.dead_letter_limit import DeadLetterLimit
from app.ingest.decoding import Rejected
from app.kafka.producer import Outgoing
from tests.support.join_log import HEARTBEAT, MODELS, Registry
from tests.support.join_world import run
from tests.support.outputs import pane_events
from tests.support.reports import StubRecord
from topics import registry as topics
from topics.events import PaneEvent, PanePartial, Progress


def _profiles() -> list[Profile]:
    rng = np.random.default_rng(5)
    n = 300
    p, y = rng.random(n).round(2), rng.normal(size=n).round(1)
    x = {"x": rng.normal(size=n).round(2), "z": rng.normal(size=n).astype(np.float32).astype(np.float64)}
    names = {"c": rng.choice(["a", "b", "7"], n).tolist()}
    two, three = np.where(p > 0.5, "1", "0").tolist(), rng.choice(["u", "v", "w"], n).tolist()
    return [
        build_profile("m", "binary", "binary", {**x, **names}, two, p, rng.choice(["0", "1"], n).tolist()),
        build_profile("m", "bare", "binary", names, two),
        build_profile("m", "three", "multiclass", {"x": x["x"]}, three, p, rng.choice(["u", "v", "w"], n).tolist()),
        build_profile("m", "numbers", "regression", {**names, "x": x["x"]}, y, None, y),
        build_profile("m", "features", "features", {**x, **names}, None),
    ]


PROFILES = _profiles()
NUMBERS: st.SearchStrategy[Any] = st.sampled_from(
    [0.0, 0.5, -3.1, 0.25, 1e300, np.inf, -np.inf, 0.1, float(np.float32(0.3)), None, 3, "1.5", "no"]
)
CATEGORIES = st.sampled_from(["a", "b", "7", 7, 7.0, "new", "other", True, None, ""])
PREDICTIONS = st.sampled_from(["0", "1", 1, "u", "v", 2.5, -0.5, "strange", None, True])
PROBABILITIES = st.sampled_from([0.0, 1.0, 0.5, 0.123, None, 0.87])
TRUTHS: st.SearchStrategy[Any] = st.sampled_from(["0", "1", 0, "u", "w", 2.5, 1e200, "strange", "other", "", True])


@st.composite
def batches(draw: st.DrawFn) -> tuple[PredictionBatch, FeedbackBatch, FeedbackBatch]:
    """Predictions of several models over a few panes, ids that repeat or that several models have; truths of some, and
    corrections of some of these.
    """
    n = draw(st.integers(1, 40))
    model = np.array(draw(st.lists(st.integers(0, len(PROFILES) - 1), min_size=n, max_size=n)), np.int16)
    columns: dict[int, Sequence[Values]] = {}
    for number in np.unique(model).tolist():
        rows = int((model == number).sum())
        profile = PROFILES[number]
        kinds: list[st.SearchStrategy[Any]] = [
            NUMBERS if column.kind == "numeric" else CATEGORIES for column in profile.features
        ]
        kinds += [PREDICTIONS] if profile.probability is None else [PREDICTIONS, PROBABILITIES]
        columns[number] = [draw(st.lists(kind, min_size=rows, max_size=rows)) for kind in kinds]
    numbers = draw(st.one_of(st.just(list(range(n))), st.lists(st.integers(0, n // 2), min_size=n, max_size=n)))
    ids = np.column_stack([np.array(numbers, np.uint64), np.array(numbers, np.uint64) * 7919])
    time = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), np.int64) * 60_000_000
    fed = [np.array(draw(st.lists(st.integers(0, n - 1), max_size=n)), np.intp) for _ in range(2)]
    first, second = (
        FeedbackBatch(
            ids[rows], draw(st.lists(TRUTHS, min_size=len(rows), max_size=len(rows))), np.full(len(rows), NEVER)
        )
        for rows in fed
    )
    return PredictionBatch(ids, model, time, columns), first, second


Counted = tuple[dict[PaneKey, Pane], dict[PaneKey, Pane], list[Any]]


def counted(
    batch: PredictionBatch, fed: Sequence[FeedbackBatch], many: int, few: int = 0, together: int = 5000
) -> Counted:
    """The panes of one checkpoint, and what the rows say, where so many rows of a model are counted by themselves.

    `few`: as `mixed_counting.FEW`. `together`: how many rows, and how many values, are counted and searched at once.
    """
    state = JoinState([CompiledModel(profile, Windows()) for profile in PROFILES])
    with (
        mock.patch("app.core.join.predictions.MANY", many),
        mock.patch("app.core.join.feedback.MANY", many),
        mock.patch("app.core.panes.mixed_inputs.FEW", few),
        mock.patch("app.core.join.predictions.TOGETHER", together),
        mock.patch("app.core.panes.sorted_arrays.TOGETHER", together),
    ):
        add_predictions(state, batch)
        for one in fed:
            add_feedback(state, one)
    joined = state.rows["joined"] > 0
    rows = [state.rows[name].tolist() for name in ("label", "value", "pane", "joined")]
    rows += [np.where(joined, state.rows[name], 0).tolist() for name in ("actual", "told")]
    known = state.kept, {number: asdict(tally) for number, tally in state.tallies.items()}, state.unknown_labels
    return state.new_inputs.take(), state.new_outcomes.take(), [*rows, *known]


@given(batches(), st.sampled_from([0, 1000]), st.sampled_from([1, 7, 5000]))
def test_what_is_counted_together_is_what_each_model_counts_alone(
    made: tuple[PredictionBatch, FeedbackBatch, FeedbackBatch], few: int, at_once: int
) -> None:
    batch, *fed = made
    together, alone = counted(batch, fed, 512, few, at_once), counted(batch, fed, 1)
    for found, wanted in zip(together[:2], alone[:2], strict=True):
        assert found.keys() == wanted.keys()
        assert all(found[key].same(wanted[key]) for key in found), [(found[key], wanted[key]) for key in found]
    np.testing.assert_equal(together[2][:8], alone[2][:8])
    for model, unknown in alone[2][8].items():
        assert together[2][8].get(model, {}) == unknown


cells = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 5e-324, np.inf, -np.inf, 1e308, -1e308, 0.1, np.nextafter(0.1, 1)]), st.floats()
)


@given(st.lists(st.lists(cells.filter(lambda cell: not np.isnan(cell)), min_size=1, max_size=9), max_size=6), st.data())
def test_values_find_their_places_in_arrays_of_their_own(made: list[list[float]], data: st.DataObject) -> None:
    """As numpy finds them one by one, however the arrays are spread."""
    arrays, first = [np.unique(one) for one in made], len(made) // 2
    found = SortedArrays()
    wanted = data.draw(st.lists(st.tuples(st.integers(0, len(made)), cells), max_size=30))
    for known in (first, len(made)):
        found.add(arrays[len(found) : known])
        some = [(i, value) for i, value in wanted if i < known]
        if known:
            left, equal = found.find(np.array([i for i, _ in some], np.int64), np.array([v for _, v in some], float))
            given_ = [(i, value) for i, value in some if not np.isnan(value)]
            at = np.flatnonzero([not np.isnan(value) for _, value in some])
            assert left[at].tolist() == [int(np.searchsorted(arrays[i], value)) for i, value in given_]
            assert equal.tolist() == [bool((arrays[i] == value).any()) for i, value in some]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=30))
def test_first_and_later_rows_of_ids_are_found_as_one_by_one(made: list[tuple[int, int, int]]) -> None:
    ids, scope = np.array([one[:2] for one in made], np.uint64), np.array([one[2] for one in made], np.int16)
    assert firsts(ids, scope).tolist() == [i for i, one in enumerate(made) if one not in made[:i]]
    before = [[other[:2] for other in made[:i]].count(one[:2]) for i, one in enumerate(made)]
    assert occurrences(ids).tolist() == before


panes = st.lists(
    st.tuples(
        st.integers(0, 2), st.integers(0, 3),
        st.dictionaries(st.integers(0, 60), st.sampled_from([-70_000, -1, 1, 2, 300, 1 << 40]), max_size=8),
        st.sampled_from([{}, {"c": {"new": 1}}, {"c": {"new": 2}, "": {"wheels": 1}}]),
    ),
    max_size=30,
)  # fmt: skip


@given(panes, st.data(), st.sampled_from([1, 9, 16_000]), st.sampled_from([0, 2_000]))
def test_packed_sums_are_what_adding_one_by_one_comes_to(
    made: list[Any], data: st.DataObject, together: int, most_open: int
) -> None:
    """Against a plain recount, whether deltas come one at a time, many at once, or from a recovery.

    However many are added up and packed at once, and however many totals stay open.
    """
    with (
        mock.patch("app.core.panes.grouping.TOGETHER", together),
        mock.patch("app.core.panes.sums.MOST_OPEN", most_open),
        mock.patch("app.core.panes.sums.OPEN_OF_A_MODEL", min(most_open, 2)),
    ):
        _add_and_recount(made, data)


def _add_and_recount(made: list[Any], data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([61, 61 * 16 * 400]))
    sums = PaneSums(lambda _: PaneShape(size, 2))
    wanted: dict[PaneKey, Any] = {}
    for i, (model, pane, counts, names) in enumerate(made):
        kept = sorted(counts)
        delta = Pane(
            i, np.array(kept, np.int32), np.array([counts[s] for s in kept], np.int64), np.array([i, -i]), names
        )
        n, total, tally, said = wanted.setdefault((model, pane), [0, {}, 0, {}])
        for slot in kept:
            total[slot] = total.get(slot, 0) + counts[slot]
        for column, told in names.items():
            for name, count in told.items():
                said[column, name] = said.get((column, name), 0) + count
        wanted[model, pane] = [n + i, total, tally + i, said]
        if data.draw(st.booleans()):
            sums.restore((model, pane), delta)
        else:
            sums.add({(model, pane): delta})
    assert set(sums) == wanted.keys()
    for key, (n, total, tally, said) in wanted.items():
        found = sums[key]
        assert (found.n, found.sums.tolist()) == (n, [tally, -tally])
        assert dict(zip(found.indices.tolist(), found.counts.tolist(), strict=True)) == {
            s: c for s, c in total.items() if c
        }
        assert {(c, name): k for c, told in found.names.items() for name, k in told.items()} == said
    totals = {key: sums[key] for key in sums}
    packed = PaneDelta.of_each(totals, {0: 7, 1: 8, 2: 9})
    assert [(one.model - 7, one.pane) for one in packed] == list(totals)
    for known, again in zip(totals.values(), PaneDelta.unpack_each(packed), strict=True):
        assert known.same(again)


def calls_of(work: Callable[[], object]) -> int:
    """How many functions a piece of work calls, those of C among them."""
    calls = 0

    def count(_: object, event: str, __: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    gc.disable()  # hypothesis has a callback at each collection
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_a_checkpoint_does_as_much_whatever_is_held() -> None:
    """Counted in calls: with ten times the panes held, the same; and no pane is read that has not changed."""
    watched = [CompiledModel(profile, Windows(retention=1e9, lateness=1e6)) for profile in PROFILES]

    def checkpoint(held: int) -> tuple[int, int]:
        state = JoinState(watched)
        for pane in range(held):
            one = Pane(1, np.array([3], np.int32), np.ones(1, np.int64), np.zeros(watched[1].layout.sums, np.int64))
            state.inputs.restore((1, pane), one)
            state.outcomes.restore((1, pane), Pane(1, one.indices, one.counts, np.zeros(0, np.int64)))
        assert len(state.inputs) == len(state.outcomes) == held
        ids = np.array([[1, 1], [2, 2]], np.uint64)
        time = np.array([3, 5], np.int64) * 60_000_000
        add_predictions(state, PredictionBatch(ids, np.ones(2, np.int16), time, {1: [["a", "b"], ["0", "1"]]}))
        add_feedback(state, FeedbackBatch(ids, ["0", "1"], np.full(2, NEVER)))

        def save() -> None:
            taken = join_delta.take(state, 0, (0, 0), (2, 2))
            assert set(taken.inputs) == set(taken.outcomes) == {(1, 3), (1, 5)}
            expiry.settle(state)

        with mock.patch.object(PaneSums, "_unpack", autospec=True, side_effect=PaneSums._unpack) as unpacked:
            calls = calls_of(save)
        return calls, unpacked.call_count

    checkpoint(3)  # what is made once is there
    assert checkpoint(30) == checkpoint(300)
    assert checkpoint(300)[1] == 4


def prediction(i: int, version: str, time: float) -> StubRecord:
    event = {
        "prediction_id": f"p{i}",
        "model": MODELS[version],
        "model_version": version,
        "timestamp": time,
        "features": {},
    }
    return StubRecord(i, json.dumps({**event, "prediction": 1.0}).encode(), f"p{i}".encode(), 0)


class Owner:
    """A join with a checkpoint at each run, and all that it publishes."""

    partitions = 1

    def __init__(self, table: dict[str, bytes]) -> None:
        self.published: list[PaneEvent] = []
        windows = {"retention": 600.0, "lateness": 60.0}
        self.join = JoinAgent(
            table, Registry(**windows), checkpoint_seconds=0.0, now=lambda: self.clock, epoch=lambda: 1
        )
        self.clock = 0.0
        assert self.state.waiting == {}  # recovered at 0 s; there is no feedback since
        self.clock = 100.0

    async def publish(self, topic: topics.Topic, records: Sequence[Outgoing]) -> None:
        self.published += pane_events(records, self.partitions)

    async def dead_letter(self, batch: Batch, rejected: Sequence[Rejected]) -> None:
        raise AssertionError(rejected[0].reason)

    def take(self, *records: StubRecord) -> list[PaneEvent]:
        self.published.clear()
        run(self.join.handle(Batch(topics.FEEDBACK, 0, (), caught_up=True), self))
        self.published.clear()
        run(self.join.handle(Batch(topics.PREDICTIONS, 0, records), self))
        return list(self.published)

    @property
    def state(self) -> JoinState:
        return self.join._source(0).state


def test_a_checkpoint_speaks_of_what_has_changed_alone() -> None:
    table: dict[str, bytes] = {}
    owner = Owner(table)
    owner.take(prediction(0, "regression", 6000.0), prediction(1, "multiclass", 6000.0))
    owner.take(prediction(2, "multiclass", 6001.0))  # with how far both were swept after the first
    events = owner.take(prediction(3, "multiclass", 6002.0))
    delta = decode_delta(next(value for key, value in table.items() if key.startswith("0/3-0/")))
    assert [named[1] for named in delta.models] == ["multiclass"]
    assert set(delta.tallies) == {0}
    assert owner.join.most_together == 200  # 100 records for each version that it knows
    assert [(type(event), event.model_version) for event in events] == [
        (PanePartial, "multiclass"), (Progress, "multiclass"),
    ]  # fmt: skip


def test_what_a_quiet_model_has_counted_outlives_the_deltas_that_said_it() -> None:
    """Its last delta is dropped when nothing of it matters any more; its totals are said again before."""
    table: dict[str, bytes] = {}
    owner = Owner(table)
    owner.take(prediction(0, "regression", 6000.0))
    beat = json.dumps({"model": "n", "model_version": "regression", "timestamp": 9000.0}).encode()
    owner.take(StubRecord(1, beat, None, 0, HEARTBEAT))
    quiet = [key for key in table if key.startswith(("0/0-0/", "0/1-0/"))]
    assert len(quiet) == 2
    for i in range(2, 100):
        owner.take(prediction(i, "binary", 6000.0 + 60.0 * i))
    assert not any(key in table for key in quiet)
    before = {owner.state.watched[m].profile.model_version: asdict(one) for m, one in owner.state.tallies.items()}
    again = Owner(table).state
    after = {again.watched[m].profile.model_version: asdict(one) for m, one in again.tallies.items()}
    assert before["regression"]["predictions"] == 1
    assert after == before


@pytest.mark.parametrize("held", [0, 30])
def test_panes_of_inputs_go_when_no_prediction_can_reach_them(held: int) -> None:
    owner = Owner({})
    for i in range(held + 4):
        owner.take(prediction(i, "binary", 6000.0 + 60.0 * i))
    panes = [pane for _, pane in owner.state.inputs]
    assert len(panes) <= 3
    assert max(panes) == 100 + held + 3


def test_a_pane_that_re_keyed_records_came_to_is_whole_after_a_recovery() -> None:
    """Though its first part was left out in between, since nothing but such records could reach it."""
    watched = [CompiledModel(PROFILES[1], Windows(retention=1e6, lateness=60.0))]
    table: dict[str, bytes] = {}

    def count(source: JoinPartition, i: int, time: float, *, rekeyed: bool) -> Pane:
        ids, at = np.array([[i, i]], np.uint64), np.array([time * 1e6], np.int64)
        batch = PredictionBatch(ids, np.zeros(1, np.int16), at, {0: [["a"], ["0"]]}, rekeyed=np.array([rekeyed]))
        source.limits = [DeadLetterLimit(1.0, 1, ())] * 2
        for number in reaches_back(source.state, batch):
            source.chain.reach_back(source.state, number)
        assert not len(add_predictions(source.state, batch))
        source.offsets = [source.offsets[0] + 1, 0]
        taken = join_delta.take(source.state, source.chain.ordinal, source.chain.saved, (source.offsets[0], 0))
        source.chain.append(taken.delta, source.state.rows.next_ordinal, source.unreadable(), {})
        expiry.settle(source.state)
        return taken.inputs[0, int(time) // 60]

    store = JoinStore(table)
    first = JoinPartition(JoinState(watched), DeltaChain(store, 0))
    count(first, 0, 0.0, rekeyed=False)
    count(first, 1, 3600.0, rekeyed=False)
    assert count(first, 2, 1.0, rekeyed=True).n == 2
    with mock.patch("agents.join.partition.SETTLED_EVERY", 1):
        second = recover(store, 0, store.rows(), watched, lambda model, version: None)
    assert count(second, 3, 2.0, rekeyed=True).n == 3
