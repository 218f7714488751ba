"""Search for the known name that a mistyped one was meant to be."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from app.core.config.close_names import LONGEST, did_you_mean, name_hint
from app.core.config.routes import CHANNELS
from app.core.reference.metadata import METRICS
from app.settings.settings import Settings

LONG_NAMES = [name for name in (*Settings.model_fields, *METRICS, *CHANNELS) if len(name) >= 5]


@given(st.sampled_from(LONG_NAMES), st.integers(0, 100), st.booleans())
def test_a_letter_left_out_or_doubled_leads_back_to_a_name_of_two_letters_distance_at_most(
    name: str, at: int, double: bool
) -> None:
    at %= len(name)
    typed = name[:at] + (2 * name[at] if double else "") + name[at + 1 :]
    found = did_you_mean(typed, LONG_NAMES).removeprefix("did you mean ").removesuffix("?")
    assert found in LONG_NAMES
    assert distance(typed, found) <= 2


def distance(one: str, other: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        row, above = [i], row
        for j, b in enumerate(other, 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (a != b)))
    return row[-1]


@given(st.sampled_from(METRICS))
def test_a_name_in_capitals_is_found(name: str) -> None:
    assert did_you_mean(name.upper(), METRICS) == f"did you mean {name}?"


@given(st.text(max_size=40), st.lists(st.text(string.printable, max_size=10), max_size=5))
def test_any_text_has_a_hint_of_one_known_name_or_of_all(name: str, known: list[str]) -> None:
    hint = name_hint(name, known)
    assert hint == f"known are {', '.join(known)}" or any(hint == f"did you mean {one}?" for one in known)


def test_a_name_beyond_all_names_is_not_compared() -> None:
    assert not did_you_mean("a" * (LONGEST + 1), ["a" * LONGEST])
    assert did_you_mean("a" * (LONGEST - 1), ["a" * LONGEST])


def test_the_section_and_what_stands_before_are_kept() -> None:
    assert did_you_mean("pan", ["pane"], "windows.", before="; ") == "; did you mean windows.pane?"
    assert not did_you_mean("colour", ["pane"], "windows.", before="; ")
