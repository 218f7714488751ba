"""Values that a key of a typed configuration may have, where its type lists them."""

from __future__ import annotations

import re
from typing import Any

from msgspec import inspect

INDEX = re.compile(r"\[[^\]]*\]")


def values_at(kind: Any, path: str) -> tuple[str, ...]:
    """Return the texts that the type lists for a key, such as `alerting.traffic.level`; none where it lists none.

    `path`: of the key, with a dot between the names, and brackets of any content behind a list.
    """
    node: inspect.Type | None = inspect.type_info(kind)
    for name in INDEX.sub("", path).split("."):
        node = _field(node, name)
    return tuple(str(value) for one in _parts(node) if isinstance(one, inspect.LiteralType) for value in one.values)


def _field(node: inspect.Type | None, name: str) -> inspect.Type | None:
    for one in _parts(node):
        if isinstance(one, inspect.DataclassType | inspect.StructType):
            return next((field.type for field in one.fields if field.encode_name == name), None)
    return None


def _parts(node: inspect.Type | None) -> tuple[inspect.Type, ...]:
    """Return the types that a value may have: those of a union, and the items of a list."""
    if isinstance(node, inspect.UnionType):
        return node.types
    if isinstance(node, inspect.VarTupleType | inspect.ListType):
        return _parts(node.item_type)
    return () if node is None else (node,)
