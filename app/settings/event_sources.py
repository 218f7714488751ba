"""Settings of sources: the topics of other systems, and how their records are mapped to events."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings

from app.settings.source_mapping import FROZEN, SourceMapping

Format = Literal["json", "avro", "json-schema", "protobuf"]
Carries = Literal["predictions", "feedback", "both"]


_OF_PREDICTIONS = ("model", "version", "features")
_ONLY_OF_PREDICTIONS = ("version", "features", "prediction", "probability")


class SourceDeclaration(BaseModel):
    """One table `[[sources]]`: a topic, the format of its records, what they carry, and the mapping."""

    model_config = FROZEN

    topic: Annotated[str, Field(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]
    name: str = ""
    format: Format = "json"
    carries: Carries = "predictions"
    mapping: SourceMapping
    framing: Literal["confluent", "none"] | None = None
    schema_file: Path | None = None
    message: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        mapping = self.mapping
        if self.carries != "feedback":
            for name in _OF_PREDICTIONS:
                if getattr(mapping, name) is None:
                    raise ValueError(f"mapping.{name}: missing; a source that carries {self.carries} has it")
        if self.carries == "feedback":
            for name in _ONLY_OF_PREDICTIONS:
                if getattr(mapping, name) is not None:
                    raise ValueError(f'mapping.{name}: feedback has none; set carries = "both", or leave it out')
        if self.carries == "predictions" and mapping.truth is not None:
            raise ValueError('mapping.truth: predictions have none; set carries = "both", or leave it out')
        if self.carries != "predictions" and mapping.truth is None:
            raise ValueError(f"mapping.truth: missing; a source that carries {self.carries} has it")
        return self

    @model_validator(mode="after")
    def _has_its_schema(self) -> Self:
        if self.schema_file is not None and self.format not in ("avro", "protobuf"):
            raise ValueError(f"schema_file: {self.format} needs none")
        if self.message is not None and self.format != "protobuf":
            raise ValueError(f"message: {self.format} has none")
        if self.framing is not None and self.format in ("json", "json-schema"):
            raise ValueError(f"framing: {self.format} has none to be set")
        if self.framing == "none" and self.schema_file is None:
            raise ValueError('schema_file: missing; framing = "none" needs it')
        if self.format == "protobuf" and (self.schema_file is None) != (self.message is None):
            raise ValueError("schema_file and message: a Protobuf source has both, or neither and a schema registry")
        return self

    @property
    def is_framed(self) -> bool:
        """Return whether values begin with Confluent's header. By default they do if the source has no schema file."""
        return self.schema_file is None if self.framing is None else self.framing == "confluent"

    @property
    def needs_registry(self) -> bool:
        """Return whether schemas come from the registry."""
        if self.format == "protobuf":
            return self.schema_file is None
        return self.format == "avro" and self.is_framed

    @property
    def label(self) -> str:
        """Return the source's name, or else its topic's."""
        return self.name or self.topic

    @field_validator("schema_file")
    @classmethod
    def _home_of_schema(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()


class SourceSettings(BaseSettings):
    """The tables `[[sources]]` of driftline.toml, and the Schema Registry."""

    sources: tuple[SourceDeclaration, ...] | None = Field(
        None, repr=False, description="Topics of other systems, and how their records are mapped to events."
    )
    schema_registry_url: str | None = Field(
        None,
        repr=False,
        description="Schema Registry (Confluent's API) of Avro and Protobuf sources, http(s)://HOST[:PORT][/PATH].",
    )
    schema_registry_username: str | None = Field(None, min_length=1, description="The user that we log in as there.")
    schema_registry_password: SecretStr | None = Field(None, description="Its password.")
    schema_registry_password_file: Path | None = Field(None, description="A file with it.")
    schema_registry_ca_file: Path | None = Field(
        None, description="PEM of who signs the registry's certificate. Unset: this machine's."
    )

    @field_validator("sources", mode="before")
    @classmethod
    def _each_by_its_name(cls, value: object) -> object:
        if not isinstance(value, list | tuple) or not all(isinstance(one, dict) for one in value):
            return value
        found = tuple(_declared(one, number) for number, one in enumerate(value))
        labels = [one.label for one in found]
        for one in found:
            if labels.count(one.label) > 1:
                raise ValueError(f"two sources have the name {one.label!r}: set name")
            others = [other for other in found if other is not one and other.topic == one.topic]
            if others and one.mapping.where is None:
                raise ValueError(
                    f"source {one.label!r}: mapping.where: missing; source {others[0].label!r} reads topic {one.topic} "
                    "too, so each of them has to say which records are its own"
                )
        return found

    @field_validator("schema_registry_url")
    @classmethod
    def _is_registry(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be an address such as https://registry.example.org")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must have no login in it: set schema_registry_username and schema_registry_password")
        return value.rstrip("/")

    @field_validator("schema_registry_password_file", "schema_registry_ca_file")
    @classmethod
    def _home_of_registry_files(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()


def _declared(given: dict[str, Any], number: int) -> SourceDeclaration:
    """Return a source. Raises ValueError with its name and the key that is wrong."""
    try:
        return SourceDeclaration.model_validate(given)
    except ValidationError as error:
        named = given.get("name") or given.get("topic")
        named = f"source {named!r}" if isinstance(named, str) else f"source number {number + 1}"
        raise ValueError(f"{named}: " + "; ".join(map(_problem, error.errors()))) from None


_KEYS = (
    *SourceDeclaration.model_fields,
    *SourceMapping.model_fields,
    "object",
    "without",
    "list",
    "names",
    "select",
    "constant",
)
_WORDS = {"extra_forbidden": "there is no such key", "missing": "missing"}


def _problem(problem: Any) -> str:
    """Return one problem as `mapping.id: missing`. Names of union members are not keys, and are left out."""
    parts = [part for part in problem["loc"] if not (isinstance(part, str) and _is_kind(part))]
    key = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".")
    words = _WORDS.get(problem["type"], problem["msg"].removeprefix("Value error, ").replace("Input should", "must"))
    if problem["type"] == "extra_forbidden":
        close = get_close_matches(str(parts[-1]), _KEYS, n=1)
        words += f"; did you mean {close[0]}?" if close else ""
    return f"{key}: {words}" if key else str(words)


def _is_kind(part: str) -> bool:
    return part in _KINDS or part.startswith("function-")


_KINDS = frozenset({"Constant", "ObjectFeatures", "ListFeatures", "SelectedFeatures", "constrained-str", "str"})
