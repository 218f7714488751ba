"""Matchers on labels, as silences, routes and inhibition have them: `rule=data_drift`, `subject=~"age.*"`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, Literal

import re2

LABELS = ("model", "model_version", "rule", "subject", "metric", "level")
"""What can be matched on."""

LONGEST = 200
LONGEST_TEXT = 3 * LONGEST
"""Characters of a matcher as it is written, with spaces and quotes."""
MOST_MATCHERS = 20
"""Of one silence."""
MOST_MEMORY = 1 << 20
"""Bytes that an expression may take (RE2's `max_mem`): a larger one is refused when it is made."""

Operator = Literal["=", "!=", "=~", "!~"]

_FORM = re.compile(r"\s*(?P<name>[A-Za-z_]\w*)\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>.*?)\s*", re.DOTALL)


class MatcherError(ValueError):
    """A matcher that cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. A label that is not there is empty; expressions match the whole value."""

    name: str
    operator: Operator
    value: str
    pattern: Any = field(default=None, compare=False)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the condition holds."""
        value = labels.get(self.name, "")
        same = value == self.value if self.pattern is None else self.pattern.fullmatch(value) is not None
        return same is (self.operator in ("=", "=~"))

    def __str__(self) -> str:
        return f'{self.name}{self.operator}"{self.value}"'


def matcher_of(text: str) -> Matcher:
    """A matcher from its text; quotes around the value may be left out. Raises MatcherError."""
    if len(text) > LONGEST_TEXT:
        raise MatcherError(f"a matcher of {len(text):,} characters: at most {LONGEST} for the value")
    found = _FORM.fullmatch(text)
    if found is None:
        raise MatcherError(f"{text!r} is no matcher: write label=value, label!=value, label=~regex or label!~regex")
    name, operator, value = found["name"], found["operator"], _unquoted(found["value"])
    if name not in LABELS:
        close = get_close_matches(name, LABELS, n=1)
        raise MatcherError(f"there is no label {name!r}; {f'did you mean {close[0]}?' if close else _known()}")
    if len(value) > LONGEST:
        raise MatcherError(f"{name}: at most {LONGEST} characters")
    pattern = _pattern(name, value) if operator.endswith("~") else None
    return Matcher(name, operator, value, pattern)  # type: ignore[arg-type]  # the form has only these


def matchers_of(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Several of them. Raises MatcherError."""
    return tuple(matcher_of(text) for text in texts)


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Whether every one holds."""
    return all(matcher.matches(labels) for matcher in matchers)


def _known() -> str:
    return f"known are {', '.join(LABELS)}"


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'" else value


def _options() -> Any:
    options = re2.Options()
    options.max_mem = MOST_MEMORY
    options.log_errors = False
    return options


_OPTIONS = _options()


def _pattern(name: str, value: str) -> Any:
    """Compile an expression of RE2: the time that a match takes grows with the value's length alone, whatever it is."""
    try:
        return re2.compile(value, _OPTIONS)
    except (re2.error, UnicodeEncodeError) as error:
        words = error.args[0].decode(errors="replace") if isinstance(error, re2.error) else "it is not Unicode"
        raise MatcherError(f"{name}: {value!r} is no regular expression of RE2: {words}") from None
