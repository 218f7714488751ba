"""Settings of the API's authentication and of its limits on requests."""

from __future__ import annotations

import re
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode

PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)+/?")
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")
RATE = re.compile(r"off|[1-9]\d{0,8}/(second|minute|hour)")


class HttpSettings(BaseSettings):
    """Settings for callers of the API: keys, origins, proxies and limits."""

    api_url: str | None = Field(
        None, description="API that commands with --api use, as https://driftline.example.org. Unset: they use Kafka."
    )
    api_key: SecretStr | None = Field(None, description="Key for it.")
    api_key_file: Path | None = Field(None, description="A file with it.")
    keys_file: Path | None = Field(None, description="The API's keys. Unset: api-keys.json in state_dir.")
    allow_unauthenticated_api: bool = Field(
        False, description="Serve without keys on an address that others can reach."
    )
    hash_key: SecretStr | None = Field(
        None, description="Key of `columns.hash`, the same for register, replay and the API."
    )
    hash_key_file: Path | None = Field(None, description="A file with it.")
    cors_origins: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None, description="Origins whose pages may call the API, as https://host[:port], with commas between."
    )
    api_hosts: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Names by which callers reach an API without keys, beside localhost and `public_url`, with commas "
        "between.",
    )
    root_path: str | None = Field(
        None, description="Prefix under which a proxy shows the API, as /drift. Unset: the path of `public_url`."
    )
    trusted_proxies: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        None,
        description="Proxies whose X-Forwarded-For and -Proto count: addresses or networks, with commas between. "
        "Unset: none.",
    )
    rate_limit: str = Field("1000/second", description="Requests of one key, as 1000/second, 10/minute, or off.")
    body_seconds: float = Field(
        30.0, gt=0, le=3600, description="How long a request's headers may take to arrive, and its body."
    )
    api_buffer_mib: int = Field(
        256, ge=1, le=1 << 20, description="MiB of requests that may wait for their answers; beyond, 503."
    )
    serving_extra_features: Literal["refuse", "ignore"] = Field(
        "refuse", description="Features that the served model does not have: 422, or left out of what it gets."
    )
    predict_seconds: float = Field(
        30.0, gt=0, le=3600, description="How long the served model may take for a request; beyond, 503."
    )

    @field_validator("keys_file")
    @classmethod
    def _home_of_keys(cls, value: Path | None) -> Path | None:
        return None if value is None else value.expanduser()

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for origin in value or ():
            parts = urlsplit(origin)
            if (
                parts.scheme not in ("http", "https")
                or not parts.netloc
                or origin != f"{parts.scheme}://{parts.netloc}"
            ):
                raise ValueError("must be origins such as https://monitor.example.org, each by name")
        return value

    @field_validator("api_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.lower().split(",")))) if isinstance(value, str) else value

    @field_validator("api_hosts")
    @classmethod
    def _are_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for name in value or ():
            if NAME.fullmatch(name) is None:
                raise ValueError("must be names such as api or driftline.example.org, without a port")
        return None if value is None else tuple(name.lower() for name in value)

    @field_validator("root_path")
    @classmethod
    def _is_prefix(cls, value: str | None) -> str | None:
        if value is None or PREFIX.fullmatch(value) is None:
            if value is None or value in ("", "/"):
                return None if value is None else ""
            raise ValueError("must be a path such as /drift, of letters, digits, '.', '_', '-' and '~'")
        return value.rstrip("/")

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_proxies(cls, value: object) -> object:
        return tuple(filter(None, map(str.strip, value.split(",")))) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for one in value or ():
            try:
                ip_network(one)
            except ValueError:
                raise ValueError("must be addresses or networks such as 10.0.0.7 or 10.0.0.0/8, not names") from None
        return value

    @field_validator("rate_limit")
    @classmethod
    def _is_rate(cls, value: str) -> str:
        if RATE.fullmatch(value) is None:
            raise ValueError("must be a number and second, minute or hour, as 1000/second, or off")
        return value
