"""Records with several predictions or truths, each of which becomes events."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.commands.tried_sources import hint_for
from app.sources.source import EventSource
from tests.support.source_records import declared, json_records, mapped
from topics.events import FeedbackEvent

AT = 1_780_000_000.0
OF_BATCH: dict[str, Any] = {
    "each": {"instance": "request.instances", "label": "response.predictions"},
    "id": "join('-', [id, to_string(index)])", "features": "instance", "prediction": "label",
}  # fmt: skip


def batch(name: str, ages: list[Any], labels: Any) -> dict[str, Any]:
    rows = [{"age": age} for age in ages]
    return {"id": name, "time": AT, "request": {"instances": rows}, "response": {"predictions": labels}}


def test_a_batch_becomes_a_prediction_for_each_of_its_elements() -> None:
    run = mapped([batch("a", [31, 47], ["no", "yes"]), batch("b", [], []), batch("c", [18], ["no"])], **OF_BATCH)
    assert [(one.prediction_id, one.features, one.prediction) for one in run.predictions] == [
        ("a-0", {"age": 31}, "no"), ("a-1", {"age": 47}, "yes"), ("c-0", {"age": 18}, "no"),
    ]  # fmt: skip
    assert (run.predictions_at, run.empty, run.rejected) == ([0, 0, 2], [1], [])
    assert {one.timestamp for one in run.predictions} == {AT}


def test_a_list_of_objects_is_a_record_and_truths_come_in_batches_too() -> None:
    rows = [{"key": 7, "truth": "yes"}, {"key": 8, "truth": "no"}]
    run = mapped([rows, rows[:1]], "feedback", each={"row": "@"}, id="row.key", time=None, truth="row.truth")
    assert run.feedback_at == [0, 0, 1]
    assert run.feedback[1] == FeedbackEvent(prediction_id="8", actual="no", timestamp=AT)


def test_a_record_maps_as_a_whole_or_not_at_all() -> None:
    documents = [
        batch("a", [31, [1], 47], ["no", "no", None]),
        batch("b", [31], ["no", "yes"]), batch("c", [31], None), batch("d", [31], "no"), {"id": "e"},
        {**batch("x", [1], ["no"]), "kind": "other"}, batch("f", [5], ["yes"]),
    ]  # fmt: skip
    run = mapped(documents, where="kind != 'other'", **OF_BATCH)
    assert [(one.record.offset, one.reason) for one in run.rejected] == [
        (0, "features.age: must be text, a number, true, false or null, not a list (element 1)"),
        (1, "each: the lists differ in their numbers of elements: instance 1, label 2"),
        (2, "each.label: nothing at response.predictions"), (3, "each.label: no list at response.predictions"),
        (4, "each.instance: nothing at request.instances"),
    ]  # fmt: skip
    assert ([one.prediction_id for one in run.predictions], run.predictions_at, run.filtered) == (["f-0"], [6], [5])
    assert run.wrong_elements[0]["index"] == 1


def test_elements_that_have_one_id_are_refused() -> None:
    """Only one of them would be counted."""
    run = mapped([batch("a", [31, 47], ["no", "yes"]), batch("b", [1], ["no"])], **{**OF_BATCH, "id": "id"})
    (rejected,) = run.rejected
    assert rejected.reason == (
        "id: two elements have the same; add their index, as in join('-', [id, to_string(index)]) (element 1)"
    )
    assert [one.prediction_id for one in run.predictions] == ["b"]


async def test_what_a_trial_says_of_an_element() -> None:
    source = EventSource(declared(**{**OF_BATCH, "prediction": "instance.label"}), None)
    (record,) = json_records([batch("a", [31], ["no"])])
    tried = await source.map_one(record)
    assert tried.rejected == "prediction: nothing at instance.label (element 0)"
    assert hint_for(tried.rejected, tried.document) == "instance has age"
    (record,) = json_records([batch("a", [], [])])
    assert ((await source.map_one(record)).left_out, (await source.map([record])).filtered) == (
        "its lists have no elements", 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("each", "words"),
    [({}, "table of lists by name, such as"), ("rows", "table of lists by name, such as"),
     ({"index": "a"}, "index is the position"), ({"a-b": "a"}, "letters, digits and _"),
     ({"a": "a["}, "is no JMESPath")],
)  # fmt: skip
def test_what_each_cannot_be(each: object, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        declared(each=each)


cells = st.one_of(st.none(), st.integers(-9, 9), st.lists(st.integers(), max_size=1), st.just("x"))


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "skip"]), st.lists(st.tuples(cells, cells), max_size=3))))
def test_a_batch_is_mapped_as_its_elements_alone(batches: list[tuple[str, list[tuple[Any, Any]]]]) -> None:
    whole: list[Any] = []
    for name, pairs in batches:
        whole.append(batch(name, [age for age, _ in pairs], [label for _, label in pairs]))
    run = mapped(whole, where="id != 'skip'", **OF_BATCH)
    alone = {"id": "id", "features": "row", "prediction": "label"}
    wanted, rejected = [], []
    for i, (name, pairs) in enumerate(batches):
        split = [
            {"id": f"{name}-{k}", "time": AT, "row": {"age": age}, "label": label}
            for k, (age, label) in enumerate(pairs)
        ]
        one = mapped([] if name == "skip" else split, **alone)
        wanted += [] if one.rejected else [(i, event) for event in one.predictions]
        rejected += [i] if one.rejected else []
    assert [*zip(run.predictions_at, run.predictions, strict=True)] == wanted
    assert [one.record.offset for one in run.rejected] == rejected
