"""Errors that pydantic finds in the settings, as lines that name the setting."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic_settings import BaseSettings

from app.core.config.close_names import did_you_mean
from app.settings.sources import CONFIG_FILE, ENV_PREFIX

UNKNOWN_KEY = frozenset({"extra_forbidden", "unexpected_keyword_argument"})
"""pydantic's types of an error for a key that a model, and a dataclass, does not have."""


def problem_line(problem: Mapping[str, Any], settings_cls: type[BaseSettings]) -> str:
    """Return the line for one of pydantic's errors; without the value where it may be a secret."""
    where: tuple[str | int, ...] = problem["loc"]
    name = str(where[0]) if where else "settings"
    message = str(problem["msg"]).removeprefix("Value error, ")
    unknown = problem["type"] in UNKNOWN_KEY
    if len(where) > 1:  # within a table of driftline.toml
        inner = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where[1:])
        if unknown:
            hint = did_you_mean(str(where[-1]), _keys_at(where[:-1], settings_cls), before="; ")
            message = f"there is no such key{hint}"
        return f"{name}{inner}: {message}; it is in {CONFIG_FILE}"
    if unknown:
        hint = did_you_mean(name, settings_cls.model_fields, before="; ")
        return f"{name}: there is no such setting{hint}; look for it in {CONFIG_FILE}"
    field = settings_cls.model_fields.get(name)
    if field is not None and (SecretStr in get_args(field.annotation) or not field.repr):
        return f"{name}: {message}; it is {ENV_PREFIX}{name.upper()} or in {CONFIG_FILE}"
    return f"{name}: {message}, not {problem['input']!r}; it is a flag, {ENV_PREFIX}{name.upper()} or in {CONFIG_FILE}"


def _keys_at(path: Sequence[str | int], settings_cls: type[BaseSettings]) -> tuple[str, ...]:
    """Return the keys of the table at a path; none where it has names of people's own."""
    types: dict[str, Any] = {name: field.annotation for name, field in settings_cls.model_fields.items()}
    for part in path:
        if part in types:  # else the position in a list, or a name such as that of a model
            types = next(map(_types_of, _tables_in(types[str(part)])), {})
    return tuple(types)


def _types_of(table: Any) -> dict[str, Any]:
    if dataclasses.is_dataclass(table):
        return {field.name: field.type for field in dataclasses.fields(table)}
    return {name: field.annotation for name, field in table.model_fields.items()}


def _tables_in(kind: Any) -> Iterator[Any]:
    """Return the models and dataclasses that a type is made of."""
    if isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, BaseModel)):
        yield kind
    for part in get_args(kind):
        yield from _tables_in(part)
