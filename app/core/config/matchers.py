"""Matchers on labels, as used by silences, routes and inhibition: `rule=data_drift`, `subject=~"age.*"`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import re2

from app.core.config.close_names import name_hint

LABELS = ("model", "model_version", "rule", "subject", "metric", "level")
"""Labels that a matcher can name."""

LONGEST = 200
LONGEST_TEXT = 3 * LONGEST
"""Maximum length of a matcher's text in characters, spaces and quotes included."""
MOST_MATCHERS = 20
"""Maximum number of matchers of one silence."""
MOST_MEMORY = 1 << 20
"""Memory limit of an expression in bytes (RE2's `max_mem`): a larger expression is refused when it is compiled."""

Operator = Literal["=", "!=", "=~", "!~"]

_FORM = re.compile(r"\s*(?P<name>[A-Za-z_]\w*)\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>.*?)\s*", re.DOTALL)


class MatcherError(ValueError):
    """A matcher that cannot be used. The message says why."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One condition on one label. A missing label counts as empty; an expression must match the whole value."""

    name: str
    operator: Operator
    value: str
    pattern: Any = field(default=None, compare=False)

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the condition holds for these labels."""
        value = labels.get(self.name, "")
        same = value == self.value if self.pattern is None else self.pattern.fullmatch(value) is not None
        return same is (self.operator in ("=", "=~"))

    def __str__(self) -> str:
        return f'{self.name}{self.operator}"{self.value}"'


def matcher_of(text: str) -> Matcher:
    """Parse a matcher; quotes around the value are optional. Raises MatcherError."""
    if len(text) > LONGEST_TEXT:
        raise MatcherError(f"a matcher of {len(text):,} characters: at most {LONGEST} for the value")
    found = _FORM.fullmatch(text)
    if found is None:
        raise MatcherError(f"{text!r} is no matcher: write label=value, label!=value, label=~regex or label!~regex")
    name, operator, value = found["name"], found["operator"], _unquoted(found["value"])
    if name not in LABELS:
        raise MatcherError(f"there is no label {name!r}; {name_hint(name, LABELS)}")
    if len(value) > LONGEST:
        raise MatcherError(f"{name}: at most {LONGEST} characters")
    pattern = _pattern(name, value) if operator.endswith("~") else None
    return Matcher(name, operator, value, pattern)  # type: ignore[arg-type]  # the form has only these


def matchers_of(texts: Iterable[str]) -> tuple[Matcher, ...]:
    """Parse several matchers. Raises MatcherError."""
    return tuple(matcher_of(text) for text in texts)


def all_match(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether every matcher holds for these labels."""
    return all(matcher.matches(labels) for matcher in matchers)


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'" else value


def _options() -> Any:
    options = re2.Options()
    options.max_mem = MOST_MEMORY
    options.log_errors = False
    return options


_OPTIONS = _options()


def _pattern(name: str, value: str) -> Any:
    """Compile an RE2 expression: a match's time grows with the value's length alone. Raises MatcherError."""
    try:
        return re2.compile(value, _OPTIONS)
    except (re2.error, UnicodeEncodeError) as error:
        words = error.args[0].decode(errors="replace") if isinstance(error, re2.error) else "it is not Unicode"
        raise MatcherError(f"{name}: {value!r} is no regular expression of RE2: {words}") from None
