"""Declared mapping of a source: the place of each field of an event in a record."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator

TimeUnit = Literal["s", "ms", "us", "ns", "iso"]


_BARE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _compiled(text: str) -> str:
    """Return a JMESPath expression unchanged. Raises ValueError for other texts."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    try:
        jmespath.compile(text)
    except (JMESPathError, ValueError) as error:
        plain = re.fullmatch(r"[\w -]+(?:\.[\w -]+)*", text)
        quoted = ".".join(name if _BARE.fullmatch(name) else f'"{name}"' for name in text.split("."))
        hint = f"; with other characters a name is quoted: {quoted}" if plain and quoted != text else ""
        raise ValueError(f"{text!r} is no JMESPath{hint or ': ' + ' '.join(str(error).split())}") from None
    return text


JMESPath = Annotated[str, Field(min_length=1), AfterValidator(_compiled)]
FROZEN = ConfigDict(extra="forbid", frozen=True)


class Constant(BaseModel):
    """A value that all records of a source have."""

    model_config = FROZEN

    constant: Annotated[str, Field(min_length=1, max_length=200)]


class ObjectFeatures(BaseModel):
    """The members of an object except those in `without`, which need not be there."""

    model_config = FROZEN

    object: JMESPath
    without: tuple[str, ...] = ()


class ListFeatures(BaseModel):
    """The values of a list, with their names in order."""

    model_config = FROZEN

    list: JMESPath
    names: Annotated[tuple[str, ...], Field(min_length=1)]

    @field_validator("names")
    @classmethod
    def _are_different(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("a name is given twice")
        return value


class SelectedFeatures(BaseModel):
    """A path for each feature."""

    model_config = FROZEN

    select: Annotated[dict[str, JMESPath], Field(min_length=1)]


_FORMS: dict[str, type[BaseModel]] = {"object": ObjectFeatures, "list": ListFeatures, "select": SelectedFeatures}


def _form(value: Any) -> Any:
    """Return the form of the features by its key, so that an error names the key within it."""
    if isinstance(value, str):
        return ObjectFeatures.model_validate({"object": value})
    if isinstance(value, BaseModel):
        return value
    found = [form for key, form in _FORMS.items() if isinstance(value, dict) and key in value]
    if len(found) != 1:
        raise ValueError("must be a path to an object, or a table with one of object, list and select")
    return found[0].model_validate(value)


Features = Annotated[ObjectFeatures | ListFeatures | SelectedFeatures, BeforeValidator(_form)]


def _path_or_constant(value: Any) -> Any:
    if isinstance(value, Constant):
        return value
    if isinstance(value, dict):
        return Constant.model_validate(value)
    if not isinstance(value, str):
        raise ValueError('must be a path, or {constant = "…"}')
    return _compiled(value)


Named = Annotated[Constant | str, BeforeValidator(_path_or_constant)]


INDEX = "index"
"""Member of an element's document: its position in the lists, from 0 on."""


def _element_names(value: dict[str, str]) -> dict[str, str]:
    for name in value:
        if not _BARE.fullmatch(name):
            raise ValueError(f"{name!r} must be of letters, digits and _, since paths begin with it")
        if name == INDEX:
            raise ValueError(f"{INDEX} is the position of each element; choose another name")
    return value


def _table_of_lists(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        raise ValueError('must be a table of lists by name, such as {row = "rows"}')
    return value


Each = Annotated[dict[str, JMESPath], BeforeValidator(_table_of_lists), AfterValidator(_element_names)]


class SourceMapping(BaseModel):
    """Place of each field of an event in a record, in JMESPath; the model and its version may be constants."""

    model_config = FROZEN

    id: JMESPath
    where: JMESPath | None = None
    each: Each | None = None
    time: JMESPath | None = None
    time_unit: TimeUnit = "s"
    time_zone: str | None = None
    model: Named | None = None
    version: Named | None = None
    features: Features | None = None
    prediction: JMESPath | None = None
    probability: JMESPath | None = None
    truth: JMESPath | None = None

    @field_validator("time_zone")
    @classmethod
    def _is_zone(cls, value: str | None) -> str | None:
        try:
            return value if value is None else ZoneInfo(value).key
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a time zone such as Europe/Berlin") from None
