"""docs/reference/settings.md: every setting, with its type, default and description."""

from __future__ import annotations

import typing
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from app.settings.settings import Settings
from app.settings.sources import ENV_PREFIX

HEAD = f"""# Settings

Each can be an environment variable ({ENV_PREFIX} and its name in capitals), a line in `driftline.toml` in the working
directory, and many of them a flag: flags win over the environment, the environment over the file. Durations are in
seconds. Secrets are never flags. In the environment, lists of names have commas between, and tables are JSON.

| setting | type | default | |
|---|---|---|---|
"""
PLAIN = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path", SecretStr: "secret"}


def page() -> str:
    """Return the page."""
    return HEAD + "\n".join(_row(name, field) for name, field in sorted(Settings.model_fields.items())) + "\n"


def _row(name: str, field: FieldInfo) -> str:
    words = (field.description or "").replace("|", "\\|")
    return f"| `{name}` | {_type(field.annotation)} | {_default(field)} | {words} |"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "the user's"
    if field.default is None:
        return "none"
    value = f"{field.default:g}" if isinstance(field.default, float) else str(field.default)
    value = value.lower() if isinstance(field.default, bool) else value
    return f"`{value}`"


def _type(kind: Any) -> str:
    origin = typing.get_origin(kind)
    if origin is Annotated:
        return _type(typing.get_args(kind)[0])
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(kind))
    if origin in (UnionType, typing.Union):
        return " or ".join(_type(part) for part in typing.get_args(kind) if part is not type(None))
    if origin is tuple:
        inner = typing.get_args(kind)[0]
        return {str: "names", Path: "paths"}.get(inner, "tables")
    return PLAIN.get(kind, getattr(kind, "__name__", str(kind)))
