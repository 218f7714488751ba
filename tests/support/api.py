"""The API within the test's process, on a real Kafka."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.services import Services
from app.settings.settings import Settings

EVENT: dict[str, Any] = {
    "prediction_id": "a", "model": "churn", "model_version": "3", "timestamp": "2026-01-01T00:00:00Z",
    "features": {"age": 30, "plan": "gold", "member": True, "left": None}, "prediction": 1, "probability": 0.5,
}  # fmt: skip


@contextlib.asynccontextmanager
async def client_of(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", timeout=30) as client:
            client.app = app  # type: ignore[attr-defined]
            yield client


def services_of(client: httpx.AsyncClient) -> Services:
    app = client.app  # type: ignore[attr-defined]
    assert isinstance(app, FastAPI)
    found = app.state.services
    assert isinstance(found, Services)
    return found


async def ready(client: httpx.AsyncClient) -> None:
    await asyncio.wait_for(services_of(client).connected.wait(), 30)
    answer = await client.get("/ready?for=events")
    assert answer.status_code == 200, answer.text


@contextlib.asynccontextmanager
async def on_port(client: httpx.AsyncClient) -> AsyncIterator[str]:
    """Yield the address of the same API on a port, for clients and commands."""
    app = client.app  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_level="warning", log_config=None))
    sock = server.config.bind_socket()
    task = asyncio.create_task(server.serve(sockets=[sock]))
    try:
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
