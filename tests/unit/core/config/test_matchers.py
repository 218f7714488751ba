"""Matchers: what is written, what they say of labels, and what is refused."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.config.matchers import LABELS, LONGEST, MatcherError, all_match, matcher_of, matchers_of

LABELLED = {"model": "churn", "model_version": "3", "rule": "critical_feature:age", "subject": "age", "level": "error"}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("model=churn", True),
        ('model="churn"', True),
        (" model = 'churn' ", True),
        ("model=chur", False),
        ("model!=churn", False),
        ("model!=income", True),
        ("rule=~critical_feature:.*", True),
        ("rule=~feature", False),
        ("rule=~.*feature.*", True),
        ("rule!~data_drift|performance", True),
        ("rule!~.*age", False),
        ("subject=", False),
        ('model=""', False),
    ],
)
def test_a_matcher_says(text: str, holds: bool) -> None:
    assert matcher_of(text).matches(LABELLED) is holds


def test_a_label_that_is_not_there_is_empty() -> None:
    assert matcher_of("subject=").matches({})
    assert matcher_of("subject!=age").matches({})
    assert not matcher_of("subject=~.+").matches({})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("churn", "write label=value"),
        ("modle=churn", "did you mean model?"),
        ("colour=red", f"known are {', '.join(LABELS)}"),
        ("model=~(", "no regular expression"),
        ("model=~(?=a)", "no regular expression of RE2"),
        (r"model=~(a)\1", "no regular expression of RE2"),
        ("model=~((a{100}){100}){100}", "no regular expression of RE2"),
        (f"model=x{' ' * 1_000_000}x", "at most"),
        (f"model={'x' * (LONGEST + 1)}", "at most"),
    ],
)
def test_what_is_refused_says_why(text: str, words: str) -> None:
    with pytest.raises(MatcherError, match=re.escape(words)):
        matcher_of(text)


@pytest.mark.parametrize(
    "expression",
    [
        "(a|a)(a|a)" * 19 + "b",
        "(a|ab)(c|bcd)(d*)" * 5 + "x",
        "(a+)+b",
        "(.*)*b",
        ".*a.*a.*a.*a.*a.*b",
    ],
)
def test_no_expression_is_kept_busy_by_a_value(expression: str) -> None:
    matcher = matcher_of(f"subject=~{expression}")
    begun = time.process_time()
    assert not matcher.matches({"subject": "a" * 10_000})
    assert not matcher.matches({"subject": "a" * 38})
    assert time.process_time() - begun < 2


def test_a_label_is_matched_whole_however_long_it_is() -> None:
    assert not matcher_of("subject=~a*").matches({"subject": "a" * LONGEST + "b"})


words = st.text("abc.", max_size=4)


@given(st.sampled_from(LABELS), words, st.dictionaries(st.sampled_from(LABELS), words))
def test_an_operator_and_its_opposite_never_agree(name: str, value: str, labels: dict[str, str]) -> None:
    for operator, opposite in (("=", "!="), ("=~", "!~")):
        one, other = (matcher_of(f'{name}{sign}"{value}"') for sign in (operator, opposite))
        assert one.matches(labels) is not other.matches(labels)
        assert matcher_of(str(one)) == one


@given(st.lists(st.sampled_from(["model=churn", "rule=x", "level=error", "subject!=age"])))
def test_all_must_match(texts: list[str]) -> None:
    assert all_match(matchers_of(texts), LABELLED) is (set(texts) <= {"model=churn", "level=error"})
