"""The HTTP application."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from api.auth import AuthMiddleware
from api.http import problems
from api.http.entity_tags import EntityTags
from api.http.head_requests import HeadRequests
from api.http.measured_requests import MeasuredRequests
from api.http.parameters import known_parameters
from api.http.proxy import BehindProxy
from api.http.traced_requests import TracedRequests
from api.inference.replace import reloading
from api.openapi.document import openapi
from api.routes import (
    alerts,
    contract,
    dashboard,
    events,
    feedback,
    health,
    heartbeats,
    history,
    lifecycle,
    models,
    monitor,
    predict,
    predictions,
    receivers,
    registration,
    serve,
    sign_in,
    silences,
)
from api.served.models import ServedModels
from api.served.spooling import check_spool
from api.services import Services
from app.access import KeyFile, keys_path
from app.history.setup import history_of
from app.settings.release import release
from app.settings.secrets import hash_key_of
from app.settings.settings import Settings
from app.telemetry import metrics
from app.telemetry.beginnings import begin_api
from app.telemetry.loop_lag import measured_loop
from app.telemetry.probe import probed

log = logging.getLogger(__name__)

COMPRESSED_BYTES = 1000
COMPRESSION = 6
"""Compression level, of 9. A megabyte of history becomes 5 % larger than the smallest possible, in 0.6 of the time."""


def create_app(settings: Settings, metrics_at: socket.socket | None = None) -> FastAPI:
    """Return the application, which connects to Kafka while it runs.

    `metrics_at` is the socket for a separate listener of metrics and probes, without keys. Raises BundleError for a
    model that cannot be served, SettingsError for a spool folder that cannot be written, for the history's settings and
    for a hash key that cannot be read.
    """
    begin_api()
    served_models = ServedModels(settings)
    check_spool(settings)
    # Services reads both too, within the lifespan, where an error is a traceback and the wrong exit status
    hash_key_of(settings)
    history_of(settings).close()

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services = app.state.services = Services(settings, served_models)
        async with (
            reloading(services),
            measured_loop(metrics.API_LOOP_LAG, settings.loop_lag_seconds),
            services.running(),
            probed(metrics_at, metrics.API, services.look, services.state),
        ):
            yield

    app = FastAPI(
        title="Driftline", version=release(), lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None,
        dependencies=[Depends(known_parameters)],
    )  # fmt: skip
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    problems.install(app)
    app.add_middleware(EntityTags)
    app.add_middleware(GZipMiddleware, minimum_size=COMPRESSED_BYTES, compresslevel=COMPRESSION)
    app.add_middleware(HeadRequests)
    app.add_middleware(TracedRequests)
    keys = app.state.keys = KeyFile(keys_path(settings))
    app.add_middleware(AuthMiddleware, keys=keys, settings=settings)
    if settings.cors_origins:  # outside the authentication: a browser's preflight request has no key
        app.add_middleware(
            CORSMiddleware, allow_origins=settings.cors_origins, allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"], expose_headers=["ETag"],
        )  # fmt: skip
    app.add_middleware(MeasuredRequests)
    app.add_middleware(BehindProxy, root=settings.root, trusted=settings.trusted_proxies or ())
    for routes in (
        health, predict, predictions, feedback, heartbeats, models, registration, history, alerts, lifecycle,
        silences, receivers, monitor, events, dashboard, contract, sign_in, serve,
    ):  # fmt: skip
        app.include_router(routes.router)
    return app
