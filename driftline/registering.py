"""`driftline.register`: a model version registered over HTTP, with a table in memory or a file as its reference."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from driftline.http import Answer, Http, api_url, authorization, pause_before, post
from driftline.losses import RegisterFailed
from driftline.tables import file_of

HOME = "app.registration.upload"
"""Module that makes a profile of a large reference. Looked up by name: a producer has the client alone."""
LARGEST_FILE = 15 << 20
"""Bytes of a reference sent as a file, at most; the API takes bodies of 16 MiB."""
TOO_LARGE = 413

Parts = dict[str, tuple[str, bytes]]


@dataclass(frozen=True, slots=True)
class RegisterResult:
    """Result of a registration. `created`: the version was not registered before. `notes`: how the table was read.

    `features`: the kind of each feature. `left_out`: the reason why a column is no feature. `baseline`: the metrics of
    the reference. `to_dict` has all that `driftline register --json` prints.
    """

    created: bool
    model: str
    model_version: str
    profile_id: str
    task: str
    n: int
    features: Mapping[str, str]
    baseline: Mapping[str, float]
    left_out: Mapping[str, str]
    notes: tuple[str, ...]
    all: Mapping[str, Any] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return all of the result, as `driftline register --json` prints it."""
        return dict(self.all)


def register(
    reference: object,
    *,
    model: str,
    version: str,
    config: Mapping[str, Any] | str | Path | None = None,
    api: str | None = None,
    api_key: str | None = None,
    timeout: float = 120.0,
) -> RegisterResult:
    """Register a model version with its reference, as `driftline register --api` does.

    `reference`: a table of pandas, Polars or Arrow, anything with `__dataframe__`, or the path of a file (CSV, Parquet,
    JSONL). Its rows are sent to the API, which keeps their profile only. Of a table with more than 15 MiB the profile
    is made here, for which the server's packages must be installed. `config`: monitoring.json as a dictionary, or its
    path. Without `api` DRIFTLINE_API_URL is used, else the API on this machine; without `api_key` DRIFTLINE_API_KEY,
    whose role must be `admin`.

    Repeats the request while the API is unavailable, for `timeout` seconds. Raises RegisterFailed with the response's
    reason, ValueError or TypeError for a reference or configuration that cannot be sent, and OSError.
    """
    url = api or api_url()
    parts: Parts = {} if config is None else {"config": _config_of(config)}
    file = file_of(reference)
    path = f"/models/{quote(model, safe='')}/versions/{quote(version, safe='')}"
    answer: Answer | None = None
    more: dict[str, Any] = {}
    if len(file.content) <= LARGEST_FILE:
        answer = _sent(url, path, {"reference": file, **parts}, api_key, timeout)
    if answer is None or answer.status == TOO_LARGE:
        profile, more = _profile_of(reference, model, version, parts, answer, len(file.content))
        answer = _sent(url, path, {**profile, **parts}, api_key, timeout)
    if not answer.sound:
        raise RegisterFailed(f"{url}: {answer.reason}", answer.status or None)
    return _result(answer, more)


def _sent(url: str, path: str, parts: Parts, api_key: str | None, timeout: float) -> Answer:
    request = httpx.Request("POST", "http://localhost/", files=parts)
    body = request.read()
    http = Http(url, {"content-type": request.headers["content-type"], **authorization(api_key)})
    until, attempt = time.monotonic() + timeout, 0
    try:
        while True:
            answer = post(http, path, body, max(0.001, until - time.monotonic()))
            pause = pause_before(attempt, answer)
            attempt += 1
            if not answer.again or time.monotonic() + pause >= until:
                return answer
            time.sleep(pause)
    finally:
        http.close()


def _config_of(config: object) -> tuple[str, bytes]:
    """Return the configuration as a file. Raises OSError, TypeError, ValueError."""
    if isinstance(config, str | Path):
        return Path(config).name, Path(config).read_bytes()
    if not isinstance(config, Mapping):
        raise TypeError(f"config: must be a dictionary or a file's path, not {type(config).__name__}")
    try:
        return "config", json.dumps(dict(config), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise ValueError(f"config: {error}") from None


def _profile_of(
    reference: object, model: str, version: str, parts: Parts, answer: Answer | None, size: int
) -> tuple[Parts, dict[str, Any]]:
    """Return the parts of a profile that is made here, and the decisions that the response does not have."""
    try:
        home = import_module(HOME)
    except ModuleNotFoundError as error:
        limit = f"at most {LARGEST_FILE >> 20} MiB can be sent" if answer is None else answer.reason
        raise RegisterFailed(
            f"reference: has {size >> 20:,} MiB, {limit}: give a sample of its rows, or install driftline-server here, "
            f"which makes its profile ({error.name} is missing)"
        ) from None
    profile_parts: Callable[..., tuple[Parts, dict[str, Any]]] = home.profile_parts
    return profile_parts(reference, model, version, parts.get("config"))


def _result(answer: Answer, more: Mapping[str, Any]) -> RegisterResult:
    found = {**answer.body, **more}
    try:
        return RegisterResult(
            created=answer.status == 201,
            notes=tuple(found["notes"]),
            all=found,
            **{name: found[name] for name in ("model", "model_version", "profile_id", "task", "n", "features")},
            **{name: found[name] for name in ("baseline", "left_out")},
        )
    except KeyError as error:
        raise RegisterFailed(f"the response has no {error}: is this Driftline, and of the same release?") from None
