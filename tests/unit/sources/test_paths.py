"""Plain paths find the same values as JMESPath's own interpreter, whatever the documents."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import jmespath
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.sources.paths import CompiledPath, RunDocuments

NAMES = st.sampled_from(["a", "b", "c", "a-b", "0", "ä", "keys"])
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=3), st.binary(max_size=3),
    st.sampled_from([datetime(2026, 1, 1, tzinfo=UTC), Decimal("1.5")]),
)  # fmt: skip
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=12
)
STEPS = st.lists(NAMES | st.integers(-3, 3), min_size=1, max_size=4)


def written(steps: list[str | int]) -> str:
    """Return a plain path in JMESPath's notation."""
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f'{"." if text else ""}"{step}"'
    return text


@given(st.lists(DOCUMENTS, max_size=6), STEPS)
@example([{"a": "text"}, {"a": b"bytes"}, {"a": {"0": 1}}], ["a", 0])
@example([{"a": "text"}, {"a": [1]}], ["a", "b"])
def test_a_plain_path_finds_what_the_interpreter_finds(documents: list[Any], steps: list[str | int]) -> None:
    path = CompiledPath.compile(written(steps))
    assert path.steps == tuple(steps)
    found = path.column(RunDocuments(documents), "id", {})
    truth = [jmespath.search(path.text, document) for document in documents]
    assert list(found) == truth
    assert list(map(type, found)) == list(map(type, truth))  # True is not 1
    assert CompiledPath.compile(path.text, plain=False).column(RunDocuments(documents), "id", {}) == truth


PARTS = st.one_of(
    st.tuples(st.just("{}"), STEPS.map(written)), st.tuples(st.just("to_string({})"), STEPS.map(written)),
    st.tuples(st.just("'{}'"), st.sampled_from(["", "x", "ä"])), st.just(("{}", "`1`")), st.just(("{}", "@")),
)  # fmt: skip
IDS = st.fixed_dictionaries({name: st.text(max_size=3) | st.integers() | LEAVES for name in ("a", "b", "c")})


@given(
    st.lists(IDS, min_size=1, max_size=6) | st.lists(IDS | DOCUMENTS, max_size=3),
    st.lists(PARTS | st.sampled_from([("{}", "a"), ("to_string({})", "b")]), min_size=1, max_size=3),
    st.sampled_from(["'-'", "''", "`1`"]),
)
@example([{"a": "x", "b": 1}, {"a": "y", "b": 2}], [("{}", "a"), ("to_string({})", "b"), ("'{}'", "z")], "'-'")
@example([{"b": 1}, {"b": True}], [("to_string({})", "b")], "'-'")
@example([{"b": 1e3}, {"b": 1}], [("to_string({})", "b")], "'-'")
@example([{"b": None}], [("to_string({})", "b")], "'-'")
@example([{"b": ["x"]}], [("to_string({})", "b")], "'-'")
@example([{"a": 1}], [("{}", "a")], "'-'")
@example([None], [("{}", "`1`")], "''")
def test_a_join_of_paths_finds_what_the_interpreter_finds(
    documents: list[Any], parts: list[tuple[str, str]], separator: str
) -> None:
    text = f"join({separator}, [{', '.join(form.format(part) for form, part in parts)}])"
    found: dict[bool, list[Any]] = {}
    wrong: dict[bool, dict[int, str]] = {True: {}, False: {}}
    for plain, reasons in wrong.items():
        found[plain] = list(CompiledPath.compile(text, plain=plain).column(RunDocuments(documents), "id", reasons))
    assert (found[True], wrong[True]) == (found[False], wrong[False])


def test_a_join_of_ids_and_numbers_is_not_interpreted() -> None:
    path = CompiledPath.compile("join('-', [meta.id, to_string(index), 'x'])")
    assert path.joined is not None
    run = RunDocuments([{"meta": {"id": "a"}, "index": i} for i in range(3)])
    assert path.joined.column(run) == ["a-0-x", "a-1-x", "a-2-x"]
    assert path.joined.column(RunDocuments([{"meta": {"id": 7}, "index": 0}])) is None


@given(st.lists(DOCUMENTS, max_size=4), st.lists(STEPS, max_size=4))
def test_paths_with_one_beginning_do_not_disturb_each_other(documents: list[Any], paths: list[list[str | int]]) -> None:
    run = RunDocuments(documents)
    for steps in [*paths, *reversed(paths)]:
        found = CompiledPath.compile(written(steps)).column(run, "id", {})
        assert list(found) == [jmespath.search(written(steps), document) for document in documents]


@pytest.mark.parametrize(
    "text",
    ["a || b", "a.b | [0]", "length(a)", "a[?b=='1'].c | [0]", "'churn'", "{no: a, yes: b}", "a[*].b", "a.*", "!a"],
)
def test_other_expressions_are_interpreted(text: str) -> None:
    documents = [{"a": [{"b": "1", "c": 2}], "b": 3}, {"a": {"b": [4]}}, {}]
    wrong: dict[int, str] = {}
    path = CompiledPath.compile(text)
    assert path.steps is None
    found = path.column(RunDocuments(documents), "truth", wrong)
    for i, document in enumerate(documents):
        if i not in wrong:
            assert found[i] == jmespath.search(text, document)


def test_a_function_of_what_it_does_not_take_names_the_field_and_no_value() -> None:
    wrong: dict[int, str] = {}
    found = CompiledPath.compile("length(a)").column(RunDocuments([{"a": 4711}, {"a": "xyz"}]), "truth", wrong)
    assert list(found) == [None, 3]
    assert wrong[0].startswith("truth: length(a): length() takes ")
    assert "4711" not in wrong[0]


def test_a_comparison_of_a_text_with_a_number_says_what_helps() -> None:
    wrong: dict[int, str] = {}
    documents = [{"p": "0.7"}, {"p": 0.7}, {}]
    assert list(CompiledPath.compile("p > `0.5`").column(RunDocuments(documents), "prediction", wrong)) == [
        None,
        True,
        None,
    ]
    assert wrong == {
        0: "prediction: p > `0.5`: it takes values of different types; to_number(…) makes a number of a text"
    }
    fixed = CompiledPath.compile("to_number(p) > `0.5`").column(RunDocuments(documents), "prediction", wrong)
    assert list(fixed) == [True, True, None]
