"""The API as a process."""

from __future__ import annotations

import gc
import logging
import socket
from functools import partial

import uvicorn
from fastapi import FastAPI

from api.app import create_app
from api.http.connection import Connection
from app.access import check_open
from app.kafka.errors import BrokerError
from app.local.find_kafka import running_kafka
from app.processes.ports import listen
from app.processes.private_files import keep_private
from app.settings.extras import needing
from app.settings.settings import Settings
from app.telemetry import logs, tracing

log = logging.getLogger(__name__)

GRACE_SECONDS = 10
KEPT_SECONDS = 75
"""Seconds that an idle connection is kept after a response. This is longer than clients and load balancers keep one (5
to 60 s), so that the client closes it. If the server closed it at the same moment, a request would be lost."""


class Server(uvicorn.Server):
    """uvicorn server that ends the event streams before it waits for running requests."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        if isinstance(app, FastAPI) and hasattr(app.state, "services"):
            app.state.services.closing.set()
        await super().shutdown(sockets)


def config_of(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """Return uvicorn's configuration for the application."""
    connection = partial(Connection, head_seconds=settings.body_seconds)
    return uvicorn.Config(
        app, log_config=None, log_level=settings.log_level.lower(), access_log=False,
        timeout_graceful_shutdown=GRACE_SECONDS, timeout_keep_alive=KEPT_SECONDS, server_header=False,
        proxy_headers=False, ws="none", http=connection,  # type: ignore[arg-type]  # uvicorn only calls it
    )  # fmt: skip


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; running requests are answered first.

    Without bootstrap_servers the Kafka that runs on this machine is used. Raises PortTaken, BrokerError, BundleError,
    OpenApi, KeyFileError, SettingsError.
    """
    keep_private()
    logs.set_up(settings.log_level, settings.log_format)
    with needing("tracing", "otlp_endpoint"):
        tracing.set_up("driftline-api", settings.otlp_endpoint)
    open_to_all = check_open(settings)
    if open_to_all is not None:
        log.warning(open_to_all)
    if settings.bootstrap_servers is None:
        servers = running_kafka(settings)
        if servers is None:
            raise BrokerError("no Kafka: set DRIFTLINE_BOOTSTRAP_SERVERS or --bootstrap-servers, or run driftline up")
        settings = settings.model_copy(update={"bootstrap_servers": servers})
    metrics_at = None
    if settings.api_metrics_port is not None:
        who = ("the API's metrics", "api_metrics_port", "--metrics-port")
        metrics_at = listen(settings.metrics_host, settings.api_metrics_port, *who)
    app = create_app(settings, metrics_at)
    config = config_of(app, settings)
    gc.freeze()  # objects of the start stay: searching all of them for garbage delayed requests
    with listen(settings.api_host, settings.api_port) as listening:
        try:
            Server(config).run(sockets=[listening])
        finally:
            tracing.close()
