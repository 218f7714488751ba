"""docs/reference/monitoring.md: every key of monitoring.json, with its type, its default and what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from msgspec import inspect

from app.core.config.monitoring import Rule
from app.core.config.routes import CHANNELS, Route
from app.core.config.rule_layers import RULE_SETTINGS, RULES
from app.registration.complete import complete
from app.registration.monitoring import AT_LEAST_ONE, AT_LEAST_ZERO, POSITIVE, SHARES, MonitoringFile
from manual.monitoring_words import WORDS

HEAD = """# monitoring.json

How one model version is watched. `driftline register --config` and `driftline check --config` take it; every key is
optional, and an unknown one is refused by name. `driftline config show` prints it complete, with
`--config monitoring.json` as it reads yours.

A rule that the file names wins over the same rule in `driftline.toml`. So leave out of the file what you do not change.
"""
COLUMNS = "| key | type | default | |\n|---|---|---|---|\n"
RULES_HEAD = """
## Rules

Each rule is `alerting.NAME` with these keys; [alerts](../alerting.md) has what each rule is about.

"""
DEFAULTS_HEAD = """
What is otherwise by default:

| rule | by default |
|---|---|
"""
ROUTES_HEAD = """
## Routes

`alerting.routes` is a list of objects with these keys; [routes](../alerting.md#routes) has how they are used.

"""
NAMES = {
    inspect.StrType: "text", inspect.IntType: "whole number", inspect.FloatType: "number",
    inspect.BoolType: "true or false",
}  # fmt: skip


class Key(NamedTuple):
    """One key: where it is in the file, and its type."""

    path: str
    kind: inspect.Type
    default: object

    @property
    def words(self) -> str:
        """Return the purpose of the key."""
        return WORDS[self.path].format(channels=", ".join(f"`{name}`" for name in CHANNELS))


def page() -> str:
    """Return the page."""
    keys = [key for key in keys_of_file() if not key.path.startswith(("RULE.", "ROUTE."))]
    sections: dict[str, list[Key]] = {"The model": []}
    for key in keys:
        section, dot, _ = key.path.partition(".")
        sections.setdefault(section if dot else "The model", []).append(key)
    parts = [HEAD]
    parts += [f"\n## {section}\n\n{COLUMNS}{''.join(map(_row, own))}" for section, own in sections.items()]
    parts += [RULES_HEAD + COLUMNS + "".join(_row(key) for key in _rule_keys()), DEFAULTS_HEAD, *map(_defaults, RULES)]
    return "".join(parts) + ROUTES_HEAD + COLUMNS + "".join(_row(key) for key in _route_keys())


def keys_of_file() -> Iterator[Key]:
    """Return every key; those of all rules once, under `RULE`, and those of a route under `ROUTE`."""
    file = MonitoringFile()
    shown = complete(file)
    types: dict[str, inspect.Type] = {}
    for kind in (MonitoringFile, type(file.monitoring)):
        types |= {field.encode_name: field.type for field in _fields_of(inspect.type_info(kind))}
    for name, value in shown.items():
        yield from _keys(name, types[name], value)
    yield from _rule_keys()
    yield from _route_keys()


def _keys(path: str, kind: inspect.Type, default: object) -> Iterator[Key]:
    fields = _fields_of(kind)
    if not fields:
        yield Key(path, kind, default)
        return
    for field in fields:
        its = default.get(field.encode_name) if isinstance(default, dict) else None
        if field.encode_name not in RULES:
            yield from _keys(f"{path}.{field.encode_name}", field.type, its)


def _fields_of(kind: inspect.Type) -> tuple[inspect.Field, ...]:
    """Return the keys of an object; of a list of objects none, they have a table of their own."""
    parts = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return next((part.fields for part in parts if isinstance(part, inspect.DataclassType | inspect.StructType)), ())


def _rule_keys() -> Iterator[Key]:
    fields = {field.encode_name: field.type for field in _fields_of(inspect.type_info(Rule))}
    for name in RULE_SETTINGS:
        yield Key(f"RULE.{name}", fields[name], getattr(Rule(), name))


def _route_keys() -> Iterator[Key]:
    for field in _fields_of(inspect.type_info(Route)):
        yield Key(f"ROUTE.{field.encode_name}", field.type, field.default)


def _defaults(rule: str) -> str:
    own = getattr(MonitoringFile().monitoring.alerting, rule)
    changed = {name: getattr(own, name) for name in RULE_SETTINGS if getattr(own, name) != getattr(Rule(), name)}
    words = ", ".join(f"`{name}` {_value(value)}" for name, value in changed.items()) or "as above"
    return f"| `{rule}` | {words} |\n"


def _row(key: Key) -> str:
    limit = _range(key.path)
    name = key.path.removeprefix("RULE.").removeprefix("ROUTE.")
    return f"| `{name}` | {_type(key.kind)}{f', {limit}' if limit else ''} | {_value(key.default)} | {key.words} |\n"


def _range(path: str) -> str:
    names = {path, path.rpartition(".")[2]}
    limits = (
        (SHARES, "above 0, at most 1"), (POSITIVE, "above 0"), (AT_LEAST_ONE, "at least 1"),
        (AT_LEAST_ZERO, "at least 0"),
    )  # fmt: skip
    return next((words for known, words in limits if not names.isdisjoint(known)), "")


def _value(value: object) -> str:
    if value is msgspec.NODEFAULT:
        return "needed"
    if value is None:
        return "none"
    if value in ((), [], {}, ""):
        return "empty"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"`{msgspec.json.encode(value).decode()}`"


def _type(kind: inspect.Type) -> str:
    if isinstance(kind, inspect.UnionType):
        parts = [_type(part) for part in kind.types if not isinstance(part, inspect.NoneType)]
        return " or ".join(dict.fromkeys(parts))
    if isinstance(kind, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in kind.values)
    if isinstance(kind, inspect.VarTupleType | inspect.ListType):
        return "list" if _fields_of(kind.item_type) else "names"
    if isinstance(kind, inspect.DictType):
        return f"{_type(kind.value_type)} by name"
    return NAMES[type(kind)]
