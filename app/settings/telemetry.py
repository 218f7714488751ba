"""Settings of the processes' telemetry: metrics, logs, traces."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic_settings import BaseSettings


class TelemetrySettings(BaseSettings):
    """Addresses of metrics and probes of workers, recorders and APIs; the form of logs; the target of traces."""

    metrics_host: str = Field("127.0.0.1", min_length=1, description="Address metrics and probes listen on.")
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = Field(
        None,
        description="Port of a worker's metrics and probes; 0: a free one, which the log names. Unset: there are none.",
    )
    recorder_metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = Field(
        None, description="The same for a recorder: it may run beside a worker, as in `driftline up`."
    )
    api_metrics_port: Annotated[int, Field(ge=0, le=65_535)] | None = Field(
        None, description="The same for an API, without its keys. Unset: /metrics is at api_port alone, for a read key."
    )
    loop_lag_seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        0.5, description="A worker or API whose event loop is late by more logs a warning that names what ran."
    )
    log_format: Literal["text", "json"] = Field("text", description="Lines for people, or JSON objects.")
    otlp_endpoint: str | None = Field(
        None,
        pattern=r"^https?://\S+$",
        description="OpenTelemetry collector that gets traces, by HTTP. Unset: no traces.",
    )
