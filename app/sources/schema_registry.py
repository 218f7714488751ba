"""Client of a Schema Registry with Confluent's HTTP API: schemas by id, with those that they refer to."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote
from uuid import UUID

import httpx
import msgspec

ATTEMPT_SECONDS = 10.0
LARGEST_ANSWER = 16 << 20
"""Bytes of one schema."""
MOST_REFERENCES = 1000
ACCEPTED = "application/vnd.schemaregistry.v1+json, application/json"


class RegistryUnavailable(Exception):
    """The registry cannot be reached, or refuses the login. Another attempt may succeed."""


class SchemaUnknown(Exception):
    """The registry has no such schema, or not in a readable form."""


class SchemaReference(msgspec.Struct, frozen=True):
    """A schema that another one refers to by `name`."""

    name: str
    subject: str
    version: int


class RegisteredSchema(msgspec.Struct, frozen=True, rename={"kind": "schemaType"}):
    """A registered schema; `kind` is AVRO, JSON or PROTOBUF."""

    schema: str
    kind: str = "AVRO"
    references: tuple[SchemaReference, ...] = ()


class _Problem(msgspec.Struct):
    error_code: int
    message: str = ""


_decode = msgspec.json.Decoder(RegisteredSchema).decode
_decode_problem = msgspec.json.Decoder(_Problem).decode


class SchemaRegistry:
    """Client of a registry, which keeps every schema: that of an id, or of a version, never changes."""

    def __init__(
        self,
        url: str,
        *,
        login: tuple[str, str] | None = None,
        ca_file: Path | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Create a client. `login` is user and password for basic authentication."""
        self.url = url
        verify: ssl.SSLContext | bool = True
        if ca_file is not None:
            verify = ssl.create_default_context(cafile=str(ca_file))
        self._http = httpx.AsyncClient(
            auth=None if login is None else httpx.BasicAuth(*login), verify=verify, timeout=ATTEMPT_SECONDS,
            headers={"Accept": ACCEPTED}, transport=transport,
        )  # fmt: skip
        self._known: dict[str, RegisteredSchema] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def schema(self, name: int | UUID, *, serialized: bool = False) -> RegisteredSchema:
        """Return a schema by its id or GUID; if `serialized`, that of Protobuf as a descriptor in base64.

        Raises SchemaUnknown, RegistryUnavailable.
        """
        by = "guids" if isinstance(name, UUID) else "ids"
        return await self._get(f"/schemas/{by}/{name}", f"schema {name}", serialized=serialized)

    async def referred(
        self, references: Sequence[SchemaReference], *, serialized: bool = False
    ) -> list[tuple[str, RegisteredSchema]]:
        """Return the referenced schemas by name, each after those that it refers to itself.

        Raises SchemaUnknown, RegistryUnavailable.
        """
        found: dict[str, RegisteredSchema] = {}
        begun: set[str] = set()
        await self._collect(references, found, begun, serialized=serialized)
        return list(found.items())

    async def _collect(
        self,
        references: Sequence[SchemaReference],
        found: dict[str, RegisteredSchema],
        begun: set[str],
        *,
        serialized: bool,
    ) -> None:
        for reference in references:
            if reference.name in begun:
                continue
            begun.add(reference.name)
            if len(begun) > MOST_REFERENCES:
                raise SchemaUnknown(f"it refers to more than {MOST_REFERENCES} others")
            path = f"/subjects/{quote(reference.subject, safe='')}/versions/{reference.version}"
            words = f"version {reference.version} of subject {reference.subject}"
            one = await self._get(path, words, serialized=serialized)
            await self._collect(one.references, found, begun, serialized=serialized)
            found[reference.name] = one

    async def _get(self, path: str, words: str, *, serialized: bool) -> RegisteredSchema:
        path += "?format=serialized" if serialized else ""
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = await self._asked(path, words)
        return known

    async def _asked(self, path: str, words: str) -> RegisteredSchema:
        where = f"schema registry {self.url}"
        try:
            response = await self._http.get(self.url + path)
        except (httpx.HTTPError, OSError) as error:
            raise RegistryUnavailable(f"{where}: {str(error) or type(error).__name__}") from None
        if response.status_code == httpx.codes.NOT_FOUND:
            if _problem_in(response) is None:
                raise RegistryUnavailable(
                    f"{where}: 404 for {path}, which is no address of the API: "
                    "is schema_registry_url complete, such as https://HOST/apis/ccompat/v7 of Apicurio?"
                )
            raise SchemaUnknown(f"{where} has no {words}{_said(response)}")
        if response.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise RegistryUnavailable(
                f"{where} refuses us ({response.status_code}): "
                "set schema_registry_username and schema_registry_password"
            )
        if response.status_code == httpx.codes.NOT_IMPLEMENTED:  # of a registry without `format=serialized`
            raise SchemaUnknown(f"{where} cannot return {words} as a descriptor: set schema_file and message")
        if response.status_code != httpx.codes.OK:
            raise RegistryUnavailable(f"{where}: {response.status_code}{_said(response)}")
        try:
            return _decode(response.content[:LARGEST_ANSWER])
        except msgspec.MsgspecError as error:
            raise RegistryUnavailable(f"{where} does not return a schema, but {error}") from None


def _problem_in(response: httpx.Response) -> _Problem | None:
    """Return the error that the API describes; None in a response of something else."""
    try:
        return _decode_problem(response.content)
    except msgspec.MsgspecError:
        return None


def _said(response: httpx.Response) -> str:
    problem = _problem_in(response)
    return f": {' '.join(problem.message.split())[:200]}" if problem is not None and problem.message else ""
