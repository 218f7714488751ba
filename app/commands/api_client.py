"""Client of an API on another machine, for commands without access to Kafka."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec

from app.commands.options import CommandError

T = TypeVar("T")

ANSWER_SECONDS = 60.0
HEARTBEAT_SECONDS = 30.0
"""Seconds of silence after which a stream of changes counts as broken; the API sends a heartbeat every 5 s."""
AGAIN = frozenset({408, 425, 429, 502, 503, 504})
"""HTTP statuses after which the same request may succeed."""
ATTEMPTS = 8
LONGEST_PAUSE = 10.0


class ApiError(CommandError):
    """Error response, or none at all."""

    def __init__(self, words: str, status: int = 0) -> None:
        super().__init__(words)
        self.http_status = status


class StreamedChange(NamedTuple):
    """Event of the API's stream of changes: `state`, `changed` or `heartbeat`, and its data."""

    kind: str
    data: Mapping[str, Any]


class ListedVersion(msgspec.Struct):
    """Model version that the API lists. `not_judged`: why it is not judged, where `state` says so."""

    model: str
    model_version: str
    state: str = ""
    not_judged: str = ""


class _Listed(msgspec.Struct):
    models: list[ListedVersion]


class ApiClient:
    """Requests to one API with one key. Use it as a context manager.

    Raises ApiError for every error response: one line with the detail of the API. Idempotent requests are repeated
    while the API is busy or does not reach Kafka.
    """

    def __init__(self, url: str, key: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise CommandError(f"--api: must be an address such as https://driftline.example.org, not {url!r}")
        self.url = url.rstrip("/")
        headers = {} if key is None else {"authorization": f"Bearer {key}"}
        try:
            self._http = httpx.Client(headers=headers, timeout=ANSWER_SECONDS)
        except (ValueError, UnicodeError):
            raise CommandError("--api-key: must be one line of ASCII, as `driftline keys create` prints it") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, kind: type[T], **parameters: str | int) -> T:
        """Return the response to GET, decoded."""
        return self._decoded(self.request("GET", path, params=parameters), kind)

    def post(self, path: str, kind: type[T], **more: Any) -> T:
        """Return the response to POST, decoded. `more`: as httpx takes a body."""
        return self._decoded(self.request("POST", path, **more), kind)

    def versions(self, model: str) -> list[ListedVersion]:
        """Return the versions of a model; none of a model that is not registered."""
        return [one for one in self.get("/models", _Listed).models if one.model == model]

    def request(self, method: str, path: str, **more: Any) -> bytes:
        """Return the body of a response. Repeat a request that the API cannot serve yet."""
        attempt = 0
        while True:
            try:
                response = self._http.request(method, f"{self.url}{path}", **more)
            except httpx.HTTPError as error:
                raise ApiError(f"no API responds at {self.url}: {str(error) or type(error).__name__}") from None
            if response.is_success:
                return response.content
            attempt += 1
            if response.status_code not in AGAIN or attempt == ATTEMPTS:
                raise self._error(response)
            time.sleep(_pause(response, attempt - 1))

    def changes(self) -> Iterator[StreamedChange]:
        """Yield events of changes, without end. Raises ApiError where the stream breaks off."""
        headers = {"accept": "text/event-stream"}
        timeout = httpx.Timeout(ANSWER_SECONDS, read=HEARTBEAT_SECONDS)
        try:
            with self._http.stream("GET", f"{self.url}/events", headers=headers, timeout=timeout) as response:
                if not response.is_success:
                    response.read()
                    raise self._error(response)
                kind = ""
                for line in response.iter_lines():
                    name, _, value = line.partition(": ")
                    if name == "event":
                        kind = value
                    elif name == "data":
                        yield StreamedChange(kind, json.loads(value))
        except (httpx.HTTPError, ValueError) as error:
            raise ApiError(f"the API at {self.url} is no longer there: {str(error) or type(error).__name__}") from None

    def _decoded(self, body: bytes, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ApiError(
                f"{self.url} returns what this release cannot read ({error}): is it Driftline, and of the same release?"
            ) from None

    def _error(self, response: httpx.Response) -> ApiError:
        try:
            detail = response.json()["detail"]
        except (ValueError, KeyError, TypeError):
            detail = response.reason_phrase or "no reason given"
        hint = " (--api-key-file, or DRIFTLINE_API_KEY)" if response.status_code == 401 else ""
        return ApiError(f"{self.url}: {response.status_code}: {detail}{hint}", response.status_code)


def not_registered(name: str) -> CommandError:
    """Return the error for a model, or a version of it, that the API does not list."""
    return CommandError(f"{name} is not registered: correct the name, or register it with `driftline register`")


def address(*parts: str) -> str:
    """Return a path of names, each quoted: names may have characters that addresses do not."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


def _pause(response: httpx.Response, attempt: int) -> float:
    given = response.headers.get("retry-after", "")
    return min(float(given) if given.isdigit() else 0.2 * 2.0**attempt, LONGEST_PAUSE)
