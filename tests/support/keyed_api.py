"""The API without Kafka, whose callers have keys."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from api.app import create_app
from app.access import KeyFile, Role
from app.settings.settings import load_settings

NOWHERE = "127.0.0.1:1"
"""No Kafka: who gets past the door is told 503, or 404."""


@contextlib.asynccontextmanager
async def client_of(state: Path, **more: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(load_settings(bootstrap_servers=NOWHERE, state_dir=state, **{"api_hosts": "api", **more}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://api:8700") as client:
            client.app = app  # type: ignore[attr-defined]
            yield client


def key_of(state: Path, *roles: Role, models: Sequence[str] = ()) -> str:
    file = KeyFile(state / "api-keys.json")
    return file.create("-".join(roles), list(roles), datetime.now(UTC), models=models).text


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}
