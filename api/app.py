"""The HTTP application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from api import problems
from api.release import release
from api.routes import contract, dashboard, feedback, health, models, predict, predictions, silences
from api.services import Services
from app.runtime.settings import Settings
from app.serving import load_bundle


def create_app(settings: Settings) -> FastAPI:
    """The application; it connects to Kafka while it runs. Raises BundleError for a model that cannot be served."""
    bundle = None if settings.model_path is None else load_bundle(settings.model_path)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = app.state.services = Services(settings, bundle)
        async with services.running():
            yield

    app = FastAPI(
        title="Driftline", version=release(), lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    problems.install(app)
    for routes in (health, predict, predictions, feedback, models, silences, dashboard, contract):
        app.include_router(routes.router)
    return app
